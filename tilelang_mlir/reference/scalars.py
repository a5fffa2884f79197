"""Elementwise ops of the upstream dialects: arith, math and vector, on lanes.

Floats narrower than 32 bits compute in float32 and round to their type after every op, as their operations in hardware
do; those of 8 bits and fewer saturate, as in conversions. Integers wrap. Division by zero gives zero: it has no meaning
that a program may rely on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tilelang_mlir.mlir import ir
from tilelang_mlir.reference.machine import Frame
from tilelang_mlir.reference.program import Instruction, Run
from tilelang_mlir.reference.types import Value, compute_dtype, is_float, largest_of, signed, unsigned

Function = Callable[..., Value]


def _floats(function: Function) -> Run:
    """A float function, computed in at least float32 and rounded to the result type."""

    def run(op: Instruction, frame: Frame) -> None:
        env, dtype = frame.env, op.dtypes[0]
        wide = compute_dtype(dtype)
        args = [env[slot] for slot in op.operands]
        if wide != dtype:
            args = [arg.astype(wide) for arg in args]
        result = np.asarray(function(*args))
        if dtype.itemsize == 1:
            most = np.float32(largest_of(dtype))
            result = np.clip(result, -most, most)
        env[op.results[0]] = result.astype(dtype, copy=False)[()]

    return run


def _ints(function: Function) -> Run:
    """A function of signed integers of one type."""

    def run(op: Instruction, frame: Frame) -> None:
        env = frame.env
        result = function(*[env[slot] for slot in op.operands])
        env[op.results[0]] = np.asarray(result).astype(op.dtypes[0], copy=False)[()]

    return run


def _uints(function: Function) -> Run:
    """A function of integers read as unsigned."""

    def run(op: Instruction, frame: Frame) -> None:
        env = frame.env
        result = function(*[unsigned(env[slot]) for slot in op.operands])
        env[op.results[0]] = signed(np.asarray(result))[()] if op.dtypes[0].kind == "i" else np.asarray(result)[()]

    return run


def _convert(prepare: Function = lambda value: value) -> Run:
    """A conversion to the result type after `prepare`."""

    def run(op: Instruction, frame: Frame) -> None:
        value, dtype = prepare(frame.env[op.operands[0]]), op.dtypes[0]
        value = np.asarray(value)
        if dtype.kind == "b" and value.dtype.kind in "iu":
            frame.env[op.results[0]] = ((value & 1) != 0)[()]
        elif is_float(value.dtype) and dtype.kind == "i":
            frame.env[op.results[0]] = float_to_int(value, dtype)[()]
        else:
            frame.env[op.results[0]] = value.astype(dtype)[()]

    return run


def float_to_int(value: Value, dtype: np.dtype) -> Value:
    """Truncate towards zero, saturate, NaN to zero (PTX ISA, cvt: float to integer)."""
    info = np.iinfo(dtype)
    wide = np.trunc(np.nan_to_num(value.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf))
    # The largest 64-bit integers are no float64: compare before converting.
    high, low = wide >= float(info.max), wide <= float(info.min)
    result = np.where(high | low, 0.0, wide).astype(dtype)
    return np.where(high, info.max, np.where(low, info.min, result)).astype(dtype)


def _to_unsigned(op: Instruction, frame: Frame) -> None:
    dtype = op.dtypes[0]
    value = frame.env[op.operands[0]]
    frame.env[op.results[0]] = signed(float_to_int(value, np.dtype(f"u{dtype.itemsize}")))[()]


def _no_zero(divisor: Value) -> Value:
    return np.where(divisor == 0, np.ones((), divisor.dtype), divisor)


def _div(a: Value, b: Value) -> Value:
    """Truncating division, exact for 64-bit integers."""
    safe = _no_zero(b)
    quotient = a // safe
    fix = (quotient < 0) & (quotient * safe != a)
    return np.where(b == 0, 0, quotient + fix)


def _rem(a: Value, b: Value) -> Value:
    return np.where(b == 0, 0, a - _div(a, b) * b)


def _shift(function: Function) -> Function:
    """A shift; amounts of the width and more give zero (or the sign)."""

    def shift(a: Value, b: Value) -> Value:
        bits = a.dtype.itemsize * 8
        amount = unsigned(b)
        inside = np.minimum(amount, bits - 1).astype(a.dtype)
        shifted = function(a, inside)
        beyond = np.where(a < 0, -1, 0) if function is np.right_shift and a.dtype.kind == "i" else 0
        return np.where(amount >= bits, beyond, shifted).astype(a.dtype)

    return shift


_COMPARE_INT = (
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.less, np.less_equal, np.greater,
    np.greater_equal,
)  # fmt: skip


def _cmpi(op: Instruction, frame: Frame) -> None:
    """arith.cmpi: predicates 6 and above are unsigned."""
    predicate, env = op.attributes["predicate"], frame.env
    a, b = env[op.operands[0]], env[op.operands[1]]
    if a.dtype == bool:
        a, b = -a.astype(np.int8), -b.astype(np.int8)
    if predicate >= 6:
        a, b = unsigned(a), unsigned(b)
    env[op.results[0]] = _COMPARE_INT[predicate](a, b)


# arith.cmpf predicates 1-6 are ordered, 8-13 unordered versions of: eq, gt, ge, lt, le, ne.
_COMPARE_FLOAT = (np.equal, np.greater, np.greater_equal, np.less, np.less_equal, np.not_equal)


def _cmpf(op: Instruction, frame: Frame) -> None:
    predicate, env = op.attributes["predicate"], frame.env
    a, b = (env[slot] for slot in op.operands)
    a, b = (x.astype(compute_dtype(x.dtype), copy=False) for x in (np.asarray(a), np.asarray(b)))
    unordered = np.isnan(a) | np.isnan(b)
    if predicate in (0, 15):
        result = np.broadcast_to(predicate == 15, unordered.shape)
    elif predicate in (7, 14):
        result = unordered == (predicate == 14)
    elif predicate < 7:
        result = _COMPARE_FLOAT[predicate - 1](a, b) & ~unordered
    else:
        result = _COMPARE_FLOAT[predicate - 8](a, b) | unordered
    env[op.results[0]] = result[()]


def _select(op: Instruction, frame: Frame) -> None:
    env = frame.env
    condition, yes, no = (env[slot] for slot in op.operands)
    if isinstance(op.types[0], ir.VectorType) and np.ndim(condition):
        condition = condition[..., None]
    if np.ndim(condition) == 0:
        env[op.results[0]] = yes if condition else no
    else:
        env[op.results[0]] = np.where(condition, yes, no)


def _constant(op: Instruction, frame: Frame) -> None:
    value = op.attributes["value"]
    if isinstance(value, ir.DenseElementsAttr):
        value = np.array([decoded for decoded in value])
    frame.env[op.results[0]] = np.asarray(value).astype(op.dtypes[0])[()]


def _bitcast(op: Instruction, frame: Frame) -> None:
    """arith.bitcast, tl.bitcast and vector.bitcast; the last dimension of a vector takes up a change of width."""
    value, dtype = frame.env[op.operands[0]], op.dtypes[0]
    if value.dtype.itemsize == dtype.itemsize:
        frame.env[op.results[0]] = value.view(dtype)
        return
    scalar = not isinstance(op.types[0], ir.VectorType)
    flat = np.ascontiguousarray(value)
    # A scalar becomes a vector by growing a dimension; a vector becomes a scalar by losing it.
    if value.dtype.itemsize > dtype.itemsize and not _is_vector_operand(op, value):
        flat = flat.reshape(*np.shape(value), 1)
    result = flat.view(dtype)
    frame.env[op.results[0]] = (result.reshape(result.shape[:-1]) if scalar else result)[()]


def _is_vector_operand(op: Instruction, value: Value) -> bool:
    """Whether the operand of a bitcast has a vector dimension: then widths times lengths agree with the result's."""
    if not isinstance(op.types[0], ir.VectorType):
        return True
    return op.types[0].shape[0] * op.dtypes[0].itemsize != value.dtype.itemsize


