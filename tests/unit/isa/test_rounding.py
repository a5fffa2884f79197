"""Arithmetic with a rounding mode against rational numbers, and its way to PTX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, store
from tilelang_mlir.compiler.codegen import generate
from tilelang_mlir.isa.nvidia import rounding
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate

NAMES = [(name, mode) for name in rounding.OPERANDS for mode in rounding.MODES]


def _operands(dtype: Any, count: int) -> np.ndarray:
    """Random numbers of all magnitudes, exact cases, the smallest, the largest, not finite (count, n)."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    wide = rng.standard_normal((count, 96)) * 2.0 ** rng.integers(info.minexp - 20, info.maxexp - 2, (count, 96))
    near = rng.standard_normal((count, 96))
    small = rng.integers(-6, 7, (count, 96)).astype(float)
    edge = [0.0, -0.0, 1, -1, info.tiny, info.smallest_subnormal, -info.smallest_subnormal, info.max, -info.max]
    edge = rng.choice([*edge, np.inf, -np.inf, np.nan, 2.0, 1 + info.eps, 1 / 3], (count, 128))
    return np.concatenate([wide, near, small, edge], axis=1).astype(dtype)


def _exact(name: str, values: list[Fraction]) -> Fraction:
    a = values[0]
    b = values[1] if len(values) > 1 else Fraction(0)
    return {
        "add": lambda: a + b,
        "sub": lambda: a - b,
        "mul": lambda: a * b,
        "fma": lambda: a * b + values[2],
        "rcp": lambda: 1 / a,
        "div": lambda: a / b,
    }[name]()


def _compare(name: str, values: list[Fraction], candidate: Fraction) -> int:
    """Sign of the exact result minus a candidate."""
    if name == "sqrt":
        difference = values[0] - candidate * abs(candidate)
    else:
        difference = _exact(name, values) - candidate
    return (difference > 0) - (difference < 0)


def _check(name: str, mode: str, operands: tuple[Any, ...], got: Any) -> None:
    """`got` is the neighbour of the exact result that the mode asks for."""
    kind = got.dtype.type
    native = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "sqrt": np.sqrt}
    special = not all(np.isfinite(operands)) or (name in ("rcp", "div") and operands[-1] == 0)
    if special or (name == "sqrt" and operands[0] < 0):
        if name in ("rcp", "fma"):
            want = kind(1) / operands[0] if name == "rcp" else operands[0] * operands[1] + operands[2]
        else:
            want = native[name](*operands)
        assert np.array_equal(got, want, equal_nan=True), operands
        return
    exact = [Fraction(float(x)) for x in operands]
    limit = Fraction(float(np.finfo(kind).max))
    if not np.isfinite(got):
        assert _compare(name, exact, limit if got > 0 else -limit) == (1 if got > 0 else -1)
        assert mode == "rn" or mode == ("rp" if got > 0 else "rm")
        return
    side = _compare(name, exact, Fraction(float(got)))
    if side == 0:
        if name in ("add", "sub", "fma") and got == 0:
            parts = operands if name == "add" else (operands[0], -operands[1])
            parts = (operands[0] * operands[1], operands[2]) if name == "fma" else parts
            both = [bool(np.signbit(p)) for p in parts]
            assert bool(np.signbit(got)) == (all(both) or (mode == "rm" and any(both))), operands
        return
    beyond = np.nextafter(got, kind(np.inf * side))
    assert not np.isfinite(beyond) or _compare(name, exact, Fraction(float(beyond))) == -side, (operands, got)
    if mode == "rn":
        return
    negative = bool(np.signbit(got)) if got else side < 0
    assert side == {"rm": 1, "rp": -1, "rz": -1 if negative else 1}[mode], (operands, got)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "mode"), NAMES)
def test_rounds_to_the_right_neighbour(name: str, mode: str, dtype: Any) -> None:
    count = rounding.OPERANDS[name]
    values = _operands(dtype, count)
    text = "f32" if dtype is np.float32 else "f64"
    n = values.shape[1]
    result = np.zeros(n, dtype)

    def body(a: Sequence[ir.Value]) -> None:
        width = 1 if dtype is np.float32 else 2
        loaded = [load(lane(p, width), text) for p in a[:count]]
        store(rounding.emit(f"{name}.{mode}.{text}", loaded), lane(a[count], width))

    with ir.Context(), ir.Location.unknown():
        module = build(body, [POINTER] * (count + 1), threads=n)
        simulate(module, "k", (1, 1, 1), [*values, result])
    with np.errstate(all="ignore"):
        for i in range(n):
            _check(name, mode, tuple(values[:, i]), result[i])


def test_reaches_ptx() -> None:
    with ir.Context(), ir.Location.unknown():

        def body(a: list[ir.Value]) -> None:
            for text in ("f32", "f64"):
                for name, mode in NAMES:
                    value = load(lane(a[0], 2), text)
                    store(rounding.emit(f"{name}.{mode}.{text}", [value] * rounding.OPERANDS[name]), lane(a[1], 2))

        code = generate(build(body, [POINTER, POINTER]), "sm_80")
    for name, mode in NAMES:
        for text in ("f32", "f64"):
            assert re.search(rf"\b{name}\.{mode}\.{text}\b", code.assembly), (name, mode, text)
    assert code.binary
