"""Elementary functions in terms of what every target has: exp2, rsqrt, fma.

The expansions here compute in float32; 16-bit floats go through it (float64: `expand_double`). Errors are a few units
in the last place of float32 over the whole range unless a comment says otherwise; the `fast_` forms trade that for one
hardware approximation. Coefficients: Abramowitz and Stegun (erf 7.1.26), minimax fits for atan, asin, sin, cos
and log in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from .context import Context
from .expand_double import DOUBLE
from .real import Real
from .whole_range import (
    angle_of,
    area_cosine,
    area_sine,
    area_tangent,
    edges_of_logarithm,
    exponent_and_rest,
    halves_of_exponentials,
    length,
    log_of_one_more,
    next_after,
    powered,
    remainder,
    times_power_of_two,
)

LOG2E = math.log2(math.e)
LOG2E_HIGH, LOG2E_LOW = 1.4426950216293335, 1.9259629911783772e-08  # float32 head and tail of log2(e)
LN2 = math.log(2.0)
_HALF_PI = (1.5703125, 4.837512969970703125e-4, 7.549789948768648e-8)  # Cody-Waite parts of pi / 2
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
LOG2_10_HIGH, LOG2_10_LOW = 3.3219280242919922, 7.059536999420857e-08  # the same of log2(10)
_ASIN = (0.0421662852, 0.0241795257, 0.0454703756, 0.0749529749, 0.166667521)  # of (asin(t) - t) / t**3
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2, -0.5, 1.0)

# Operations every target's thread program has as they are.
_DIRECT = frozenset(
    "math.absf math.absi math.ceil math.floor math.fma math.sqrt math.roundeven math.trunc math.copysign math.ctpop "
    "math.ctlz math.cttz math.isfinite math.isnan".split()
)
Function = Callable[..., Real]


def expand_math(ctx: Context, name: str, operands: Sequence[ir.Value], result: ir.Type) -> ir.Value:
    """Emit a `math` operation or a named `tl.math` function on scalars or vectors."""
    e = ctx.e
    first = operands[0].type
    element = first.element_type if isinstance(first, ir.VectorType) else first
    vector = (lambda t: e.vector_type(first.shape[0], t)) if isinstance(first, ir.VectorType) else (lambda t: t)
    if name in _DIRECT:
        return e.pure(name, vector(result), operands)
    if name == "math.isinf":
        return Real(e, operands[0]).abs().compare("oeq", math.inf)
    short = name.removeprefix("math.")
    if short == "nextafter":  # of the type itself, whatever its width
        return next_after(*(Real(e, v) for v in operands)).value
    plain = short.removeprefix("fast_") if short != "fast_rcp" else short  # the fast forms are of float32
    if str(element) == "f64" and plain in DOUBLE:
        return DOUBLE[plain](*(Real(e, v) for v in operands)).value
    function = (_FUNCTIONS.get(f"fast_{short}") if ctx.fast_math else None) or _FUNCTIONS.get(short)
    if function is None:
        return ctx.hardware.math(ctx, short, operands)
    if str(element) == "f64":
        known = ", ".join(sorted(DOUBLE))
        hint = f"of float64 there are sqrt, {known}; cast to float32 around others"
        raise UnsupportedError(f"{name} of float64 has no expansion", hint=hint)
    if element == e.f32:
        return function(*(Real(e, v) for v in operands)).value
    wide = [Real(e, e.pure("arith.extf", vector(e.f32), [v])) for v in operands]
    return e.pure("arith.truncf", vector(element), [function(*wide).value])


def _exp2(x: Real) -> Real:
    return x.call("exp2", fast=True)


def _fast_log2(x: Real) -> Real:
    return x.call("log2", fast=True)


def _log(x: Real) -> Real:
    """The exponent's share in two parts, and a fit of what is left. The hardware's logarithm has an absolute error,
    large where the result is small."""
    exponent, rest, square, tail = _log_parts(x)
    tail = square.fma(-0.5, exponent.fma(_LN2_LOW, tail))
    return edges_of_logarithm(x, exponent.fma(_LN2_HIGH, rest + tail))


def _log2(x: Real) -> Real:
    exponent, rest, square, tail = _log_parts(x)
    return edges_of_logarithm(x, (rest + square.fma(-0.5, tail)).fma(LOG2E, exponent))


def _log_parts(x: Real) -> tuple[Real, Real, Real, Real]:
    """e, f, f**2 and the log of 1 + f less f - f**2 / 2, of x = (1 + f) 2**e, from the root of 1/2 to that of 2."""
    tiny = x.compare("olt", 1.1754943508222875e-38)
    exponent, rest = exponent_and_rest((x * 2.0**23).where(tiny, x), 23)
    square = rest * rest
    return (exponent - 23.0).where(tiny, exponent), rest, square, rest * square * rest.polynomial(_LOG)


def _exp(x: Real) -> Real:
    return _base_of(x, LOG2E_HIGH, LOG2E_LOW)


def _exp10(x: Real) -> Real:
    return _base_of(x, LOG2_10_HIGH, LOG2_10_LOW)


def _base_of(x: Real, high: float, low: float) -> Real:
    """2^(x (high + low)) with the product's rounding error put back; the error of infinities is dropped."""
    y = x * high
    return _exp2_of_sum(y, x.fma(high, -y).fma(1.0, x * low))


