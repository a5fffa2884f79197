"""Scalar mathematics."""

from __future__ import annotations

import builtins
import math as _math
from collections.abc import Callable
from typing import Any

from tilelang_mlir.dtypes import LARGEST, DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.arith import over_lanes
from tilelang_mlir.frontend.conversions import common_dtype
from tilelang_mlir.frontend.expr import BOOL, FLOAT32, INT32, Expr, Lanes, as_expr, describe, make, typed_constant
from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.frontend.vector import Vector, vector_of
from tilelang_mlir.language.reducers import Pending
from tilelang_mlir.mlir import ir


def _floats(name: str, args: tuple[Any, ...]) -> list[Expr]:
    """Operands in one floating-point dtype; integers become float32."""
    operands = [as_expr(arg) if isinstance(arg, Expr) else arg for arg in args]
    dtype: DType | None = None
    for operand in operands:
        if isinstance(operand, Expr):
            dtype = operand.dtype if dtype is None else common_dtype(dtype, operand.dtype)
        elif not isinstance(operand, int | float):
            raise TileTypeError(
                f"T.{name} needs scalars, got {describe(operand)}", hint="loop over the elements of a buffer"
            )
    if dtype is None or not dtype.is_float:
        dtype = FLOAT32
    return [arith.cast(as_expr(operand, dtype), dtype) for operand in operands]


def _refuse_integers(name: str, args: tuple[Any, ...]) -> None:
    """The hardware's approximations are of floats; converting an integer is left to the program."""
    for arg in args:
        if isinstance(arg, Expr) and (not arg.dtype.is_float or arg.dtype.bits < 16):
            raise TileTypeError(f"T.{name} only supports floating-point inputs, but got {arg.dtype}",
                                hint='T.cast(x, "float32")')


def _function(name: str, op: str, count: int = 1) -> Callable[..., Any]:
    """A function of floats that is one op of the math dialect."""

    @over_lanes
    def run(*args: Any) -> Any:
        if len(args) != count:
            raise TileTypeError(f"T.{name} takes {count} argument{'s' * (count != 1)}, got {len(args)}")
        operands = _floats(name, args)
        return make(op, operands, operands[0].dtype)

    run.__name__, run.__doc__ = name, f"{name}, elementwise on a scalar; integers are converted to float32."
    return run


def _named(name: str, function: str, count: int = 1, note: str = "") -> Callable[..., Any]:
    """A function of floats that is `tl.math`; `note` is what a user has to know besides."""

    @over_lanes
    def run(*args: Any) -> Any:
        if len(args) != count:
            raise TileTypeError(f"T.{name} takes {count} argument{'s' * (count != 1)}, got {len(args)}")
        if name.startswith("__"):
            _refuse_integers(name, args)
        operands = _floats(name, args)
        return make(
            "tl.math", operands, operands[0].dtype, lambda: {"function": ir.StringAttr.get(function)}, tag=function
        )

    converted = "" if name.startswith("__") else "; integers are converted to float32"
    run.__name__, run.__doc__ = name, f"{name}, on a scalar{converted}{note}."
    return run


exp = _function("exp", "math.exp")
exp2 = _function("exp2", "math.exp2")
log = _function("log", "math.log")
log2 = _function("log2", "math.log2")
log10 = _function("log10", "math.log10")
log1p = _function("log1p", "math.log1p")
sqrt = _function("sqrt", "math.sqrt")
rsqrt = _function("rsqrt", "math.rsqrt")
sin = _function("sin", "math.sin")
cos = _function("cos", "math.cos")
tan = _function("tan", "math.tan")
sinh = _function("sinh", "math.sinh")
cosh = _function("cosh", "math.cosh")
tanh = _function("tanh", "math.tanh")
asin = _function("asin", "math.asin")
acos = _function("acos", "math.acos")
atan = _function("atan", "math.atan")
atan2 = _function("atan2", "math.atan2", 2)
asinh = _function("asinh", "math.asinh")
acosh = _function("acosh", "math.acosh")
atanh = _function("atanh", "math.atanh")
erf = _function("erf", "math.erf")
copysign = _function("copysign", "math.copysign", 2)
exp10 = _named("exp10", "exp10")
sigmoid = _named("sigmoid", "sigmoid")
hypot = _named("hypot", "hypot", 2)
ldexp = _named("ldexp", "ldexp", 2)
nextafter = _named("nextafter", "nextafter", 2)
fmod = _named("fmod", "fmod", 2, "; exact for quotients below 2**46, of float64 below 2**104")
fast_rcp = _named("fast_rcp", "fast_rcp")
__exp = _named("__exp", "fast_exp")
__exp10 = _named("__exp10", "fast_exp10")
__log = _named("__log", "fast_log")
__log2 = _named("__log2", "fast_log2")
__log10 = _named("__log10", "fast_log10")
__sin = _named("__sin", "fast_sin")
__cos = _named("__cos", "fast_cos")
__tan = _named("__tan", "fast_tan")
FAST = {
    "__exp": __exp, "__exp10": __exp10, "__log": __log, "__log2": __log2, "__log10": __log10, "__sin": __sin,
    "__cos": __cos, "__tan": __tan,
}  # fmt: skip