def _round_half_away(x: Value) -> Value:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


def _python(function: Function) -> Function:
    """A Python float function on arrays; computes in double precision."""
    return lambda x: np.asarray(function(x)).astype(x.dtype)


def _count_leading(x: Value) -> Value:
    bits = x.dtype.itemsize * 8
    shifts = [(unsigned(x) >> np.asarray(i, unsigned(x).dtype)) != 0 for i in range(bits)]
    return np.asarray(bits - sum(s.astype(np.int64) for s in shifts)).astype(x.dtype)


def _count_trailing(x: Value) -> Value:
    bits = x.dtype.itemsize * 8
    lowest = unsigned(x) & (~unsigned(x) + np.ones((), unsigned(x).dtype))
    return np.where(x == 0, bits, bits - 1 - _count_leading(signed(lowest))).astype(x.dtype)


def _population(x: Value) -> Value:
    return np.bitwise_count(unsigned(x)).astype(x.dtype)


def _predicate(function: Function) -> Run:
    def run(op: Instruction, frame: Frame) -> None:
        value = np.asarray(frame.env[op.operands[0]])
        frame.env[op.results[0]] = function(value.astype(compute_dtype(value.dtype), copy=False))[()]

    return run


def _int_power(op: Instruction, frame: Frame) -> None:
    base, exponent = (frame.env[slot] for slot in op.operands)
    wide = compute_dtype(base.dtype)
    frame.env[op.results[0]] = np.asarray(np.power(base.astype(wide), exponent.astype(wide))).astype(op.dtypes[0])[()]


