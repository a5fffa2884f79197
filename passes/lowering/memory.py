"""Element accesses: where a lane's element lies, how wide one access may be, and what guards it.

The lanes of an access are split into runs of neighbouring elements, each run into the widest aligned pieces. A guard
is left out when the bounds of the indices prove it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.errors import PassError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ...dialect.layout import SharedLayout
from .buffers import GlobalBuffer, Memory, PrivateBuffer, SharedBuffer, element_bits, storage_type, value_type
from .context import Context
from .hardware import GuardedAccess
from .index import Index, Parts

MAX_ACCESS = 16  # bytes of one access
_WIDE_ACCESS = 32  # of one to device memory, where the target has it


@dataclass(frozen=True)
class Piece:
    """Lanes [start, start + width) as one access at `pointer`, guarded by `predicate`."""

    start: int
    width: int
    pointer: ir.Value
    align: int
    predicate: ir.Value | None
    lane: tuple[Index, ...] = ()  # the indices of the first element, in device memory


def load_lanes(ctx: Context, buffer: Memory, indices: Sequence[Index], limit: int = 0) -> ir.Value:
    """Load one element per lane; a scalar when all lanes read the same element. Out of bounds reads the safe value."""
    kind = value_type(ctx.e, buffer.element)
    if ctx.width > 1 and all(i.is_uniform for i in indices):
        indices = [i.lane(0) for i in indices]
    pieces = plan_pieces(ctx, buffer, indices, limit)
    loaded = [_load_piece(ctx, buffer, piece, kind) for piece in pieces]
    if len(loaded) == 1:
        return loaded[0]
    sources = [(v, i) for v, piece in zip(loaded, pieces, strict=True) for i in range(piece.width)]
    return ctx.e.gather(sources)


def store_lanes(
    ctx: Context, buffer: Memory, indices: Sequence[Index], value: ir.Value, limit: int = 0, passing: bool = False
) -> None:
    """Store one element per lane; what is out of bounds is not written, nor what a thread has and `passing` keeps no
    longer than an iteration, by iterations that do not exist."""
    for piece in plan_pieces(ctx, buffer, indices, limit):
        part = value
        if isinstance(value.type, ir.VectorType) and piece.width != value.type.shape[0]:
            part = ctx.e.shuffle(value, value, range(piece.start, piece.start + piece.width))
        elif piece.width > 1 and not isinstance(value.type, ir.VectorType):
            part = ctx.e.broadcast(value, piece.width)
        part = _to_storage(ctx, buffer.element, part)
        act = ctx.predicate
        if isinstance(buffer, PrivateBuffer):  # each replica has its own
            act = None if passing else ctx.inside
        predicate = ctx.e.both(act, piece.predicate)
        if predicate is None:
            ctx.e.store(part, piece.pointer, piece.align)
            continue
        if isinstance(buffer, GlobalBuffer):
            access = GuardedAccess(buffer, element_place(ctx, buffer, piece.lane), predicate)
            if ctx.hardware.guarded_store(ctx, access, part):
                continue
        guard = ctx.e.op("scf.if", [], [predicate], regions=2)
        with ctx.e.scope(guard.regions[0].blocks.append()):
            ctx.e.store(part, piece.pointer, piece.align)
            ctx.e.end_region()


def _load_piece(ctx: Context, buffer: Memory, piece: Piece, kind: ir.Type) -> ir.Value:
    shape = (lambda t: ctx.e.vector_type(piece.width, t)) if piece.width > 1 else (lambda t: t)
    stored = shape(storage_type(ctx.e, buffer.element))
    predicate = piece.predicate if isinstance(buffer, PrivateBuffer) else ctx.e.both(ctx.inside, piece.predicate)
    if predicate is None:
        return _from_storage(ctx, buffer.element, ctx.e.load(piece.pointer, stored, piece.align), shape(kind))
    # Neighbours that a program reads one by one, as the lanes of T.Ramp, LLVM makes one access of where they are plain.
    merged = piece.width == 1 and ctx.iteration_layout is None
    if isinstance(buffer, GlobalBuffer) and not merged:
        access = GuardedAccess(buffer, element_place(ctx, buffer, piece.lane), predicate)
        if (value := ctx.hardware.guarded_load(ctx, access, stored)) is not None:
            return _from_storage(ctx, buffer.element, value, shape(kind))
    branch = ctx.e.if_then_else(predicate, [stored])
    with ctx.e.scope(branch.regions[0].blocks[0]):
        ctx.e.end_region([ctx.e.load(piece.pointer, stored, piece.align)])
    safe = buffer.safe_value if isinstance(buffer, GlobalBuffer) else 0
    is_float = isinstance(storage_type(ctx.e, buffer.element), ir.FloatType)
    with ctx.e.scope(branch.regions[1].blocks[0]):
        ctx.e.end_region([ctx.e.splat(stored, float(safe) if is_float else int(safe))])
    return _from_storage(ctx, buffer.element, branch.results[0], shape(kind))


def _from_storage(ctx: Context, element: ir.Type, value: ir.Value, kind: ir.Type) -> ir.Value:
    if element != ctx.e.i1:
        return value
    return ctx.e.pure("arith.trunci", kind, [value])


def _to_storage(ctx: Context, element: ir.Type, value: ir.Value) -> ir.Value:
    if element != ctx.e.i1:
        return value
    wide = ctx.e.i8
    if isinstance(value.type, ir.VectorType):
        wide = ctx.e.vector_type(value.type.shape[0], wide)
    return ctx.e.pure("arith.extui", wide, [value])


# -- planning ----------------------------------------------------------------------------------------------------------
def plan_pieces(ctx: Context, buffer: Memory, indices: Sequence[Index], limit: int = 0) -> list[Piece]:
    """Split the lanes of an access into pieces; `limit` caps a piece's elements (0: what the target has)."""
    width = indices[0].width if indices else 1
    if element_bits(buffer.element) < 8:
        raise PassError(f"elements of {buffer.element} cannot be addressed one by one")
    most = _widest(ctx, buffer) * 8 // element_bits(buffer.element)
    most = min(most, limit) if limit else most
    pieces: list[Piece] = []
    start = 0
    while start < width:
        length = _run_length(ctx, buffer, indices, start, width, most)
        here = [i.lane(start) for i in indices]
        pieces.append(_piece(ctx, buffer, here, start, length))
        start += length
    return pieces


