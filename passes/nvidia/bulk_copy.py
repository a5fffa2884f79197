"""Bulk copies: boxes of a tensor map, one per panel of the shared tile."""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.isa.nvidia import tma
from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ..lowering.buffers import GlobalBuffer, SharedBuffer, Tile
from ..lowering.context import Context, rule
from ..lowering.index import Index
from ..lowering.memory import shared_pointer
from ..lowering.views import tile_of
from ..walk import nested, threads_of
from .roles import barrier_pointer, in_warpgroup
from .store_plan import Piece, StorePlan, store_plan
from .tma_rules import BoxPlan, box_plan


@dataclass(frozen=True)
class MapKey:
    """One tensor map of a kernel: the tensor's argument, and the boxes it is read or written in."""

    param: int
    box: tuple[int, ...]
    swizzle: str


def map_key(device: ir.Value, shared: ir.Value) -> MapKey:
    plan = box_plan(device, shared)
    assert plan is not None
    argument = root(device).owner.operation.operands[0]
    return MapKey(ir.BlockArgument(argument).arg_number, plan.box, plan.swizzle)


def kernel_maps(launch: ir.Operation) -> list[MapKey]:
    """The tensor maps that a kernel needs, in the order of their arguments."""
    found: dict[MapKey, None] = {}
    for op in nested(launch):
        if op.name == "tl.tma_load":
            found[map_key(op.operands[0], op.operands[1])] = None
        elif op.name == "tl.tma_store":
            found[map_key(op.operands[1], op.operands[0])] = None
        elif op.name == "tl.staged_store":
            plan = store_plan(op.operands[0], op.operands[2], threads_of(op))
            found.update((staged_key(op.operands[2], plan, piece), None) for piece in plan.pieces)
    return list(found)


def staged_key(target: ir.Value, plan: StorePlan, piece: Piece) -> MapKey:
    """The tensor map through which a piece of a staged store goes."""
    argument = ir.BlockArgument(root(target).owner.operation.operands[0]).arg_number
    return MapKey(argument, plan.box(target, piece), piece.swizzle)


def map_attribute(keys: list[MapKey]) -> ir.Attribute:
    """`tl.tensor_maps` of the kernel function."""
    i64 = ir.IntegerType.get_signless(64)
    return ir.ArrayAttr.get([
        ir.DictAttr.get({
            "param": ir.IntegerAttr.get(i64, key.param),
            "box": ir.DenseI64ArrayAttr.get(list(key.box)),
            "swizzle": ir.StringAttr.get(key.swizzle),
        })
        for key in keys
    ])  # fmt: skip


@rule("tl.tma_load")
def lower_tma_load(ctx: Context, op: ir.Operation) -> None:
    source, target, barrier, index = op.operands
    pointer = barrier_pointer(ctx, barrier, index)
    for address, coordinates in _boxes(ctx, source, target):
        tma.load(address, ctx.tensor_maps[map_key(source, target)], pointer, coordinates)


@rule("tl.tma_store")
def lower_tma_store(ctx: Context, op: ir.Operation) -> None:
    """One thread issues all boxes as one group."""
    source, target = op.operands
    first = ctx.e.compare("eq", ctx.ix.scalar(ctx.thread), 0)
    branch = ctx.e.op("scf.if", [], [first], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        for address, coordinates in _boxes(ctx, target, source):
            tma.store(ctx.tensor_maps[map_key(target, source)], address, coordinates)
        tma.commit()
        ctx.e.end_region()


@rule("tl.tma_wait")
def lower_tma_wait(ctx: Context, op: ir.Operation) -> None:
    """The threads that issue stores: the first of each warpgroup."""
    first = ctx.e.compare("eq", ctx.ix.scalar(in_warpgroup(ctx)), 0)
    branch = ctx.e.op("scf.if", [], [first], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        tma.wait(ir.IntegerAttr(op.attributes["pending"]).value)
        ctx.e.end_region()


@rule("tl.fence_proxy")
def lower_fence_proxy(ctx: Context, op: ir.Operation) -> None:
    tma.fence_shared()


def _boxes(ctx: Context, device: ir.Value, shared: ir.Value) -> list[tuple[ir.Value, list[int | ir.Value]]]:
    """Shared address and coordinates, innermost first, of every box of a copy."""
    plan = box_plan(device, shared)
    there, here = tile_of(ctx, device), tile_of(ctx, shared)
    assert plan is not None and isinstance(here.buffer, SharedBuffer) and isinstance(there.buffer, GlobalBuffer)
    return [_box(ctx, plan, there, here, panel) for panel in range(plan.panels)]


def _box(ctx: Context, plan: BoxPlan, there: Tile, here: Tile, panel: int) -> tuple[ir.Value, list[int | ir.Value]]:
    column = Index.of(panel * plan.panel_columns)
    place = [*here.offsets[:-1], ctx.ix.add(here.offsets[-1], column)]
    start = [*there.offsets[:-1], ctx.ix.add(there.offsets[-1], column)]
    address = shared_pointer(ctx, here.buffer, place)  # type: ignore[arg-type]
    return address, [ctx.ix.scalar(i) for i in reversed(start)]
