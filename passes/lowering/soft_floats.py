"""Conversions of floats in integer arithmetic, for formats and roundings that a target has no instruction for.

Into a format with M fraction bits and smallest exponent e: the significand of a float32, 24 bits, loses its last
`s = 23 - M` bits, below the format's normal range one more for every exponent that is missing. Rounding is an addition
to the bits that go: half a unit less one plus the last bit that stays (to nearest even), all ones (away from zero),
nothing (to zero), or random bits (stochastic: PTX ISA, cvt.rs rounds by the carry of the sum of the discarded bits
and the random ones). What stays, plus `max(exponent - e, 0) << M`, is the code: a carry moves on to the next exponent.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from .context import Context

_F32_NAN, _F32_INF, _F32_BIAS, _F32_FRACTION = 0x7FC00000, 0x7F800000, 127, 23
_F16_BIAS, _F16_FRACTION = 15, 10


@dataclass(frozen=True)
class Format:
    """Fraction bits, exponent bias, and codes without the sign: the largest finite, of infinity, of NaN (or None)."""

    bits: int
    fraction: int
    bias: int
    largest: int
    infinity: int | None = None
    nan: int | None = None
    no_negative_zero: bool = False  # its code is that of NaN


FORMATS = {
    "float16": Format(16, 10, 15, 0x7BFF, 0x7C00, 0x7E00),
    "bfloat16": Format(16, 7, 127, 0x7F7F, 0x7F80, 0x7FC0),
    "float8_e5m2": Format(8, 2, 15, 0x7B, 0x7C, 0x7F),
    "float8_e4m3": Format(8, 3, 7, 0x7E, None, 0x7F),
    "float8_e4m3fn": Format(8, 3, 7, 0x7E, None, 0x7F),
    "float8_e3m4": Format(8, 4, 3, 0x6F, 0x70, 0x78),
    "float8_e4m3fnuz": Format(8, 3, 8, 0x7F, None, 0x80, True),
    "float8_e4m3b11fnuz": Format(8, 3, 11, 0x7F, None, 0x80, True),
    "float8_e5m2fnuz": Format(8, 2, 16, 0x7F, None, 0x80, True),
    "float6_e2m3fn": Format(6, 3, 1, 0x1F),
    "float6_e3m2fn": Format(6, 2, 3, 0x1F),
    "float4_e2m1fn": Format(4, 1, 1, 0x7),
    "float4_e2m1_unpacked": Format(4, 1, 1, 0x7),
}


class Words:
    """32-bit integer arithmetic on a scalar or on all lanes of a vector."""

    def __init__(self, ctx: Context, value: ir.Value) -> None:
        self.e = ctx.e
        self.lanes = value.type.shape[0] if isinstance(value.type, ir.VectorType) else 0

    def kind(self, element: ir.Type) -> ir.Type:
        return self.e.vector_type(self.lanes, element) if self.lanes else element

    def number(self, value: int) -> ir.Value:
        return self.e.splat(self.kind(self.e.i32), value - (1 << 32) if value >= 1 << 31 else value)

    def op(self, name: str, a: ir.Value, b: ir.Value | int) -> ir.Value:
        return self.e.pure(f"arith.{name}", a.type, [a, self.number(b) if isinstance(b, int) else b])

    def is_(self, predicate: int, a: ir.Value, b: ir.Value | int) -> ir.Value:
        """Unsigned or equality comparisons by number (0 eq, 1 ne, 6 ult, 7 ule, 8 ugt, 9 uge)."""
        other = self.number(b) if isinstance(b, int) else b
        code = {"predicate": ir.IntegerAttr.get(self.e.i64, predicate)}
        return self.e.pure("arith.cmpi", self.kind(self.e.i1), [a, other], code)

    def select(self, condition: ir.Value, a: ir.Value | int, b: ir.Value | int) -> ir.Value:
        sides = [self.number(x) if isinstance(x, int) else x for x in (a, b)]
        return self.e.pure("arith.select", sides[0].type, [condition, *sides])

    def convert(self, name: str, value: ir.Value, element: ir.Type) -> ir.Value:
        kind = self.kind(element)
        return value if value.type == kind else self.e.pure(f"arith.{name}", kind, [value])

    def floor_at(self, a: ir.Value, b: int) -> ir.Value:
        """max(a - b, 0) of signed integers."""
        return self.op("maxsi", self.op("subi", a, b), 0)


def from_float32(
    ctx: Context, value: ir.Value, result: DType, rounding: str, saturate: bool, bits: ir.Value | None = None
) -> ir.Value:
    """A float32, scalar or vector, as another format's code (float16 and bfloat16: as such values).

    `rounding` is rn, rz, rp, rm or rs; the latter adds the lowest of `bits` (i32) to what is discarded. What is too
    large becomes the largest finite value when `saturate`, and in formats without infinity and NaN; else infinity (NaN
    in formats without), or what the rounding mode says. NaN in formats without one is the largest value.
    """
    form, w = _format(result), Words(ctx, value)
    word = w.convert("bitcast", value, w.e.i32)
    sign = w.op("shrui", word, 31)
    magnitude = w.op("andi", word, 0x7FFFFFFF)
    if form.bias == _F32_BIAS and form.bits == 16 and rounding in ("rz", "rs") and not saturate:
        return _upper_half(w, form, word, magnitude, result, bits)
    exponent = w.op("maxui", w.op("shrui", magnitude, _F32_FRACTION), 1)
    hidden = w.select(w.is_(9, magnitude, 1 << _F32_FRACTION), 1 << _F32_FRACTION, 0)
    significand = w.op("ori", w.op("andi", magnitude, (1 << _F32_FRACTION) - 1), hidden)
    smallest = 1 - form.bias + _F32_BIAS
    missing = w.op("maxsi", w.op("subi", w.number(smallest), exponent), 0)
    discard = w.op("minsi", w.op("addi", missing, _F32_FRACTION - form.fraction), 31)
    rounded = _round(w, significand, discard, sign, rounding, bits)
    code = w.op("addi", rounded, w.op("shli", w.floor_at(exponent, smallest), form.fraction))
    code = _special(w, form, code, magnitude, sign, rounding, saturate)
    signed = w.op("ori", code, w.op("shli", sign, form.bits - 1))
    if form.no_negative_zero:
        signed = w.select(w.is_(0, code, 0), 0, signed)
        signed = w.select(w.is_(8, magnitude, _F32_INF), form.nan or 0, signed)
    element = w.e.i16 if form.bits == 16 else w.e.i8
    narrow = w.convert("trunci", signed, element)
    return w.convert("bitcast", narrow, ir.Type.parse(result.mlir)) if form.bits == 16 else narrow


def _round(
    w: Words, significand: ir.Value, discard: ir.Value, sign: ir.Value, rounding: str, bits: ir.Value | None
) -> ir.Value:
    one = w.number(1)
    below = w.op("subi", w.e.pure("arith.shli", one.type, [one, discard]), 1)  # all bits that go
    if rounding == "rz":
        added = w.number(0)
    elif rounding in ("rp", "rm"):
        added = w.select(w.is_(0, sign, 0 if rounding == "rp" else 1), below, 0)
    elif rounding == "rs":
        assert bits is not None
        added = w.op("andi", _per_lane(w, bits), below)
    else:
        kept = w.e.pure("arith.shrui", significand.type, [significand, discard])
        added = w.op("addi", w.op("shrui", below, 1), w.op("andi", kept, 1))
    return w.e.pure("arith.shrui", significand.type, [w.op("addi", significand, added), discard])


def _upper_half(
    w: Words, form: Format, word: ir.Value, magnitude: ir.Value, result: DType, bits: ir.Value | None
) -> ir.Value:
    """A float32 without its lower half, to which random bits may be added first: a carry into the exponent is the next
    power of two, or infinity. The exponent is the same, so that the half goes below the normal range, too."""
    nan = w.op("ori", w.op("andi", w.op("shrui", word, 16), 0x8000), form.nan or 0)
    if bits is not None:
        word = w.op("addi", word, w.op("andi", _per_lane(w, bits), 0xFFFF))
    code = w.select(w.is_(8, magnitude, _F32_INF), nan, w.op("shrui", word, 16))
    return w.convert("bitcast", w.convert("trunci", code, w.e.i16), ir.Type.parse(result.mlir))


def _per_lane(w: Words, bits: ir.Value) -> ir.Value:
    return w.e.broadcast(bits, w.lanes) if w.lanes and bits.type == w.e.i32 else bits


def _special(
    w: Words, form: Format, code: ir.Value, magnitude: ir.Value, sign: ir.Value, rounding: str, saturate: bool
) -> ir.Value:
    """Overflow, infinity and NaN."""
    over, infinite = w.is_(8, code, form.largest), w.is_(0, magnitude, _F32_INF)
    if saturate or (form.infinity is None and form.nan is None):
        code = w.select(over, form.largest, code)
    else:
        beyond = form.infinity if form.infinity is not None else form.nan or 0
        finite: ir.Value | int = beyond
        if rounding == "rz":
            finite = form.largest
        elif rounding in ("rp", "rm"):  # away from zero on one side only
            finite = w.select(w.is_(0, sign, 0 if rounding == "rp" else 1), beyond, form.largest)
        code = w.select(over, finite, code)
        code = w.select(infinite, beyond, code)
    nan = form.largest if form.nan is None else form.nan
    return w.select(w.is_(8, magnitude, _F32_INF), nan, code)


def to_float32(ctx: Context, value: ir.Value, source: DType) -> ir.Value:
    """The float32 behind a code of a format of at most 8 bits, carried as i8.

    The code's exponent and fraction, at their places in a float32, are its value times a power of two.
    """
    w = Words(ctx, value)
    code = w.convert("extui", value, w.e.i32)
    form = _format(source)
    magnitude = w.op("andi", code, (1 << (form.bits - 1)) - 1)
    scaled = w.convert("bitcast", w.op("shli", magnitude, _F32_FRACTION - form.fraction), w.e.f32)
    factor = w.e.splat(w.kind(w.e.f32), 2.0 ** (_F32_BIAS - form.bias))
    word = w.convert("bitcast", w.e.pure("arith.mulf", scaled.type, [scaled, factor]), w.e.i32)
    if form.infinity is not None:
        word = w.select(w.is_(8, magnitude, form.largest), _F32_NAN, word)
        word = w.select(w.is_(0, magnitude, form.infinity), _F32_INF, word)
    elif form.nan is not None and not form.no_negative_zero:
        word = w.select(w.is_(0, magnitude, form.nan), _F32_NAN, word)
    sign = w.op("andi", w.op("shli", code, 32 - form.bits), 1 << 31)
    word = w.op("ori", word, sign)
    if form.no_negative_zero:
        word = w.select(w.is_(0, code, form.nan or 0), _F32_NAN, word)
    return w.convert("bitcast", word, w.e.f32)


def fits_float16(dtype: DType) -> bool:
    """Whether `to_float16` knows the format: all its values are finite."""
    form = FORMATS.get(dtype)
    return form is not None and form.infinity is None and form.nan is None


def to_float16(ctx: Context, value: ir.Value, source: DType) -> ir.Value:
    """The float16 behind a code of a format of fewer than 8 bits, which all have an exact one; as `to_float32`."""
    w, form = Words(ctx, value), _format(source)
    code = w.convert("extui", value, w.e.i32)
    sign = w.op("shli", w.op("andi", code, 1 << (form.bits - 1)), 16 - form.bits)
    size = w.op("shli", w.op("andi", code, (1 << (form.bits - 1)) - 1), _F16_FRACTION - form.fraction)
    half = ir.F16Type.get()
    scaled = w.convert("bitcast", w.convert("trunci", w.op("ori", sign, size), w.e.i16), half)
    return w.e.pure("arith.mulf", scaled.type, [scaled, w.e.splat(w.kind(half), 2.0 ** (_F16_BIAS - form.bias))])


def _format(dtype: DType) -> Format:
    if dtype not in FORMATS:
        raise UnsupportedError(f"no conversion with rounding or saturation to or from {dtype}",
                               hint=f"formats: {', '.join(FORMATS)}")
    return FORMATS[dtype]
