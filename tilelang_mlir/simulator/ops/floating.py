"""arith and math on floats. bfloat16 is computed in float32 and rounded, which is exact for one operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tilelang_mlir.isa import numeric
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator.ops.rule import RULES, Rule, Writer, all_uniform, operand_kind, result_kind, rule
from tilelang_mlir.simulator.values import as_lanes

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def _rounded(w: Writer, op: ir.Operation, text: str) -> str:
    return f"{w.ref(numeric.round_bf16)}({text})" if result_kind(op).element == "bf16" else text


def _infix(symbol: str) -> Rule:
    return lambda w, op, a: _rounded(w, op, f"{a[0]} {symbol} {a[1]}")


for _name, _symbol in (("addf", "+"), ("subf", "-"), ("mulf", "*"), ("divf", "/")):
    RULES[f"arith.{_name}"] = _infix(_symbol)


def _call(function: Callable[..., Any]) -> Rule:
    return lambda w, op, a: _rounded(w, op, f"{w.ref(function)}({', '.join(a)})")


def _rsqrt(x: Any) -> Any:
    return x.dtype.type(1) / np.sqrt(x)


def _erf(x: Any) -> Any:
    from math import erf

    return np.vectorize(erf, otypes=[np.float64])(x).astype(x.dtype)


def _fma(a: Any, b: Any, c: Any) -> Any:
    """One rounding; numpy has no fused form."""
    kind = np.result_type(a, b, c)
    if kind == np.float32:
        return numeric.fma32(a, b, c)[()]
    if kind == np.float16:
        return (np.asarray(a, np.float64) * np.asarray(b, np.float64) + np.asarray(c, np.float64)).astype(np.float16)[
            ()
        ]
    return numeric.fma64(a, b, c)[()]


def _round_half_away(x: Any) -> Any:
    return np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "arith.maxnumf": np.fmax,
    "arith.minnumf": np.fmin,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.negf": np.negative,
    "arith.remf": np.fmod,
    "math.exp": np.exp,
    "math.exp2": np.exp2,
    "math.expm1": np.expm1,
    "math.log": np.log,
    "math.log2": np.log2,
    "math.log10": np.log10,
    "math.log1p": np.log1p,
    "math.sin": np.sin,
    "math.cos": np.cos,
    "math.tan": np.tan,
    "math.asin": np.arcsin,
    "math.acos": np.arccos,
    "math.atan": np.arctan,
    "math.atan2": np.arctan2,
    "math.sinh": np.sinh,
    "math.cosh": np.cosh,
    "math.tanh": np.tanh,
    "math.asinh": np.arcsinh,
    "math.acosh": np.arccosh,
    "math.atanh": np.arctanh,
    "math.sqrt": np.sqrt,
    "math.rsqrt": _rsqrt,
    "math.absf": np.abs,
    "math.ceil": np.ceil,
    "math.floor": np.floor,
    "math.trunc": np.trunc,
    "math.roundeven": np.rint,
    "math.round": _round_half_away,
    "math.powf": np.power,
    "math.copysign": np.copysign,
    "math.erf": _erf,
    "math.fma": _fma,
    "math.cbrt": np.cbrt,
    "llvm.intr.fma": _fma,
    "llvm.intr.fmuladd": _fma,
    "llvm.intr.exp2": np.exp2,
    "llvm.intr.log2": np.log2,
    "llvm.intr.sqrt": np.sqrt,
    "llvm.intr.fabs": np.abs,
    "llvm.intr.maxnum": np.fmax,
    "llvm.intr.minnum": np.fmin,
    "llvm.intr.maximum": np.maximum,
    "llvm.intr.minimum": np.minimum,
    "llvm.intr.sin": np.sin,
    "llvm.intr.cos": np.cos,
    "llvm.intr.tanh": np.tanh,
    "llvm.intr.floor": np.floor,
    "llvm.intr.ceil": np.ceil,
    "llvm.intr.trunc": np.trunc,
    "llvm.intr.rint": np.rint,
    "llvm.intr.roundeven": np.rint,
    "llvm.intr.round": _round_half_away,
    "llvm.intr.copysign": np.copysign,
}
for _name, _function in _FUNCTIONS.items():
    RULES[_name] = _call(_function)
for _name, _function in (("math.isnan", np.isnan), ("math.isinf", np.isinf), ("math.isfinite", np.isfinite)):
    RULES[_name] = lambda w, op, a, f=_function: f"{w.ref(f)}({a[0]})"


@rule("math.fpowi")
def _power_integer(w: Writer, op: ir.Operation, a: list[str]) -> str:
    dtype = w.ref(result_kind(op).dtype)
    return _rounded(w, op, f"np.power({a[0]}, {dtype}({a[1]}) if isinstance({a[1]}, int) else {a[1]}.astype({dtype}))")


def _unordered(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: function(a, b) | np.isnan(a) | np.isnan(b)


def _ordered(a: Any, b: Any) -> Any:
    return ~(np.isnan(a) | np.isnan(b))


def _one(a: Any, b: Any) -> Any:
    return (a < b) | (a > b)


_COMPARE: list[Any] = [
    None,
    "==",
    ">",
    ">=",
    "<",
    "<=",
    _one,
    _ordered,
    _unordered(np.equal),
    _unordered(np.greater),
    _unordered(np.greater_equal),
    _unordered(np.less),
    _unordered(np.less_equal),
    "!=",
    lambda a, b: np.isnan(a) | np.isnan(b),
    None,
]


@rule("arith.cmpf")
def _compare(w: Writer, op: ir.Operation, a: list[str]) -> str:
    predicate = int(ir.IntegerAttr(op.attributes["predicate"]).value)
    test = _COMPARE[predicate]
    if predicate in (0, 15):
        text = f"({a[0]} == {a[0]}) {'&' if predicate == 0 else '|'} {predicate == 15}"
    else:
        text = f"{a[0]} {test} {a[1]}" if isinstance(test, str) else f"{w.ref(test)}({a[0]}, {a[1]})"
    return f"bool({text})" if all_uniform(w, op) else text


@rule("arith.extf", "arith.truncf")
def _convert_float(w: Writer, op: ir.Operation, a: list[str]) -> str:
    source, target = operand_kind(op, 0), result_kind(op)
    if target.element == "bf16":
        narrow = f"{a[0]}.astype(np.float32)" if source.element == "f16" else f"{w.ref(_to_odd32)}({a[0]})"
        return f"{w.ref(numeric.round_bf16)}({a[0] if source.element == 'f32' else narrow})"
    if source.element == "f16" and target.element == "f32" and not all_uniform(w, op):
        return f"{w.ref(_half_to_float)}({a[0]})"
    return a[0] if source.dtype is target.dtype else f"{a[0]}.astype({w.ref(target.dtype)})"


def _half_to_float(x: np.ndarray) -> np.ndarray:
    return numeric.HALF_TO_FLOAT.take(x.view(np.uint16))


def _to_odd32(x: Any) -> Any:
    """float64 -> float32 rounded to odd, so that rounding again to bfloat16 is exact."""
    near = np.asarray(x, np.float64).astype(np.float32)
    bits = np.atleast_1d(near).view(np.int32)
    wide = np.atleast_1d(near).astype(np.float64)
    exact = np.atleast_1d(np.asarray(x, np.float64))
    step = np.where((np.abs(wide) < np.abs(exact)), 1, -1)
    odd = np.where((wide == exact) | (bits & 1 == 1) | ~np.isfinite(wide), bits, bits + step).astype(np.int32)
    return odd.view(np.float32).reshape(np.shape(x))


def _to_float(signed: bool) -> Rule:
    def emit(w: Writer, op: ir.Operation, a: list[str]) -> str:
        source, target = operand_kind(op, 0), result_kind(op)
        dtype = w.ref(target.dtype)
        if all_uniform(w, op):
            value = a[0] if signed or source.bits == 1 else f"({a[0]} & {(1 << source.bits) - 1})"
            text = f"{dtype}({'-' if signed and source.bits == 1 else ''}int({value}))"
        elif source.bits == 1:
            text = f"{'-' if signed else ''}{a[0]}.astype({dtype})"
        else:
            bits = a[0] if signed else f"{a[0]}.view({w.ref(_UNSIGNED[source.unit])})"
            text = f"{bits}.astype({dtype})"
        return _rounded(w, op, text)

    return emit


RULES["arith.sitofp"] = _to_float(True)
RULES["arith.uitofp"] = _to_float(False)


@rule("arith.fptosi", "arith.fptoui")
def _to_integer(w: Writer, op: ir.Operation, a: list[str]) -> str:
    kind = result_kind(op)
    signed = op.name == "arith.fptosi"
    text = f"{w.ref(_saturate)}({a[0]}, {kind.bits}, {signed}, {w.ref(kind.dtype)})"
    return f"int({text})" if all_uniform(w, op) and kind.bits > 1 else text


def _saturate(x: Any, bits: int, signed: bool, dtype: Any) -> Any:
    """cvt.rzi: towards zero, out of range saturates, NaN gives 0 (PTX ISA 8.7, 9.7.9.21)."""
    if bits == 1:
        return np.trunc(x) != 0
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    wide = np.trunc(np.nan_to_num(np.asarray(x, np.float64), nan=0.0, posinf=float(high), neginf=float(low)))
    inside = np.clip(wide, float(low), float(high))
    whole = inside.astype(np.int64 if signed else np.uint64)
    whole = np.where(inside >= float(high), whole.dtype.type(high), whole)  # float(high) may round up past the range
    return whole.astype(dtype)[()]


@rule("arith.bitcast", "llvm.bitcast", "vector.bitcast")
def _bitcast(w: Writer, op: ir.Operation, a: list[str]) -> str:
    source, target = operand_kind(op, 0), result_kind(op)
    if source == target:
        return a[0]
    if (
        "bf16" not in (source.element, target.element)
        and not all_uniform(w, op)
        and source.lanes == target.lanes
        and source.unit == target.unit
        and not w.uniform(op.operands[0])
    ):
        return f"{a[0]}.view({w.ref(target.dtype)})"
    text = f"{w.ref(_reinterpret)}({a[0]}, {w.ref(source)}, {w.ref(target)})"
    return f"{text}[0, 0]" + (".item()" if not target.is_float else "") if all_uniform(w, op) else text


def _reinterpret(x: Any, source: Any, target: Any) -> np.ndarray:
    x = as_lanes(x, source.dtype)
    raw = numeric.bf16_carrier_bits(x) if source.element == "bf16" else np.ascontiguousarray(x)
    if not source.lanes:
        raw = raw[..., None]
    if target.element == "bf16":
        out = numeric.bf16_bits_to_float(raw.view(np.uint16))
    else:
        out = raw.view(target.dtype)
    return out if target.lanes else out[..., 0]
