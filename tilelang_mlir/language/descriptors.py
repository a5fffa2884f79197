"""Descriptors that hardware reads: tensor maps with the copies through them, and matrices in shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, Element, int32_value, memory_of, narrow_place, same_size, store
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.expr import INT32, Expr, describe, typed_constant
from tilelang_mlir.frontend.wide import require_narrow
from tilelang_mlir.isa.nvidia.reductions import RUNS, run_element
from tilelang_mlir.language.alloc import alloc_local
from tilelang_mlir.language.copy import EVICTION
from tilelang_mlir.language.pointers import Pointer, place_of
from tilelang_mlir.language.sync import barrier_operands, in_kernel
from tilelang_mlir.mlir import ir

UINT64, UINT32 = DType("uint64"), DType("uint32")
# CUtensorMapDataType of the driver API; float16 and bfloat16, signed and unsigned have the same size.
_TYPES = {
    0: ("uint8", "int8", "float8_e4m3", "float8_e5m2", "float8_e4m3fn"), 1: ("uint16", "int16"), 2: ("uint32",),
    3: ("int32",), 4: ("uint64",), 5: ("int64",), 6: ("float16",), 7: ("float32",), 8: ("float64",), 9: ("bfloat16",),
    10: ("float32",), 11: ("float32",), 12: ("float32",),
}  # fmt: skip
_SWIZZLES = ("none", "32B", "64B", "128B")
_POLICIES = {0: None, 1: "evict_first", 2: "evict_last"}


@dataclass(frozen=True, eq=False)
class TmaDescriptor:
    """A tensor map: the tensor, the sides of its boxes in the tensor's dimension order, and the swizzle of rows."""

    buffer: Buffer
    box: tuple[int, ...]
    swizzle: str


def create_tma_descriptor(*args: Any) -> TmaDescriptor:
    """A tensor map of a tensor argument, for `T.tma_load` and `T.tma_store`; the launch encodes it.

        desc = T.create_tma_descriptor(6, 2, A, 64, 128, 2, 128, 64, 32, 1, 1, 0, 3, 2, 0)
        if T.shuffle_elect(0):
            T.mbarrier_expect_tx(bar, 32 * 64 * 2)
            T.tma_load(desc, bar, T.access_ptr(A_shared, "w"), 0, 32)

    Args:
        args: data type (`CUtensorMapDataType`), rank, tensor, then per dimension, innermost first: the shape, the
            strides in bytes (of the innermost one an element's size), the sides of the box (1 to 256) and the strides
            within it (1); then interleave (0), swizzle (0 none, 1 32 bytes, 2 64, 3 128), L2 promotion, and what is
            read out of bounds (0: zero).

    Raises:
        TileTypeError: no tensor argument, or a data type of another size. TileValueError: another number of arguments,
        or shape and strides that are not the tensor's. UnsupportedError: strides in the box, interleaving, or NaN out
        of bounds.
    """
    what = "T.create_tma_descriptor"
    if len(args) < 3 or not isinstance(args[1], int) or len(args) != 7 + 4 * args[1]:
        raise TileValueError(f"{what} takes 7 + 4 * rank arguments, got {len(args)}")
    kind, rank, tensor = args[:3]
    buffer = place_of(what, tensor).buffer
    if buffer.memory != "global" or buffer.ndim != rank:
        raise TileTypeError(f"{what} needs a tensor of rank {rank}, got {buffer!r}")
    require_narrow(what, buffer)
    if str(buffer.dtype) not in _TYPES.get(_number(kind), ()):
        raise TileTypeError(f"{what}: data type {describe(kind)} is not {buffer.dtype}")
    shape, strides, box, steps = (tuple(args[3 + i * rank : 3 + (i + 1) * rank])[::-1] for i in range(4))
    if not all(same_size(a, b) for a, b in zip(shape, buffer.shape, strict=True)):
        raise TileValueError(
            f"{what}: the shape {list(shape[::-1])} is not that of {buffer.name}, {list(buffer.shape)}",
            hint="sizes are given innermost first",
        )
    size = buffer.dtype.bits // 8
    if not all(same_size(a, arith.mul(b, size)) for a, b in zip(strides, buffer.strides, strict=True)):
        raise TileValueError(f"{what}: strides {list(strides[::-1])} are not those of {buffer.name} in bytes")
    if any(_number(step) != 1 for step in steps):
        raise UnsupportedError(f"{what} with strides in the box is not available", hint="they are 1")
    interleave, swizzle, _, outside = (_number(v) for v in args[3 + 4 * rank :])
    if interleave or outside or swizzle not in range(4):
        raise UnsupportedError(
            f"{what} with interleave {interleave}, swizzle {swizzle}, fill {outside} is not available",
            hint="interleave 0, swizzle 0 to 3, zeros out of bounds",
        )
    sides = tuple(_number(side) for side in box)
    row, span = sides[-1] * size, 16 << swizzle if swizzle else 0
    if any(not 1 <= side <= 256 for side in sides) or row % 16 or (span and row > span):
        raise TileValueError(
            f"{what}: a box of {list(sides[::-1])} with rows of {row} bytes",
            hint="sides are 1 to 256, rows multiples of 16 bytes and at most the swizzle's span",
        )
    return TmaDescriptor(buffer, sides, _SWIZZLES[swizzle])