def _rounding(name: str, op: str, fold: Callable[[float], float]) -> Callable[[Any], Any]:
    """Rounding to an integral value; integers are themselves."""

    @over_lanes
    def run(x: Any) -> Any:
        if isinstance(x, int | float):
            return fold(x)
        operand = as_expr(x)
        return operand if operand.dtype.is_integer else make(op, [operand], operand.dtype)

    run.__name__, run.__doc__ = name, f"{name} of a scalar; integers are themselves."
    return run


floor = _rounding("floor", "math.floor", _math.floor)
ceil = _rounding("ceil", "math.ceil", _math.ceil)
trunc = _rounding("trunc", "math.trunc", _math.trunc)
nearbyint = _rounding("nearbyint", "math.roundeven", builtins.round)


def round(x: Any, rounding_mode: str = "ties-to-even") -> Any:
    """The nearest integral value; halves go to even, or with "ties-away" away from zero."""
    modes = {"ties-to-even": "math.roundeven", "ties-away": "math.round", "ties-away-from-zero": "math.round"}
    if rounding_mode not in modes:
        raise TileValueError(f"unknown rounding mode {rounding_mode!r}", hint=f"one of {', '.join(modes)}")
    return _rounding("round", modes[rounding_mode], builtins.round)(x)


def _ieee(name: str, count: int) -> Callable[..., Any]:
    modes = ("rn",) if name == "frsqrt" else ("rn", "rz", "ru", "rd")

    def run(*args: Any, rounding_mode: str = "rn") -> Any:
        if len(args) == count + 1 and isinstance(args[-1], str):
            args, rounding_mode = args[:-1], args[-1]
        if len(args) != count:
            raise TileTypeError(f"T.ieee_{name} takes {count} operand{'s' * (count != 1)}, got {len(args)}")
        if rounding_mode not in modes:
            raise TileValueError(
                f"T.ieee_{name}: unknown rounding mode {rounding_mode!r}", hint=f"one of {', '.join(modes)}"
            )
        if name == "frsqrt":
            return rsqrt(*args)
        stem = {"fmaf": "fma", "frcp": "rcp", "fsqrt": "sqrt", "fdiv": "div"}.get(name, name)
        return _named(f"ieee_{name}", f"{stem}_{rounding_mode}", count)(*args)

    run.__name__, run.__doc__ = f"ieee_{name}", f"{name} with an IEEE rounding mode: {', '.join(modes)}."
    return run


def fma(x: Any, y: Any, z: Any) -> Any:
    """`x * y + z`, rounded once (float32 and float64)."""
    return ieee_fmaf(x, y, z)


def fmul(x: Any, y: Any) -> Any:
    """`x * y`, rounded by itself: never part of a fused multiply-add (float32 and float64)."""
    return ieee_mul(x, y)


ieee_add = _ieee("add", 2)
ieee_sub = _ieee("sub", 2)
ieee_mul = _ieee("mul", 2)
ieee_fmaf = _ieee("fmaf", 3)
ieee_frcp = _ieee("frcp", 1)
ieee_fsqrt = _ieee("fsqrt", 1)
ieee_frsqrt = _ieee("frsqrt", 1)
ieee_fdiv = _ieee("fdiv", 2)


def pow(x: Any, y: Any) -> Any:
    """x to the power y."""
    return arith.power(x, y)


