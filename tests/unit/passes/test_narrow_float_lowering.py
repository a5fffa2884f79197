"""Arithmetic, reductions, scans and constants of 8-bit floats: computed in float32, rounded once per operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir.passes import pipelines
from tilelang_mlir.simulator import Program
from tilelang_mlir.target import parse_target

FORMATS = {"float8_e4m3fn": ml_dtypes.float8_e4m3fn, "float8_e5m2": ml_dtypes.float8_e5m2}
M, N = 8, 24


def run(func: Any, *arrays: np.ndarray) -> None:
    pipelines.lower(func.module, parse_target("sm_89"))
    program = Program(func.module)
    program.launch(program.kernels[0], (1, 1, 1), [a.view(np.uint8) if a.dtype.itemsize == 1 else a for a in arrays])


def inputs(name: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(FORMATS[name])


def poison(name: str, *shape: int) -> np.ndarray:
    return np.full(shape, np.nan, FORMATS[name])


OPERATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "add": (lambda x: x + x, lambda x: x + x),
    "multiply": (lambda x: x * x, lambda x: x * x),
    "negate": (lambda x: -x, lambda x: -x),
    "constant": (lambda x: x * 0.75, lambda x: x * np.float32(0.75)),
    "maximum": (lambda x: T.max(x, -x), np.abs),
    "absolute": (T.abs, np.abs),
    "select": (lambda x: T.if_then_else(x > 0, x, x * x), lambda x: np.where(x > 0, x, x * x)),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_elementwise_is_rounded_exactly(name: str, operation: str) -> None:
    function, wanted = OPERATIONS[operation]

    @T.prim_func
    def main(A: T.Tensor((M, N), name), B: T.Tensor((M, N), name)):
        with T.Kernel(1, threads=32):
            for i, j in T.Parallel(M, N):
                B[i, j] = function(A[i, j])

    a, b = inputs(name, M, N), poison(name, M, N)
    run(main, a, b)
    np.testing.assert_array_equal(
        b.astype(np.float32), wanted(a.astype(np.float32)).astype(FORMATS[name]).astype(np.float32)
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("scope", ["shared", "fragment"])
def test_sums_are_rounded_once(name: str, scope: str) -> None:
    allocate = T.alloc_shared if scope == "shared" else T.alloc_fragment

    @T.prim_func
    def main(A: T.Tensor((M, N), name), B: T.Tensor((M,), name)):
        with T.Kernel(1, threads=32):
            a = allocate((M, N), name)
            b = allocate((M,), name)
            T.copy(A, a)
            T.fill(b, 0.5)
            T.reduce_sum(a, b, dim=1, clear=False)
            T.copy(b, B)

    a, b = inputs(name, M, N), poison(name, M)
    run(main, a, b)
    wanted = (a.astype(np.float64).sum(1) + 0.5).astype(FORMATS[name])
    np.testing.assert_array_equal(b.astype(np.float32), wanted.astype(np.float32))


@pytest.mark.parametrize("name", FORMATS)
def test_running_sum(name: str) -> None:
    @T.prim_func
    def main(A: T.Tensor((M, N), name), B: T.Tensor((M, N), name)):
        with T.Kernel(1, threads=32):
            a = T.alloc_shared((M, N), name)
            T.copy(A, a)
            T.cumsum(a, dim=1)
            T.copy(a, B)

    a, b = inputs(name, M, N), poison(name, M, N)
    run(main, a, b)
    wanted = np.cumsum(a.astype(np.float32), 1).astype(FORMATS[name])
    np.testing.assert_array_equal(b.astype(np.float32), wanted.astype(np.float32))


@pytest.mark.parametrize("name", FORMATS)
def test_fill(name: str) -> None:
    @T.prim_func
    def main(B: T.Tensor((M, N), name)):
        with T.Kernel(1, threads=32):
            b = T.alloc_fragment((M, N), name)
            T.fill(b, -2.5)
            T.copy(b, B)

    b = poison(name, M, N)
    run(main, b)
    assert (b.astype(np.float32) == -2.5).all()
