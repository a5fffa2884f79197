"""Matrix products of sm_75, put together from its smaller instructions, in the simulator."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hopper_programs import f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs

NUMPY = {"float16": np.float16, "float32": np.float32, "int8": np.int8, "uint8": np.uint8, "int32": np.int32}


def product(sizes: tuple[int, int, int], transposed: tuple[bool, bool], dtype: str, sums: str) -> Any:
    M, N, K = sizes
    ta, tb = transposed

    @T.prim_func
    def gemm(
        A: T.Tensor((K, M) if ta else (M, K), dtype), B: T.Tensor((N, K) if tb else (K, N), dtype),
        C: T.Tensor((M, N), sums),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(N, 32), T.ceildiv(M, 64), threads=64) as (bx, by):
            a = T.alloc_shared((32, 64) if ta else (64, 32), dtype)
            b = T.alloc_shared((32, 32), dtype)
            c = T.alloc_fragment((64, 32), sums)
            T.clear(c)
            for k in T.Pipelined(T.ceildiv(K, 32), num_stages=2):
                if ta:
                    T.copy(A[k * 32, by * 64], a)
                else:
                    T.copy(A[by * 64, k * 32], a)
                if tb:
                    T.copy(B[bx * 32, k * 32], b)
                else:
                    T.copy(B[k * 32, bx * 32], b)
                T.gemm(a, b, c, transpose_A=ta, transpose_B=tb)
            T.copy(c, C[by * 64, bx * 32])

    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        return tilelang.compile(gemm, target="sim:sm_75")


@pytest.mark.parametrize(("dtype", "sums"), [
    ("float16", "float32"), ("float16", "float16"), ("int8", "int32"), ("uint8", "int32"),
])  # fmt: skip
@pytest.mark.parametrize("transposed", [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize("sizes", [(64, 32, 64), (65, 33, 40), (7, 96, 100)])
def test_products(sizes: tuple[int, int, int], transposed: tuple[bool, bool], dtype: str, sums: str) -> None:
    M, N, K = sizes
    rng = np.random.default_rng(zlib.crc32(repr((sizes, dtype)).encode()))
    shapes = ((K, M) if transposed[0] else (M, K), (N, K) if transposed[1] else (K, N))
    if dtype == "float16":
        a, b = (rng.standard_normal(s).astype(np.float16) for s in shapes)
    else:
        low, high = (-128, 128) if dtype == "int8" else (0, 256)
        a, b = (rng.integers(low, high, s).astype(NUMPY[dtype]) for s in shapes)
    left, right = a.astype(np.float64), b.astype(np.float64)
    want = (left.T if transposed[0] else left) @ (right.T if transposed[1] else right)
    got = np.full((M, N), np.nan if sums != "int32" else -1, NUMPY[sums])
    product(sizes, transposed, dtype, sums)(a, b, got)
    limit = 0.0 if sums == "int32" else 2e-3
    assert np.linalg.norm(got.astype(np.float64) - want) <= limit * np.linalg.norm(want)


@pytest.mark.parametrize(("dtype", "sums", "transposed"), [
    ("float32", "float32", (True, False)), ("float64", "float64", (False, True)),
    ("bfloat16", "float32", (False, False)),
])  # fmt: skip
def test_products_of_threads(dtype: str, sums: str, transposed: tuple[bool, bool]) -> None:
    """Dtypes for which sm_75 has no instruction."""
    M, N, K = 65, 33, 40
    shapes = ((K, M) if transposed[0] else (M, K), (N, K) if transposed[1] else (K, N))
    a, b = (random(shape, dtype, seed=axis) for axis, shape in enumerate(shapes))
    want = (f64(a).T if transposed[0] else f64(a)) @ (f64(b).T if transposed[1] else f64(b))
    got = poisoned((M, N), sums)
    kernel = product((M, N, K), transposed, dtype, sums)
    kernel(a, b, got)
    assert np.linalg.norm(got - want) <= 1e-6 * np.linalg.norm(want) and "mma.sync" not in kernel.ir("lowered")
