"""Elementary functions of float64, in arithmetic that every target has.

Series on reduced arguments, a few units in the last place; relative errors stay below 1e-14, those of sin and cos for
arguments up to 1e6. Exponents are taken apart and put together as bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tilelang_mlir.mlir import ir

from .real import Real
from .whole_range import (
    angle_of,
    area_cosine,
    area_sine,
    area_tangent,
    edges_of_logarithm,
    halves_of_exponentials,
    length,
    log_of_one_more,
    powered,
    remainder,
    times_power_of_two,
)

_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # the head has 32 bits
_LG2_HIGH, _LG2_LOW = 0.3010299955494702, 1.1451100898021838e-10  # the same of log10(2)
_HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)  # heads of 33 bits, and the rest
_EXP = tuple(1 / math.factorial(k) for k in range(13, -1, -1))
_LOG = tuple(2 / (2 * k + 1) for k in range(11, -1, -1))
_SIN = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(9, -1, -1))
_COS = tuple((-1) ** k / math.factorial(2 * k) for k in range(10, -1, -1))
_SINH = tuple(1 / math.factorial(2 * k + 1) for k in range(7, -1, -1))
_ATAN = tuple((-1) ** k / (2 * k + 1) for k in range(11, -1, -1))
_ERF = tuple(2 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(13, -1, -1))
_ERFC = (
    -5.0883059325597505e-12, 3.1537987652520654e-11, -2.0690882993619336e-11, -3.797441422111769e-10,
    1.4197061797508577e-09, 6.001851377424777e-10, -2.0678778485072206e-08, 5.001271886898585e-08,
    1.7111933074586483e-07, -1.1889970275861113e-06, -3.2185520928743267e-07, 2.1870832841774524e-05,
    -2.037585198916849e-05, -0.0004734980625986157, 0.00024014747972729932, 0.01554992428739747, 0.08507093444093487,
    0.26102950962299604, 0.2753701798364631,
)  # fmt: skip
_BIAS, _FRACTION = 1023, 52


def _integers(x: Real) -> ir.Type:
    """i64, as wide as x."""
    kind = x.value.type
    return x.e.vector_type(kind.shape[0], x.e.i64) if isinstance(kind, ir.VectorType) else x.e.i64


def _bits(x: Real) -> ir.Value:
    return x.e.pure("arith.bitcast", _integers(x), [x.value])


def _number(like: Real, bits: ir.Value) -> Real:
    return Real(like.e, like.e.pure("arith.bitcast", like.value.type, [bits]))


def _binary(like: Real, name: str, a: ir.Value, b: ir.Value | int) -> ir.Value:
    other = like.e.splat(a.type, b) if isinstance(b, int) else b
    return like.e.pure(f"arith.{name}", a.type, [a, other])


def _whole(x: Real) -> ir.Value:
    """x as i64, which it is."""
    return x.e.pure("arith.fptosi", _integers(x), [x.value])


def _power_of_two(like: Real, exponent: ir.Value) -> Real:
    return _number(like, _binary(like, "shli", _binary(like, "addi", exponent, _BIAS), _FRACTION))


def _scaled(x: Real, exponent: Real) -> Real:
    """x times 2 to a whole number, in two steps: results below the normal range, and beyond the largest number."""
    whole = _whole(exponent)
    half = _binary(x, "shrsi", whole, 1)
    return x * _power_of_two(x, half) * _power_of_two(x, _binary(x, "subi", whole, half))


def _limited(x: Real, bound: float) -> Real:
    low = x.where(x.compare("oge", -bound), -bound)
    return low.where(low.compare("ole", bound), bound)


def _exp(x: Real) -> Real:
    y = _limited(x, 1100.0)
    turns = (y * (1 / math.log(2.0))).call("roundeven")
    return _turned_exp(x, turns, turns.fma(-_LN2_LOW, turns.fma(-_LN2_HIGH, y)))


def _exp10(x: Real) -> Real:
    y = _limited(x, 400.0)
    turns = (y * math.log2(10.0)).call("roundeven")
    return _turned_exp(x, turns, turns.fma(-_LG2_LOW, turns.fma(-_LG2_HIGH, y)) * math.log(10.0))


def _turned_exp(x: Real, turns: Real, rest: Real) -> Real:
    """e**rest times 2**turns; x where that is no number."""
    return _scaled(rest.polynomial(_EXP), turns).where(x.compare("ord", x), x)


def _exp2(x: Real) -> Real:
    y = _limited(x, 1100.0)
    turns = y.call("roundeven")
    return _turned_exp(x, turns, (y - turns) * math.log(2.0))


def _parts(x: Real) -> tuple[Real, Real]:
    """Exponent e and log(m) of x = m 2^e, m from the root of 1/2 to that of 2."""
    tiny = x.compare("olt", 2.2250738585072014e-308)
    y = (x * 2.0**54).where(tiny, x)
    half = _bits(Real(x.e, x.e.splat(x.value.type, math.sqrt(0.5))))
    shifted = _binary(x, "subi", _bits(y), half)
    exponent = _binary(x, "shrsi", shifted, _FRACTION)
    m = _number(x, _binary(x, "subi", _bits(y), _binary(x, "shli", exponent, _FRACTION)))
    count = Real(x.e, x.e.pure("arith.sitofp", x.value.type, [exponent]))
    s = (m - 1.0) / (m + 1.0)
    return (count - 54.0).where(tiny, count), s * (s * s).polynomial(_LOG)


def _log(x: Real) -> Real:
    count, rest = _parts(x)
    return edges_of_logarithm(x, count.fma(_LN2_HIGH, count.fma(_LN2_LOW, rest)))


def _log2(x: Real) -> Real:
    count, rest = _parts(x)
    return edges_of_logarithm(x, rest.fma(1 / math.log(2.0), count))


def _turned(x: Real, quarters: int) -> Real:
    """sin of x plus so many right angles."""
    turns = (x * (2 / math.pi)).call("roundeven")
    rest = x
    for part in _HALF_PI:
        rest = turns.fma(-part, rest)
    square = rest * rest
    sine, cosine = rest * square.polynomial(_SIN), square.polynomial(_COS)
    quadrant = _binary(x, "addi", _whole(turns), quarters)
    flag = x.e.i1 if not isinstance(x.value.type, ir.VectorType) else x.e.vector_type(x.value.type.shape[0], x.e.i1)
    equal = {"predicate": ir.IntegerAttr.get(x.e.i64, 1)}  # ne
    odd, upper = (
        x.e.pure("arith.cmpi", flag, [_binary(x, "andi", quadrant, bit), x.e.splat(quadrant.type, 0)], equal)
        for bit in (1, 2)
    )
    value = cosine.where(odd, sine)
    return (-value).where(upper, value)


def _sin(x: Real) -> Real:
    return _turned(x, 0)


def _cos(x: Real) -> Real:
    return _turned(x, 1)


def _tanh(x: Real) -> Real:
    """Up to a half from the sine, above from the exponential."""
    sine = x * (x * x).polynomial(_SINH)
    small = sine / sine.fma(sine, 1.0).call("sqrt")
    large = 1.0 - 2.0 / (_exp(x * 2.0) + 1.0)
    return small.where(x.abs().compare("olt", 0.5), large)


def _power(x: Real, y: Real) -> Real:
    """Off by as many units in the last place as the logarithm of the result has, about."""
    return powered(x, y, _exp2(y * _log2(x.abs())))


def _log1p(x: Real) -> Real:
    return log_of_one_more(x, _log)


def _sinh(x: Real) -> Real:
    square = x * x
    small = x * square.polynomial(_SINH)
    up, down = halves_of_exponentials(x, _exp)
    return small.where(x.abs().compare("olt", 0.5), (up - down).call("copysign", x))


def _cosh(x: Real) -> Real:
    up, down = halves_of_exponentials(x, _exp)
    return up + down


def _atan(x: Real) -> Real:
    """Up to one by the reciprocal, up to tan(pi / 16) by half of the angle twice, then the series."""
    a = x.abs()
    big = a.compare("ogt", 1.0)
    t = (1.0 / a).where(big, a)
    for _ in range(2):
        t = t / (t.fma(t, 1.0).call("sqrt") + 1.0)
    angle = t * (t * t).polynomial(_ATAN) * 4.0
    value = (math.pi / 2 - angle).where(big, angle)
    return value.where(x.compare("ord", x), x).call("copysign", x)


def _erf(x: Real) -> Real:
    """The series up to a half, then 1 - exp(-x**2) p(t), t = 1 / (1 + x / 2): p is a Chebyshev fit, 1e-17 off."""
    a = x.abs()
    square = x * x
    bounded = _limited(a, 6.5)
    t = 1.0 / bounded.fma(0.5, 1.0)
    tail = ((t - 0.5227831348080922) * (1 / 0.29022499527320855)).polynomial(_ERFC)
    large = 1.0 - _exp(-(bounded * bounded)) * tail
    value = (a * square.polynomial(_ERF)).where(a.compare("olt", 0.5), large)
    return value.where(x.compare("ord", x), x).call("copysign", x)


DOUBLE: dict[str, Callable[..., Real]] = {
    "exp": _exp,
    "exp2": _exp2,
    "exp10": _exp10,
    "log": _log,
    "log2": _log2,
    "log10": lambda x: _log(x) * (1 / math.log(10.0)),
    "sin": _sin,
    "cos": _cos,
    "tan": lambda x: _sin(x) / _cos(x),
    "tanh": _tanh,
    "cosh": _cosh,
    "sigmoid": lambda x: 1.0 / (_exp(-x) + 1.0),
    "rsqrt": lambda x: 1.0 / x.call("sqrt"),
    "powf": _power,
    "log1p": _log1p,
    "sinh": _sinh,
    "atan": _atan,
    "atan2": lambda y, x: angle_of(_atan, y, x),
    "fmod": remainder,
    "ldexp": lambda x, e: times_power_of_two(x, e, _BIAS, _FRACTION),
    "asin": lambda x: _atan(x / ((1.0 - x) * (x + 1.0)).call("sqrt")),
    "acos": lambda x: _atan(((1.0 - x) / (x + 1.0)).call("sqrt")) * 2.0,
    "asinh": lambda x: area_sine(x, _log, _log1p, 1e150),
    "acosh": lambda x: area_cosine(x, _log, _log1p, 1e150),
    "atanh": lambda x: area_tangent(x, _log1p),
    "erf": _erf,
    "hypot": length,
    "round": lambda x: (x.abs() + 0.49999999999999994).call("floor").call("copysign", x),
    "nearbyint": lambda x: x.call("roundeven"),
    "fast_rcp": lambda x: 1.0 / x,
}
