"""Barriers, shuffles, votes, thread identity."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import targets_of_warps

from ...dialect.location import python_location
from .context import Context, rule
from .index import Index


@rule("tl.thread_id")
def lower_thread_id(ctx: Context, op: ir.Operation) -> None:
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    if ctx.threads[dim] == 1:
        ctx.values[op.results[0]] = Index.of(0)
    elif ctx.threads == (ctx.threads[0], 1, 1):
        ctx.values[op.results[0]] = ctx.thread
    else:
        value = ctx.hardware.thread_id(ctx, dim)
        ctx.values[op.results[0]] = ctx.ix.uniform(value, lo=0, hi=ctx.threads[dim] - 1)


@rule("tl.sync_threads")
def lower_sync_threads(ctx: Context, op: ir.Operation) -> None:
    number = ir.IntegerAttr(op.attributes["id"]).value if "id" in op.attributes else 0
    count = ir.IntegerAttr(op.attributes["count"]).value if "count" in op.attributes else None
    ctx.hardware.barrier(ctx, ctx.ssa(op.operands[0]) if len(op.operands) else number, count)


@rule("tl.sync_grid")
def lower_sync_grid(ctx: Context, op: ir.Operation) -> None:
    ctx.hardware.grid_barrier()


@rule("tl.sync_warp")
def lower_sync_warp(ctx: Context, op: ir.Operation) -> None:
    ctx.hardware.warp_barrier(ctx, ctx.ssa(op.operands[0]) if len(op.operands) else None)


@rule("tl.shuffle")
def lower_shuffle(ctx: Context, op: ir.Operation) -> None:
    lane = ctx.index(op.operands[1])
    kind, width = ir.StringAttr(op.attributes["kind"]).value, ir.IntegerAttr(op.attributes["width"]).value
    if width > ctx.target.warp_size:
        raise UnsupportedError(
            f"a shuffle of {width} lanes: a warp of {ctx.target} has {ctx.target.warp_size}",
            python_location(op.location), hint=f"targets that have them: {', '.join(targets_of_warps(width))}",
        )  # fmt: skip
    value = ctx.ssa(op.operands[0])
    members = ctx.ssa(op.operands[2]) if len(op.operands) > 2 else None
    ctx.values[op.results[0]] = shuffle(ctx, kind, value, ctx.ix.scalar(lane), width, members)


def shuffle(
    ctx: Context, kind: str, value: ir.Value, lane: int | ir.Value, width: int, members: ir.Value | None = None
) -> ir.Value:
    """A warp shuffle of a value of any type: 32 bits at a time."""
    e = ctx.e
    if isinstance(value.type, ir.VectorType):
        parts = [e.extract(value, i) for i in range(value.type.shape[0])]
        return e.pack([shuffle(ctx, kind, p, lane, width, members) for p in parts])
    bits = value.type.width
    if bits == 32:
        return ctx.hardware.shuffle(ctx, kind, value, lane, width, members)
    if bits == 64:
        words = e.pure("vector.bitcast", e.vector_type(2, e.i32), [e.broadcast(value, 1)])
        moved = e.pack([ctx.hardware.shuffle(ctx, kind, e.extract(words, i), lane, width, members) for i in (0, 1)])
        return e.extract(e.pure("vector.bitcast", e.vector_type(1, value.type), [moved]), 0)
    narrow = ir.IntegerType.get_signless(bits)
    raw = value if value.type == narrow else e.pure("arith.bitcast", narrow, [value])
    wide = e.pure("arith.extui", e.i32, [raw])
    moved = e.pure("arith.trunci", narrow, [ctx.hardware.shuffle(ctx, kind, wide, lane, width, members)])
    return moved if value.type == narrow else e.pure("arith.bitcast", value.type, [moved])


@rule("tl.vote")
def lower_vote(ctx: Context, op: ir.Operation) -> None:
    args = [ctx.ssa(v) for v in op.operands]
    kind = ir.StringAttr(op.attributes["kind"]).value
    ctx.values[op.results[0]] = ctx.hardware.vote(ctx, kind, args, op.results[0].type)


@rule("tl.warp_reduce")
def lower_warp_reduce(ctx: Context, op: ir.Operation) -> None:
    from .reduce import combine, exchange

    kind = ir.StringAttr(op.attributes["kind"]).value
    if ctx.num_threads % ctx.target.warp_size and op.parent.operation.name != "scf.if":
        raise UnsupportedError(
            f"a reduction of whole warps by {ctx.num_threads} threads: lanes that do not exist would take part",
            python_location(op.location),
            hint=f"use a multiple of {ctx.target.warp_size} threads, or T.reduce_sum of a fragment",
        )
    value = ctx.ssa(op.operands[0])
    ctx.values[op.results[0]] = exchange(
        ctx, kind, value, [1 << i for i in range(ctx.target.warp_size.bit_length() - 1)], combine
    )


@rule("tl.commit_group")
def lower_commit_group(ctx: Context, op: ir.Operation) -> None:
    ctx.hardware.commit_group(ctx)


@rule("tl.wait_group")
def lower_wait_group(ctx: Context, op: ir.Operation) -> None:
    ctx.hardware.wait_group(ctx, ir.IntegerAttr(op.attributes["pending"]).value)
