"""Dimensions of more than 2**31 - 1 elements: which function has one, and tiles of tensors that have.

Block indices and the variables of loops have 32 bits, and 64 in a function that has such a dimension; so has all that
is computed from them. Tile operations keep offsets of 32 bits: they are given a window of the tensor, which starts at a
multiple of `_STEP` elements of each wide dimension in front of the tile.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.builder import Builder, current
from tilelang_mlir.frontend.expr import INT32, INT64, WIDE_SIZES, Expr, as_expr, value_of
from tilelang_mlir.mlir import ir

if TYPE_CHECKING:
    from tilelang_mlir.frontend.buffer import Buffer

MAX_SIZE = 2**31 - 1
_MAX_WINDOW = 2**31 - 2**20  # elements of a wide dimension; what divides its size divides that of a window, too
ATTRIBUTE = "tl.wide_indices"  # of a host function
_STEP = 20  # bits; a multiple of every alignment, and small enough that offsets inside of a window have 32 bits
_FAR = 2**30


@contextmanager
def wide_sizes() -> Generator[None]:
    """Functions that are traced inside take sizes of 64 bits (`T.dynamic("n", "int64")`) for wide ones."""
    token = WIDE_SIZES.set(True)
    try:
        yield
    finally:
        WIDE_SIZES.reset(token)


def is_wide(builder: Builder | None, size: Any) -> bool:
    """Whether a dimension may have more elements than 32-bit indices count."""
    if isinstance(size, int):
        return size > MAX_SIZE
    asked = WIDE_SIZES.get() or (builder is not None and builder.wide)
    return asked and isinstance(size, Expr) and size.dtype.bits == 64


def wide_size(size: Any) -> Any:
    """A size of a tensor that was computed from symbols before they had 64 bits, with 64 bits."""
    if not (WIDE_SIZES.get() and isinstance(size, Expr) and size.op and size.value is None and size.dtype == INT32):
        return size
    result = Expr(INT64, nonneg=size.nonneg)
    result.op, result.attributes = size.op, size.attributes
    result.args = [arith.cast(wide_size(arg), INT64) for arg in size.args]
    return result


def note_sizes(builder: Builder, name: str, shape: Sequence[Any]) -> None:
    """Of a tensor that is declared: what is traced from now on has wide indices where a dimension asks for it.

    Raises:
        UnsupportedError: a kernel with indices of 32 bits has begun.
    """
    if builder.wide or not any(is_wide(builder, size) for size in shape):
        return
    if builder.launch() is not None:
        raise UnsupportedError(f"tensor {name!r} of {list(shape)} elements is made inside of a kernel that has begun "
                               "with indices of 32 bits", hint="make it in front of `with T.Kernel(...)`")
    builder.wide = True
    builder.function.attributes[ATTRIBUTE] = ir.UnitAttr.get()


def index_variable(builder: Builder, index: Expr, extent: Any = None) -> Expr:
    """A block index or a loop's variable, which ends below `extent`, as the body sees it."""
    if builder.wide and index.dtype == INT32:
        index = arith.cast(index, INT64)
    if isinstance(extent, int):
        builder.last_values[index.key] = extent - 1
    return index


def require_narrow(what: str, buffer: Buffer) -> None:
    """Raise where an operation's coordinates cannot reach all of a tensor.

    Raises:
        UnsupportedError: a dimension has more than 2**31 - 1 elements.
    """
    if any(is_wide(current(), size) for size in buffer.shape):
        raise UnsupportedError(f"{what} has coordinates of 32 bits, {buffer.name!r} has {list(buffer.shape)} elements",
                               hint="copy its tiles with T.copy, or give the tensor more dimensions")


def window(builder: Builder, buffer: Buffer, offsets: Sequence[Any]) -> tuple[Buffer, list[Any]]:
    """The part of a tensor that a tile at `offsets` lies in, and where in it; other tensors as they are.

    Raises:
        UnsupportedError: the tensor is no argument.
    """
    if not any(is_wide(builder, size) for size in buffer.shape):
        return buffer, list(offsets)
    if buffer.pointer is None:
        raise UnsupportedError(f"a tile of {buffer.name!r}, a workspace of {list(buffer.shape)} elements",
                               hint="access its elements in a loop, or give it more dimensions")
    from tilelang_mlir.frontend.spec import declare_tensor

    first: Any = 0
    sizes: list[Any] = []
    inside: list[Any] = []
    for offset, size, stride in zip(offsets, buffer.shape, buffer.strides, strict=True):
        if not is_wide(builder, size):
            sizes.append(size)
            inside.append(offset)
            continue
        start = arith.mul(arith.shift_right(arith.maximum(offset, 0), _STEP), 1 << _STEP)
        first = arith.add(first, arith.mul(arith.shift_right(start, 3), stride))
        sizes.append(_narrow(arith.minimum(arith.maximum(arith.sub(size, start), 0), _MAX_WINDOW)))
        inside.append(_narrow(arith.maximum(arith.sub(offset, start), -_FAR)))
    address = builder.emit("llvm.ptrtoint", [buffer.pointer.value], [builder.type(INT64)]).results[0]
    base = arith.add(Expr(INT64, value=address, frame=builder.frame), arith.mul(first, buffer.dtype.stored_bits))
    kind = ir.Type.parse("!llvm.ptr<1>")
    pointer = builder.emit("llvm.inttoptr", [value_of(builder, base)], [kind]).results[0]
    part = declare_tensor(builder, "", pointer, sizes, buffer.dtype, buffer.strides)
    part.name = buffer.name
    return part, inside


def _narrow(number: Any) -> Any:
    return number if isinstance(number, int) else arith.cast(as_expr(number), INT32)