def tma_load(*args: Any) -> None:
    """Start a bulk copy to shared memory by every thread that reaches it: a box, or a run of bytes.

    `(descriptor, barrier, address, coordinates innermost first..., eviction policy)` copies the box of
    `T.create_tma_descriptor` that starts at the coordinates; `(address, source, barrier, bytes, eviction policy)` as
    many bytes. The bytes complete on the barrier, where the program announces them (`T.mbarrier_expect_tx`). They
    arrive as they are, or in the descriptor's swizzle: `T.annotate_layout` gives the tile that layout.

    Raises:
        TileTypeError: no descriptor, barrier or shared memory. TileValueError: another number of coordinates.
        UnsupportedError: when compiled, for a target without the tensor memory accelerator.
    """
    what = "T.tma_load"
    in_kernel(what)
    if args and isinstance(args[0], TmaDescriptor):
        descriptor, barrier, address, *rest = args
        coordinates, attributes = _box(what, descriptor, rest)
        tensor = memory_of(descriptor.buffer)
    else:
        if len(args) not in (4, 5):
            got = f"got {len(args)} arguments"
            raise TileTypeError(
                f"{what} takes a descriptor, or (address, source, barrier, bytes), {got}",
                hint="T.create_tma_descriptor makes one; T.tma_copy does all of it",
            )
        address, source, barrier, count = args[:4]
        place = _of_memory(what, source, "global", "the source")
        tensor, coordinates = memory_of(place.buffer), list(place.indices)
        attributes = {"bytes": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), _bytes(what, count))}
    _load_box(what, tensor, barrier, address, coordinates, attributes)


def tma_load_2sm(*args: Any) -> None:
    """Start a bulk copy of a box to this block's shared memory that completes in the first block of its pair.

    `(descriptor, barrier, address, coordinates innermost first..., eviction policy)`, as for `T.tma_load`. The barrier
    is one of `T.alloc_cluster_barrier`; both blocks' copies complete on that of the pair's first block, which announces
    the bytes of both and starts their product (`T.tcgen05_gemm(..., use_2cta=True)`).

        with T.ClusterKernel(2, threads=128, cluster_dims=2) as bx:
            if T.shuffle_elect(0):
                T.tma_load_2sm(desc, full, T.access_ptr(A_shared, "w"), 0, bx * 128)

    Raises:
        TileTypeError: no descriptor, barrier or shared memory. TileValueError: another number of coordinates.
        UnsupportedError: when compiled, for a target without pairs of blocks, or in a kernel that has none.
    """
    what = "T.tma_load_2sm"
    in_kernel(what)
    if len(args) < 3 or not isinstance(args[0], TmaDescriptor):
        raise TileTypeError(f"{what} takes (descriptor, barrier, address, coordinates...)",
                            hint="T.create_tma_descriptor makes a descriptor")
    descriptor, barrier, address, *rest = args
    coordinates, attributes = _box(what, descriptor, rest)
    tensor = memory_of(descriptor.buffer)
    _load_box(what, tensor, barrier, address, coordinates, {**attributes, "pair": ir.UnitAttr.get()})


