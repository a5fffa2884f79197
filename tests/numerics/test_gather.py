"""Tensor copies of four rows, in the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import ProxyFenceError, SimulationError, TileError, UnsupportedError

TARGET = "sim:sm_100a"


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def permuted(rows: int, columns: int, dtype: str, *, announced: int = 0, fence: bool = True) -> Any:
    """Every block gathers the four rows that R names, adds one and scatters them to where R names again."""
    nbytes = announced or T.tma_gather4_bytes(columns, dtype)

    @T.prim_func
    def main(
        X: T.Tensor((rows, 72), dtype), R: T.Tensor((8,), "int32"), Y: T.Tensor((rows, 72), dtype)
    ):
        with T.Kernel(2, threads=32) as bx:
            tile, bar = T.alloc_shared((4, columns), dtype), T.alloc_barrier(1)
            at = [R[bx * 4 + i] for i in range(4)]
            if T.get_thread_binding() == 0:
                T.mbarrier_arrive_expect_tx(bar, nbytes)
            T.tma_gather4(X, tile, 8, at, barrier=bar, eviction_policy="evict_first")
            T.mbarrier_wait_parity(bar, 0)
            for i, j in T.Parallel(4, columns):
                tile[i, j] = tile[i, j] + T.cast(1, dtype)
            if fence:
                T.fence_proxy_async()
            T.sync_threads()
            T.tma_scatter4(tile, Y, 8, at)
            T.tma_store_wait(0, read=False)

    return main


@pytest.mark.parametrize("columns", [64, 16])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_are_gathered_and_scattered(columns: int, dtype: str) -> None:
    x, y = random((13, 72), dtype), np.zeros((13, 72), dtype)
    rows = np.array([12, 0, 7, 3, 5, 1, 20, -1], np.int32)  # the last two lie outside
    tilelang.compile(permuted(13, columns, dtype), target=TARGET)(x, rows, y)
    want = np.zeros_like(x)
    want[rows[:6], 8 : 8 + columns] = x[rows[:6], 8 : 8 + columns] + np.ones((), dtype)
    check(y, f64(want), dtype)


def test_a_gathered_operand_of_a_product() -> None:
    """Rows of A by index, in the swizzled layout that the product asks for."""
    M, N, K = 128, 64, 64

    @T.prim_func
    def main(
        A: T.Tensor((300, K), "float16"), R: T.Tensor((M,), "int32"), B: T.Tensor((K, N), "float16"),
        C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128) as _:
            a, b = T.alloc_shared((M, K), "float16"), T.alloc_shared((K, N), "float16")
            acc, bar = T.alloc_fragment((M, N), "float32"), T.alloc_barrier(1)
            T.copy(B, b)
            if T.get_thread_binding() == 0:
                T.mbarrier_arrive_expect_tx(bar, M // 4 * T.tma_gather4_bytes(K, "float16"))
            for i in T.serial(M // 4):
                at = [R[i * 4 + j] for j in range(4)]
                T.tma_gather4(A, a[i * 4 : i * 4 + 4, 0:K], 0, at, barrier=bar)
            T.mbarrier_wait_parity(bar, 0)
            T.clear(acc)
            T.gemm(a, b, acc)
            T.copy(acc, C)

    a, b, c = random((300, K), "float16"), random((K, N), "float16", 1), poisoned((M, N), "float32")
    rows = np.random.default_rng(2).integers(0, 300, M).astype(np.int32)
    tilelang.compile(main, target=TARGET)(a, rows, b, c)
    check(c, f64(a)[rows] @ f64(b), "float32")


def test_sums_at_gathered_places() -> None:
    """Lanes of a thread add to rows that a table names, one element or four neighbours at a time."""

    @T.prim_func
    def main(R: T.Tensor((32,), "int32"), V: T.Tensor((8, 36), "float32"), D: T.Tensor((40, 8), "float32"),
             Old: T.Tensor((32,), "float32")):  # fmt: skip
        with T.Kernel(1, threads=8):
            for i in T.Parallel(32):
                Old[i] = T.atomic_add(D[R[i], 0], 1.0, return_prev=True)
            for i, j in T.Parallel(32, 2):
                T.atomic_addx4(D[R[i], j * 4], V[j, i])

    rows = np.random.default_rng(2).permutation(40)[:32].astype(np.int32)
    v, d, old = random((8, 36), "float32"), random((40, 8), "float32", 1), poisoned((32,), "float32")
    want = f64(d)
    want[rows, 0] += 1
    for j in range(8):
        want[rows, j] += f64(v)[j // 4, j % 4 : j % 4 + 32]
    first = d[rows, 0].copy()
    tilelang.compile(main, target="sim:sm_90a")(rows, v, d, old)
    assert np.array_equal(old, first)
    check(d, want, "float32")


def test_wrong_gathers_are_reported() -> None:
    x, y, rows = random((13, 72), "float16"), np.zeros((13, 72), np.float16), np.arange(8, dtype=np.int32)
    with pytest.raises(SimulationError, match="16 bytes missing"):
        tilelang.compile(permuted(13, 64, "float16", announced=528), target=TARGET)(x, rows, y)
    with pytest.raises(UnsupportedError, match="T.tma_gather4 needs tensor copies of four rows, which .*sm_90a lacks"):
        tilelang.compile(permuted(13, 64, "float16"), target="sim:sm_90a")
    with pytest.raises(UnsupportedError, match="rows of 12 elements in boxes of 12: multiples of 16 bytes"):
        tilelang.compile(permuted(13, 12, "float16"), target=TARGET)


def test_wrong_arguments_are_explained() -> None:
    def program(columns: int, at: Any, lines: int) -> Any:
        @T.prim_func
        def main(X: T.Tensor((16, 64), "float16")):
            with T.Kernel(1, threads=32) as _:
                tile, bar = T.alloc_shared((lines, columns), "float16"), T.alloc_barrier(1)
                T.tma_gather4(X, tile, 0, at, barrier=bar)

        return main

    with pytest.raises(TileError, match="needs a list of 4 rows"):
        tilelang.compile(program(64, [0, 1], 4), target=TARGET)
    with pytest.raises(TileError, match="copies four rows"):
        tilelang.compile(program(64, [0, 1, 2, 3], 8), target=TARGET)


def test_scattered_rows_are_fenced() -> None:
    """The compiler puts the fence where the program does not."""
    x, y, rows = random((13, 72), "float16"), np.zeros((13, 72), np.float16), np.arange(8, dtype=np.int32)
    kernel = tilelang.compile(permuted(13, 64, "float16", fence=False), target=TARGET)
    try:
        kernel(x, rows, y)
    except ProxyFenceError as error:
        pytest.fail(str(error))
    check(y[:8, 8:], f64(x)[:8, 8:] + 1, "float16")
