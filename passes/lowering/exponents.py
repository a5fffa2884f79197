"""Conversions of `float8_e8m0fnu`, the powers of two that scale blocks, in integer arithmetic that every target has.

A byte b stands for 2**(b - 127), 255 for NaN (OCP Microscaling Formats, section 5.4.1). Into it the magnitude is
rounded up and saturates (PTX ISA 8.7, section 9.7.9.21, cvt.rp.satfinite.ue8m0x2).
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from .context import Context
from .soft_floats import Words

_MAGNITUDE, _INFINITY = 0x7FFFFFFF, 0x7F800000
_LEAST = 0x00400000  # 2**-127, the only subnormal float32 that is a power of two of the format


def exponent_to_f32(ctx: Context, value: ir.Value) -> ir.Value:
    """Bytes (i8, scalar or vector) as float32."""
    w = Words(ctx, value)
    wide = w.convert("extui", value, w.e.i32)
    bits = w.select(w.is_(0, wide, 0), _LEAST, w.op("shli", wide, 23))
    bits = w.select(w.is_(0, wide, 255), _INFINITY | _LEAST, bits)
    return w.convert("bitcast", bits, w.e.f32)


def f32_to_exponent(ctx: Context, value: ir.Value) -> ir.Value:
    """float32 (scalar or vector) as bytes."""
    w = Words(ctx, value)
    bits = w.op("andi", w.convert("bitcast", value, w.e.i32), _MAGNITUDE)
    up = w.op("minui", w.op("shrui", w.op("addi", bits, (1 << 23) - 1), 23), 254)
    up = w.select(w.is_(7, bits, _LEAST), 0, up)
    up = w.select(w.is_(8, bits, _INFINITY), 255, up)
    return w.convert("trunci", up, w.e.i8)
