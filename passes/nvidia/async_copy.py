"""`tl.copy {async}` through cp.async: 16, 8 or 4 bytes per thread and instruction, zero where out of bounds.

The tile's chunks are dealt to the threads in row-major order, so that neighbours copy neighbouring bytes. A tile whose
rows are not aligned to 4 bytes is copied through registers instead: the program's waits and barriers cover that too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tilelang_mlir.isa.nvidia import cp_async
from tilelang_mlir.mlir import ir

from ..lowering.buffers import GlobalBuffer, SharedBuffer, Tile, element_bits
from ..lowering.context import Context
from ..lowering.index import Index
from ..lowering.memory import bounds_predicate, global_pointer, in_one_piece, load_lanes, shared_pointer, store_lanes
from ..lowering.views import tile_of


def lower_async_copy(ctx: Context, op: ir.Operation) -> None:
    source, target = (tile_of(ctx, v) for v in list(op.operands)[:2])
    when = _condition(ctx, op.operands[2]) if len(op.operands) > 2 else None
    assert isinstance(source.buffer, GlobalBuffer) and isinstance(target.buffer, SharedBuffer)
    shape = [s for s in target.sizes if s != 1] or [1]
    bits = element_bits(target.buffer.element)
    vector = _vector(ctx, source, target, shape, bits)
    rows = [*shape[:-1], shape[-1] // vector]
    total = math.prod(rows)
    for start in range(0, total, ctx.num_threads):
        linear = ctx.ix.add(ctx.thread, Index.of(start))
        guard = None
        if start + ctx.num_threads > total:
            guard = ctx.e.compare("slt", ctx.ix.scalar(linear), total)
        coordinates = _coordinates(ctx, linear, rows, start, total)
        coordinates[-1] = ctx.ix.scale(coordinates[-1], vector)
        with ctx.guarded(guard):
            _copy_chunk(ctx, source, target, coordinates, vector, bits, when)


def _condition(ctx: Context, value: ir.Value) -> ir.Value | None:
    """None for a condition that is known to hold."""
    owner = value.owner
    if not isinstance(owner, ir.Block) and owner.operation.name == "arith.constant":
        attribute = owner.operation.attributes["value"]
        if ir.BoolAttr(attribute).value:
            return None
    return ctx.ssa(value)


def _coordinates(ctx: Context, linear: Index, rows: Sequence[int], start: int, total: int) -> list[Index]:
    """Row-major coordinates of a chunk number."""
    out: list[Index] = []
    rest = linear
    for size in reversed(rows[1:]):
        quotient, digit = ctx.ix.try_divide(rest, size), ctx.ix.try_remainder(rest, size)
        if quotient is None or digit is None:
            whole = ctx.ix.uniform(
                ctx.e.value(ctx.ix.scalar(rest)), lo=start, hi=max(start + ctx.num_threads, total) - 1
            )
            quotient, digit = ctx.ix.divide(whole, size), ctx.ix.remainder(whole, size)
        out.append(digit)
        rest = quotient
    return [rest, *reversed(out)]


def _place(ctx: Context, tile: Tile, coordinates: Sequence[Index]) -> list[Index]:
    """Indices into the tile's buffer of a coordinate over its dimensions longer than one."""
    rest = list(coordinates) if any(s != 1 for s in tile.sizes) else []
    return [ctx.ix.add(o, rest.pop(0)) if s != 1 else o for o, s in zip(tile.offsets, tile.sizes, strict=True)]


def _vector(ctx: Context, source: Tile, target: Tile, shape: Sequence[int], bits: int) -> int:
    """Elements per chunk: the widest access that is aligned on both sides wherever a chunk may start."""
    vector = max(1, 128 // bits)
    while vector > 1:
        if shape[-1] % vector == 0 and all(_aligned(ctx, tile, shape, vector) for tile in (source, target)):
            return vector
        vector //= 2
    return 1


def _aligned(ctx: Context, tile: Tile, shape: Sequence[int], vector: int) -> bool:
    lanes = [Index.of(0, vector) for _ in shape[:-1]]
    probe = [*lanes, Index.lanes(range(vector))]
    # A row step must keep the alignment too: probe the second row of every dimension that has one.
    for dim in [None, *(d for d, s in enumerate(shape[:-1]) if s > 1)]:
        moved = [
            Index(p.base, tuple(c + 1 for c in p.constants), 0, 0, 0, 0) if d == dim else p for d, p in enumerate(probe)
        ]
        indices = [i.spread(vector) for i in _place(ctx, tile, moved)]
        if not in_one_piece(ctx, tile.memory, indices):
            return False
    return True


def _copy_chunk(
    ctx: Context,
    source: Tile,
    target: Tile,
    coordinates: Sequence[Index],
    vector: int,
    bits: int,
    when: ir.Value | None,
) -> None:
    """One chunk; nothing is read and zeros are written where `when` is false."""
    size = vector * bits // 8
    assert isinstance(source.buffer, GlobalBuffer) and isinstance(target.buffer, SharedBuffer)
    there, here = _place(ctx, source, coordinates), _place(ctx, target, coordinates)
    if size < 4 or source.buffer.safe_value:
        lane = Index.lanes(range(vector))
        with ctx.lanes(vector):
            spread = lambda ix: [*(i.spread(vector) for i in ix[:-1]), ctx.ix.add(ix[-1], lane)]
            with ctx.guarded(when):
                value = load_lanes(ctx, source.buffer, spread(there))
            store_lanes(ctx, target.buffer, spread(here), value)
        return
    inside = ctx.e.both(when, bounds_predicate(ctx, source.buffer, there, vector))
    pointer = global_pointer(ctx, source.buffer, there)
    destination = shared_pointer(ctx, target.buffer, here)
    read = None
    if inside is not None:
        read = ctx.e.pure(
            "arith.select", ctx.e.i32, [inside, ctx.e.constant(ctx.e.i32, size), ctx.e.constant(ctx.e.i32, 0)]
        )
    if ctx.predicate is None:
        cp_async.emit(destination, pointer, size, read)
        return
    branch = ctx.e.op("scf.if", [], [ctx.predicate], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        cp_async.emit(destination, pointer, size, read)
        ctx.e.end_region()