power = pow
abs = fabs = arith.absolute


def max(a: Any, b: Any, *more: Any) -> Any:
    """The larger of two scalars (of floats, the number when one is NaN); a reducer element is combined."""
    return _many(a, b, more, "max", arith.maximum)


def min(a: Any, b: Any, *more: Any) -> Any:
    """The smaller of two scalars (of floats, the number when one is NaN); a reducer element is combined."""
    return _many(a, b, more, "min", arith.minimum)


def _many(a: Any, b: Any, more: tuple[Any, ...], kind: str, combine: Callable[[Any, Any], Any]) -> Any:
    if isinstance(a, Pending):
        return a.combine(kind, b)
    if isinstance(b, Pending):
        return b.combine(kind, a)
    result = combine(a, b)
    for other in more:
        result = combine(result, other)
    return result


Max, Min = max, min


def clamp(x: Any, min_val: Any, max_val: Any) -> Any:
    """x limited to the range from `min_val` to `max_val`."""
    return arith.minimum(arith.maximum(x, min_val), max_val)


def align_up(x: Any, y: Any) -> Any:
    """x rounded up to a multiple of y."""
    return arith.mul(arith.ceildiv(x, y), y)


def _float_test(name: str, op: str) -> Callable[[Any], Any]:
    @over_lanes
    def run(x: Any) -> Any:
        operand = as_expr(x)
        if operand.dtype.is_integer:
            return name == "isfinite"
        return make(op, [operand], BOOL)

    run.__name__, run.__doc__ = name, f"{name} of a scalar, as bool."
    return run


isnan = _float_test("isnan", "math.isnan")
isinf = _float_test("isinf", "math.isinf")
isfinite = _float_test("isfinite", "math.isfinite")


def _bits(name: str, op: str) -> Callable[[Any], Any]:
    @over_lanes
    def run(x: Any) -> Any:
        operand = as_expr(x)
        if not operand.dtype.is_integer:
            raise TileTypeError(f"T.{name} needs an integer, got {describe(operand)}")
        return make(op, [operand], operand.dtype, nonneg=True)

    run.__name__, run.__doc__ = name, f"{name} of an integer."
    return run


clz = _bits("clz", "math.ctlz")
popcount = _bits("popcount", "math.ctpop")


def infinity(dtype: Any) -> Expr:
    """Positive infinity of a floating-point dtype."""
    kind = to_dtype(dtype)
    if not kind.is_float:
        raise TileTypeError(f"{kind} has no infinity", hint="use T.max_value")
    return typed_constant(_math.inf, kind)


def max_value(dtype: Any) -> Expr:
    """The largest finite value of a dtype."""
    kind = to_dtype(dtype)
    if kind.is_float:
        return typed_constant(LARGEST[str(kind)], kind)
    return typed_constant((1 << (kind.bits - (kind.kind == "int"))) - 1, kind)


def min_value(dtype: Any) -> Expr:
    """The smallest (most negative) finite value of a dtype."""
    kind = to_dtype(dtype)
    if kind.is_float:
        return typed_constant(-LARGEST[str(kind)], kind)
    return typed_constant(-(1 << (kind.bits - 1)) if kind.kind == "int" else 0, kind)


def cast(value: Any, dtype: Any, round: str = "", sat: bool = True, rbits: Any = None) -> Any:
    """The value converted to a dtype. `round` is rn, rz, rp, rm or rs; narrow floats saturate unless `sat` is false.

    rs rounds by chance: the lowest of the 32 random bits `rbits` are added to the bits of the fraction that are
    discarded, and a carry rounds away from zero. What a target has no instruction for is computed in integers.

        y = T.cast(x, "float16", round="rs", rbits=T.rng_rand())

    Raises:
        TileValueError: no such rounding; random bits without rs, or rs without them. TileTypeError: a rounding of what
            is no float.
    """
    if isinstance(value, str | DType):
        value, dtype = dtype, value
    if round not in ("", "rn", "rz", "rp", "rm", "rs"):
        raise TileValueError(f"unknown rounding {round!r}", hint="one of rn, rz, rp, rm, rs")
    if (round == "rs") != (rbits is not None):
        raise TileValueError("round='rs' and random bits (rbits=) come together",
                             hint='T.cast(x, "float16", round="rs", rbits=T.rng_rand())')
    target = to_dtype(dtype)
    attributes: dict[str, Any] = {"round": round} if round else {}
    if not sat:
        attributes["sat"] = False
    if round not in ("", "rn") and not (target.is_float and target.bits <= 16):
        raise TileTypeError(f"T.cast to {target} has no rounding {round!r}", hint="floats of 16 bits and fewer have")
    random = [] if rbits is None else [arith.cast(as_expr(rbits), DType("int32"))]
    return arith.cast(value, target, attributes or None, random)