def _exp2_of_sum(y: Real, error: Real) -> Real:
    error = error.where(error.compare("ord", error), 0.0)
    return _exp2(y) * error.fma(LN2, 1.0)


def _expm1(x: Real) -> Real:
    small = x * x.polynomial((1 / 24, 1 / 6, 0.5, 1.0))
    return small.where(x.abs().compare("olt", 0.03), _exp(x) - 1.0)


def _log1p(x: Real) -> Real:
    return log_of_one_more(x, _log)


def _less_right_angles(x: Real) -> tuple[Real, Real]:
    """What is left of an angle, and the number of right angles taken, modulo 4."""
    turns = (x * (2 / math.pi)).call("roundeven")
    rest = x
    for part in _HALF_PI:
        rest = turns.fma(-part, rest)
    return rest, (turns * 0.25).call("floor").fma(-4.0, turns)


def _turned(x: Real, quarters: int) -> Real:
    """sin of x plus so many right angles (0 or 1), of angles up to 1e9 (within 5e-6 there). No approximation of the
    hardware: their errors are absolute, large where the result is small."""
    rest, counted = _less_right_angles(x)
    rest, more = _less_right_angles(rest)  # the first count is off by a few where it has more than 24 bits
    square = rest * rest
    sine = (square * square.polynomial(_SIN)).fma(rest, rest)
    half = (counted + more + float(quarters)) * 0.5
    whole = half.call("floor")
    odd, upper = half.compare("one", whole), (whole * 0.5).compare("one", (whole * 0.5).call("floor"))
    value = square.polynomial(_COS).where(odd, sine)
    return (-value).where(upper, value)


def _sin(x: Real) -> Real:
    return _turned(x, 0)


def _cos(x: Real) -> Real:
    return _turned(x, 1)


def _tanh(x: Real) -> Real:
    square = x * x
    small = x * square.polynomial((-1382 / 155925, 62 / 2835, -17 / 315, 2 / 15, -1 / 3, 1.0))
    large = 1.0 - 2.0 / (_exp(x * 2.0) + 1.0)
    return small.where(x.abs().compare("olt", 0.35), large)


def _sinh(x: Real) -> Real:
    square = x * x
    small = x * square.polynomial((1 / 5040, 1 / 120, 1 / 6, 1.0))
    up, down = halves_of_exponentials(x, _exp)
    return small.where(x.abs().compare("olt", 0.5), (up - down).call("copysign", x))


def _cosh(x: Real) -> Real:
    up, down = halves_of_exponentials(x, _exp)
    return up + down


def _power(x: Real, y: Real) -> Real:
    """The logarithm in two numbers, since y times its error is the relative error of the result."""
    high, low = _log2_in_two(x.abs())
    product = y * high
    return powered(x, y, _exp2_of_sum(product, y.fma(high, -product) + y * low))


def _log2_in_two(x: Real) -> tuple[Real, Real]:
    """log2 of x and the error of that, from exponent, f, f**2 and the rest of the logarithm of 1 + f times log2(e)."""
    exponent, rest, square, tail = _log_parts(x)
    first, second = rest * LOG2E_HIGH, square * (-0.5 * LOG2E_HIGH)
    errors = rest.fma(LOG2E_HIGH, -first) + rest * LOG2E_LOW  # of the products
    errors = errors + square.fma(-0.5 * LOG2E_HIGH, -second) + square * (-0.5 * LOG2E_LOW)
    errors = errors + rest.fma(rest, -square) * (-0.5 * LOG2E_HIGH)
    total, missed = _sum_in_two(exponent, first)
    total, more = _sum_in_two(total, second)
    small = tail * LOG2E + (missed + more + errors)
    high, low = _sum_in_two(total, small)
    edges = edges_of_logarithm(x, high)
    return edges, low.where(edges.abs().compare("olt", math.inf), 0.0)


