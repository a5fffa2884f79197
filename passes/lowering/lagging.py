"""`tl.outgrows`: a vote of each warp on whether a tile has left its rows' references behind."""

from __future__ import annotations

from tilelang_mlir.errors import PassError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from .buffers import FragmentBuffer
from .context import Context, rule
from .reduce import reduce_registers


@rule("tl.outgrows")
def lower_outgrows(ctx: Context, op: ir.Operation) -> None:
    """Each thread compares the maxima of its own elements; no lane needs those of another."""
    tile, reference = (ctx.buffers[v] for v in op.operands)
    if not isinstance(tile, FragmentBuffer) or not isinstance(reference, FragmentBuffer):
        raise PassError("a comparison of memory reached lowering", python_location(op.location))
    margin = ctx.e.constant(ctx.e.f32, float(ir.FloatAttr(op.attributes["margin"]).value))
    largest = reduce_registers(ctx, op, tile, reference, 1, "max", False)
    file = ctx.registers[reference]
    any_row: ir.Value | None = None
    for register, value in enumerate(largest):
        known = ctx.e.extract(file[register // reference.chunk], register % reference.chunk)
        excess = ctx.e.pure("arith.subf", ctx.e.f32, [value, known])
        code = ir.IntegerAttr.get(ctx.e.i64, 2)  # ordered and greater
        grown = ctx.e.pure("arith.cmpf", ctx.e.i1, [excess, margin], {"predicate": code})
        any_row = grown if any_row is None else ctx.e.pure("arith.ori", ctx.e.i1, [any_row, grown])
    assert any_row is not None
    ctx.values[op.results[0]] = ctx.hardware.vote(ctx, "any", [any_row], ctx.e.i1)