def Cast(dtype: Any, value: Any) -> Any:
    """`T.cast` with the dtype first."""
    return cast(value, dtype)


def reinterpret(value: Any, dtype: Any = None) -> Any:
    """The bits of a scalar or vector as another dtype of the same width; lanes of other sizes share or split them.

    The arguments come in either order. The first lane has the lowest bits.

        words = T.reinterpret(A[T.Ramp(i, 1, 8)], "uint32x4")  # A of float16

    Raises:
        TileTypeError: the widths differ.
    """
    if isinstance(value, str | DType):
        value, dtype = dtype, value
    kind = to_dtype(dtype)
    if isinstance(value, Lanes) or kind.lanes > 1:
        return _reinterpret_lanes(value, kind)
    operand = as_expr(value)
    if kind == "handle" and operand.dtype.bits == 64:
        return operand  # addresses are 64-bit integers here
    if kind.bits != operand.dtype.bits:
        raise TileTypeError(
            f"cannot reinterpret {operand.dtype} ({operand.dtype.bits} bits) as {kind} ({kind.bits} bits)"
        )
    if kind.mlir == operand.dtype.mlir:
        return make("tl.cast", [operand], kind, _cast_names(operand.dtype, kind), tag=("sign", str(kind)))
    return make("tl.bitcast", [operand], kind, tag=str(kind))


def _reinterpret_lanes(value: Any, kind: DType) -> Any:
    source = vector_of(value if isinstance(value, Lanes) else [value], "T.reinterpret")
    total = source.scalar.bits * len(source)
    lanes = kind.lanes
    if lanes == 1 and kind.bits == source.scalar.bits:
        lanes = len(source)  # the dtype of each lane
    if kind.bits * lanes != total:
        raise TileTypeError(f"cannot reinterpret {source.dtype} ({total} bits) as {kind} ({kind.stored_bits} bits)")
    parts = regroup(list(source), kind.bits)
    result = [reinterpret(part, kind.scalar) for part in parts]
    return Vector(result, kind.scalar) if lanes > 1 else result[0]


def regroup(lanes: list[Any], bits: int) -> list[Any]:
    """The bits of scalars as scalars of another width: unsigned integers where it differs, the first one lowest."""
    have = lanes[0].dtype.bits
    if have == bits:
        return lanes
    raw = [reinterpret(lane, f"uint{have}") if str(lane.dtype) != f"uint{have}" else lane for lane in lanes]
    unit = DType(f"uint{bits}")
    if bits < have:
        return [arith.cast(arith.shift_right(lane, place), unit) for lane in raw for place in range(0, have, bits)]
    wide: list[Any] = []
    for start in range(0, len(raw), bits // have):
        word: Any = arith.cast(raw[start], unit)
        for step in range(1, bits // have):
            word = arith.bit_or(word, arith.shift_left(arith.cast(raw[start + step], unit), have * step))
        wide.append(word)
    return wide


def _cast_names(source: DType, target: DType) -> Callable[[], dict[str, ir.Attribute]]:
    return lambda: {"from": ir.StringAttr.get(str(source)), "to": ir.StringAttr.get(str(target))}


def dp4a(A: Any, B: Any, C: Any) -> None:
    """`C[0] += sum(A[i] * B[i])` over four int8 values of each operand's start, accumulated in int32."""
    from tilelang_mlir.frontend.buffer import store
    from tilelang_mlir.language.atomic import first_element, shifted

    a, b, c = (first_element("T.dp4a", value) for value in (A, B, C))
    total: Any = c.read()
    for step in range(4):
        product = arith.mul(arith.cast(shifted(a, step), INT32), arith.cast(shifted(b, step), INT32))
        total = arith.add(total, product)
    store(c, total)
