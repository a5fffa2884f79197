"""Conversions of `float8_e8m0fnu`, the powers of two that scale blocks, in integer arithmetic that every target has.

A byte b stands for 2**(b - 127), 255 for NaN (OCP Microscaling Formats, section 5.4.1). Into it the magnitude is
rounded up and saturates (PTX ISA 8.7, section 9.7.9.21, cvt.rp.satfinite.ue8m0x2).
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from .context import Context

_MAGNITUDE, _INFINITY = 0x7FFFFFFF, 0x7F800000
_LEAST = 0x00400000  # 2**-127, the only subnormal float32 that is a power of two of the format


def exponent_to_f32(ctx: Context, value: ir.Value) -> ir.Value:
    """Bytes (i8, scalar or vector) as float32."""
    words = _like(ctx, value.type, ctx.e.i32)
    wide = ctx.e.pure("arith.extui", words, [value])
    bits = _binary(ctx, "shli", wide, 23)
    bits = _select(ctx, _compare(ctx, "eq", wide, 0), _LEAST, bits)
    bits = _select(ctx, _compare(ctx, "eq", wide, 255), _INFINITY | _LEAST, bits)
    return ctx.e.pure("arith.bitcast", _like(ctx, value.type, ctx.e.f32), [bits])


def f32_to_exponent(ctx: Context, value: ir.Value) -> ir.Value:
    """float32 (scalar or vector) as bytes."""
    words = _like(ctx, value.type, ctx.e.i32)
    bits = _binary(ctx, "andi", ctx.e.pure("arith.bitcast", words, [value]), _MAGNITUDE)
    up = _binary(ctx, "shrui", _binary(ctx, "addi", bits, (1 << 23) - 1), 23)
    up = _binary(ctx, "minui", up, 254)
    up = _select(ctx, _compare(ctx, "ule", bits, _LEAST), 0, up)
    up = _select(ctx, _compare(ctx, "ugt", bits, _INFINITY), 255, up)
    return ctx.e.pure("arith.trunci", _like(ctx, value.type, ctx.e.i8), [up])


def _like(ctx: Context, kind: ir.Type, element: ir.Type) -> ir.Type:
    return ctx.e.vector_type(kind.shape[0], element) if isinstance(kind, ir.VectorType) else element


def _binary(ctx: Context, name: str, a: ir.Value, b: int) -> ir.Value:
    return ctx.e.pure(f"arith.{name}", a.type, [a, ctx.e.splat(a.type, b)])


def _compare(ctx: Context, predicate: str, a: ir.Value, b: int) -> ir.Value:
    code = {"eq": 0, "ule": 7, "ugt": 8}[predicate]
    attributes = {"predicate": ir.IntegerAttr.get(ctx.e.i64, code)}
    return ctx.e.pure("arith.cmpi", _like(ctx, a.type, ctx.e.i1), [a, ctx.e.splat(a.type, b)], attributes)


def _select(ctx: Context, condition: ir.Value, yes: int, no: ir.Value) -> ir.Value:
    return ctx.e.pure("arith.select", no.type, [condition, ctx.e.splat(no.type, yes), no])
