"""`tl.sync_grid`: the barrier of all CTAs, and the counter that it needs in the module."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import grid
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from ..lowering.context import Context, rule
from ..walk import nested


@rule("tl.sync_grid")
def lower_sync_grid(ctx: Context, op: ir.Operation) -> None:
    if ctx.target.vendor != "cuda":
        raise UnsupportedError(f"no lowering for tl.sync_grid on {ctx.target}", python_location(op.location))
    grid.emit()


def meets_grid(launch: ir.Operation) -> bool:
    """Whether a kernel has a barrier of all CTAs: they must all be resident."""
    return any(op.name == "tl.sync_grid" for op in nested(launch))


def declare_counter(body: ir.Block) -> None:
    """The counter of the module's grid barriers."""
    with ir.InsertionPoint.at_block_begin(body):
        grid.declare()
