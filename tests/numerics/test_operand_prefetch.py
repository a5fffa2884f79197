"""Pipelined products whose operands are loaded one k step ahead, in the simulator, against numpy in float64."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.util.operands import copy_operands
from tilelang_mlir import knobs

NUMPY = {
    "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64,
    "int8": np.int8, "int32": np.int32, "float8_e4m3": ml_dtypes.float8_e4m3fn,
}  # fmt: skip
TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 1e-3, "float64": 1e-12, "int8": 0.0, "float8_e4m3": 1e-5}


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def product(sizes: Any, blocks: Any, stages: int, threads: int, ta: bool, tb: bool, dtype: str, sums: str) -> Any:
    M, N, _ = sizes
    bm, bn, bk = blocks

    @tilelang.jit(target="sim:sm_89")
    def build(K):
        @T.prim_func
        def gemm(
            A: T.Tensor((K, M) if ta else (M, K), dtype),
            B: T.Tensor((N, K) if tb else (K, N), dtype),
            C: T.Tensor((M, N), sums),
        ):
            with T.Kernel(T.ceildiv(N, bn), T.ceildiv(M, bm), threads=threads) as (bx, by):
                a = T.alloc_shared((bk, bm) if ta else (bm, bk), dtype)
                b = T.alloc_shared((bn, bk) if tb else (bk, bn), dtype)
                c = T.alloc_fragment((bm, bn), sums)
                T.clear(c)
                for k in T.Pipelined(T.ceildiv(K, bk), num_stages=stages):
                    copy_operands(A, B, a, b, (by * bm, bx * bn, k * bk), (ta, tb))
                    T.gemm(a, b, c, transpose_A=ta, transpose_B=tb)
                T.copy(c, C[by * bm, bx * bn])

        return gemm

    return build


def random(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(repr((shape, dtype)).encode()))
    if dtype == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.standard_normal(shape).astype(NUMPY[dtype])


def check(kernel: Any, sizes: tuple[int, int, int], ta: bool, tb: bool, dtype: str, sums: str) -> None:
    M, N, K = sizes
    a, b = random((K, M) if ta else (M, K), dtype), random((N, K) if tb else (K, N), dtype)
    left, right = a.astype(np.float64), b.astype(np.float64)
    want = (left.T if ta else left) @ (right.T if tb else right)
    got = np.full((M, N), np.nan if sums != "int32" else -1, NUMPY[sums])
    kernel(a, b, got)
    assert np.linalg.norm(got.astype(np.float64) - want) <= TOLERANCE[dtype] * np.linalg.norm(want)
    assert "tl.load_operand" in kernel.ir("scheduled")


@pytest.mark.parametrize(
    ("sizes", "stages"),
    [((64, 64, 128), 2), ((72, 56, 104), 3), ((72, 56, 104), 5), ((64, 8, 72), 5), ((130, 40, 192), 2)],
)
@pytest.mark.parametrize("transposed", [(False, False), (False, True), (True, False), (True, True)])
def test_orders_and_tails(transposed: tuple[bool, bool], sizes: tuple[int, int, int], stages: int) -> None:
    kernel = product(sizes, (64, 64, 32), stages, 128, *transposed, "float16", "float32")(sizes[2])
    check(kernel, sizes, *transposed, "float16", "float32")


@pytest.mark.parametrize(
    ("dtype", "sums", "blocks", "threads"),
    [
        ("bfloat16", "float32", (64, 64, 64), 128), ("float16", "float16", (32, 64, 32), 64),
        ("int8", "int32", (64, 64, 64), 128), ("float32", "float32", (64, 64, 16), 128),
        ("float64", "float64", (32, 32, 16), 32), ("float8_e4m3", "float32", (64, 64, 128), 256),
    ],
)  # fmt: skip
def test_element_types(dtype: str, sums: str, blocks: tuple[int, int, int], threads: int) -> None:
    sizes = (80, 96, 256)
    kernel = product(sizes, blocks, 3, threads, False, True, dtype, sums)(sizes[2])
    check(kernel, sizes, False, True, dtype, sums)


@tilelang.jit(target="sim:sm_89")
def partial_sums():
    @T.prim_func
    def gemm(
        A: T.Tensor((64, 256), "float16"),
        B: T.Tensor((64, 256), "float16"),
        C: T.Tensor((64, 64), "float32"),
        n: T.int32,
    ):
        with T.Kernel(1, threads=128) as _:
            a = T.alloc_shared((64, 32), "float16")
            b = T.alloc_shared((64, 32), "float16")
            c = T.alloc_fragment((64, 64), "float32")
            T.clear(c)
            for k in T.Pipelined(n, num_stages=4):
                T.copy(A[0, k * 32], a)
                T.copy(B[0, k * 32], b)
                T.gemm(a, b, c, transpose_B=True)
            T.copy(c, C[0, 0])

    return gemm


@pytest.mark.parametrize("trips", [0, 1, 2, 3, 4, 8])
def test_run_time_trip_counts(trips: int) -> None:
    """Also loops of fewer iterations than stages: what is not read is zero."""
    kernel = partial_sums()
    a, b = random((64, 256), "float16"), random((64, 256), "float16")
    want = a[:, : 32 * trips].astype(np.float64) @ b[:, : 32 * trips].astype(np.float64).T
    got = np.full((64, 64), np.nan, np.float32)
    kernel(a, b, got, trips)
    assert np.linalg.norm(got - want) <= 2e-3 * np.linalg.norm(want)
    assert "tl.load_operand" in kernel.ir("scheduled")


@tilelang.jit(target="sim:sm_89")
def chained():
    @T.prim_func
    def two(A: T.Tensor((64, 128), "float16"), B: T.Tensor((64, 128), "float16"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=128) as _:
            scratch = T.alloc_shared((64, 64), "float32")
            a = T.alloc_shared((64, 32), "float16")
            b = T.alloc_shared((64, 32), "float16")
            c = T.alloc_fragment((64, 64), "float32")
            for i, j in T.Parallel(64, 64):
                scratch[i, j] = T.cast(i - j, "float32")
            for i, j in T.Parallel(64, 64):
                c[i, j] = scratch[j, i]
            for k in T.Pipelined(4, num_stages=3):
                T.copy(A[0, k * 32], a)
                T.copy(B[0, k * 32], b)
                T.gemm(a, b, c, transpose_B=True)
            for i, j in T.Parallel(64, 64):
                scratch[i, j] = c[i, j]
            for i, j in T.Parallel(64, 64):
                C[i, j] = scratch[j, i]

    return two


def test_the_first_copies_wait_for_tiles_that_share_the_memory() -> None:
    kernel = chained()
    a, b = random((64, 128), "float16"), random((64, 128), "float16")
    i, j = np.indices((64, 64))
    want = (a.astype(np.float64) @ b.astype(np.float64).T + j - i).T
    got = np.full((64, 64), np.nan, np.float32)
    kernel(a, b, got)
    assert np.linalg.norm(got - want) <= 2e-3 * np.linalg.norm(want)
    assert "tl.load_operand" in kernel.ir("scheduled")
