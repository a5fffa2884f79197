"""Parts of argument descriptions: shapes, pointers, and tensors over pointers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.dialect.tl import GLOBAL, buffer_type
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.buffer import Buffer
from tilelang_mlir.frontend.builder import Builder, current, require
from tilelang_mlir.frontend.conversions import cast
from tilelang_mlir.frontend.expr import INT64, Expr, as_expr, describe, value_of
from tilelang_mlir.frontend.template import current_template
from tilelang_mlir.frontend.typename import dtype, to_dtype
from tilelang_mlir.frontend.wide import note_sizes
from tilelang_mlir.mlir import ir


@dataclass(frozen=True)
class PointerSpec:
    """A pointer argument; the dtype is what it points to, None when not said."""

    dtype: dtype | None = None
    scope: str = GLOBAL
    is_pointer_spec: bool = True


class Pointer:
    """A pointer argument inside a kernel function, or the memory of a `tensor` argument (`A.data`)."""

    def __init__(self, name: str, dtype: dtype | None, value: ir.Value, tensor: Buffer | None = None) -> None:
        self.name, self.dtype, self.value, self.tensor = name, dtype, value, tensor

    def __repr__(self) -> str:
        return f"<pointer {self.name}>"


@dataclass(frozen=True)
class Param:
    """One parameter of a PrimFunc. `kind` is tensor, scalar or pointer."""

    name: str
    kind: str
    dtype: DType
    shape: tuple[Any, ...] = ()
    strides: tuple[Any, ...] = ()


def check_shape(shape: Any, what: str = "shape") -> tuple[Any, ...]:
    """A shape as a tuple of positive ints and integer expressions; a scalar is one dimension.

    Other things than a `shape` (strides, a `tensor shape`) may hold zeros: tensors may be empty.

    Raises:
        TileTypeError: a size that is no integer. TileValueError: a size that is negative, or zero in a shape.
    """
    sizes = tuple(shape) if isinstance(shape, list | tuple) or type(shape).__name__ == "Size" else (shape,)
    result = []
    for index, size in enumerate(sizes):
        if isinstance(size, Expr):
            size = size.read()
            size = size.const if size.const is not None and size.dtype.is_integer else size
        elif hasattr(size, "item") and not isinstance(size, int | float):
            size = size.item()
        if isinstance(size, bool) or not (isinstance(size, int) or (isinstance(size, Expr) and size.dtype.is_integer)):
            raise TileTypeError(f"dimension {index} of a {what} must be an integer, got {describe(size)}")
        if isinstance(size, int) and size < (1 if what == "shape" else 0):
            wanted = "a positive number" if what == "shape" else "0 or more"
            raise TileValueError(f"dimension {index} of a {what} is {size}, expected {wanted}")
        result.append(size)
    return tuple(result)


def check_tensor_shape(shape: Any) -> tuple[Any, ...]:
    """The shape of a tensor, which may be empty."""
    return check_shape(shape, "tensor shape")


def check_strides(strides: Any) -> tuple[Any, ...]:
    """Strides as a tuple of ints, 0 or more, and integer expressions."""
    return check_shape(strides, "stride list")


def global_type(builder: Builder, shape: Sequence[Any], kind: DType, strides: Sequence[Any] | None) -> ir.Type:
    """The memref type of a tensor."""
    sizes = [size if isinstance(size, int) else ir.ShapedType.get_dynamic_size() for size in shape]
    layout = None
    if strides is not None:
        any_stride = ir.ShapedType.get_dynamic_stride_or_offset()
        layout = ir.StridedLayoutAttr.get(0, [s if isinstance(s, int) else any_stride for s in strides])
    return buffer_type(sizes, builder.type(kind), GLOBAL, layout)


def declare_tensor(
    builder: Builder,
    name: str,
    pointer: ir.Value,
    shape: Sequence[Any],
    kind: DType,
    strides: Sequence[Any] | None,
    *,
    view: bool = False,
) -> Buffer:
    """`tl.tensor`: a buffer over a pointer, in the current block. A view gives an argument a second shape."""
    note_sizes(builder, name, shape)
    buffer = Buffer(name, shape, kind, GLOBAL, strides)
    entries: list[Expr] = []
    numbers: list[list[int]] = []
    for group in (shape, buffer.strides):
        numbers.append([entry if isinstance(entry, int) else -1 for entry in group])
        entries += [as_expr(entry, None) for entry in group if not isinstance(entry, int)]
    if len({entry.dtype.bits for entry in entries}) > 1:  # they have one type
        entries = [cast(entry, INT64) for entry in entries]
    operands = [pointer, *(value_of(builder, entry) for entry in entries)]
    attributes: dict[str, ir.Attribute] = {
        key: ir.DenseI64ArrayAttr.get(values) for key, values in zip(("shape", "strides"), numbers, strict=True)
    }
    if view:
        attributes["view"] = ir.UnitAttr.get()
    type_ = global_type(builder, shape, kind, strides)
    loc = builder.named(name) if name else None
    buffer.value = builder.emit("tl.tensor", operands, [type_], attributes, loc=loc).results[0]
    buffer.frame = builder.frame
    return buffer


def make_tensor(ptr: Any, shape: Any, dtype: Any = "float32", strides: Any = None) -> Buffer:
    """A tensor over a pointer argument, or over an address read from a table of pointers.

    Raises:
        TileTypeError: `ptr` is no pointer.
    """
    sizes = check_shape(shape)
    steps = check_strides(strides) if strides is not None else None
    if current() is None and current_template() is not None:
        return Buffer("", sizes, to_dtype(dtype), GLOBAL, steps)  # arguments are being looked at, nothing is built
    builder = require("T.make_tensor")
    if isinstance(ptr, Buffer) and ptr.pointer is not None:
        ptr = ptr.pointer
    if isinstance(ptr, Pointer):
        with builder.at_host():
            view = any(p.value == ptr.value and p.kind == "tensor" for p in builder.parameters)
            buffer = declare_tensor(builder, "", ptr.value, sizes, to_dtype(dtype), steps, view=view)
        buffer.frame, buffer.pointer = builder.frames[0], ptr
        return buffer
    if isinstance(ptr, Expr):
        builder.require_launch("T.make_tensor over an address")
        address = value_of(builder, as_expr(ptr))
        pointer = builder.emit("llvm.inttoptr", [address], [ir.Type.parse("!llvm.ptr<1>")]).results[0]
        return declare_tensor(builder, "", pointer, sizes, to_dtype(dtype), steps)
    raise TileTypeError(f"T.make_tensor needs a pointer, got {describe(ptr)}", hint="annotate the argument with T.ptr")
