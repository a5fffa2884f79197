"""`tl.copy_words`: one cp.async of a thread."""

from __future__ import annotations

from tilelang_mlir.isa.nvidia import cp_async
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ..lowering.buffers import GlobalBuffer, SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.memory import global_pointer, shared_pointer
from .intrinsics import require_feature


@rule("tl.copy_words")
def lower_copy_words(ctx: Context, op: ir.Operation) -> None:
    require_feature(ctx, op, Feature.CP_ASYNC, "an asynchronous copy")
    source, target = (ctx.buffers[v] for v in list(op.operands)[:2])
    assert isinstance(source, GlobalBuffer) and isinstance(target, SharedBuffer)
    places = [ctx.index(v) for v in list(op.operands)[3:]]
    start = global_pointer(ctx, source, places[: len(source.shape)])
    end = shared_pointer(ctx, target, places[len(source.shape) :])
    size = ir.IntegerAttr(op.attributes["bytes"]).value
    whole, nothing = (ctx.e.constant(ctx.e.i32, n) for n in (size, 0))
    valid = ctx.e.pure("arith.select", ctx.e.i32, [ctx.ssa(op.operands[2]), whole, nothing])
    with ctx.where_effective():
        cp_async.emit(end, start, size, valid)