def _sum_in_two(a: Real, b: Real) -> tuple[Real, Real]:
    """a + b and what rounding has left out of it, whichever is larger."""
    total = a + b
    kept = total - a
    return total, (a - (total - kept)) + (b - kept)


def _atan(x: Real) -> Real:
    a = x.abs()
    big = a.compare("ogt", 1.0)
    t = (1.0 / a).where(big, a)
    s = t * t
    series = s.polynomial(
        (
            0.0028662257, -0.0161657367, 0.0429096138, -0.0752896400, 0.1065626393, -0.1420889944, 0.1999355085,
            -0.3333314528, 1.0,
        )  # fmt: skip
    )
    value = t * series
    return (math.pi / 2 - value).where(big, value).call("copysign", x)


def _arc(x: Real) -> tuple[Real, Real, ir.Value]:
    """asin of t <= 1 / 2, which is |x| or, above a half, the root of (1 - |x|) / 2; t doubled then, and whether so."""
    a = x.abs()
    big = a.compare("ogt", 0.5)
    t = ((1.0 - a) * 0.5).call("sqrt").where(big, a)
    s = t * t
    arc = (t * s).fma(s.polynomial(_ASIN), t)
    return arc, arc * 2.0, big


def _asin(x: Real) -> Real:
    arc, twice, big = _arc(x)
    return (math.pi / 2 - twice).where(big, arc).call("copysign", x)


def _acos(x: Real) -> Real:
    arc, twice, big = _arc(x)
    far = (math.pi - twice).where(x.compare("olt", 0.0), twice)
    return far.where(big, math.pi / 2 - arc.call("copysign", x))


def _erf(x: Real) -> Real:
    """Absolute error below 2e-7; a series near zero keeps the relative error small there."""
    a = x.abs()
    t = 1.0 / a.fma(0.3275911, 1.0)
    tail = t * t.polynomial((1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592))
    large = 1.0 - tail * _exp(-(a * a))
    s = x * x
    small = a * s.polynomial((-0.0008548327, 0.0052239776, -0.0268661706, 0.1128379167, -0.3761263890, 1.1283791671))
    return small.where(a.compare("olt", 0.5), large).call("copysign", x)


def _round(x: Real) -> Real:
    """To the nearest integer, ties away from zero."""
    return (x.abs() + 0.49999997).call("floor").call("copysign", x)


def _sigmoid(x: Real) -> Real:
    return 1.0 / (_exp(-x) + 1.0)


_FUNCTIONS: dict[str, Function] = {
    "exp2": _exp2,
    "log2": _log2,
    "exp": _exp,
    "exp10": _exp10,
    "expm1": _expm1,
    "log": _log,
    "log10": lambda x: _log(x) * math.log10(math.e),
    "log1p": _log1p,
    "sin": _sin,
    "cos": _cos,
    "tan": lambda x: _sin(x) / _cos(x),
    "tanh": _tanh,
    "sinh": _sinh,
    "cosh": _cosh,
    "asinh": lambda x: area_sine(x, _log, _log1p, 1e18),
    "acosh": lambda x: area_cosine(x, _log, _log1p, 1e18),
    "atanh": lambda x: area_tangent(x, _log1p),
    "asin": _asin,
    "acos": _acos,
    "atan": _atan,
    "atan2": lambda y, x: angle_of(_atan, y, x),
    "powf": _power,
    "erf": _erf,
    "rsqrt": lambda x: x.call("rsqrt", fast=True),
    "round": _round,
    "nearbyint": lambda x: x.call("roundeven"),
    "sigmoid": _sigmoid,
    "hypot": length,
    "fmod": remainder,
    "ldexp": lambda x, e: times_power_of_two(x, e, 127, 23),
    "fast_exp": lambda x: _exp2(x * LOG2E),
    "fast_exp10": lambda x: _exp2(x * math.log2(10.0)),
    "fast_log": lambda x: _fast_log2(x) * LN2,
    "fast_log2": _fast_log2,
    "fast_log10": lambda x: _fast_log2(x) * math.log10(2.0),
    "fast_sin": lambda x: x.call("sin", fast=True),
    "fast_cos": lambda x: x.call("cos", fast=True),
    "fast_tan": lambda x: x.call("sin", fast=True) / x.call("cos", fast=True),
    "fast_tanh": lambda x: x.call("tanh", fast=True),
    "fast_sigmoid": lambda x: 1.0 / (_exp2(x * -LOG2E) + 1.0),
    "fast_powf": lambda x, y: powered(x, y, _exp2(y * _fast_log2(x.abs()))),
    "fast_rcp": lambda x: 1.0 / x,
}
