"""Allocation of buffers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dialect.layout.tensor import LANES
from tilelang_mlir.dialect.tl import FRAGMENT, GLOBAL, LOCAL, SHARED, TMEM, buffer_type
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import ResourceError, TileError, TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.annot import TIRAnnot, declare
from tilelang_mlir.frontend.buffer import Buffer, Element, Variable, int32_value, memory_of, row_major
from tilelang_mlir.frontend.builder import Builder, current, require
from tilelang_mlir.frontend.control import allocate_variable
from tilelang_mlir.frontend.expr import Expr, as_expr, describe, require_room, value_of
from tilelang_mlir.frontend.spec import Param, check_shape, check_tensor_shape, global_type, make_tensor
from tilelang_mlir.frontend.template import current_template
from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.frontend.vector import VectorVariable, private_array
from tilelang_mlir.language.logic import at_host
from tilelang_mlir.mlir import ir

_SCOPES = {
    "shared": SHARED, "shared.dyn": SHARED, "fragment": FRAGMENT, "local.fragment": FRAGMENT, "local": LOCAL,
    "local.var": "var", "var": "var", "global": GLOBAL, "shared.tmem": TMEM,
}  # fmt: skip


def _allocate(shape: Any, kind: Any, memory: str, what: str, scope: str | None = None) -> Buffer:
    builder = require(what)
    builder.require_launch(what)
    memory = _memory(scope, memory, what)
    sizes = check_shape(shape)
    dtype = to_dtype(kind)
    if memory == SHARED and isinstance(sizes[0], Expr) and all(isinstance(size, int) for size in sizes[1:]):
        return _allocate_rows(builder, sizes, dtype, what, scope)
    for dim, size in enumerate(sizes):
        if not isinstance(size, int):
            raise TileTypeError(
                f"{what}: dimension {dim} must be a compile-time integer, got {describe(size)}",
                hint="on-chip buffers have static shapes; use a block size known at compile time",
            )
    if dtype.lanes > 1:  # the lanes of each element lie next to each other
        buffer = Buffer("", (*sizes, dtype.lanes), dtype.scalar, memory)
        buffer.lanes = dtype.lanes
    else:
        buffer = Buffer("", sizes, dtype, memory)
    if scope is not None:
        buffer.spelling = scope
    return _emit(builder, buffer, "tl.alloc")


ROOM = 48 * 1024  # bytes of a shared tile whose rows are counted at run time


def _allocate_rows(builder: Builder, sizes: tuple[Any, ...], dtype: DType, what: str, scope: str | None) -> Buffer:
    """A shared tile with as many rows as an argument says: memory for all that fit, which each call is checked for."""
    row = math.prod(sizes[1:]) * dtype.bits * dtype.lanes
    rows = ROOM * 8 // row
    if rows == 0:
        raise ResourceError(
            f"{what}: a row of {row // 8} bytes is more than the {ROOM} of a tile whose rows arguments count",
            hint="use a narrower tile, or a number of rows that is known",
        )
    fits = value_of(builder, arith.compare("LtE", sizes[0], rows))
    with builder.at_host():
        known = at_host(builder, fits, {})
        if known is not None:
            text = f"{what}: there is room for {rows} rows of {row // 8} bytes"
            builder.emit("tl.assert", [known], [], {"message": ir.StringAttr.get(text)})
    if known is None or dtype.lanes > 1:
        raise TileTypeError(
            f"{what}: dimension 0 must be a compile-time integer or computed from arguments, got {describe(sizes[0])}",
            hint="on-chip buffers have static shapes, but for the rows of a shared tile that arguments count",
        )
    buffer = Buffer("", sizes, dtype, SHARED)
    buffer.room = rows
    if scope is not None:
        buffer.spelling = scope
    return _emit(builder, buffer, "tl.alloc")


def _memory(scope: str | None, default: str, what: str) -> str:
    if scope is None:
        return default
    if scope not in _SCOPES:
        raise TileValueError(f"{what}: unknown scope {scope!r}", hint=f"scopes are {', '.join(_SCOPES)}")
    return _SCOPES[scope]


def _emit(builder: Builder, buffer: Buffer, op: str, attributes: dict[str, ir.Attribute] | None = None) -> Buffer:
    shape = [buffer.room, *buffer.shape[1:]] if buffer.room else buffer.shape
    kind = buffer_type([int(size) for size in shape], builder.type(buffer.dtype), buffer.memory)
    buffer.value = builder.emit(op, [], [kind], attributes).results[0]
    buffer.frame = builder.frame
    return buffer


def alloc_shared(shape: Any, dtype: Any, scope: str = "shared.dyn") -> Buffer:
    """A tile in shared memory, one per block."""
    return _allocate(shape, dtype, SHARED, "T.alloc_shared", scope)


def alloc_fragment(shape: Any, dtype: Any, scope: str = "local.fragment") -> Buffer:
    """A tile in the registers of the block's threads, spread over them by a layout.

    Raises:
        ResourceError: it takes so much of each thread that no program with it could be compiled in reasonable time.
    """
    fragment = _allocate(shape, dtype, FRAGMENT, "T.alloc_fragment", scope)
    kernel = require("T.alloc_fragment").side.get("kernel")
    threads = math.prod(kernel.threads) if kernel is not None else MAX_THREADS
    share = math.prod(int(size) for size in fragment.shape) * DType(fragment.dtype).bits // 8 // threads
    if share > MAX_SHARE:
        raise ResourceError(
            f"T.alloc_fragment: {share} bytes in each of {threads} threads, whose registers hold about 1000",
            hint=f"use smaller tiles, more threads or shared memory: up to {MAX_SHARE} bytes are compiled, slowly",
        )
    return fragment


MAX_THREADS = 1024  # of a block
MAX_SHARE = 16384  # bytes of a thread: sixteen times its registers, all of which the compiler tells apart


def alloc_local(shape: Any, dtype: Any, scope: str = "local") -> Buffer:
    """An array private to each thread."""
    return _allocate(shape, dtype, LOCAL, "T.alloc_local", scope)


def alloc_var(dtype: Any, *args: Any, scope: str = "local.var", init: Any = None) -> Any:
    """A mutable scalar or vector of each thread: reading its name loads, assigning to its name stores.

    The initial value is `init` or the second positional argument, else zero; a scope string is accepted there too.

        acc = T.alloc_var("float32x4")
        acc += A[T.Ramp(4 * tx, 1, 4)]
        B[tx] = acc[0] + acc[1] + acc[2] + acc[3]
    """
    builder = require("T.alloc_var")
    builder.require_launch("T.alloc_var")
    for arg in args:
        if isinstance(arg, str):
            scope = arg
        elif init is None:
            init = arg
        else:
            raise TileTypeError("T.alloc_var has two initial values")
    _memory(scope, "var", "T.alloc_var")
    kind = DType("int64") if getattr(dtype, "is_pointer_spec", False) else to_dtype(dtype)
    if isinstance(init, Buffer):
        raise TileTypeError(f"the initial value of T.alloc_var must be a scalar, got {describe(init)}")
    kind = to_dtype(kind)
    if init is None:
        init = False if kind == "bool" else 0
    elif isinstance(init, int | float):
        require_room(init, kind.scalar)
    if kind.lanes > 1:
        vector = VectorVariable(private_array(builder, "var", kind.lanes, kind.scalar), kind)
        vector.assign(init)
        return vector
    variable = allocate_variable(builder, "var", kind, init)
    # Named by the assignment statement it belongs to.
    if variable.buffer.value is not None:
        variable.buffer.value.owner.location = builder.location()
    return variable


def alloc_global(shape: Any, dtype: Any) -> Buffer:
    """A workspace in device memory that the host allocates for each call; every kernel of the function may use it.

    Raises:
        TileValueError: a size that is computed inside a kernel.
    """
    sizes = check_shape(shape)
    if current() is None and current_template() is not None:
        return Buffer("", sizes, to_dtype(dtype), GLOBAL)  # arguments are being looked at, nothing is built
    builder = require("T.alloc_global")
    buffer = Buffer("", sizes, to_dtype(dtype), GLOBAL)
    with builder.at_host():
        dynamic = [value_of(builder, as_expr(size)) for size in sizes if not isinstance(size, int)]
        if not all(_is_in(builder.frames[0].block, value) for value in dynamic):
            raise TileValueError(
                "T.alloc_global: the host allocates workspaces, and one of the sizes is computed in a kernel",
                hint="sizes may use T.dynamic symbols and scalar arguments",
            )
        kind = global_type(builder, sizes, buffer.dtype, None)
        buffer.value = builder.emit("tl.alloc", dynamic, [kind]).results[0]
    buffer.frame = builder.frames[0]
    return buffer


def _is_in(block: ir.Block, value: ir.Value) -> bool:
    owner = value.owner
    return block == (owner if isinstance(owner, ir.Block) else owner.operation.block)


class Barriers:
    """Mbarriers in shared memory; `barriers[i]` is one of them."""

    named = False

    def __init__(self, value: ir.Value, counts: Sequence[int], frame: Any) -> None:
        self.value, self.counts, self.frame = value, list(counts), frame
        self.name = ""

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def shape(self) -> tuple[int]:
        return (len(self.counts),)

    @property
    def dtype(self) -> DType:
        return DType("uint64")

    def __getitem__(self, index: Any) -> Barrier:
        if isinstance(index, Variable | Element):
            index = index.read()
        if isinstance(index, int):
            if not -len(self.counts) <= index < len(self.counts):
                raise TileValueError(f"barrier index {index} is out of range for {len(self.counts)} barriers")
            index %= len(self.counts)
        elif not (isinstance(index, Expr) and index.dtype.is_integer):
            raise TileTypeError(f"a barrier index must be an integer, got {describe(index)}")
        return Barrier(self, index)


class Barrier:
    """One mbarrier of an array."""

    def __init__(self, array: Barriers, index: Any) -> None:
        self.array, self.index = array, index


def alloc_barrier(arrive_count: int | Sequence[int]) -> Barriers:
    """Mbarriers that complete a phase after the given number of arrivals each; a list gives several."""
    return _barriers(arrive_count, "T.alloc_barrier", cluster=False)


def alloc_cluster_barrier(arrive_count: int | Sequence[int]) -> Barriers:
    """Mbarriers that blocks of the same cluster can arrive at."""
    return _barriers(arrive_count, "T.alloc_cluster_barrier", cluster=True)


def _barriers(arrive_count: Any, what: str, *, cluster: bool) -> Barriers:
    builder = require(what)
    builder.require_launch(what)
    counts = list(arrive_count) if isinstance(arrive_count, list | tuple) else [arrive_count]
    for count in counts:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise TileValueError(f"{what}: an arrival count must be a positive integer, got {describe(count)}")
    if not counts:
        raise TileValueError(f"{what} needs at least one arrival count")
    attributes: dict[str, ir.Attribute] = {"counts": ir.DenseI64ArrayAttr.get(counts)}
    if cluster:
        attributes["cluster"] = ir.UnitAttr.get()
    kind = ir.Type.parse(f"!tl.barrier<{len(counts)} : i64>")
    value = builder.emit("tl.alloc_barrier", [], [kind], attributes).results[0]
    return Barriers(value, counts, builder.frame)


def alloc_tmem(shape: Any, dtype: Any) -> Buffer:
    """A tile in tensor memory; at least two dimensions, of which the last but one counts up to 128 rows."""
    sizes = check_shape(shape)
    if len(sizes) < 2:
        raise TileValueError(f"T.alloc_tmem needs at least two dimensions, got shape {list(sizes)}")
    if isinstance(sizes[-2], int) and sizes[-2] > LANES:
        raise TileValueError(
            f"T.alloc_tmem: {sizes[-2]} rows do not fit the {LANES} lanes of tensor memory",
            hint="blocks of rows lie beside one another as tiles in front: T.alloc_tmem((2, 128, N), dtype)",
        )
    return _allocate(sizes, dtype, TMEM, "T.alloc_tmem")


make_tensor_from_addr = make_tensor


def empty(*shape: Any, dtype: Any = "float32") -> Any:
    """An output tensor of an eager kernel, allocated for each call and returned by the function.

    Written `T.empty((M, N), dtype)` or `T.empty(M, N, dtype=...)`.
    """
    if shape and not isinstance(shape[-1], int | Expr) and len(shape) > 1:
        shape, dtype = shape[:-1], shape[-1]
    sizes = check_tensor_shape(shape[0] if len(shape) == 1 else shape)
    if current_template() is not None:
        return Buffer("", sizes, to_dtype(dtype), GLOBAL)
    builder = require("T.empty")
    if builder.launch() is not None:
        raise TileError(
            "T.empty inside a kernel", hint="outputs are declared before T.Kernel; use T.alloc_global for workspaces"
        )
    outputs: list[Param] = builder.side.setdefault("outputs", [])
    buffer, param = declare(f"out{len(outputs)}", TIRAnnot(Buffer("", sizes, to_dtype(dtype), GLOBAL)))
    outputs.append(param)
    builder.side.setdefault("output_buffers", []).append(buffer)
    builder.side["tilelang_out_idx"] = [index - len(outputs) for index in range(len(outputs))]
    return buffer


def reshape(src: Any, shape: Any) -> Buffer:
    """The same memory under another shape with as many elements."""
    return view(src, shape)


def view(src: Any, shape: Any = None, dtype: Any = None, strides: Any = None) -> Buffer:
    """The same memory under another shape and element type; the number of bits must agree.

    A view of an argument with strides of its own keeps those of the dimensions that stay, and splits or joins others
    where they lie one after the other; `strides`, in elements of the view, are taken as they are.

    Raises:
        TileTypeError: `src` is no buffer, or no tensor where strides are given.
        TileValueError: the sizes do not agree, or dimensions do not lie so.
    """
    builder = require("T.view")
    if not isinstance(src, Buffer):
        raise TileTypeError(f"T.view needs a whole buffer, got {describe(src)}")
    kind = to_dtype(dtype) if dtype is not None else src.dtype
    if shape is None:
        ratio = arith.truncdiv(arith.mul(src.shape[-1], src.dtype.bits), kind.bits)
        shape = (*src.shape[:-1], ratio)
    sizes = check_shape(shape)
    bits = [_bits(src.shape, src.dtype), _bits(sizes, kind)]
    if None not in bits and bits[0] != bits[1]:
        raise TileValueError(
            f"cannot view {list(src.shape)} of {src.dtype} ({bits[0]} bits) as {list(sizes)} of {kind} ({bits[1]} bits)"
        )
    if strides is not None and src.memory != GLOBAL:
        raise TileTypeError(
            f"T.view of {describe(src)} with strides of its own", hint="only views of tensors take strides"
        )
    if strides is not None or (src.is_strided and src.memory == GLOBAL):
        with builder.at_host():
            steps = strides if strides is not None else _steps(src, sizes, kind)
        return make_tensor(src.data, sizes, kind, steps)
    result = Buffer("", sizes, kind, src.memory)
    dynamic = ir.ShapedType.get_dynamic_size()
    static = [size if isinstance(size, int) else dynamic for size in sizes]
    type_ = buffer_type(static, builder.type(kind), src.memory)
    dynamic_sizes = [int32_value(builder, size) for size in sizes if not isinstance(size, int)]
    result.value = builder.emit("tl.reshape", [memory_of(src), *dynamic_sizes], [type_]).results[0]
    result.frame = builder.frame if builder.frame.open else src.frame
    return result


def _steps(src: Buffer, sizes: Sequence[Any], kind: DType) -> list[Any]:
    """The strides of a view of a tensor that has strides of its own."""
    same_bits = src.dtype.bits == kind.bits
    scale = lambda n: n if same_bits else arith.truncdiv(arith.mul(n, src.dtype.bits), kind.bits)
    old, steps = [*src.shape[:-1], scale(src.shape[-1])], [*map(scale, src.strides[:-1]), src.strides[-1]]
    same = 0
    while same < min(len(old), len(sizes)) and _is_same(old[same], sizes[same]):
        same += 1
    rest = [*old[same:], *sizes[same:]]
    dense = all(isinstance(n, int) for n in rest) and list(row_major(tuple(old[same:]))) == steps[same:]
    if (rest and not dense) or (src.strides[-1] != 1 and not same_bits):
        raise TileValueError(
            f"cannot view {list(src.shape)} with strides {list(src.strides)} as {list(sizes)}: "
            "dimensions that are split or joined have to lie one after the other",
            hint="T.view takes strides=[...], in elements of the view",
        )
    return [*steps[:same], *row_major(tuple(sizes[same:]))]


def _is_same(a: Any, b: Any) -> bool:
    return a is b or (a.key == b.key if isinstance(a, Expr) and isinstance(b, Expr) else isinstance(a, int) and a == b)


def _bits(shape: Sequence[Any], kind: DType) -> int | None:
    total = kind.bits * kind.lanes
    for size in shape:
        if not isinstance(size, int):
            return None
        total *= size
    return total
