"""Scalar arithmetic: folding, and the op each Python operator becomes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from tilelang_mlir.dialect.tl import UNSIGNED
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.conversions import cast, in_int, promote, promote_in_int
from tilelang_mlir.frontend.expr import (
    BOOL,
    FLOAT32,
    INT32,
    Attributes,
    Expr,
    Lanes,
    Linear,
    as_expr,
    describe,
    make,
    not_a_scalar,
    typed_constant,
)
from tilelang_mlir.mlir import ir

_PREDICATES = {  # Python comparison -> (cmpi signed, cmpi unsigned, cmpf) predicates
    "Eq": (0, 0, 1), "NotEq": (1, 1, 13), "Lt": (2, 6, 4), "LtE": (3, 7, 5), "Gt": (4, 8, 2), "GtE": (5, 9, 3),
}  # fmt: skip
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "Eq": lambda a, b: a == b, "NotEq": lambda a, b: a != b, "Lt": lambda a, b: a < b,
    "LtE": lambda a, b: a <= b, "Gt": lambda a, b: a > b, "GtE": lambda a, b: a >= b,
}  # fmt: skip


_Function = TypeVar("_Function", bound=Callable[..., Any])


def over_lanes(function: _Function) -> _Function:
    """A function of scalars that takes vectors too, lane by lane."""

    @wraps(function)
    def run(*operands: Any, **options: Any) -> Any:
        for operand in operands:
            if isinstance(operand, Lanes):
                from tilelang_mlir.frontend.vector import lanewise

                return lanewise(lambda *lanes: function(*lanes, **options), *operands)
        try:
            return function(*operands, **options)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call itself
                raise TileTypeError(f"T.{error}", hint="see its signature in docs/language.md") from None
            raise

    typed: Any = run
    return typed


def is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _scalar(value: object) -> Any:
    """A number as it is, an expression read, anything else an error."""
    if isinstance(value, Expr):
        value = value.read()
        # An int32 constant is as good as a Python int.
        return value.const if value.const is not None and value.dtype == INT32 else value
    if not is_number(value):
        return as_expr(value)
    return value


@over_lanes
def add(a: Any, b: Any) -> Any:
    return _linear_op("addi", "addf", a, b, lambda x, y: x.plus(y), lambda x, y: x + y)


@over_lanes
def sub(a: Any, b: Any) -> Any:
    return _linear_op("subi", "subf", a, b, lambda x, y: x.plus(y, -1), lambda x, y: x - y)


@over_lanes
def mul(a: Any, b: Any) -> Any:
    def times(x: Linear, y: Linear) -> Linear | None:
        if not y.terms:
            return x.times(y.const)
        return None if x.terms else y.times(x.const)

    return _linear_op("muli", "mulf", a, b, times, lambda x, y: x * y)


def _linear_op(
    int_op: str,
    float_op: str,
    a: Any,
    b: Any,
    combine: Callable[[Linear, Linear], Linear | None],
    fold: Callable[[Any, Any], Any],
) -> Any:
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return fold(a, b)
    a, b = promote(a, b)
    if a.dtype.is_float:
        folded = _folded(fold, a, b)
        if folded is not None:
            return folded
        return make(f"arith.{float_op}", [a, b], a.dtype, nonneg=int_op != "subi" and a.nonneg and b.nonneg)
    if a.dtype == BOOL:
        a, b = cast(a, INT32), cast(b, INT32)
    left, right = a.as_linear(), b.as_linear()
    linear = combine(left, right) if left is not None and right is not None else None
    if linear is not None:
        if not linear.terms:
            return linear.const if a.dtype == INT32 else typed_constant(linear.const, a.dtype)
        for operand, form in ((a, left), (b, right)):
            if form is not None and linear.key == form.key:
                return operand  # x + 0, x * 1
    nonneg = int_op != "subi" and a.nonneg and b.nonneg
    return make(f"arith.{int_op}", [a, b], a.dtype, nonneg=nonneg, linear=linear)


@over_lanes
def div(a: Any, b: Any) -> Any:
    """True division; of floats only, as in TVM."""
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return a / b
    a, b = promote(a, b)
    if not a.dtype.is_float:
        raise TileTypeError(
            f"the quotient of two {a.dtype} values is ambiguous",
            hint="use //, T.truncdiv, or convert one side to a float",
        )
    folded = _folded(lambda x, y: x / y, a, b) if b.const else None
    return folded if folded is not None else make("arith.divf", [a, b], a.dtype, nonneg=a.nonneg and b.nonneg)


def _folded(fold: Callable[[Any, Any], Any], a: Expr, b: Expr) -> Expr | None:
    """The result of two float32 or float64 constants, rounded once; none where it is beyond the dtype."""
    form = {"float32": "<f", "float64": "<d"}.get(str(a.dtype))
    if form is None or a.const is None or b.const is None:
        return None
    try:
        return typed_constant(struct.unpack(form, struct.pack(form, fold(float(a.const), float(b.const))))[0], a.dtype)
    except OverflowError:
        return None


def _integers(what: str, a: Any, b: Any) -> tuple[Expr, Expr]:
    a, b = promote(a, b)
    if a.dtype.is_float:
        raise TileTypeError(f"{what} needs integer operands, got {describe(a)} and {describe(b)}")
    return a, b


def _check_divisor(b: Expr) -> None:
    if b.const is not None and b.const == 0:
        raise TileValueError("division by zero")


def _not_negative(op: str, a: Expr, b: Expr) -> Expr:
    """A quotient or remainder of numbers that are not negative. Unsigned ones may have wrapped around: lowering is told
    to take no facts for them."""
    attributes = (lambda: {UNSIGNED: ir.UnitAttr.get()}) if a.dtype.is_unsigned else None
    return make(op, [a, b], a.dtype, attributes, nonneg=True)


@over_lanes
def floordiv(a: Any, b: Any) -> Any:
    """The quotient rounded down, as `//` of Python, also of floats."""
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return a // b
    a, b = promote_in_int(a, b)
    _check_divisor(b)
    if a.dtype.is_float:
        return make("math.floor", [make("arith.divf", [a, b], a.dtype)], a.dtype)
    if b.const == 1:
        return a
    left = None if a.dtype.is_unsigned else a.as_linear()  # unsigned numbers wrap around
    if isinstance(b.const, int) and b.const > 0 and left is not None:
        if all(c % b.const == 0 for c, _ in left.terms.values()) and left.const % b.const == 0:
            linear = Linear({k: (c // b.const, n) for k, (c, n) in left.terms.items()}, left.const // b.const)
            name = "arith.divui" if a.nonneg else "arith.floordivsi"
            return make(name, [a, b], a.dtype, nonneg=a.nonneg, linear=linear)
    if a.nonneg and b.nonneg:
        return _not_negative("arith.divui", a, b)
    return make("arith.floordivsi", [a, b], a.dtype)


@over_lanes
def floormod(a: Any, b: Any) -> Any:
    """The remainder with the sign of the divisor, as `%` of Python, also of floats."""
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return a % b
    a, b = promote_in_int(a, b)
    _check_divisor(b)
    left = a.as_linear()
    # Multiples of other numbers than powers of two are none any more once an unsigned number has wrapped around.
    if isinstance(b.const, int) and b.const > 0 and not (a.dtype.is_unsigned and b.const & (b.const - 1)):
        if left is not None and a.nonneg and all(c % b.const == 0 for c, _ in left.terms.values()):
            return left.const % b.const
    if not a.dtype.is_float and a.nonneg and b.nonneg:
        return _not_negative("arith.remui", a, b)
    result = sub(a, mul(floordiv(a, b), b))
    if isinstance(result, Expr) and b.nonneg:
        result.nonneg = True
    return result


@over_lanes
def truncdiv(a: Any, b: Any) -> Any:
    """Integer quotient rounded towards zero (C)."""
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return (
            int(a / b) if isinstance(a, float) or isinstance(b, float) else abs(a) // abs(b) * (1 if a * b >= 0 else -1)
        )
    a, b = _integers("truncdiv", a, b)
    _check_divisor(b)
    return _not_negative("arith.divui", a, b) if a.nonneg and b.nonneg else make("arith.divsi", [a, b], a.dtype)


@over_lanes
def truncmod(a: Any, b: Any) -> Any:
    """Remainder with the sign of the dividend (C)."""
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return a - b * truncdiv(a, b)
    a, b = _integers("truncmod", a, b)
    _check_divisor(b)
    return _not_negative("arith.remui", a, b) if a.nonneg and b.nonneg else make("arith.remsi", [a, b], a.dtype)


@over_lanes
def ceildiv(a: Any, b: Any) -> Any:
    """The quotient rounded up; `b` is positive."""
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return -(-a // b)
    return floordiv(add(a, sub(b, 1)), b)


@over_lanes
def power(a: Any, b: Any) -> Any:
    """`a ** b`: products for exponents of 0 to 4; others are floats, integers in float32."""
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return a**b
    if isinstance(b, int) and 0 <= b <= 4:
        result: Any = 1
        for _ in range(b):
            result = mul(result, a)
        return result
    a, b = promote(a, b)
    if not a.dtype.is_float:
        a, b = cast(a, FLOAT32), cast(b, FLOAT32)
    return make("math.powf", [a, b], a.dtype)


def _bitwise(op: str, a: Any, b: Any, fold: Callable[[Any, Any], Any], nonneg: Callable[[bool, bool], bool]) -> Any:
    a, b = _scalar(a), _scalar(b)
    if isinstance(a, int) and isinstance(b, int):
        return fold(a, b)
    a, b = _integers("a bitwise operator", a, b)
    return make(op, [a, b], a.dtype, nonneg=nonneg(a.nonneg, b.nonneg))


@over_lanes
def bit_and(a: Any, b: Any) -> Any:
    return _bitwise("arith.andi", a, b, lambda x, y: x & y, lambda x, y: x or y)


@over_lanes
def bit_or(a: Any, b: Any) -> Any:
    return _bitwise("arith.ori", a, b, lambda x, y: x | y, lambda x, y: x and y)


@over_lanes
def bit_xor(a: Any, b: Any) -> Any:
    return _bitwise("arith.xori", a, b, lambda x, y: x ^ y, lambda x, y: x and y)


@over_lanes
def bit_not(a: Any) -> Any:
    a = _scalar(a)
    if is_number(a):
        return ~a
    return bit_xor(a, True if a.dtype == BOOL else -1)


@over_lanes
def shift_left(a: Any, b: Any) -> Any:
    """Shift left. Short shifts are taken for arithmetic of indices; longer ones may reach the sign."""
    a, b = _scalar(a), _scalar(b)
    if isinstance(a, int) and isinstance(b, int):
        return a << b
    a, b = _integers("a bitwise operator", a, b)
    short = isinstance(b.const, int) and 0 <= b.const < a.dtype.bits // 2
    return make("arith.shli", [a, b], a.dtype, nonneg=a.nonneg and (short or a.dtype.is_unsigned))


@over_lanes
def shift_right(a: Any, b: Any) -> Any:
    """Shift right: arithmetic for signed dtypes, logical for unsigned."""
    a, b = _scalar(a), _scalar(b)
    if isinstance(a, int) and isinstance(b, int):
        return a >> b
    a, b = _integers("a shift", in_int(a), b)
    op = "arith.shrui" if a.dtype.is_unsigned or a.nonneg else "arith.shrsi"
    return make(op, [a, b], a.dtype, nonneg=a.nonneg)


@over_lanes
def negate(a: Any) -> Any:
    a = _scalar(a)
    if is_number(a):
        return -a
    if a.const is not None:
        return typed_constant(-a.const, a.dtype)
    return make("arith.negf", [a], a.dtype) if a.dtype.is_float else sub(0, a)


@over_lanes
def absolute(a: Any) -> Any:
    a = _scalar(a)
    if is_number(a):
        return abs(a)
    if a.dtype.is_unsigned:
        return a
    return make("math.absf" if a.dtype.is_float else "math.absi", [a], a.dtype, nonneg=True)


@over_lanes
def compare(operator: str, a: Any, b: Any) -> Any:
    """A comparison, of dtype bool; folds when both sides are known."""
    if isinstance(a, str) or isinstance(b, str):
        raise TileTypeError(f"cannot compare {describe(a)} with {describe(b)}",
                            hint="strings are known while the kernel is traced, values of it are numbers")
    if not (is_number(a) or isinstance(a, Expr)) or not (is_number(b) or isinstance(b, Expr)):
        return NotImplemented
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return _COMPARE[operator](a, b)
    a, b = promote_in_int(a, b)
    left, right = a.as_linear(), b.as_linear()
    if left is not None and right is not None:
        difference = left.plus(right, -1)
        if not difference.terms and not (a.dtype.is_unsigned and difference.const):  # x + 1 may be less than x
            return _COMPARE[operator](difference.const, 0)
    signed, unsigned, floating = _PREDICATES[operator]
    predicate = floating if a.dtype.is_float else unsigned if a.dtype.is_unsigned else signed
    return make(
        "arith.cmpf" if a.dtype.is_float else "arith.cmpi", [a, b], BOOL, _i64("predicate", predicate), tag=predicate
    )


def _i64(name: str, value: int) -> Attributes:
    return lambda: {name: ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)}


def _extremum(a: Any, b: Any, signed: str, unsigned: str, floating: str, fold: Any, nonneg: Any) -> Any:
    a, b = _scalar(a), _scalar(b)
    if is_number(a) and is_number(b):
        return fold(a, b)
    a, b = promote_in_int(a, b)
    if a.key == b.key and not a.dtype.is_float:
        return a
    op = floating if a.dtype.is_float else unsigned if a.dtype.is_unsigned else signed
    return make(op, [a, b], a.dtype, nonneg=nonneg(a.nonneg, b.nonneg))


@over_lanes
def maximum(a: Any, b: Any) -> Any:
    return _extremum(a, b, "arith.maxsi", "arith.maxui", "arith.maxnumf", max, lambda x, y: x or y)


@over_lanes
def minimum(a: Any, b: Any) -> Any:
    return _extremum(a, b, "arith.minsi", "arith.minui", "arith.minnumf", min, lambda x, y: x and y)


@over_lanes
def to_bool(value: Any) -> Any:
    """The truth of a scalar: numbers fold, other dtypes compare with zero."""
    value = _scalar(value)
    if is_number(value):
        return bool(value)
    return value if value.dtype == BOOL else compare("NotEq", value, 0)


@over_lanes
def logical_and(a: Any, b: Any) -> Any:
    a, b = to_bool(a), to_bool(b)
    if isinstance(a, bool):
        return b if a else False
    return (a if b else False) if isinstance(b, bool) else make("arith.andi", [a, b], BOOL)


@over_lanes
def logical_or(a: Any, b: Any) -> Any:
    a, b = to_bool(a), to_bool(b)
    if isinstance(a, bool):
        return True if a else b
    return (True if b else a) if isinstance(b, bool) else make("arith.ori", [a, b], BOOL)


@over_lanes
def logical_not(a: Any) -> Any:
    a = to_bool(a)
    return not a if isinstance(a, bool) else make("arith.xori", [a, typed_constant(True, BOOL)], BOOL)


@over_lanes
def select(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, else `b`; both are evaluated."""
    condition = to_bool(condition)
    if isinstance(condition, bool):
        chosen = a if condition else b
        return chosen.read() if isinstance(chosen, Expr) else chosen  # a value, no other name for a variable
    if not (isinstance(a, Expr) or is_number(a)) or not (isinstance(b, Expr) or is_number(b)):
        raise not_a_scalar(a if not (isinstance(a, Expr) or is_number(a)) else b)
    a, b = promote_in_int(a, b)
    if a.key == b.key:
        return a
    return make("arith.select", [condition, a, b], a.dtype, nonneg=a.nonneg and b.nonneg)
