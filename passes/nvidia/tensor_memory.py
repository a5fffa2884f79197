"""Tensor memory in the thread program: its allocation, and tiles that move between it and registers."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tilelang_mlir.errors import LayoutError, PassError
from tilelang_mlir.isa.nvidia import cluster, tcgen05
from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout.attrs import from_attr, tensor_from_attr
from ...dialect.layout.fragment import Fragment
from ...dialect.layout.tensor import LANES, TensorLayout
from ...dialect.location import python_location
from ...dialect.tl import FRAGMENT, TMEM, scope_of
from ..lowering.buffers import FragmentBuffer, TensorBuffer, value_type
from ..lowering.context import Context, rule
from ..lowering.fragments import write_registers
from ..lowering.index import Index
from ..walk import launch_of, members_of, nested, threads_of
from .reach import one_warp
from .tensor_pairs import is_paired
from .tensor_rules import WARPGROUP
from .tensor_views import base_of, is_view, layout_of

IntArray = npt.NDArray[np.int64]
MAX_REGISTERS = 64  # of one piece of assembly: more are loaded in turns
_REPEATS = {"32x32b": 128, "16x128b": 64, "16x256b": 32}


# -- allocation --------------------------------------------------------------------------------------------------------
@rule("tl.tmem_arena")
def lower_arena(ctx: Context, op: ir.Operation) -> None:
    """One warp allocates; the address passes through shared memory."""
    columns, number, slot = (ir.IntegerAttr(op.attributes[n]).value for n in ("columns", "id", "tl.offset"))
    place = ctx.e.gep(ctx.hardware_arena(), slot, ctx.e.i8)
    pair = is_paired(op.parent.operation)
    with one_warp(ctx, op):
        tcgen05.alloc(place, ctx.e.constant(ctx.e.i32, columns), pair=pair)
        tcgen05.relinquish(pair=pair)
    ctx.hardware.barrier(ctx)
    start = ctx.e.load(place, ctx.e.i32, 4)
    ctx.tensor_arenas[number] = start, columns
    launch = op.parent.operation
    for alloc in nested(launch):
        if alloc.name != "tl.alloc" or scope_of(alloc.results[0]) != TMEM or _number(alloc, "tl.arena") != number:
            continue
        kind = ir.MemRefType(alloc.results[0].type)
        address = ctx.e.value(ctx.e.add(start, _number(alloc, "tl.column")))
        layout = tensor_from_attr(alloc.attributes["layout"])
        ctx.tensors[alloc.results[0]] = TensorBuffer(address, kind.element_type, tuple(kind.shape), layout)


def _number(op: ir.Operation, name: str) -> int:
    if name not in op.attributes:
        raise PassError(f"a tensor memory buffer without {name!r} reached lowering", python_location(op.location))
    return ir.IntegerAttr(op.attributes[name]).value


@rule("tl.tmem_free")
def lower_free(ctx: Context, op: ir.Operation) -> None:
    """The warp that allocated frees, when all threads and products are done; of a pair, in both CTAs.

    No CTA of a pair ends before: the other one reads its shared memory and arrives at its barriers.
    """
    start, columns = ctx.tensor_arenas[ir.IntegerAttr(op.attributes["id"]).value]
    pair = is_paired(launch_of(op))
    tcgen05.fence("before")
    if pair:
        cluster.arrive()
        cluster.wait()
    else:
        ctx.hardware.barrier(ctx)
    with one_warp(ctx, op):
        tcgen05.fence("after")
        tcgen05.dealloc(start, ctx.e.constant(ctx.e.i32, columns), pair=pair)


@rule("tl.tcgen05_fence")
def lower_fence(ctx: Context, op: ir.Operation) -> None:
    tcgen05.fence(ir.StringAttr(op.attributes["kind"]).value)


# -- tiles -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Plan:
    """How warps access a tile: the pieces of a thread, and how far each warpgroup's start from those of the one before:
    in columns (`each`), or in lanes."""

    pieces: tuple[tcgen05.Piece, ...]
    each: int
    lanes: int


def tensor_buffer(ctx: Context, value: ir.Value) -> TensorBuffer:
    """The buffer, or the view of one, behind a tile of tensor memory."""
    base = base_of(value)
    if not is_view(base):
        return ctx.tensors[base]
    kind = ir.MemRefType(base.type)
    return TensorBuffer(ctx.tensors[root(base)].address, kind.element_type, tuple(kind.shape), layout_of(base))


def _offsets(ctx: Context, value: ir.Value) -> list[Index]:
    """The first element of a tile, per dimension of its buffer."""
    if base_of(value) == value:
        return [Index.of(0) for _ in ir.MemRefType(value.type).shape]
    op = value.owner.operation
    inner = _offsets(ctx, op.operands[0])
    here = [ctx.index(v).lane(0) for v in list(op.operands)[1 : 1 + len(inner)]]
    return [ctx.ix.add(a, b) for a, b in zip(inner, here, strict=True)]


def tensor_address(ctx: Context, value: ir.Value, where: ir.Operation) -> ir.Value:
    """The i32 address of a tile: whole rows, from a column that a version or an element offset gives."""
    buffer = tensor_buffer(ctx, value)
    *lead, row, column = _offsets(ctx, value)
    if not (row.is_constant and row.constants[0] == 0):
        raise LayoutError("a tile of tensor memory starts at row 0", python_location(where.location))
    layout = buffer.layout
    total: int | ir.Value = 0
    reach = layout.version_columns
    for size, index in zip(reversed(layout.shape[:-2]), reversed(lead), strict=True):
        total = ctx.e.add(total, ctx.e.mul(ctx.ix.scalar(index), reach))
        reach *= size
    pack = 32 // layout.pitch
    part = ctx.ix.try_divide(column, pack) if pack > 1 else column
    if part is None:
        raise LayoutError(f"a tile of tensor memory starts inside a column: {pack} elements share one",
                          python_location(where.location))
    total = ctx.e.add(total, ctx.ix.scalar(part))
    return ctx.e.value(ctx.e.add(buffer.address, total))


def lower_tensor_copy(ctx: Context, op: ir.Operation) -> None:
    """`tl.copy` between a fragment and tensor memory, of one element type."""
    source, target = op.operands
    stores = scope_of(target) == TMEM
    tile = target if stores else source
    fragment = ctx.buffers[source if stores else target]
    assert isinstance(fragment, FragmentBuffer)
    layout = tensor_buffer(ctx, tile).layout
    plan = access_plan(fragment.layout, layout, ctx.num_threads)
    if plan is None:
        raise LayoutError(
            f"no tensor memory access has the layout {fragment.layout} for {layout}",
            python_location(op.location),
        )
    address = _warp_address(ctx, tensor_address(ctx, tile, op), plan.each + plan.lanes * tcgen05.ROW)
    first = 0
    for pieces in _turns(plan.pieces):
        count = sum(piece.registers for piece in pieces)
        if stores:
            tcgen05.store(address, pieces, _words(ctx, fragment, first, count))
        else:
            _load(ctx, fragment, address, pieces, first)
        first += count


def _turns(pieces: tuple[tcgen05.Piece, ...]) -> list[list[tcgen05.Piece]]:
    """Pieces that are accessed at once."""
    out: list[list[tcgen05.Piece]] = [[]]
    for piece in pieces:
        if out[-1] and sum(p.registers for p in out[-1]) + piece.registers > MAX_REGISTERS:
            out.append([])
        out[-1].append(piece)
    return out


def _warp_address(ctx: Context, base: ir.Value, each: int) -> ir.Value:
    """The warp's quarter of the lanes, and its warpgroup's part: `each` is from one to the next."""
    warp = ctx.ix.divide(ctx.thread, ctx.target.warp_size)
    quarter, group = ctx.ix.remainder(warp, 4), ctx.ix.divide(warp, 4)
    lane = ctx.ix.scalar(ctx.ix.scale(quarter, 32 * tcgen05.ROW))
    address = ctx.e.add(base, lane)
    return ctx.e.value(ctx.e.add(address, ctx.ix.scalar(ctx.ix.scale(group, each))))


def _load(
    ctx: Context, fragment: FragmentBuffer, address: ir.Value, pieces: list[tcgen05.Piece], first: int
) -> None:
    pack = 32 // fragment.element.width
    words = tcgen05.load(address, pieces, fragment.element if pack == 1 else ctx.e.i32)
    values: list[ir.Value] = []
    for word in words:
        if pack == 1:
            values.append(word)
            continue
        kind = ctx.e.vector_type(pack, value_type(ctx.e, fragment.element))
        parts = ctx.e.pure("vector.bitcast", kind, [ctx.e.broadcast(word, 1)])
        values += [ctx.e.extract(parts, i) for i in range(pack)]
    start = first * pack
    for begin in range(0, len(values), fragment.chunk):
        stop = min(begin + fragment.chunk, len(values))
        write_registers(ctx, fragment, range(start + begin, start + stop), ctx.e.pack(values[begin:stop]))


def _words(ctx: Context, fragment: FragmentBuffer, first: int, count: int) -> list[ir.Value]:
    pack = 32 // fragment.element.width
    file = ctx.registers[fragment]
    out: list[ir.Value] = []
    for word in range(first, first + count):
        places = [(file[e // fragment.chunk], e % fragment.chunk) for e in range(word * pack, word * pack + pack)]
        value = ctx.e.gather(places)
        if pack > 1:
            value = ctx.e.extract(ctx.e.pure("vector.bitcast", ctx.e.vector_type(1, ctx.e.i32), [value]), 0)
        out.append(value)
    return out


def keep_to_lanes(launch: ir.Operation) -> bool:
    """Whether tiles in tensor memory are copied, and every lane of them by one warp: there is one warpgroup, or two
    that share the rows."""
    copies = [op for op in nested(launch) if op.name == "tl.copy" and TMEM in map(scope_of, list(op.operands)[:2])]
    return bool(copies) and not any(len(members_of(op)) for op in copies) and all(_is_alone(op) for op in copies)


def _is_alone(op: ir.Operation) -> bool:
    fragments = [root(v) for v in op.operands if scope_of(v) == FRAGMENT]
    if threads_of(op) == WARPGROUP or not fragments:
        return threads_of(op) == WARPGROUP
    layout = from_attr(fragments[0].owner.operation.attributes["layout"])
    return isinstance(layout, Fragment) and layout.thread[-1][:2] == (2, 0) and layout.thread[-1].stride < LANES


# -- which instructions ------------------------------------------------------------------------------------------------
@functools.cache
def access_plan(fragment: Fragment, layout: TensorLayout, threads: int) -> _Plan | None:
    """The instructions that move a fragment to or from a tile; None when there are none.

    Elements that have a column each are packed by the load and unpacked by the store: its columns are two of the tile.
    """
    pack = 32 // layout.bits  # elements of a register
    whole = layout.parts == 1 or fragment.shape[-1] == layout.shape[-1]
    if threads % WARPGROUP or fragment.num_values % pack or fragment.replication > 1 or not whole:
        return None
    lane, column = _cells(fragment, layout, threads)
    if (column % pack != np.arange(fragment.num_values) % pack).any():
        return None
    lane, column = lane[:, ::pack], column[:, ::pack] // pack
    warp = np.arange(threads) // 32
    lane = lane - (warp % 4 * 32)[:, None]
    groups = threads // WARPGROUP
    each = int(column[WARPGROUP, 0] - column[0, 0]) if groups > 1 else 0
    column = column - (warp // 4 * each)[:, None]
    lanes = int(lane[WARPGROUP, 0] - lane[0, 0]) if groups > 1 else 0
    if lanes not in (0, 16) or groups > 2 and lanes:
        return None
    lane = lane - (warp // 4 * lanes)[:, None]
    packs = layout.spread and pack > 1
    for shape in _REPEATS:
        pieces = _pieces(shape, lane, column, packs)
        if pieces is not None:
            return _Plan(tuple(pieces), each * (pack if packs else 1), lanes)
    return None


def _cells(fragment: Fragment, layout: TensorLayout, threads: int) -> tuple[IntArray, IntArray]:
    """Lane and element column of every thread's registers."""
    thread, value = np.arange(threads)[:, None], np.arange(fragment.num_values)[None, :]
    row, column = fragment.coordinates(thread, value)[-2:]
    lanes = np.array([layout.lane(r) for r in range(layout.shape[-2])])
    shape = (threads, fragment.num_values)
    part, inside = column // layout.part_columns, column % layout.part_columns
    inside = inside + row // LANES * layout.shape[-1]
    return np.broadcast_to(lanes[row] + part * (LANES // layout.parts), shape), np.broadcast_to(inside, shape)


def _pieces(shape: str, lane: IntArray, column: IntArray, packs: bool) -> list[tcgen05.Piece] | None:
    """The registers of all threads as pieces of one shape, relative to the warp's address."""
    there, along = tcgen05.places(shape, 1)
    unit = there.shape[1]
    threads, count = lane.shape
    if count % unit:
        return None
    warps = threads // 32
    lanes = lane.reshape(warps, 32, count // unit, unit) - there[None, :, None, :]
    columns = column.reshape(warps, 32, count // unit, unit) - along[None, :, None, :]
    first = lanes[0, 0, :, 0], columns[0, 0, :, 0]
    same = (lanes == first[0][None, None, :, None]).all() and (columns == first[1][None, None, :, None]).all()
    if not same or not set(first[0].tolist()) <= {0, 16}:
        return None
    times = 2 if packs else 1
    return _merge(tcgen05.Piece(shape, 1, 0, packs), [(int(a), int(b) * times) for a, b in zip(*first, strict=True)])


def _merge(one: tcgen05.Piece, units: list[tuple[int, int]]) -> list[tcgen05.Piece]:
    """Neighbouring units as repeats, powers of two."""
    shape, width = one.shape, one.columns
    most = min(_REPEATS[shape], MAX_REGISTERS // one.registers)
    out: list[tcgen05.Piece] = []
    position = 0
    while position < len(units):
        lane, column = units[position]
        run = 1
        while position + run < len(units) and run < most and units[position + run] == (lane, column + run * width):
            run += 1
        run = 1 << (run.bit_length() - 1)
        out.append(replace(one, repeat=run, offset=lane * tcgen05.ROW + column))
        position += run
    return out
