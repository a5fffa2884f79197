"""Tile operations that the hardware performs: matrix products and asynchronous copies."""

from __future__ import annotations

from tilelang_mlir.errors import PassError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from ...dialect.tl import TMEM, scope_of
from .context import Context, rule


@rule("tl.gemm")
def lower_gemm(ctx: Context, op: ir.Operation) -> None:
    ctx.hardware.gemm(ctx, op)


@rule("tl.copy")
def lower_copy(ctx: Context, op: ir.Operation) -> None:
    if TMEM in (scope_of(v) for v in list(op.operands)[:2]):
        ctx.hardware.tensor_copy(ctx, op)
        return
    if "async" not in op.attributes:
        raise PassError("a synchronous copy reached lowering", python_location(op.location))
    ctx.hardware.async_copy(ctx, op)


@rule("tl.mma_scaled")
def lower_mma_scaled(ctx: Context, op: ir.Operation) -> None:
    ctx.hardware.scaled_gemm(ctx, op)