def in_one_piece(ctx: Context, buffer: Memory, indices: Sequence[Index]) -> bool:
    """Whether one access moves all lanes; nothing is emitted to find out."""
    width = indices[0].width
    most = _widest(ctx, buffer) * 8 // element_bits(buffer.element)
    return _run_length(ctx, buffer, indices, 0, width, most) == width


def _widest(ctx: Context, buffer: Memory) -> int:
    """Bytes of the widest access. 32 need a tensor that starts at a multiple of 32 bytes, which its launch checks."""
    wide = isinstance(buffer, GlobalBuffer) and ctx.wide_accesses and isinstance(buffer.pointer.owner, ir.Block)
    return _WIDE_ACCESS if wide and ctx.target.supports(Feature.VECTOR_256) else MAX_ACCESS


def _run_length(ctx: Context, buffer: Memory, indices: Sequence[Index], start: int, width: int, most: int) -> int:
    """Lanes from `start` that are neighbours in memory, an aligned power of two of them."""
    length = 1
    while start + length < width and length < most:
        ahead = start + length
        if any(i.constants[ahead] != i.constants[start] for i in indices[:-1]):
            break
        if indices[-1].constants[ahead] != indices[-1].constants[start] + length:
            break
        length += 1
    length = 1 << (length.bit_length() - 1)
    granule = _alignment(ctx, buffer, [i.lane(start) for i in indices])
    while granule % length:
        length //= 2
    return length


