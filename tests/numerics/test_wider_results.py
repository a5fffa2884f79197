"""Reductions whose result has other elements than their source: these are converted before they are combined."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.reference import evaluate

ROWS, COLUMNS = 13, 48


def program(source: str, target: str, kind: str, where: str, clear: bool) -> Any:
    reduce = {"sum": T.reduce_sum, "max": T.reduce_max, "absmax": T.reduce_absmax}[kind]
    alloc = {"fragment": T.alloc_fragment, "shared": T.alloc_shared, "local": T.alloc_local}[where]

    @T.prim_func
    def main(A: T.Tensor((ROWS, COLUMNS), source), D: T.Tensor((ROWS,), target), B: T.Tensor((ROWS,), target)):
        with T.Kernel(1, threads=64):
            tile, rows = alloc((ROWS, COLUMNS), source), alloc((ROWS,), target)
            if where == "local":
                for i, j in T.grid(ROWS, COLUMNS):
                    tile[i, j] = A[i, j]
                    rows[i] = D[i]
            else:
                T.copy(A, tile)
                T.copy(D, rows)
            reduce(tile, rows, dim=1, clear=clear)
            if where == "local":
                for i in T.serial(ROWS):
                    B[i] = rows[i]
            else:
                T.copy(rows, B)

    return main


def inputs(dtype: np.dtype) -> np.ndarray:
    rng = np.random.default_rng(5)
    if dtype.kind not in "iub":
        return rng.standard_normal((ROWS, COLUMNS)).astype(dtype)
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = rng.integers(least, most, (ROWS, COLUMNS), endpoint=True).astype(dtype)
    values[3, 5] = least  # whose absolute value only wider elements hold
    return values


@pytest.mark.parametrize(("where", "clear"), [("fragment", True), ("shared", False), ("local", True), ("local", False)])
@pytest.mark.parametrize("kind", ["sum", "max", "absmax"])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("uint8", "int32"), ("int8", "int32"), ("uint16", "int64"), ("bool", "int32"),
        ("float16", "float32"), ("float32", "float64"), ("bfloat16", "float16"), ("float8_e4m3fn", "float32"),
        ("float8_e4m3fn", "float8_e4m3fn"),
    ],
)  # fmt: skip
def test_result_of_other_elements(source: str, target: str, kind: str, where: str, clear: bool) -> None:
    wide, out = (np.dtype(getattr(ml_dtypes, name, name)) for name in (source, target))
    a, old = inputs(wide), np.arange(ROWS).astype(out)
    main = program(source, target, kind, where, clear)
    simulated, meant = np.zeros(ROWS, out), np.zeros(ROWS, out)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        tilelang.compile(main, target="sim")(a, old, simulated)
    evaluate(main.module, "main", [a, old, meant])
    values, before = a.astype(np.float64), old.astype(np.float64)
    values = np.abs(values) if kind == "absmax" else values
    want = values.sum(1) if kind == "sum" else values.max(1)
    if not clear:
        want = want + before if kind == "sum" else np.maximum(want, before)
    for got in (simulated, meant):
        if out.kind == "i":
            assert (got == want.astype(np.int64).astype(out)).all()
        else:
            tolerance = 4 * float(ml_dtypes.finfo(out).eps)
            assert np.linalg.norm(got.astype(np.float64) - want) <= tolerance * np.linalg.norm(want)
