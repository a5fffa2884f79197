"""mma.sync against the fragment formulas of PTX ISA 8.7, sections 9.7.14.5.1 to 9.7.14.5.12, written out lane by lane.

Inputs are small integers, so every sum is exact and results must agree bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, store
from tilelang_mlir.isa.nvidia import mma
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate

Place = Callable[[int, int, int], tuple[int, int]]
"""(group id, thread id in group, element) -> (row, column)."""


@dataclass(frozen=True)
class Layout:
    """Elements per lane and their places for the three operands of one shape."""

    a_count: int
    a: Place
    b_count: int
    b: Place
    c_count: int
    c: Place


def _c16(g: int, t: int, i: int) -> tuple[int, int]:
    return (g if i < 2 else g + 8), t * 2 + (i & 1)


def _c8(g: int, t: int, i: int) -> tuple[int, int]:
    return g, t * 2 + (i & 1)


LAYOUTS = {
    ((16, 8, 16), 16): Layout(
        8,
        lambda g, t, i: (g if i in (0, 1, 4, 5) else g + 8, t * 2 + (i & 1) + (0 if i < 4 else 8)),
        4,
        lambda g, t, i: (t * 2 + (i & 1) + (0 if i < 2 else 8), g),
        4,
        _c16,
    ),
    ((16, 8, 8), 16): Layout(
        4, lambda g, t, i: (g if i < 2 else g + 8, t * 2 + (i & 1)), 2, lambda g, t, i: (t * 2 + i, g), 4, _c16
    ),
    ((16, 8, 4), 32): Layout(2, lambda g, t, i: (g if i == 0 else g + 8, t), 1, lambda g, t, i: (t, g), 4, _c16),
    ((16, 8, 8), 32): Layout(
        4,
        lambda g, t, i: (g if i in (0, 2) else g + 8, t if i in (0, 1) else t + 4),
        2,
        lambda g, t, i: (t if i == 0 else t + 4, g),
        4,
        _c16,
    ),
    ((16, 8, 16), 8): Layout(
        8, lambda g, t, i: (g if i < 4 else g + 8, t * 4 + (i & 3)), 4, lambda g, t, i: (t * 4 + (i & 3), g), 4, _c16
    ),
    ((16, 8, 32), 8): Layout(
        16,
        lambda g, t, i: (g if i < 4 or 8 <= i < 12 else g + 8, t * 4 + (i & 3) + (0 if i < 8 else 16)),
        8,
        lambda g, t, i: (t * 4 + (i & 3) + (0 if i < 4 else 16), g),
        4,
        _c16,
    ),
    ((8, 8, 16), 8): Layout(4, lambda g, t, i: (g, t * 4 + (i & 3)), 4, lambda g, t, i: (t * 4 + (i & 3), g), 2, _c8),
    ((8, 8, 4), 64): Layout(1, lambda g, t, i: (g, t), 1, lambda g, t, i: (t, g), 2, _c8),
}
DTYPES: dict[str, Any] = {
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "tf32": np.float32,
    "s8": np.int8,
    "u8": np.uint8,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "f64": np.float64,
    "f32": np.float32,
    "s32": np.int32,
}
CASES = [
    ((16, 8, 16), "f16", "f16", "f32"),
    ((16, 8, 16), "f16", "f16", "f16"),
    ((16, 8, 8), "f16", "f16", "f32"),
    ((16, 8, 8), "f16", "f16", "f16"),
    ((16, 8, 16), "bf16", "bf16", "f32"),
    ((16, 8, 8), "bf16", "bf16", "f32"),
    ((16, 8, 4), "tf32", "tf32", "f32"),
    ((16, 8, 8), "tf32", "tf32", "f32"),
    ((16, 8, 16), "s8", "s8", "s32"),
    ((16, 8, 32), "s8", "u8", "s32"),
    ((16, 8, 32), "u8", "s8", "s32"),
    ((8, 8, 16), "s8", "s8", "s32"),
    ((16, 8, 32), "e4m3", "e4m3", "f32"),
    ((16, 8, 32), "e5m2", "e4m3", "f32"),
    ((8, 8, 4), "f64", "f64", "f64"),
]


def _oracle(layout: Layout, shape: tuple[int, int, int], a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """D by lane and element, from lane values (lane, element)."""
    m, n, k = shape
    left, right, start = np.zeros((m, k)), np.zeros((k, n)), np.zeros((m, n))
    for thread in range(32):
        group, member = thread >> 2, thread % 4
        for i in range(layout.a_count):
            left[layout.a(group, member, i)] = float(a[thread, i])
        for i in range(layout.b_count):
            right[layout.b(group, member, i)] = float(b[thread, i])
        for i in range(layout.c_count):
            start[layout.c(group, member, i)] = float(c[thread, i])
    total = np.zeros((m, n))
    for row in range(m):
        for column in range(n):
            total[row, column] = start[row, column] + sum(left[row, x] * right[x, column] for x in range(k))
    out = np.zeros((32, layout.c_count))
    for thread in range(32):
        for i in range(layout.c_count):
            out[thread, i] = total[layout.c(thread >> 2, thread % 4, i)]
    return out


def _kernel(
    shape: tuple[int, int, int], kinds: tuple[str, str, str], counts: tuple[int, int, int], grid: int
) -> ir.Module:
    """Loads `grid` A fragments and `grid` B fragments per lane and multiplies all pairs."""
    na, nb, nc = counts
    a_kind, b_kind, total = kinds
    width = 2 if a_kind == "f64" else 1
    operand = "f64" if a_kind == "f64" else "i32"
    result = {"f32": "f32", "f16": "i32", "s32": "i32", "f64": "f64"}[total]

    def body(arguments: Any) -> None:
        a, b, c, d = arguments
        lefts = [
            [load(lane(a, na * grid * width, (f * na + i) * width), operand) for i in range(na)] for f in range(grid)
        ]
        rights = [
            [load(lane(b, nb * grid * width, (f * nb + i) * width), operand) for i in range(nb)] for f in range(grid)
        ]
        start = [load(lane(c, nc * width, i * width), result) for i in range(nc)]
        for p, left in enumerate(lefts):
            for q, right in enumerate(rights):
                for i, value in enumerate(mma.emit(left, right, start, shape, a_kind, b_kind, total)):
                    store(value, lane(d, nc * grid * grid * width, ((p * grid + q) * nc + i) * width))

    return build(body, [POINTER] * 4)


@pytest.mark.parametrize("grid", [1, 2])
@pytest.mark.parametrize(("shape", "a_kind", "b_kind", "total"), CASES)
def test_fragments(shape: tuple[int, int, int], a_kind: str, b_kind: str, total: str, grid: int) -> None:
    bits = {"tf32": 32, "f64": 64}.get(a_kind, np.dtype(DTYPES[a_kind]).itemsize * 8)
    layout = LAYOUTS[shape, bits]
    rng = np.random.default_rng(7)

    def small(kind: str, count: int) -> np.ndarray:
        low = 0 if kind == "u8" else -4
        return rng.integers(low, 5, (32, count)).astype(np.float32).astype(DTYPES[kind])

    a, b = small(a_kind, layout.a_count * grid), small(b_kind, layout.b_count * grid)
    c = small(total, layout.c_count)
    d = np.zeros((32, layout.c_count * grid * grid), DTYPES[total])
    d.view(np.uint8)[...] = 0xFF
    na, nb = mma.registers(shape, a_kind)
    nc = layout.c_count // (2 if total == "f16" else 1)
    with ir.Context(), ir.Location.unknown():
        module = _kernel(shape, (a_kind, b_kind, total), (na, nb, nc), grid)
        simulate(module, "k", (1, 1, 1), [a.view(np.uint8), b.view(np.uint8), c, d])
    for p in range(grid):
        for q in range(grid):
            left = a[:, p * layout.a_count : (p + 1) * layout.a_count]
            right = b[:, q * layout.b_count : (q + 1) * layout.b_count]
            first = (p * grid + q) * layout.c_count
            want = _oracle(layout, shape, left, right, c)
            assert np.array_equal(d[:, first : first + layout.c_count].astype(np.float64), want)


def test_sums_of_real_numbers_are_close() -> None:
    rng = np.random.default_rng(0)
    layout = LAYOUTS[(16, 8, 16), 16]
    a, b = rng.standard_normal((32, 8)).astype(np.float16), rng.standard_normal((32, 4)).astype(np.float16)
    c, d = rng.standard_normal((32, 4)).astype(np.float32), np.full((32, 4), np.nan, np.float32)
    with ir.Context(), ir.Location.unknown():
        module = _kernel((16, 8, 16), ("f16", "f16", "f32"), (4, 2, 4), 1)
        simulate(module, "k", (1, 1, 1), [a, b, c, d])
    want = _oracle(layout, (16, 8, 16), a, b, c)
    assert np.linalg.norm(d - want) / np.linalg.norm(want) < 1e-6


def test_tf32_ignores_the_low_bits() -> None:
    a = np.full((32, 4), np.float32(1).view(np.uint32) | 0x1FFF, np.uint32).view(np.float32)
    b, c, d = np.ones((32, 2), np.float32), np.zeros((32, 4), np.float32), np.full((32, 4), np.nan, np.float32)
    with ir.Context(), ir.Location.unknown():
        simulate(_kernel((16, 8, 8), ("tf32", "tf32", "f32"), (4, 2, 4), 1), "k", (1, 1, 1), [a, b, c, d])
    assert (d == 8).all()