def _fma(a: Value, b: Value, c: Value) -> Value:
    """Rounded once, as far as double precision carries the product."""
    return (a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)).astype(a.dtype)


def _extend_signed(value: Value) -> Value:
    return -value.astype(np.int8) if value.dtype == bool else value


FLOAT_FUNCTIONS: dict[str, Function] = {
    "arith.addf": np.add, "arith.subf": np.subtract, "arith.mulf": np.multiply, "arith.divf": np.divide,
    "arith.remf": np.fmod, "arith.negf": np.negative, "arith.maximumf": np.maximum, "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax, "arith.minnumf": np.fmin, "math.exp": np.exp, "math.exp2": np.exp2,
    "math.expm1": np.expm1, "math.log": np.log, "math.log2": np.log2, "math.log10": np.log10, "math.log1p": np.log1p,
    "math.sqrt": np.sqrt, "math.rsqrt": lambda x: 1 / np.sqrt(x), "math.cbrt": np.cbrt, "math.sin": np.sin,
    "math.cos": np.cos, "math.tan": np.tan, "math.sinh": np.sinh, "math.cosh": np.cosh, "math.tanh": np.tanh,
    "math.asin": np.arcsin, "math.acos": np.arccos, "math.atan": np.arctan, "math.asinh": np.arcsinh,
    "math.acosh": np.arccosh, "math.atanh": np.arctanh, "math.atan2": np.arctan2, "math.powf": np.power,
    "math.absf": np.abs, "math.ceil": np.ceil, "math.floor": np.floor, "math.trunc": np.trunc,
    "math.round": _round_half_away, "math.roundeven": np.rint, "math.copysign": np.copysign, "math.fma": _fma,
    "math.erf": _python(_erf), "math.erfc": _python(_erfc), "math.clampf": lambda x, low,
    high: np.minimum(np.maximum(x, low), high),
}  # fmt: skip
_INT_FUNCTIONS: dict[str, Function] = {
    "arith.addi": np.add, "arith.subi": np.subtract, "arith.muli": np.multiply, "arith.divsi": _div,
    "arith.remsi": _rem,
    "arith.floordivsi": lambda a, b: np.where(b == 0, 0, a // _no_zero(b)),
    "arith.ceildivsi": lambda a, b: np.where(b == 0, 0, -(-a // _no_zero(b))),
    "arith.andi": np.bitwise_and, "arith.ori": np.bitwise_or, "arith.xori": np.bitwise_xor,
    "arith.shli": _shift(np.left_shift), "arith.shrsi": _shift(np.right_shift), "arith.maxsi": np.maximum,
    "arith.minsi": np.minimum, "math.absi": np.abs, "math.ipowi": np.power, "math.ctlz": _count_leading,
    "math.cttz": _count_trailing, "math.ctpop": _population,
}  # fmt: skip
_UINT_FUNCTIONS: dict[str, Function] = {
    "arith.divui": lambda a, b: np.where(b == 0, np.zeros((), a.dtype), a // _no_zero(b)),
    "arith.remui": lambda a, b: np.where(b == 0, np.zeros((), a.dtype), a % _no_zero(b)),
    "arith.ceildivui": lambda a, b: np.where(b == 0, np.zeros((), a.dtype), a // _no_zero(b) + (a % _no_zero(b) != 0)),
    "arith.shrui": _shift(np.right_shift), "arith.maxui": np.maximum, "arith.minui": np.minimum,
}  # fmt: skip

SCALARS: dict[str, Run] = {
    **{name: _floats(function) for name, function in FLOAT_FUNCTIONS.items()},
    **{name: _ints(function) for name, function in _INT_FUNCTIONS.items()},
    **{name: _uints(function) for name, function in _UINT_FUNCTIONS.items()},
    **{name: _convert() for name in (
        "arith.trunci", "arith.extf", "arith.truncf", "arith.fptosi", "arith.index_cast",
    )},
    **{name: _convert(unsigned) for name in ("arith.extui", "arith.uitofp", "arith.index_castui")},
    **{name: _convert(_extend_signed) for name in ("arith.extsi", "arith.sitofp")},
    "arith.fptoui": _to_unsigned, "arith.cmpi": _cmpi, "arith.cmpf": _cmpf, "arith.select": _select,
    "arith.constant": _constant, "arith.bitcast": _bitcast, "tl.bitcast": _bitcast, "vector.bitcast": _bitcast,
    "math.fpowi": _int_power, "math.isnan": _predicate(np.isnan), "math.isinf": _predicate(np.isinf),
    "math.isfinite": _predicate(np.isfinite), "math.isnormal": _predicate(lambda x: np.isfinite(x) & (x != 0)),
}  # fmt: skip
