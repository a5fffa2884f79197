"""Copies between CTAs of a cluster, and bulk copies that go to several of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import bulk, cluster
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ...dialect.layout import row_major
from ...dialect.location import python_location
from ..lowering.buffers import GlobalBuffer, SharedBuffer, Tile, element_bits
from ..lowering.context import Context, rule
from ..lowering.index import Index
from ..lowering.memory import global_pointer, load_lanes, shared_pointer
from ..lowering.views import tile_of
from ..walk import members_of
from .intrinsics import require_feature
from .reach import one_thread, reaching_threads
from .roles import barrier_pointer

_MOST_RUNS = 64  # copies per tile: each is an instruction


@dataclass(frozen=True)
class Runs:
    """The stretches in which a tile lies in memory: where each begins, relative to the tile, and elements of each."""

    starts: tuple[tuple[int, ...], ...]
    length: int


def cluster_size(op: ir.Operation) -> int:
    """CTAs per cluster of the kernel an operation lies in."""
    while op.name != "tl.launch":
        op = op.parent.operation
    return math.prod(ir.DenseI32ArrayAttr(op.attributes["cluster"])) if "cluster" in op.attributes else 1


def multicast_ranks(op: ir.Operation) -> int:
    """The ranks that a multicast copies to, as bits.

    Raises:
        UnsupportedError: the cluster has no CTA of such a rank, or there are none.
    """
    ranks, size = ir.IntegerAttr(op.attributes["multicast"]).value, cluster_size(op)
    if not 0 < ranks < 1 << size:
        raise UnsupportedError(
            f"cluster_mask {ranks:#x} names no CTAs, or others than the {size} of the cluster",
            python_location(op.location),
            hint="the kernel's clusters are its cluster_dims; bit r stands for the CTA of rank r",
        )
    return ranks


@rule("tl.cluster_copy")
def lower_cluster_copy(ctx: Context, op: ir.Operation) -> None:
    """Bulk copies, where the tile lies in both CTAs alike in a few stretches of multiples of 16 bytes; else stores."""
    require_feature(ctx, op, Feature.CLUSTER, "a copy to another CTA of the cluster")
    source, target = (tile_of(ctx, v) for v in list(op.operands)[:2])
    assert isinstance(source.buffer, SharedBuffer) and isinstance(target.buffer, SharedBuffer)
    width = ir.MemRefType(op.operands[0].type).element_type.width
    pointer, rank = barrier_pointer(ctx, op.operands[2], op.operands[3]), ctx.ssa(op.operands[4])
    runs = _runs(source, target)
    if runs is None or runs.length * width % 128 or len(runs.starts) > _MOST_RUNS:
        _by_threads(ctx, op, source, target, rank)
        ctx.hardware.barrier(ctx, 0, None)  # one thread speaks for all, and the source is free
        with one_thread(ctx, op):
            cluster.arrive_remote(pointer, rank)
        return
    size = runs.length * width // 8
    with one_thread(ctx, op):
        cluster.arrive_expect_remote(pointer, rank, size * len(runs.starts))
        for start in runs.starts:
            there, here = (_address(ctx, tile, start) for tile in (target, source))
            cluster.copy(there, here, pointer, size, rank)


@rule("tl.cluster_store")
def lower_cluster_store(ctx: Context, op: ir.Operation) -> None:
    require_feature(ctx, op, Feature.CLUSTER, "a store to another CTA of the cluster")
    source, target = (tile_of(ctx, v) for v in list(op.operands)[:2])
    _by_threads(ctx, op, source, target, ctx.ssa(op.operands[2]))


def _by_threads(ctx: Context, op: ir.Operation, source: Tile, target: Tile, rank: ir.Value) -> None:
    """Neighbouring threads store neighbouring elements."""
    if not reaching_threads(ctx, op).all() or len(members_of(op)):
        raise UnsupportedError(
            "T.copy_cluster of a tile that bulk copies cannot copy needs all threads of the block",
            python_location(op.location),
            hint="stretches of multiples of 16 bytes, which lie in both blocks alike, are copied by one thread",
        )
    assert isinstance(source.buffer, SharedBuffer) and isinstance(target.buffer, SharedBuffer)
    sizes = source.sizes
    first, count = ctx.e.value(ctx.ix.scalar(ctx.thread)), ctx.e.value(math.prod(sizes))
    loop = ctx.e.op("scf.for", [], [first, count, ctx.e.value(ctx.num_threads)], regions=1)
    with ctx.e.scope(loop.regions[0].blocks.append(ctx.e.i32)):
        rest, at = loop.regions[0].blocks[0].arguments[0], list[Index]()
        for size in reversed(sizes):
            at.append(ctx.ix.uniform(ctx.e.value(ctx.e.rem(rest, size)), lo=0, hi=size - 1))
            rest = ctx.e.value(ctx.e.div(rest, size))
        here, there = (
            [ctx.ix.add(offset, step) for offset, step in zip(tile.offsets, at[::-1], strict=True)]
            for tile in (source, target)
        )
        value = load_lanes(ctx, source.buffer, here)
        kind = ir.IntegerType.get_signless(element_bits(source.buffer.element))
        if value.type != kind:
            value = ctx.e.pure("arith.extui" if str(value.type) == "i1" else "arith.bitcast", kind, [value])
        cluster.store(shared_pointer(ctx, target.buffer, there), value, rank)
        ctx.e.end_region()


def _address(ctx: Context, tile: Tile, start: tuple[int, ...]) -> ir.Value:
    assert isinstance(tile.buffer, SharedBuffer)
    lead = len(tile.offsets) - len(start)
    place = [
        *tile.offsets[:lead],
        *(ctx.ix.add(offset, Index.of(step)) for offset, step in zip(tile.offsets[lead:], start, strict=True)),
    ]
    return shared_pointer(ctx, tile.buffer, place)


def _runs(source: Tile, target: Tile) -> Runs | None:
    """How a tile lies in both buffers alike: whole, or in rows of plain row-major memory."""
    assert isinstance(source.buffer, SharedBuffer) and isinstance(target.buffer, SharedBuffer)
    layouts = [tile.buffer.layout for tile in (source, target) if isinstance(tile.buffer, SharedBuffer)]
    sizes = [tuple(tile.sizes) for tile in (source, target)]
    shapes = [layout.shape for layout in layouts]
    if layouts[0] == layouts[1] and all(
        math.prod(size) == layout.size == math.prod(shape)
        for size, layout, shape in zip(sizes, layouts, shapes, strict=True)
    ):
        return Runs(((0,) * len(shapes[0]),), layouts[0].size)
    if any(layout != row_major(layout.shape) for layout in layouts) or sizes[0] != sizes[1]:
        return None
    inner = sizes[0][-len(shapes[0]) :]
    if shapes[0][1:] != shapes[1][1:] or math.prod(inner) != math.prod(sizes[0]):
        return None
    whole = len(inner)  # dimensions from here on are copied whole
    while whole > 1 and inner[whole - 1] == shapes[0][whole - 1]:
        whole -= 1
    counts = inner[: whole - 1]
    starts = tuple((*at, *[0] * (len(inner) - len(at))) for at in itertools.product(*(range(n) for n in counts)))
    return Runs(starts, math.prod(inner[whole - 1 :]))


@rule("tl.bulk_words")
def lower_bulk_words(ctx: Context, op: ir.Operation) -> None:
    """Every thread that reaches it copies."""
    require_feature(ctx, op, Feature.TMA, "a bulk copy")
    source, target = (ctx.buffers[v] for v in list(op.operands)[:2])
    assert isinstance(source, GlobalBuffer) and isinstance(target, SharedBuffer)
    places = [ctx.index(v) for v in list(op.operands)[4:]]
    start = global_pointer(ctx, source, places[: len(source.shape)])
    end = shared_pointer(ctx, target, places[len(source.shape) :])
    size = ir.IntegerAttr(op.attributes["bytes"]).value
    with ctx.where_effective():
        bulk.load(end, start, barrier_pointer(ctx, op.operands[2], op.operands[3]), size)
