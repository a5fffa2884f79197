"""Operands of warpgroup products that stay in registers from one iteration to the next.

ptxas (12.8, 12.9 and 13.0, from `-O1` on) may take the registers of such an operand for another one once the last
product of an iteration has read them, and the next iteration then multiplies what it finds there. What it does keep is
a value that each iteration makes anew: here the operand with a zero added by xor, which ptxas cannot see through, since
it comes from a vote inside the loop.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.isa.nvidia import thread, warp
from tilelang_mlir.mlir import ir

from ...dialect.effects import Effect, region_effects, root
from ..elementwise import stores_all
from ..lowering.context import Context

_NO_WARP = 0x7FFFFFFF


def is_kept(op: ir.Operation, tile: ir.Value) -> bool:
    """Whether the loop around a product does not write its operand anew, whole and in all iterations, so that the next
    one needs what is there."""
    loop = op.parent.operation
    while loop.name not in ("scf.for", "scf.while", "tl.launch"):
        loop = loop.parent.operation
    if loop.name == "tl.launch":
        return False
    body = [inner.operation for inner in loop.regions[-1].blocks[0].operations]
    always = [inner for inner in body if not inner.name.startswith("scf.")]
    written = [e for inner in always for e in region_effects(inner) if e.kind == "write" and e.value == root(tile)]
    return not any(_is_whole(effect) for effect in written)


def _is_whole(write: Effect) -> bool:
    """Whether a write leaves no element of its buffer as it was."""
    if write.op.name != "memref.store":
        return write.tile == write.value
    around = write.op.parent.operation
    return around.name == "tl.parallel" and stores_all(around, write.op)


def made_anew(ctx: Context, words: Sequence[ir.Value]) -> list[ir.Value]:
    """The words of an operand as values that this iteration makes."""
    warp_id = thread.emit("warpid")
    zero = ctx.e.pure("arith.extui", ctx.e.i32, [warp.vote("any", ctx.e.compare("eq", warp_id, _NO_WARP))])
    return [ctx.e.pure("arith.xori", ctx.e.i32, [word, zero]) for word in words]
