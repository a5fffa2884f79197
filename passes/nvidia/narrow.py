"""Conversions of 8-bit floats: pairs through float32 (in) and float16 (out)."""

from __future__ import annotations

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import convert
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ..lowering.context import Context
from ..lowering.scalar import cast

_FORMATS = {"float8_e4m3": "e4m3", "float8_e4m3fn": "e4m3", "float8_e5m2": "e5m2"}


def converts(ctx: Context, source: str, result: str) -> bool:
    """Whether there are instructions for a conversion from or to a narrow float."""
    narrow = [name for name in (source, result) if DType(name).is_float and DType(name).bits <= 8]
    return ctx.target.supports(Feature.FP8_CONVERT) and all(name in _FORMATS for name in narrow)


def narrow_float_cast(ctx: Context, value: ir.Value, source: str, result: str) -> ir.Value:
    """Convert scalars or vectors to or from an 8-bit float carried as i8."""
    if result in _FORMATS:
        wide = cast(ctx, value, DType(source), DType("float32")) if source != "float32" else value
        return _to_fp8(ctx, wide, _FORMATS[result])
    if source in _FORMATS:
        half = _from_fp8(ctx, value, _FORMATS[source])
        return half if result == "float16" else cast(ctx, half, DType("float16"), DType(result))
    raise UnsupportedError(f"no conversion from {source} to {result}")


def rounds_by_chance(ctx: Context, result: str) -> bool:
    """Whether there is an instruction for stochastic rounding of float32 that takes the random bits of the definition.

    Of the forms of cvt.rs that of bfloat16 does: an element has 16 bits, as many as it discards. float16 has 13 below
    the normal range, too, and four 8-bit floats share 32.
    """
    return result == "bfloat16" and ctx.target.supports(Feature.CVT_RS)


def stochastic_cast(ctx: Context, value: ir.Value, bits: ir.Value) -> ir.Value:
    """float32 to bfloat16 by the lowest 16 random bits of each element, two at a time."""
    parts = _elements(ctx, value)
    random = _elements(ctx, bits) if isinstance(bits.type, ir.VectorType) else [bits] * len(parts)
    out: list[ir.Value] = []
    for i in range(0, len(parts), 2):
        j = min(i + 1, len(parts) - 1)
        low, high = ctx.e.binary("andi", random[i], 0xFFFF), ctx.e.binary("shli", random[j], 16)
        pair = convert.f32x2_to_bf16x2_rs(parts[i], parts[j], ctx.e.binary("ori", low, high))
        out += [ctx.e.extract(pair, k) for k in range(j - i + 1)]
    return ctx.e.pack(out)


def _elements(ctx: Context, value: ir.Value) -> list[ir.Value]:
    if not isinstance(value.type, ir.VectorType):
        return [value]
    return [ctx.e.extract(value, i) for i in range(value.type.shape[0])]


def _to_fp8(ctx: Context, value: ir.Value, kind: str) -> ir.Value:
    parts = _elements(ctx, value)
    out: list[ir.Value] = []
    for i in range(0, len(parts), 2):
        pair = convert.f32x2_to_fp8x2(parts[i], parts[min(i + 1, len(parts) - 1)], kind)
        out.append(ctx.e.pure("arith.trunci", ctx.e.i8, [pair]))
        if i + 1 < len(parts):
            out.append(ctx.e.pure("arith.trunci", ctx.e.i8, [ctx.e.binary("shrui", pair, 8)]))
    return ctx.e.pack(out)


def _from_fp8(ctx: Context, value: ir.Value, kind: str) -> ir.Value:
    parts = _elements(ctx, value)
    out: list[ir.Value] = []
    for i in range(0, len(parts), 2):
        low, high = (ctx.e.pure("arith.extui", ctx.e.i16, [parts[min(j, len(parts) - 1)]]) for j in (i, i + 1))
        pair = ctx.e.binary("ori", low, ctx.e.binary("shli", high, 8))
        halves = convert.fp8x2_to_f16x2(pair, kind)
        out += [ctx.e.extract(halves, j) for j in range(min(2, len(parts) - i))]
    return ctx.e.pack(out)
