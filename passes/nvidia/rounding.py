"""Arithmetic with a rounding mode.

PTX ISA, "Floating Point Instructions": add, sub, mul, fma, rcp, sqrt, div with .rn .rz .rm .rp.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ..lowering.context import Context

_NEAREST = {
    "add_rn": "arith.addf", "sub_rn": "arith.subf", "mul_rn": "arith.mulf", "div_rn": "arith.divf",
    "fma_rn": "math.fma", "sqrt_rn": "math.sqrt",
}  # fmt: skip


def rounded_math(ctx: Context, function: str, args: Sequence[ir.Value]) -> ir.Value:
    """Round-to-nearest forms are the plain operations."""
    if function in _NEAREST:
        return ctx.e.pure(_NEAREST[function], args[0].type, args)
    if function == "rcp_rn":
        return ctx.e.pure("arith.divf", args[0].type, [ctx.e.splat(args[0].type, 1.0), args[0]])
    raise UnsupportedError(f"the function {function!r} has no lowering yet")