def _load_box(
    what: str, tensor: ir.Value, barrier: Any, address: Any, coordinates: list[Any], attributes: dict[str, ir.Attribute]
) -> None:
    builder, bar = barrier_operands(what, barrier)
    target = _of_memory(what, address, "shared", "the address")
    places = [int32_value(builder, i) for i in (*target.indices, *coordinates)]
    builder.emit("tl.box_load", [tensor, memory_of(target.buffer), *bar, *places], [], attributes)


def tma_store(*args: Any, reduce: str | None = None) -> None:
    """Start a bulk copy from shared memory in the open group.

    `(descriptor, address, coordinates innermost first..., eviction policy)` copies a box, `(target, address, bytes)` a
    run of bytes. With `reduce` the elements of a run are combined with what is there, each of them atomically: "add"
    (float16, bfloat16, float32, float64, 32 and 64-bit integers), "min" and "max" (those but float32 and float64),
    "and", "or", "xor" (32 and 64-bit integers), "inc" and "dec" (uint32; they wrap around at the element).

    Close the group with `T.tma_store_arrive` and wait with `T.tma_store_wait`; what lies outside is not written.

    Raises:
        TileTypeError: no descriptor or shared memory; a sum of boxes or of other elements. TileValueError: another
        number of coordinates, or another reduction. UnsupportedError: when compiled, for a target without the tensor
        memory accelerator.
    """
    what = "T.tma_store"
    if reduce is not None and reduce not in RUNS:
        raise TileValueError(f"{what} reduces by one of {', '.join(RUNS)}, got {reduce!r}")
    builder = in_kernel(what)
    if args and isinstance(args[0], TmaDescriptor):
        descriptor, address, *rest = args
        coordinates, attributes = _box(what, descriptor, rest)
        tensor, place = memory_of(descriptor.buffer), None
    else:
        if len(args) != 3:
            raise TileTypeError(
                f"{what} takes a descriptor, or (target, address, bytes), got {len(args)} arguments",
                hint="T.create_tma_descriptor makes one; T.tma_copy does all of it",
            )
        target, address, count = args
        place = _of_memory(what, target, "global", "the target")
        tensor, coordinates = memory_of(place.buffer), list(place.indices)
        attributes = {"bytes": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), _bytes(what, count))}
    source = _of_memory(what, address, "shared", "the address")
    if reduce is not None:
        if source.buffer.dtype.kind == "uint":
            attributes["unsigned"] = ir.UnitAttr.get()
        _check_reduction(what, reduce, source.buffer, None if place is None else place.buffer)
        attributes["reduce"] = ir.StringAttr.get(reduce)
    places = [int32_value(builder, i) for i in (*source.indices, *coordinates)]
    builder.emit("tl.box_store", [memory_of(source.buffer), tensor, *places], [], attributes)


def _check_reduction(what: str, kind: str, source: Buffer, target: Buffer | None) -> None:
    """A reduction of a run of bytes, whose elements are those of the tensor."""
    if target is None:
        raise TileTypeError(
            f"{what}(reduce={kind!r}) combines a run of bytes, got a descriptor",
            hint="T.atomic_add(tile, shared_tile, use_tma=True) adds tiles",
        )
    element, unsigned = str(in_kernel(what).type(source.dtype)), source.dtype.kind == "uint"
    if source.dtype != target.dtype or not run_element(kind, element, unsigned=unsigned):
        raise TileTypeError(
            f"{what}(reduce={kind!r}) of {source.dtype} to {target.dtype}",
            hint=f"both are of one dtype, {kind} is of {', '.join(RUNS[kind])}",
        )


