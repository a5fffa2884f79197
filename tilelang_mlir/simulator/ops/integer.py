"""arith on integers. Arrays wrap by themselves; Python scalars are wrapped; both are signed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator.ops.rule import RULES, Rule, Writer, all_uniform, operand_kind, result_kind, rule, wrap
from tilelang_mlir.simulator.values import as_lanes, select

_UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


def unsigned(w: Writer, op: ir.Operation, index: int, name: str) -> str:
    """The operand read as unsigned."""
    bits = operand_kind(op, index).bits
    if bits == 1:
        return name
    if w.uniform(op.operands[index]):
        return f"({name} & {(1 << bits) - 1})"
    return f"{name}.view({w.ref(_UNSIGNED[bits])})"


def _signed_result(w: Writer, op: ir.Operation, expression: str) -> str:
    """An unsigned result read as signed."""
    kind = result_kind(op)
    if all_uniform(w, op):
        return wrap(expression, kind.bits)
    return f"({expression}).view({w.ref(kind.dtype)})"


def _arithmetic(symbol: str, boolean: str) -> Rule:
    def emit(w: Writer, op: ir.Operation, a: list[str]) -> str:
        kind = result_kind(op)
        if kind.bits == 1:
            return f"{a[0]} {boolean} {a[1]}"
        text = f"{a[0]} {symbol} {a[1]}"
        return wrap(text, kind.bits) if all_uniform(w, op) else text

    return emit


for _name, _symbol, _boolean in (("addi", "+", "^"), ("subi", "-", "^"), ("muli", "*", "&")):
    RULES[f"arith.{_name}"] = _arithmetic(_symbol, _boolean)
RULES["arith.andi"] = lambda w, op, a: f"{a[0]} & {a[1]}"
RULES["arith.ori"] = lambda w, op, a: f"{a[0]} | {a[1]}"
RULES["arith.xori"] = lambda w, op, a: f"{a[0]} ^ {a[1]}"


@rule("arith.shli")
def _shift_left(w: Writer, op: ir.Operation, a: list[str]) -> str:
    if all_uniform(w, op):
        bits = result_kind(op).bits
        return wrap(f"{a[0]} << ({a[1]} & {bits - 1})", bits)
    return f"{w.ref(_shl)}({a[0]}, {a[1]}, {w.ref(result_kind(op).dtype)})"


def _shl(x: Any, y: Any, dtype: Any) -> Any:
    return np.left_shift(x, y, dtype=dtype)


@rule("arith.shrui")
def _shift_right(w: Writer, op: ir.Operation, a: list[str]) -> str:
    if all_uniform(w, op) or not w.uniform(op.operands[0]):
        y = a[1] if w.uniform(op.operands[1]) else unsigned(w, op, 1, a[1])
        return _signed_result(w, op, f"{unsigned(w, op, 0, a[0])} >> {y}")
    return f"{w.ref(_shr_scalar)}({a[0]}, {a[1]}, {w.ref(result_kind(op).dtype)})"


def _shr_scalar(x: int, y: np.ndarray, dtype: Any) -> np.ndarray:
    kind = _UNSIGNED[np.dtype(dtype).itemsize * 8]
    return (np.full((1, 1), x, dtype).view(kind) >> y.view(kind)).view(dtype)


RULES["arith.shrsi"] = lambda w, op, a: f"{a[0]} >> {a[1]}"


def _divide(function: Any, signed: bool) -> Rule:
    def emit(w: Writer, op: ir.Operation, a: list[str]) -> str:
        if signed:
            text = f"{w.ref(function)}({a[0]}, {a[1]})"
            return wrap(text, result_kind(op).bits) if all_uniform(w, op) else text
        x, y = unsigned(w, op, 0, a[0]), unsigned(w, op, 1, a[1])
        return _signed_result(w, op, f"{w.ref(function)}({x}, {y})")

    return emit


def _is_power(y: Any) -> bool:
    return isinstance(y, int) and y > 0 and y & (y - 1) == 0


def _divui(x: Any, y: Any) -> Any:
    """Unsigned division; division by zero has no meaning and gives all ones, as the hardware does."""
    if _is_power(y):
        return x >> (y.bit_length() - 1)
    if isinstance(y, int) and y == 0:
        return x | -1 if isinstance(x, int) else np.full_like(x, -1 & (1 << 8 * x.itemsize) - 1)
    return x // y


def _remui(x: Any, y: Any) -> Any:
    if _is_power(y):
        return x & (y - 1)
    return x if isinstance(y, int) and y == 0 else x % y


def _divsi(x: Any, y: Any) -> Any:
    """Signed division that truncates towards zero."""
    if isinstance(x, int) and isinstance(y, int):
        return (abs(x) // abs(y)) * (1 if (x < 0) == (y < 0) else -1) if y else -1
    quotient = x // y
    return quotient + ((quotient < 0) & (quotient * y != x)).astype(quotient.dtype)


def _remsi(x: Any, y: Any) -> Any:
    return x - _divsi(x, y) * y


def _floordivsi(x: Any, y: Any) -> Any:
    if isinstance(y, int):
        if _is_power(y):
            return x >> (y.bit_length() - 1)
        return x // y if y else x * 0 - 1
    return x // y


def _ceildivsi(x: Any, y: Any) -> Any:
    quotient = _floordivsi(x, y)
    more = quotient * y != x
    return quotient + (int(more) if isinstance(more, bool) else more.astype(quotient.dtype))


def _ceildivui(x: Any, y: Any) -> Any:
    quotient = _divui(x, y)
    more = _remui(x, y) != 0
    return quotient + (int(more) if isinstance(more, bool) else more.astype(quotient.dtype))


RULES["arith.divui"] = _divide(_divui, False)
RULES["arith.remui"] = _divide(_remui, False)
RULES["arith.ceildivui"] = _divide(_ceildivui, False)
RULES["arith.divsi"] = _divide(_divsi, True)
RULES["arith.remsi"] = _divide(_remsi, True)
RULES["arith.floordivsi"] = _divide(_floordivsi, True)
RULES["arith.ceildivsi"] = _divide(_ceildivsi, True)


def _extremum(numpy_name: str, python_name: str, signed: bool) -> Rule:
    def emit(w: Writer, op: ir.Operation, a: list[str]) -> str:
        x, y = (a[0], a[1]) if signed else (unsigned(w, op, 0, a[0]), unsigned(w, op, 1, a[1]))
        if all_uniform(w, op):
            text = f"{python_name}({x}, {y})"
            return text if signed else wrap(text, result_kind(op).bits)
        text = f"np.{numpy_name}({x}, {y})"
        return text if signed or result_kind(op).bits == 1 else _signed_result(w, op, text)

    return emit


for _suffix, _signed in (("si", True), ("ui", False)):
    RULES[f"arith.max{_suffix}"] = _extremum("maximum", "max", _signed)
    RULES[f"arith.min{_suffix}"] = _extremum("minimum", "min", _signed)

_COMPARE = ["==", "!=", "<", "<=", ">", ">=", "<", "<=", ">", ">="]


@rule("arith.cmpi")
def _compare(w: Writer, op: ir.Operation, a: list[str]) -> str:
    predicate = int(ir.IntegerAttr(op.attributes["predicate"]).value)
    x, y = (a[0], a[1]) if predicate < 6 else (unsigned(w, op, 0, a[0]), unsigned(w, op, 1, a[1]))
    return f"{x} {_COMPARE[predicate]} {y}"


@rule("arith.select")
def _select(w: Writer, op: ir.Operation, a: list[str]) -> str:
    if all_uniform(w, op):
        return f"{a[1]} if {a[0]} else {a[2]}"
    text = str(op.results[0].type)
    if text.startswith("!llvm.struct"):
        return f"{w.ref(select)}({', '.join(a)})"
    dtype = w.ref(result_kind(op).dtype)
    if w.uniform(op.operands[0]):
        return f"{w.ref(as_lanes)}({a[1]} if {a[0]} else {a[2]}, {dtype})"
    if w.uniform(op.operands[1]) and w.uniform(op.operands[2]):
        return f"{w.ref(select)}({a[0]}, {dtype}({a[1]}), {dtype}({a[2]}))"
    if result_kind(op).lanes:
        return f"{w.ref(select)}({', '.join(a)})"
    return f"np.where({', '.join(a)})"


@rule("arith.extsi")
def _extend_signed(w: Writer, op: ir.Operation, a: list[str]) -> str:
    if operand_kind(op, 0).bits == 1:
        return f"-int({a[0]})" if all_uniform(w, op) else f"-{a[0]}.astype({w.ref(result_kind(op).dtype)})"
    return a[0] if all_uniform(w, op) else f"{a[0]}.astype({w.ref(result_kind(op).dtype)})"


@rule("arith.extui")
def _extend_unsigned(w: Writer, op: ir.Operation, a: list[str]) -> str:
    if all_uniform(w, op):
        return f"int({unsigned(w, op, 0, a[0])})"
    return f"{unsigned(w, op, 0, a[0])}.astype({w.ref(result_kind(op).dtype)})"


@rule("arith.trunci")
def _truncate(w: Writer, op: ir.Operation, a: list[str]) -> str:
    kind = result_kind(op)
    if kind.bits == 1:
        return f"({a[0]} & 1) != 0"
    return wrap(a[0], kind.bits) if all_uniform(w, op) else f"{a[0]}.astype({w.ref(kind.dtype)})"


@rule("arith.mulsi_extended", "arith.mului_extended")
def _multiply_extended(w: Writer, op: ir.Operation, a: list[str]) -> str:
    kind = result_kind(op)
    signed = op.name == "arith.mulsi_extended"
    return f"{w.ref(_mul_extended)}({a[0]}, {a[1]}, {w.ref(kind.dtype)}, {signed})"


def _mul_extended(x: Any, y: Any, dtype: Any, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    bits = np.dtype(dtype).itemsize * 8
    wide = np.dtype(object) if bits == 64 else np.dtype(np.int64)
    left, right = as_lanes(x, dtype), as_lanes(y, dtype)
    if not signed:
        left, right = left.view(_UNSIGNED[bits]), right.view(_UNSIGNED[bits])
    if bits == 64:
        product = left.astype(wide) * right.astype(wide)
        low = np.vectorize(lambda v: v & (1 << 64) - 1, otypes=[np.uint64])(product).view(np.int64)
        high = np.vectorize(lambda v: (v >> 64) & (1 << 64) - 1, otypes=[np.uint64])(product).view(np.int64)
        return low, high
    product = left.astype(np.int64 if signed else np.uint64) * right.astype(np.int64 if signed else np.uint64)
    return product.astype(dtype), (product >> product.dtype.type(bits)).astype(dtype)


def _popcount(x: np.ndarray) -> np.ndarray:
    return np.bitwise_count(x.view(_UNSIGNED[x.itemsize * 8])).astype(x.dtype)


def _leading_zeros(x: np.ndarray) -> np.ndarray:
    u = x.view(_UNSIGNED[x.itemsize * 8]).copy()
    for shift in (1, 2, 4, 8, 16, 32):
        if shift < x.itemsize * 8:
            u |= u >> u.dtype.type(shift)
    return (x.itemsize * 8 - np.bitwise_count(u)).astype(x.dtype)


def _trailing_zeros(x: np.ndarray) -> np.ndarray:
    u = x.view(_UNSIGNED[x.itemsize * 8])
    return np.bitwise_count(~u & (u - u.dtype.type(1))).astype(x.dtype)


def _bitwise(function: Any) -> Rule:
    def emit(w: Writer, op: ir.Operation, a: list[str]) -> str:
        dtype = w.ref(result_kind(op).dtype)
        text = f"{w.ref(function)}({w.ref(as_lanes)}({a[0]}, {dtype}))"
        return f"int({text}[0, 0])" if all_uniform(w, op) else text

    return emit


RULES["math.ctpop"] = _bitwise(_popcount)
RULES["math.ctlz"] = _bitwise(_leading_zeros)
RULES["math.cttz"] = _bitwise(_trailing_zeros)
RULES["math.absi"] = lambda w, op, a: (
    wrap(f"abs({a[0]})", result_kind(op).bits) if all_uniform(w, op) else f"abs({a[0]})"
)


@rule("arith.constant", "llvm.mlir.constant")
def _constant(w: Writer, op: ir.Operation, a: list[str]) -> str:
    attribute = op.attributes["value"]
    kind = result_kind(op)
    if kind.lanes:
        return w.ref(_dense(attribute, kind.dtype, kind.lanes))
    if kind.is_float:
        return w.ref(kind.dtype(ir.FloatAttr(attribute).value))
    value = ir.IntegerAttr(attribute).value if kind.bits > 1 else ir.BoolAttr(attribute).value
    return f"({int(value)})" if kind.bits > 1 else str(bool(value))


def _dense(attribute: ir.Attribute, dtype: Any, lanes: int) -> np.ndarray:
    dense = ir.DenseElementsAttr(attribute)
    if dense.is_splat:
        values: Any = [dense.get_splat_value().maybe_downcast().value] * lanes
    else:
        values = list(dense.maybe_downcast())
    return np.array(values).astype(dtype).reshape(1, 1, lanes)
