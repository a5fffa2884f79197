"""Addresses of elements, and accesses of a fixed width."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith, control
from tilelang_mlir.frontend.buffer import Buffer, Element, Region, int32_value, memory_of, narrow_place
from tilelang_mlir.frontend.builder import Builder, require
from tilelang_mlir.frontend.expr import BOOL, Expr, as_expr, describe, value_of
from tilelang_mlir.frontend.spec import Pointer as Argument
from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.frontend.vector import Vector, vector_of
from tilelang_mlir.language.math import regroup, reinterpret
from tilelang_mlir.language.sync import barrier_operands
from tilelang_mlir.mlir import ir

UINT32 = DType("uint32")
_ACCESS = {"r": 1, "w": 2, "rw": 3, "wr": 3, 1: 1, 2: 2, 3: 3}


class Pointer:
    """The address of an element, how it is accessed (1 read, 2 write, 3 both) and how many elements are meant."""

    def __init__(self, element: Element, access: int, extent: Any) -> None:
        self.element, self.access, self.extent = element, access, extent

    def __repr__(self) -> str:
        return f"a pointer into {self.element.buffer!r}"


def access_ptr(
    base: Any,
    access_type: str | int = "r",
    *extents: Any,
    offset: Any = 0,
    extent: Any = None,
    ignore_last_ndim: int = 0,
) -> Pointer:
    """The address of an element: of `A[i, j]`, of a slice's first element, or of a buffer's.

        T.ptx_cp_async(T.access_ptr(A_shared[i, 0], "w", 8), T.access_ptr(A[bx, 0], "r", 8), 8)

    Args:
        access_type: "r", "w" or "rw", or the same as bits 1 and 2.
        extents: how many elements are accessed per dimension; `extent` gives their number instead.
        offset: elements further in memory order.
        ignore_last_ndim: leave the indices of so many last dimensions out.

    Raises:
        TileValueError: an unknown access. TileTypeError: no place in a buffer.
    """
    if access_type not in _ACCESS:
        raise TileValueError(f"T.access_ptr: access {access_type!r}, expected 'r', 'w' or 'rw'")
    element = place_of("T.access_ptr", base)
    indices = list(element.indices)
    for dim in range(ignore_last_ndim):
        indices[-1 - dim] = 0
    if not (isinstance(offset, int) and offset == 0):
        indices = _further(element.buffer, indices, offset)
    count = extent
    if count is None:
        count = 1
        for size in extents:
            count = arith.mul(count, size)
    return Pointer(Element(element.buffer, indices), _ACCESS[access_type], count)


def _further(buffer: Buffer, indices: list[Any], offset: Any) -> list[Any]:
    """The place so many elements further, row after row."""
    carry = offset
    for dim in reversed(range(1, len(indices))):
        place = arith.add(indices[dim], carry)
        indices[dim], carry = arith.floormod(place, buffer.shape[dim]), arith.floordiv(place, buffer.shape[dim])
    indices[0] = arith.add(indices[0], carry)
    return indices


def tvm_access_ptr(ptype: Any, data: Any, offset: Any, extent: Any, rw_mask: int) -> Pointer:
    """The address of an element of a buffer's memory: `T.access_ptr` as scripts of TVM's write it.

        T.tvm_access_ptr(T.type_annotation("float16"), A.data, i * N + j, 8, 1)

    Raises:
        TileTypeError: the dtype is not the buffer's. TileValueError: an unknown access.
    """
    pointer = access_ptr(data, rw_mask, offset=offset, extent=extent)
    dtype = pointer.element.buffer.dtype
    if to_dtype(ptype) != dtype:
        raise TileTypeError(f"T.tvm_access_ptr: the memory is of dtype {dtype}, not {ptype}")
    return pointer


def type_annotation(dtype: Any) -> DType:
    """A dtype as an argument of `T.tvm_access_ptr`."""
    return to_dtype(dtype)


def address_of(x: Any) -> Pointer:
    """The address of an element for reading and writing: `T.access_ptr(x, "rw")`."""
    return access_ptr(x, "rw")


def place_of(what: str, value: Any) -> Element:
    """The element that a buffer, slice, element or pointer starts at.

    Raises:
        TileTypeError: it is none of these.
    """
    if isinstance(value, Pointer):
        return value.element
    if isinstance(value, Argument) and value.tensor is not None:
        value = value.tensor
    if isinstance(value, Region):
        return Element(value.buffer, value.offsets)
    if isinstance(value, Buffer):
        return Element(value, [0] * value.ndim)
    if isinstance(value, Element):
        missing = value.buffer.ndim - len(value.indices)
        return Element(value.buffer, [*value.indices, *[0] * missing])
    raise TileTypeError(f"{what} needs a place in a buffer, got {describe(value)}", hint="write A[i, j]")


def ptx_cp_async(dst_ptr: Any, src_ptr: Any, num_elems: int, predicate: Any = None) -> None:
    """Start copying `num_elems` elements from global to shared memory with cp.async; each thread copies its own.

    Earlier releases counted bytes: such a count is known by the extents of both pointers.

    4, 8 or 16 bytes: of one call, or of all iterations of a `T.vectorized` loop around calls for narrower neighbours.
    Where the predicate does not hold the target becomes zero. Close the group with `T.ptx_commit_group` and wait with
    `T.ptx_wait_group`.

    Raises:
        TileValueError: the number of bytes is not 4, 8 or 16. TileTypeError: the memories are not global and shared.
    """
    builder = _kernel("T.ptx_cp_async")
    target, source = place_of("T.ptx_cp_async", dst_ptr), place_of("T.ptx_cp_async", src_ptr)
    if (source.buffer.memory, target.buffer.memory) != ("global", "shared"):
        raise TileTypeError(f"T.ptx_cp_async copies from global to shared memory, got {source!r} to {target!r}")
    size = num_elems * source.buffer.dtype.bits // 8
    if size > 16 and all(_is_bytes(pointer, num_elems) for pointer in (dst_ptr, src_ptr)):
        size = num_elems
    run = _vectorized_run(builder, (source, target), num_elems) if 0 < size < 4 else None
    size *= run[1] if run is not None else 1
    if size not in (4, 8, 16) or source.buffer.dtype != target.buffer.dtype:
        raise TileValueError(
            f"T.ptx_cp_async copies 4, 8 or 16 bytes of one dtype, got {size} bytes",
            hint="copy more elements at once, or neighbours in a T.vectorized loop over the last index",
        )
    if run is None:
        _copy_words(builder, source, target, size, predicate)
        return
    for _ in control.branch(builder, arith.compare("Eq", run[0], 0), has_else=False):
        _copy_words(builder, source, target, size, predicate)


def _vectorized_run(builder: Builder, places: Sequence[Element], count: int) -> tuple[Expr, int] | None:
    """The variable and extent of the vectorised loop around, along which `count` elements after another are meant."""
    if builder.frame.lanes is None:
        return None
    variable, extent = builder.frame.lanes
    steps = [_step(index, variable) for place in places for index in place.indices]
    wanted = [count if dim == place.buffer.ndim - 1 else 0 for place in places for dim in range(place.buffer.ndim)]
    return (variable, extent) if steps == wanted else None


def _step(index: Any, variable: Expr) -> int | None:
    """What an index grows by from one iteration to the next; None where that is not known."""
    if isinstance(index, int):
        return 0
    linear = index.as_linear()
    return None if linear is None else linear.terms.get(variable.key, (0, True))[0]


def _copy_words(builder: Builder, source: Element, target: Element, size: int, predicate: Any) -> None:
    source = narrow_place(builder, source)
    places = [int32_value(builder, i) for element in (source, target) for i in element.indices]
    buffers = [memory_of(source.buffer), memory_of(target.buffer)]
    attributes: dict[str, ir.Attribute] = {"bytes": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), size)}
    builder.emit("tl.copy_words", [*buffers, _predicate(builder, predicate), *places], [], attributes)


def _is_bytes(pointer: Any, count: int) -> bool:
    """Whether a count is that of the bytes a pointer means: 16 for 8 halves of `T.access_ptr(A[0], "r", 8)`."""
    if not isinstance(pointer, Pointer) or not isinstance(pointer.extent, int):
        return False
    return pointer.extent * pointer.element.buffer.dtype.bits == count * 8


def ptx_cp_async_bulk(dst_ptr: Any, src_ptr: Any, num_bytes: Any, barrier: Any) -> None:
    """Start a bulk copy of `num_bytes` from global to shared memory; each thread that reaches it copies its own.

    The bytes complete on a barrier; announce them first (`T.mbarrier_expect_tx`). Both places are 16-byte aligned, of
    plain row-major memory.

        if T.get_thread_binding() == 0:
            T.mbarrier_expect_tx(bar, 256)
            T.ptx_cp_async_bulk(T.access_ptr(A_shared, "w"), T.access_ptr(A[bx, 0], "r"), 256, bar)

    Raises:
        TileValueError: no positive multiple of 16 bytes. TileTypeError: the memories are not global and shared, or
        the dtypes differ.
    """
    what = "T.ptx_cp_async_bulk"
    builder = _kernel(what)
    target, source = place_of(what, dst_ptr), place_of(what, src_ptr)
    if (source.buffer.memory, target.buffer.memory) != ("global", "shared"):
        raise TileTypeError(f"{what} copies from global to shared memory, got {source!r} to {target!r}")
    if source.buffer.dtype != target.buffer.dtype:
        raise TileTypeError(f"{what} does not convert: {source.buffer.dtype} to {target.buffer.dtype}")
    if isinstance(num_bytes, bool) or not isinstance(num_bytes, int) or num_bytes <= 0 or num_bytes % 16:
        raise TileValueError(f"{what} copies a positive multiple of 16 bytes, got {describe(num_bytes)}")
    _, place = barrier_operands(what, barrier)
    source = narrow_place(builder, source)
    places = [int32_value(builder, i) for element in (source, target) for i in element.indices]
    attributes: dict[str, ir.Attribute] = {"bytes": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), num_bytes)}
    builder.emit(
        "tl.bulk_words", [memory_of(source.buffer), memory_of(target.buffer), *place, *places], [], attributes
    )


def _kernel(what: str) -> Builder:
    builder = require(what)
    builder.require_launch(what)
    return builder


def _predicate(builder: Builder, pred: Any) -> ir.Value:
    return builder.constant(1, BOOL) if pred is None else value_of(builder, as_expr(arith.to_bool(pred), BOOL))


def _load(what: str, words: int, memory: str, src: Any, pred: Any) -> Any:
    builder, place = _kernel(what), place_of(what, src)
    _require(what, place, memory)
    _check_length(what, src, words)
    place = narrow_place(builder, place)
    operands = [memory_of(place.buffer), _predicate(builder, pred), *(int32_value(builder, i) for i in place.indices)]
    op = builder.emit("tl.load_words", operands, [builder.type(UINT32)] * words)
    lanes = [Expr(UINT32, value=result, frame=builder.frame) for result in op.results]
    return lanes[0] if words == 1 else Vector(lanes, UINT32)


def _store(what: str, words: int, memory: str, dst: Any, value: Any, pred: Any) -> None:
    builder, place = _kernel(what), place_of(what, dst)
    _require(what, place, memory)
    _check_length(what, dst, words)
    place = narrow_place(builder, place)
    places = [int32_value(builder, i) for i in place.indices]
    data = [value_of(builder, word) for word in to_words(what, value, words)]
    builder.emit("tl.store_words", [memory_of(place.buffer), _predicate(builder, pred), *places, *data])


def _require(what: str, place: Element, memory: str) -> None:
    if place.buffer.memory != memory:
        raise TileTypeError(f"{what} accesses {memory} memory, got {place.buffer!r}")


def _check_length(what: str, place: Any, words: int) -> None:
    """A slice has as many bits as are accessed at once; an element says where they start."""
    extents = place.extents if isinstance(place, Region) else ()
    if extents and all(isinstance(e, int) for e in extents):
        bits = math.prod(int(e) for e in extents) * place.buffer.dtype.bits
        if bits != 32 * words:
            raise TileValueError(f"{what} accesses {32 * words} bits, got a slice of {bits}",
                                 hint="give the first element alone, or a slice of that many bits")


def to_words(what: str, value: Any, count: int) -> list[Expr]:
    """A scalar or vector as `count` words of 32 bits, the first lane lowest.

    Raises:
        TileTypeError: it has another number of bits.
    """
    lanes = list(vector_of(value, what)) if isinstance(value, Vector | Region | list | tuple) else [value]
    exprs = [as_expr(lane, UINT32 if count * 32 == 32 * len(lanes) else None) for lane in lanes]
    bits = exprs[0].dtype.bits
    if bits * len(exprs) != 32 * count:
        raise TileTypeError(f"{what} needs {32 * count} bits, got {len(exprs)} x {exprs[0].dtype}")
    words = regroup(exprs, 32)
    return [reinterpret(word, UINT32) if word.dtype != UINT32 else word for word in words]


def _loader(name: str, words: int, memory: str) -> Callable[..., Any]:
    def guarded(src: Any, pred: Any = None) -> Any:
        return _load(f"T.{name}", words, memory, src, pred)

    def plain(src: Any) -> Any:
        return guarded(src)

    load = guarded if memory == "global" else plain
    result = "uint32" if words == 1 else f"uint32x{words}"
    condition = "; zero and no access where `pred` does not hold" if memory == "global" else ""
    load.__name__ = name
    load.__doc__ = f"Load {4 * words} bytes of {memory} memory at once, as {result}{condition}."
    return load


def _storer(name: str, words: int, memory: str) -> Callable[..., None]:
    def guarded(dst: Any, value: Any, pred: Any = None) -> None:
        _store(f"T.{name}", words, memory, dst, value, pred)

    def plain(dst: Any, value: Any) -> None:
        guarded(dst, value)

    store = guarded if memory == "global" else plain
    condition = ", where `pred` holds" if memory == "global" else ""
    store.__name__ = name
    store.__doc__ = f"Store {4 * words} bytes, a scalar or vector of as many, to {memory} memory at once{condition}."
    return store


ldg32, ldg64, ldg128, ldg256 = (_loader(f"ldg{32 * n}", n, "global") for n in (1, 2, 4, 8))
stg32, stg64, stg128, stg256 = (_storer(f"stg{32 * n}", n, "global") for n in (1, 2, 4, 8))
lds32, lds64, lds128 = (_loader(f"lds{32 * n}", n, "shared") for n in (1, 2, 4))
sts32, sts64, sts128 = (_storer(f"sts{32 * n}", n, "shared") for n in (1, 2, 4))


def ldg(element: Any, index: Any = None) -> Any:
    """An element of a tensor that no thread writes during the kernel: `T.__ldg(A[i])`, or `T.__ldg(A, i)`."""
    if index is not None:
        element = element[tuple(index) if isinstance(index, list | tuple) else index]
    place = place_of("T.__ldg", element)
    _require("T.__ldg", place, "global")
    return place.read()
