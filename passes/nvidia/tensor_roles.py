"""Lowering of `tl.tensor_roles`: a branch on the thread index, twice."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ..lowering.context import Context, rule
from .reach import branch
from .roles import lower_consumers


@rule("tl.tensor_roles")
def lower_tensor_roles(ctx: Context, op: ir.Operation) -> None:
    consumers = ir.IntegerAttr(op.attributes["consumers"]).value
    loads, products, rest = (op.regions[place].blocks[0] for place in (0, 1, 3))
    thread = ctx.ix.scalar(ctx.thread)
    split = ctx.e.if_then_else(ctx.e.compare("ult", thread, consumers), [])
    with ctx.e.scope(split.regions[0].blocks[0]):
        lower_consumers(ctx, rest, consumers)
        ctx.e.end_region()
    with ctx.e.scope(split.regions[1].blocks[0]):
        # One branch inside the other: two in a row would make the second role wait for the first.
        inner = ctx.e.if_then_else(ctx.e.compare("eq", thread, consumers), [])
        with ctx.e.scope(inner.regions[0].blocks[0]):
            ctx.lower_block(loads)
            ctx.e.end_region()
        with ctx.e.scope(inner.regions[1].blocks[0]):
            last = ctx.e.if_then_else(ctx.e.compare("eq", thread, consumers + ctx.target.warp_size), [])
            with ctx.e.scope(last.regions[0].blocks[0]):
                ctx.lower_block(products)
                ctx.e.end_region()
            with ctx.e.scope(last.regions[1].blocks[0]):
                for block in op.regions[2].blocks:
                    with branch(ctx, ctx.e.compare("uge", thread, consumers + 2 * ctx.target.warp_size)):
                        ctx.lower_block(block)
                ctx.e.end_region()
            ctx.e.end_region()
        ctx.e.end_region()
