"""Lowering of cluster launch control."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import launch_control, tma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, targets_with

from ...dialect.location import python_location
from ..lowering.buffers import SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.memory import shared_pointer
from ..lowering.views import tile_of
from .reach import one_thread
from .roles import barrier_pointer


@rule("tl.clc_try_cancel")
def lower_try_cancel(ctx: Context, op: ir.Operation) -> None:
    _require(ctx, op)
    answer, barrier, index = op.operands
    pointer, place = barrier_pointer(ctx, barrier, index), _pointer(ctx, answer)
    with one_thread(ctx, op):
        launch_control.try_cancel(place, pointer, multicast="multicast" in op.attributes)


@rule("tl.clc_query")
def lower_query(ctx: Context, op: ir.Operation) -> None:
    _require(ctx, op)
    value = launch_control.query(_pointer(ctx, op.operands[0]), ir.StringAttr(op.attributes["field"]).value)
    tma.fence_shared()  # the next answer comes by the asynchronous proxy
    ctx.values[op.results[0]] = ctx.ix.uniform(value)


def _pointer(ctx: Context, answer: ir.Value) -> ir.Value:
    tile = tile_of(ctx, answer)
    assert isinstance(tile.buffer, SharedBuffer)
    return shared_pointer(ctx, tile.buffer, tile.offsets)


def _require(ctx: Context, op: ir.Operation) -> None:
    if not ctx.target.supports(Feature.TCGEN05):
        raise UnsupportedError(
            f"cluster launch control is not on {ctx.target}",
            python_location(op.location),
            hint=f"targets that have it: {', '.join(targets_with(Feature.TCGEN05))}",
        )