def _box(what: str, descriptor: TmaDescriptor, rest: list[Any]) -> tuple[list[Any], dict[str, ir.Attribute]]:
    """Coordinates in the tensor's dimension order, and the attributes of the op."""
    rank = len(descriptor.box)
    if len(rest) not in (rank, rank + 1):
        raise TileValueError(f"{what} needs {rank} coordinates, got {len(rest)}")
    attributes: dict[str, ir.Attribute] = {
        "box": ir.DenseI64ArrayAttr.get(list(descriptor.box)),
        "swizzle": ir.StringAttr.get(descriptor.swizzle),
    }
    policy = rest[rank] if len(rest) > rank else None
    policy = _POLICIES.get(policy, policy) if isinstance(policy, int) else policy
    if policy is not None:
        if policy not in EVICTION:
            raise TileValueError(f"{what}: eviction policy {policy!r}, expected one of {', '.join(EVICTION)}")
        attributes["eviction"] = ir.StringAttr.get(policy)
    return rest[:rank][::-1], attributes


def _of_memory(what: str, value: Any, memory: str, side: str) -> Element:
    place = place_of(what, value)
    if place.buffer.memory != memory:
        raise TileTypeError(f"{what}: {side} is in {place.buffer.memory} memory, expected {memory} memory")
    return narrow_place(in_kernel(what), place) if memory == "global" else place


def _bytes(what: str, count: Any) -> int:
    number = _number(count)
    if number <= 0 or number % 16:
        raise TileValueError(f"{what} copies a multiple of 16 bytes, got {number}")
    return number


def _number(value: Any) -> int:
    found = value.const if isinstance(value, Expr) else value
    if not isinstance(found, int):
        raise TileTypeError(f"a descriptor is made of Python integers, got {describe(value)}")
    return int(found)


# Descriptors of matrices in shared memory.
def alloc_descriptor(kind: str = "wgmma", dtype: Any = "uint64") -> Buffer:
    """A descriptor of each thread: "wgmma", "tcgen05_smem" (64 bits) or "tcgen05_instr" (uint32).

    Raises:
        TileValueError: another kind.
    """
    if kind not in ("wgmma", "tcgen05_smem", "tcgen05_instr"):
        raise TileValueError(f"T.alloc_descriptor: kind {kind!r}, expected wgmma, tcgen05_smem or tcgen05_instr")
    return alloc_local((1,), dtype)


def alloc_wgmma_desc(dtype: Any = "uint64") -> Buffer:
    """A descriptor of a matrix for warpgroup products: `T.alloc_descriptor("wgmma")`."""
    return alloc_descriptor("wgmma", dtype)


def alloc_tcgen05_smem_desc(dtype: Any = "uint64") -> Buffer:
    """A descriptor of a matrix for products into tensor memory: `T.alloc_descriptor("tcgen05_smem")`."""
    return alloc_descriptor("tcgen05_smem", dtype)


def alloc_tcgen05_instr_desc(dtype: Any = "uint32") -> Buffer:
    """A descriptor of such a product itself: `T.alloc_descriptor("tcgen05_instr", "uint32")`."""
    return alloc_descriptor("tcgen05_instr", dtype)


alloc_tcgen05_instruction_desc = alloc_tcgen05_instr_desc


def initialize_wgmma_descriptor(
    descriptor: Any,
    start_address: Any,
    layout_type_: int = 0,
    leading_byte_offset: Any = 0,
    stride_byte_offset: Any = 0,
) -> None:
    """Fill in a descriptor of a matrix in shared memory for `wgmma` (PTX ISA 8.7, section 9.7.15.5.1.2).

        desc = T.alloc_wgmma_desc()
        T.initialize_wgmma_descriptor(desc, T.access_ptr(A_shared, "r"), 1, 1, 64)

    Args:
        start_address: a place in shared memory.
        layout_type_: 0 no swizzle, 1 128 bytes, 2 64, 3 32.
        leading_byte_offset, stride_byte_offset: in units of 16 bytes.

    Raises:
        TileTypeError: no descriptor, or an address that is not in shared memory. TileValueError: a number out of range.
    """
    what = "T.initialize_wgmma_descriptor"
    target = _descriptor(what, descriptor)
    _check_range(what, "layout_type_", layout_type_, 4)
    fields = [(leading_byte_offset, 16, 14, "leading_byte_offset"), (stride_byte_offset, 32, 14, "stride_byte_offset"),
              (layout_type_, 62, 2, "layout_type_")]  # fmt: skip
    _fill(what, target, start_address, fields)


