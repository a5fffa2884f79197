"""Conversions of 8-bit floats: pairs through float32."""

from __future__ import annotations

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.amd import convert
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ..lowering.context import Context
from ..lowering.scalar import cast

_OCP = {"float8_e4m3": "fp8", "float8_e4m3fn": "fp8", "float8_e5m2": "bf8"}
_FNUZ = {"float8_e4m3fnuz": "fp8", "float8_e5m2fnuz": "bf8"}


def converts(ctx: Context, source: str, result: str) -> bool:
    """Whether there are instructions for a conversion from or to a narrow float."""
    formats = _FNUZ if ctx.target.supports(Feature.FP8_FNUZ) else _OCP
    narrow = [name for name in (source, result) if DType(name).is_float and DType(name).bits <= 8]
    return ctx.target.supports(Feature.FP8_CONVERT) and all(name in formats for name in narrow)


def narrow_float_cast(ctx: Context, value: ir.Value, source: str, result: str) -> ir.Value:
    """Convert scalars or vectors to or from an 8-bit float carried as i8.

    Raises:
        UnsupportedError: the target has no such conversion; the hint names the formats it has.
    """
    fnuz = ctx.target.supports(Feature.FP8_FNUZ)
    formats = _FNUZ if fnuz else _OCP
    wide = DType("float32")
    if result in formats:
        value = cast(ctx, value, DType(source), wide)
        return _to_bytes(ctx, value, formats[result], fnuz)
    if source in formats:
        return cast(ctx, _from_bytes(ctx, value, formats[source], fnuz), wide, DType(result))
    raise UnsupportedError(
        f"no conversion from {source} to {result} on {ctx.target}", hint=f"its 8-bit floats are {', '.join(formats)}"
    )


def _elements(ctx: Context, value: ir.Value) -> list[ir.Value]:
    if not isinstance(value.type, ir.VectorType):
        return [value]
    return [ctx.e.extract(value, i) for i in range(value.type.shape[0])]


def _to_bytes(ctx: Context, value: ir.Value, kind: str, fnuz: bool) -> ir.Value:
    """Clamped first, as the instruction does not saturate."""
    e = ctx.e
    limit = convert.LARGEST[f"{kind}_fnuz" if fnuz else kind]
    low, high = e.constant(e.f32, -limit), e.constant(e.f32, limit)
    parts = [_clamped(ctx, v, low, high) for v in _elements(ctx, value)]
    out: list[ir.Value] = []
    for i in range(0, len(parts), 2):
        word = convert.to_bytes(parts[i], parts[min(i + 1, len(parts) - 1)], kind, fnuz)
        out.append(e.pure("arith.trunci", e.i8, [word]))
        if i + 1 < len(parts):
            out.append(e.pure("arith.trunci", e.i8, [e.binary("shrui", word, 8)]))
    return e.pack(out)


def _clamped(ctx: Context, value: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    """Within the limits; a NaN stays one."""
    code = {"predicate": ir.IntegerAttr.get(ctx.e.i64, 14)}  # unordered
    nan = ctx.e.pure("arith.cmpf", ctx.e.i1, [value, value], code)
    return ctx.e.pure("arith.select", ctx.e.f32, [nan, value, convert.median(value, low, high)])


def _from_bytes(ctx: Context, value: ir.Value, kind: str, fnuz: bool) -> ir.Value:
    e = ctx.e
    parts = _elements(ctx, value)
    out: list[ir.Value] = []
    for i in range(0, len(parts), 4):
        here = parts[i : i + 4]
        word = e.constant(e.i32, 0)
        for position, part in enumerate(here):
            byte = e.pure("arith.extui", e.i32, [part])
            word = e.binary("ori", word, e.value(e.mul(byte, 1 << 8 * position)))
        for upper in (False, True)[: (len(here) + 1) // 2]:
            pair = convert.from_bytes(word, kind, fnuz, upper)
            out += [e.extract(pair, j) for j in range(2)]
    return e.pack(out[: len(parts)])