def _alignment(ctx: Context, buffer: Memory, lane: Sequence[Index]) -> int:
    """A power of two elements that an access starting at this lane's element may span."""
    if not lane:
        return 1
    if isinstance(buffer, SharedBuffer):
        return _shared_alignment(buffer, lane)
    strides = buffer.stride_divisors if isinstance(buffer, GlobalBuffer) else _dense(buffer.shape)
    if strides[-1] != 1:
        return 1
    multiple = math.gcd(*(i.multiple_of() * s for i, s in zip(lane, strides, strict=True)))
    if isinstance(buffer, GlobalBuffer):  # a piece must not straddle the edge of the last dimension
        multiple = math.gcd(multiple, buffer.row_divisor, lane[-1].multiple_of())
    return _power(multiple, _widest(ctx, buffer) * 8 // element_bits(buffer.element))


def _shared_alignment(buffer: SharedBuffer, lane: Sequence[Index]) -> int:
    rank = len(buffer.layout.shape)
    last = [s for s in buffer.layout.steps if s.dim == rank - 1 and s.stride == 1]
    if not last or last[0].offset != 1:
        return 1
    chunk = (
        1 << buffer.layout.swizzle.base
        if buffer.layout.swizzle.bits
        else MAX_ACCESS * 8 // element_bits(buffer.element)
    )
    multiple = math.gcd(last[0].size, lane[-1].multiple_of())
    for step in buffer.layout.steps:
        if step is not last[0] and step.size > 1:
            multiple = math.gcd(multiple, step.offset)
    return _power(multiple, chunk)


def _power(multiple: int, most: int) -> int:
    return most if multiple == 0 else min(most, multiple & -multiple)


def _piece(ctx: Context, buffer: Memory, lane: Sequence[Index], start: int, length: int) -> Piece:
    size = element_bits(buffer.element) // 8
    if isinstance(buffer, SharedBuffer):
        return Piece(start, length, shared_pointer(ctx, buffer, lane), length * size, None)
    if isinstance(buffer, PrivateBuffer):
        return Piece(start, length, private_pointer(ctx, buffer, lane), size, None)
    pointer = global_pointer(ctx, buffer, lane)
    if length * size > MAX_ACCESS:
        ctx.wide_arguments.add(ir.BlockArgument(buffer.pointer).arg_number)
    return Piece(start, length, pointer, length * size, bounds_predicate(ctx, buffer, lane, length), tuple(lane))


def private_pointer(ctx: Context, buffer: PrivateBuffer, lane: Sequence[Index]) -> ir.Value:
    """Address of one lane's element of a thread's own array."""
    offset = _dense_offset(ctx, lane, _dense(buffer.shape))
    return ctx.e.gep(buffer.pointer, offset, storage_type(ctx.e, buffer.element))


def _dense(shape: Sequence[int]) -> list[int]:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return strides[::-1] if shape else []


def _dense_offset(ctx: Context, lane: Sequence[Index], strides: Sequence[int]) -> int | ir.Value:
    total = Index.of(0)
    for index, stride in zip(lane, strides, strict=True):
        total = ctx.ix.add(total, ctx.ix.scale(index, stride))
    return ctx.ix.scalar(total)


def global_pointer(ctx: Context, buffer: GlobalBuffer, lane: Sequence[Index]) -> ir.Value:
    """Address of one lane's element: run-time parts of all dimensions first, then the constant part."""
    element = storage_type(ctx.e, buffer.element)
    dynamic, constant = element_place(ctx, buffer, lane)
    return ctx.e.gep(ctx.e.gep(buffer.pointer, dynamic, element), constant, element)


def element_place(
    ctx: Context, buffer: GlobalBuffer, lane: Sequence[Index]
) -> tuple[int | ir.Value, int | ir.Value]:
    """How many elements from the start of a tensor one of them is: the part known at run time, and the rest."""
    wide = buffer.needs_wide_offsets or any(i.base is not None and i.base.type == ctx.e.i64 for i in lane)
    dynamic: int | ir.Value = 0
    constant: int | ir.Value = 0
    for index, stride in zip(lane, buffer.strides, strict=True):
        base = 0 if index.base is None else index.base
        step = stride
        if wide:
            base, step = ctx.e.extend(base), ctx.e.extend(stride)
        dynamic = ctx.e.add(dynamic, ctx.e.mul(base, step))
        constant = ctx.e.add(constant, ctx.e.mul(index.constants[0], step))
    return dynamic, constant


def bounds_predicate(ctx: Context, buffer: GlobalBuffer, lane: Sequence[Index], length: int) -> ir.Value | None:
    """What must hold for an access of `length` elements to be in bounds; None when it is proven, or not to be asked."""
    if not ctx.guards:
        return None
    predicate: ir.Value | None = None
    last = len(lane) - 1
    for dim, (index, size) in enumerate(zip(lane, buffer.shape, strict=True)):
        # Pieces are aligned and divide a constant inner extent, so their first element decides; else check the last.
        straddles = dim == last and not isinstance(size, int)
        reach = length - 1 if straddles else 0
        top, bottom = index.maximum(), index.minimum()
        here = ctx.ix.scalar(index)
        if bottom is None or bottom < 0:
            predicate = ctx.e.both(predicate, ctx.e.compare("sge", here, 0))
        if isinstance(size, int) and top is not None and top + reach < size:
            continue
        predicate = ctx.e.both(predicate, _below(ctx, ctx.e.add(here, reach), size))
    return predicate


def _below(ctx: Context, value: int | ir.Value, size: int | ir.Value) -> ir.Value:
    if ctx.e.i64 in (None if isinstance(x, int) else x.type for x in (value, size)):
        value, size = ctx.e.extend(value), ctx.e.extend(size)
    return ctx.e.compare("slt", value, size)


def shared_offset(ctx: Context, layout: SharedLayout, lane: Sequence[Index]) -> int | ir.Value:
    """Element offset of a coordinate in a shared tile, swizzle included."""
    return ctx.e.add(*_shared_place(ctx, layout, lane))


def _shared_place(ctx: Context, layout: SharedLayout, lane: Sequence[Index]) -> Parts:
    """The same as the part known at run time, which neighbours share, and the rest."""
    total = Index.of(0)
    for step in layout.steps:
        if step.size == 1:
            continue  # adds nothing
        part: Index | None = lane[step.dim]
        if step.stride > 1:
            part = ctx.ix.try_divide(part, step.stride)
        if part is not None and ((top := part.maximum()) is None or top >= step.size):
            part = ctx.ix.try_remainder(part, step.size) if _wraps(layout, step.dim, step.stride, step.size) else part
        if part is None:
            return _general_offset(ctx, layout, lane)
        total = ctx.ix.add(total, ctx.ix.scale(part, step.offset))
    swizzle = layout.swizzle
    if not swizzle.bits:
        return ctx.ix.parts(total)
    return ctx.ix.swizzle(total, swizzle.bits, swizzle.base, swizzle.shift)


def _wraps(layout: SharedLayout, dim: int, stride: int, size: int) -> bool:
    """Whether a further step of the dimension takes what exceeds this one."""
    return any(s.dim == dim and s.stride >= stride * size for s in layout.steps)


def _general_offset(ctx: Context, layout: SharedLayout, lane: Sequence[Index]) -> Parts:
    """The same, computed from the coordinates' values with no facts about them."""
    total: int | ir.Value = 0
    for step in layout.steps:
        part = ctx.e.div(ctx.ix.scalar(lane[step.dim]), step.stride)
        if _wraps(layout, step.dim, step.stride, step.size):
            part = ctx.e.rem(part, step.size)
        total = ctx.e.add(total, ctx.e.mul(part, step.offset))
    swizzle = layout.swizzle
    if not swizzle.bits:
        return total, 0
    whole = ctx.ix.uniform(ctx.e.value(total))
    return ctx.ix.swizzle(whole, swizzle.bits, swizzle.base, swizzle.shift)


def shared_pointer(ctx: Context, buffer: SharedBuffer, lane: Sequence[Index]) -> ir.Value:
    """Address of one element of a shared buffer: arena, stage, place in the tile.

    Constants come last: accesses that differ by them share an address, and each has its constant in the instruction.
    """
    lead = len(buffer.shape) - len(buffer.layout.shape)
    element = storage_type(ctx.e, buffer.element)
    stage: int | ir.Value = 0
    reach = buffer.layout.size
    for size, index in zip(reversed(buffer.shape[:lead]), reversed(lane[:lead]), strict=True):
        stage = ctx.e.add(stage, ctx.e.mul(ctx.ix.scalar(index), reach))
        reach *= size
    dynamic, constant = _shared_place(ctx, buffer.layout, lane[lead:])
    start = ctx.e.gep(ctx.e.gep(ctx.hardware_arena(), stage, element), dynamic, element)
    return ctx.e.gep(start, buffer.offset // (element.width // 8) + constant, element)