def initialize_tcgen05_descriptor(
    descriptor: Any,
    start_address: Any,
    leading_byte_offset: Any,
    stride_byte_offset: Any,
    base_offset: int = 0,
    leading_is_absolute: bool = False,
    swizzle_mode: int = 0,
) -> None:
    """Fill in a descriptor of a matrix in shared memory for `tcgen05.mma` (PTX ISA 8.7, section 9.7.16.5.1).

    Args:
        start_address: a place in shared memory.
        leading_byte_offset, stride_byte_offset: in units of 16 bytes.
        base_offset: 0 to 7. leading_is_absolute: whether the leading offset is an address.
        swizzle_mode: 0 none, 1 128 bytes with atoms of 32, 2 128, 4 64, 6 32.

    Raises:
        TileTypeError: no descriptor, or an address that is not in shared memory. TileValueError: a number out of range.
    """
    what = "T.initialize_tcgen05_descriptor"
    target = _descriptor(what, descriptor)
    fields = [
        (leading_byte_offset, 16, 14, "leading_byte_offset"), (stride_byte_offset, 32, 14, "stride_byte_offset"),
        (1, 46, 2, "version"), (base_offset, 49, 3, "base_offset"), (int(leading_is_absolute), 52, 1, "leading mode"),
        (swizzle_mode, 61, 3, "swizzle_mode"),
    ]  # fmt: skip
    _fill(what, target, start_address, fields)


def increase_descriptor_offset(descriptor: Any, offset: Any) -> None:
    """Move a matrix descriptor by `offset` bytes, a multiple of 16; only its lower word changes.

    Raises:
        TileTypeError: no descriptor.
    """
    target = _descriptor("T.increase_descriptor_offset", descriptor)
    value = target.read()
    low = arith.add(arith.cast(value, UINT32), arith.cast(arith.shift_right(_expr(offset), 4), UINT32))
    high = arith.shift_left(arith.shift_right(value, 32), 32)
    store(target, arith.bit_or(high, arith.cast(low, UINT64)))


def _expr(value: Any) -> Any:
    return value if isinstance(value, Expr) else typed_constant(int(value), INT32)


def _descriptor(what: str, value: Any) -> Element:
    element = place_of(what, value)
    if element.buffer.memory not in ("local", "var") or element.buffer.dtype.bits != 64:
        raise TileTypeError(f"{what} needs a descriptor, got {element.buffer!r}", hint="see T.alloc_wgmma_desc")
    return element


def _check_range(what: str, name: str, value: Any, end: int) -> None:
    if isinstance(value, int) and not 0 <= value < end:
        raise TileValueError(f"{what}: {name} is {value}, expected 0 to {end - 1}", hint="the field has so many bits")


def _fill(what: str, target: Element, address: Any, fields: list[tuple[Any, int, int, str]]) -> None:
    builder = in_kernel(what)
    value = arith.bit_and(arith.shift_right(shared_address(builder, what, address), 4), 0x3FFF)
    total: Any = arith.cast(value, UINT64)
    constant = 0
    for field, start, width, name in fields:
        _check_range(what, name, field, 1 << width)
        if isinstance(field, int):
            constant |= field << start
        else:
            total = arith.bit_or(total, arith.shift_left(arith.cast(field, UINT64), start))
    store(target, arith.bit_or(total, typed_constant(constant, UINT64)))


def shared_address(builder: Builder, what: str, value: Any) -> Expr:
    """The address of a place in shared memory, as hardware counts it."""
    if isinstance(value, Pointer | Buffer | Element) or not isinstance(value, Expr | int):
        place = _of_memory(what, value, "shared", "the address")
        operands = [memory_of(place.buffer), *(int32_value(builder, i) for i in place.indices)]
        op = builder.emit("tl.shared_address", operands, [builder.type(INT32)])
        return Expr(INT32, value=op.results[0], frame=builder.frame, nonneg=True)
    raise TileTypeError(f"{what} needs a place in shared memory, got {describe(value)}", hint="T.access_ptr(tile, 'r')")
