"""Arithmetic with a rounding mode: add, sub, mul, fma, rcp, sqrt, div with .rn .rz .rm .rp on f32 and f64.

PTX ISA 8.7, section 9.7.3 (floating point instructions); modes as in IEEE 754: to nearest even, towards zero, towards
minus infinity, towards plus infinity. The semantics are exact. For float32 a float64 result near the exact one is
rounded to nearest, then moved to its neighbour where the sign of the exact error asks for it; float64 goes through
rational numbers, lane by lane. Subnormal numbers are kept (no .ftz).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tilelang_mlir.isa import numeric
from tilelang_mlir.isa.instruction import Instruction, Machine, Run, inline_ptx
from tilelang_mlir.mlir import ir

MODES = ("rn", "rz", "rm", "rp")
OPERANDS = {"add": 2, "sub": 2, "mul": 2, "fma": 3, "rcp": 1, "sqrt": 1, "div": 2}


def emit(name: str, args: Sequence[ir.Value]) -> ir.Value:
    """One instruction, such as "add.rz.f32" or "fma.rm.f64".

    Args:
        name: operation (a key of `OPERANDS`), mode (of `MODES`) and type, f32 or f64.
        args: as many scalars of that type as the operation has operands.

    Returns:
        The rounded result.
    """
    operands = ", ".join(f"{{$r{k}}}" for k in range(len(args)))
    return inline_ptx(name, f"{name} {{$w0}}, {operands};", args, [args[0].type])


Pair = tuple[np.ndarray, np.ndarray]
"""A float32 candidate, and the sign of exact result minus candidate."""


def _from_sum(total: np.ndarray, error: np.ndarray) -> Pair:
    """Of the exact value total + error, with |error| at most half a unit in the last place of total (float64)."""
    near = total.astype(np.float32)
    apart = total - near.astype(np.float64)
    return near, np.where(np.isfinite(error), np.sign(np.where(apart == 0, error, apart)), np.sign(apart))


def _add(a: np.ndarray, b: np.ndarray) -> Pair:
    total = a + b
    back = total - a
    return _from_sum(total, (a - (total - back)) + (b - back))


def _divide(a: np.ndarray, b: np.ndarray) -> Pair:
    near = (a / b).astype(np.float32)
    return near, np.sign(a - near.astype(np.float64) * b) * np.sign(b)  # the product of two float32 is exact


def _root(a: np.ndarray) -> Pair:
    near = np.sqrt(a).astype(np.float32)
    wide = near.astype(np.float64)
    return near, np.sign(a - wide * wide)


def _directed32(name: str, operands: list[np.ndarray]) -> Pair:
    wide = [x.astype(np.float64) for x in operands]
    if name == "mul":
        return _from_sum(wide[0] * wide[1], np.zeros(()))
    if name == "rcp":
        return _divide(np.ones(()), wide[0])
    if name == "div":
        return _divide(*wide)
    if name == "sqrt":
        return _root(wide[0])
    return _add(*_addends(name, wide))


def _addends(name: str, operands: list[Any]) -> list[Any]:
    """Sums as two addends, exact: products of float32 are, in float64."""
    if name == "sub":
        return [operands[0], -operands[1]]
    return [operands[0] * operands[1], operands[2]] if name == "fma" else operands


def _zero_sum(near: np.ndarray, addends: list[Any]) -> np.ndarray:
    """Towards minus infinity an exact sum of zero is -0, unless both addends are +0 (IEEE 754-2019, 6.3)."""
    first, second = addends
    exact = (near == 0) & (first == -second) & (np.signbit(first) | np.signbit(second))
    return np.where(exact, np.float32(-0.0), near)


def _round32(name: str, mode: str, operands: list[np.ndarray]) -> np.ndarray:
    near, sign = _directed32(name, operands)
    if mode == "rz":
        return np.where(sign * np.where(np.signbit(near), -1, 1) < 0, np.nextafter(near, np.float32(0)), near)
    down = mode == "rm"
    limit = np.float32(-np.inf if down else np.inf)
    result = np.where(sign < 0 if down else sign > 0, np.nextafter(near, limit), near)
    if down and name in ("add", "sub", "fma"):
        return _zero_sum(result, _addends(name, [x.astype(np.float64) for x in operands]))
    return result


_NEAREST: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "rcp": np.reciprocal,
    "sqrt": np.sqrt,
}


def _round64(name: str, mode: str, operands: tuple[float, ...]) -> float:
    """One lane, through exact rational numbers; what is not finite or exactly zero follows the nearest result."""
    near = _nearest64(name, operands)
    if not all(math.isfinite(x) for x in operands) or math.isnan(near):
        return near
    a = [Fraction(x) for x in operands]
    if name in ("rcp", "div") and a[-1] == 0:
        return near
    if name == "sqrt":
        above = a[0] > Fraction(near) ** 2
        equal = a[0] == Fraction(near) ** 2
    else:
        exact = {
            "add": lambda: a[0] + a[1],
            "sub": lambda: a[0] - a[1],
            "mul": lambda: a[0] * a[1],
            "fma": lambda: a[0] * a[1] + a[2],
            "rcp": lambda: 1 / a[0],
            "div": lambda: a[0] / a[1],
        }[name]()
        equal = math.isfinite(near) and exact == Fraction(near)
        above = exact > Fraction(near) if math.isfinite(near) else near < 0
        if exact == 0 and mode == "rm" and name in ("add", "sub", "fma"):
            return float(_zero_sum(np.zeros((), np.float32), [np.float64(x) for x in _addends(name, list(operands))]))
    if equal or mode == "rn":
        return near
    if mode == "rz":
        return math.nextafter(near, 0.0) if above == (math.copysign(1, near) < 0) else near
    wanted = mode == "rp"
    return math.nextafter(near, math.inf if wanted else -math.inf) if above == wanted else near


def _nearest64(name: str, operands: tuple[float, ...]) -> float:
    values = [np.float64(x) for x in operands]
    if name != "fma":
        return float(_NEAREST[name](*values))
    product_sum = float(values[0] * values[1] + values[2])
    if not all(math.isfinite(x) for x in operands):
        return product_sum
    exact = Fraction(operands[0]) * Fraction(operands[1]) + Fraction(operands[2])
    if exact == 0:
        return product_sum
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _entry(name: str, mode: str, kind: str) -> Instruction:
    count = OPERANDS[name]

    def run(machine: Machine, *operands: Any) -> np.ndarray:
        dtype = np.float32 if kind == "f32" else np.float64
        lanes = [np.asarray(x, dtype).reshape(np.shape(x) or (1, 1)) for x in operands]
        if kind == "f64":
            each = np.vectorize(lambda *x: _round64(name, mode, x), otypes=[np.float64])
            return each(*lanes)
        if mode == "rn":
            return np.asarray(numeric.fma32(*lanes) if name == "fma" else _NEAREST[name](*lanes))
        return _round32(name, mode, lanes)

    def semantics(op: ir.Operation) -> Run:
        return run

    ptx = f"{name}.{mode}.{kind} d, {', '.join('abc'[:count])}"
    return Instruction(f"{name}.{mode}.{kind}", ptx, f"9.7.3 {name}", semantics, emit=emit)


INSTRUCTIONS = tuple(_entry(name, mode, kind) for name in OPERANDS for mode in MODES for kind in ("f32", "f64"))
