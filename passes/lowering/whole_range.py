"""Functions of floats of any width that hold for all arguments: angles, remainders, powers of two, neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable

from tilelang_mlir.mlir import ir

from .real import Real


def is_negative(x: Real) -> ir.Value:
    """Whether the sign bit is set, also of zero."""
    one = Real(x.e, x.e.splat(x.value.type, 1.0))
    return one.call("copysign", x).compare("olt", 0.0)


def angle_of(atan: Callable[[Real], Real], y: Real, x: Real) -> Real:
    """The angle of the point (x, y), by a function of slopes from zero up; the point may be the origin or infinite."""
    slope = (y / x).abs().where(y.abs().compare("une", x.abs()), 1.0)
    angle = atan(slope.where(y.compare("une", 0.0), 0.0))
    turned = (math.pi - angle).where(is_negative(x), angle).call("copysign", y)
    return turned.where(x.compare("ord", y), math.nan)


Function = Callable[[Real], Real]


def powered(x: Real, y: Real, size: Real) -> Real:
    """x**y, given |x|**y: a negative x needs an integral y and takes its parity; 1 to any power and any number to the
    power of zero are one, also where the other side is no number."""
    half = y * 0.5
    size = size.where(x.abs().compare("une", 1.0), 1.0)
    signed = (-size).where(half.call("floor").compare("one", half), size)
    negative = signed.where(y.call("floor").compare("oeq", y), math.nan)
    return negative.where(x.compare("olt", 0.0), size).where(y.compare("une", 0.0), 1.0)


def halves_of_exponentials(x: Real, exp: Function) -> tuple[Real, Real]:
    """Halves of e**|x| and e**-|x|, the former in two factors: it may exist where e**|x| does not."""
    root = exp(x.abs() * 0.5)
    return root * 0.5 * root, exp(-x.abs()) * 0.5


def log_of_one_more(x: Real, log: Function) -> Real:
    """log1p: the logarithm of the rounded sum, and what rounding has left out."""
    u = x + 1.0
    missed = ((x - (u - 1.0)) / u).where(u.compare("ogt", 0.0), 0.0)
    return log(u) + missed.where(u.compare("olt", math.inf), 0.0)


def area_sine(x: Real, log: Function, log1p: Function, largest: float) -> Real:
    """asinh; up to `largest` the square of a number exists."""
    a = x.abs()
    near = log1p(a + a * a / (a.fma(a, 1.0).call("sqrt") + 1.0))
    return near.where(a.compare("olt", largest), log(a) + math.log(2.0)).call("copysign", x)


def area_cosine(x: Real, log: Function, log1p: Function, largest: float) -> Real:
    """acosh, likewise."""
    t = x - 1.0
    return log1p(t + (t * (t + 2.0)).call("sqrt")).where(x.compare("olt", largest), log(x) + math.log(2.0))


def area_tangent(x: Real, log1p: Function) -> Real:
    """atanh."""
    a = x.abs()
    return (log1p(a * 2.0 / (1.0 - a)) * 0.5).call("copysign", x)


def length(x: Real, y: Real) -> Real:
    """hypot: the larger side times the root of one plus the square of the ratio, which does not overflow."""
    a, b = x.abs(), y.abs()
    swapped = b.compare("ogt", a)
    large, small = b.where(swapped, a), a.where(swapped, b)
    ratio = (small / large).where(large.compare("ogt", 0.0), 0.0)
    value = large * ratio.fma(ratio, 1.0).call("sqrt")
    infinite = a.where(a.compare("oeq", math.inf), b)
    value = value.where(infinite.compare("une", math.inf), math.inf)
    return value.where(large.compare("une", 0.0), a + b)


def remainder(x: Real, y: Real) -> Real:
    """fmod: the remainder of the quotient rounded to zero, with the sign of x.

    The first product leaves what the rounding of the quotient has left out, a second one takes that too: exact for
    quotients of twice as many bits as a number has. A quotient rounded up leaves a remainder of the other sign.
    """
    size = y.abs()
    rest = x
    for _ in range(2):
        rest = (rest / size).call("trunc").fma(-size, rest)
    sign = Real(x.e, x.e.splat(x.value.type, 1.0)).call("copysign", x)
    rest = (rest + size.call("copysign", x)).where((rest * sign).compare("olt", 0.0), rest)
    rest = rest.call("copysign", x).where(rest.compare("oeq", 0.0), rest)
    return rest.where(size.compare("une", math.inf), x.where(x.abs().compare("olt", math.inf), math.nan))


def _integer_type(x: Real) -> ir.Type:
    kind = x.value.type
    element = kind.element_type if isinstance(kind, ir.VectorType) else kind
    integer = ir.IntegerType.get_signless(element.width)
    return x.e.vector_type(kind.shape[0], integer) if isinstance(kind, ir.VectorType) else integer


def exponent_and_rest(x: Real, fraction: int) -> tuple[Real, Real]:
    """e and f of x = (1 + f) 2**e, 1 + f from the root of 1/2 to that of 2; of normal numbers with `fraction` bits."""
    integer = _integer_type(x)
    operate = lambda name, a, b: x.e.pure(f"arith.{name}", integer, [a, b])
    cast = lambda kind, value: x.e.pure("arith.bitcast", kind, [value])
    bits = cast(integer, x.value)
    half = cast(integer, x.e.splat(x.value.type, math.sqrt(0.5)))
    exponent = operate("shrsi", operate("subi", bits, half), x.e.splat(integer, fraction))
    whole = cast(x.value.type, operate("subi", bits, operate("shli", exponent, x.e.splat(integer, fraction))))
    return Real(x.e, x.e.pure("arith.sitofp", x.value.type, [exponent])), Real(x.e, whole) - 1.0


def edges_of_logarithm(x: Real, value: Real) -> Real:
    """A logarithm of what is no positive number: of zero, of infinity, of negative numbers."""
    constant = lambda number: Real(x.e, x.e.splat(x.value.type, number))
    value = value.where(x.compare("olt", math.inf), x)
    return constant(-math.inf).where(x.compare("oeq", 0.0), constant(math.nan).where(x.compare("olt", 0.0), value))


def next_after(x: Real, y: Real) -> Real:
    """The neighbour of x towards y: the next number in the order of the bits, which is that of sizes."""
    integer = _integer_type(x)
    bits = x.e.pure("arith.bitcast", integer, [x.value])
    step = lambda name: x.e.pure(f"arith.{name}", integer, [bits, x.e.splat(integer, 1)])
    number = lambda value: Real(x.e, x.e.pure("arith.bitcast", x.value.type, [value]))
    upwards, negative = y.compare("ogt", x), x.compare("olt", 0.0)
    grow, shrink = number(step("addi")), number(step("subi"))
    # Up from a negative number is towards zero, and so is down from a positive one.
    moved = shrink.where(negative, grow).where(upwards, grow.where(negative, shrink))
    least = number(x.e.splat(integer, 1)).call("copysign", y)
    moved = least.where(x.compare("oeq", 0.0), moved)
    return y.where(x.compare("oeq", y), moved).where(x.compare("ord", y), x + y)


def times_power_of_two(x: Real, exponent: Real, bias: int, fraction: int) -> Real:
    """ldexp: x times 2 to a whole number, in four factors that are all normal numbers.

    Args:
        bias, fraction: of the format of x.
    """
    integer = _integer_type(x)
    reach = 4.0 * bias - 8
    low = exponent.where(exponent.compare("oge", -reach), -reach)
    whole = low.where(low.compare("ole", reach), reach)
    quarter = (whole * 0.25).call("floor")
    last = whole - quarter * 3.0

    def power(value: Real) -> Real:
        number = x.e.pure("arith.fptosi", integer, [value.value])
        shifted = x.e.pure("arith.addi", integer, [number, x.e.splat(integer, bias)])
        bits = x.e.pure("arith.shli", integer, [shifted, x.e.splat(integer, fraction)])
        return Real(x.e, x.e.pure("arith.bitcast", x.value.type, [bits]))

    factor = power(quarter)
    return x * factor * factor * factor * power(last)
