"""Programs that schedule copies, products and warpgroups themselves, in the simulator against float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, compiled, f64, poisoned, random

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import LayoutError, SimulationError, UnsupportedError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def producer_consumer(size: tuple[int, int, int], tile: tuple[int, int, int], stages: int, skip: str = "") -> Any:
    """C = A @ B: warpgroup 1 loads tiles into a ring, warpgroup 0 multiplies. `skip` leaves one step out."""
    (M, N, K), (BM, BN, BK) = size, tile

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, BN), T.ceildiv(M, BM), threads=256) as (bx, by):
            A_shared = T.alloc_shared((stages, BM, BK), "float16")
            B_shared = T.alloc_shared((stages, BK, BN), "float16")
            acc = T.alloc_fragment((BM, BN), "float32")
            full = T.alloc_barrier([128] * stages)
            empty = T.alloc_barrier([128] * stages)
            with T.ws(1):
                T.dec_max_nreg(24)
                for ko in T.serial(T.ceildiv(K, BK)):
                    if skip != "empty":
                        T.mbarrier_wait_parity(empty[ko % stages], ((ko // stages) % 2) ^ 1)
                    T.tma_copy(A[by * BM, ko * BK], A_shared[ko % stages, :, :], barrier=full[ko % stages])
                    T.tma_copy(B[ko * BK, bx * BN], B_shared[ko % stages, :, :], barrier=full[ko % stages])
                    T.mbarrier_arrive(full[ko % stages])
            with T.ws(0):
                T.inc_max_nreg(240)
                T.clear(acc)
                for ko in T.serial(T.ceildiv(K, BK)):
                    if skip != "full":
                        T.mbarrier_wait_parity(full[ko % stages], (ko // stages) % 2)
                    T.wgmma_gemm(A_shared[ko % stages, :, :], B_shared[ko % stages, :, :], acc)
                    if skip != "product":
                        T.wait_wgmma(0)
                    T.mbarrier_arrive(empty[ko % stages])
                T.wait_wgmma(0)
                T.copy(acc, C[by * BM, bx * BN])

    return main


def run_gemm(program: Any, size: tuple[int, int, int]) -> None:
    M, N, K = size
    kernel = compiled(program)
    a, b, c = random((M, K)), random((K, N)), poisoned((M, N), "float32")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b), "float32")


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("size", [(128, 64, 64), (200, 136, 200), (1, 8, 392)], ids=str)
def test_producer_and_consumer_warpgroups(size: tuple[int, int, int], stages: int) -> None:
    run_gemm(producer_consumer(size, (128, 64, 64), stages), size)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_any_order_of_the_warpgroups(seed: int) -> None:
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        run_gemm(producer_consumer((70, 72, 328), (64, 64, 64), 2), (70, 72, 328))


@pytest.mark.parametrize("skip", ["full", "empty", "product"])
def test_a_step_left_out_is_reported(skip: str) -> None:
    with pytest.raises(SimulationError):
        run_gemm(producer_consumer((64, 64, 328), (64, 64, 64), 2, skip), (64, 64, 328))


def test_two_consumers_share_the_tiles() -> None:
    """Two warpgroups of consumers take one half of the rows each; the loads arrive at the barrier themselves."""
    M, N, K, stages = 130, 64, 256, 2

    @T.prim_func
    def main(A: T.Tensor((M, K), "bfloat16"), B: T.Tensor((N, K), "bfloat16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(M, 128), threads=384) as bx:
            A_shared = T.alloc_shared((stages, 128, 64), "bfloat16")
            B_shared = T.alloc_shared((stages, 64, 64), "bfloat16")
            acc = T.alloc_fragment((128, 64), "float32")
            full = T.alloc_barrier([2] * stages)
            empty = T.alloc_barrier([256] * stages)
            with T.ws(0, 1):
                for ko in T.serial(K // 64):
                    T.barrier_wait(full[ko % stages], (ko // stages) % 2)
                    T.wgmma_gemm(
                        A_shared[ko % stages, :, :], B_shared[ko % stages, :, :], acc, transpose_B=True,
                        clear_accum=ko == 0,
                    )  # fmt: skip
                    T.warpgroup_wait(0)
                    T.barrier_arrive(empty[ko % stages])
                T.copy(acc, C[bx * 128, 0])
            with T.ws(2):
                for ko in T.serial(K // 64):
                    T.barrier_wait(empty[ko % stages], ((ko // stages) % 2) ^ 1)
                    T.tma_copy(A[bx * 128, ko * 64], A_shared[ko % stages, :, :], barrier=full[ko % stages])
                    T.tma_copy(B[0, ko * 64], B_shared[ko % stages, :, :], barrier=full[ko % stages])

    kernel = compiled(main)
    a, b, c = random((M, K), "bfloat16"), random((N, K), "bfloat16"), poisoned((M, N), "float32")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b).T, "float32")


@pytest.mark.parametrize("pending", [0, 1])
def test_one_product_stays_under_way(pending: int) -> None:
    """All threads; the product of one step runs under the loads of the next."""
    M, N, K = 64, 72, 320

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((N, K), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(1, threads=128) as _:
            A_shared, B_shared = T.alloc_shared((5, 64, 64), "float16"), T.alloc_shared((5, 72, 64), "float16")
            acc = T.alloc_fragment((64, 72), "float32")
            bars = T.alloc_barrier([2] * 5)
            for k in T.serial(5):
                T.tma_copy(A[0, k * 64], A_shared[k, :, :], barrier=bars[k])
                T.tma_copy(B[0, k * 64], B_shared[k, :, :], barrier=bars[k])
            T.clear(acc)
            T.warpgroup_arrive()
            for k in T.serial(5):
                T.mbarrier_wait_parity(bars[k], 0)
                T.wgmma_gemm(A_shared[k, :, :], B_shared[k, :, :], acc, transpose_B=True)
                T.wait_wgmma(pending)
            T.warpgroup_fence_operand(acc)
            T.wait_wgmma(0)
            T.copy(acc, C)

    kernel = compiled(main)
    a, b, c = random((M, K)), random((N, K)), poisoned((M, N), "float32")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b).T, "float32")


@pytest.mark.parametrize(("shape", "dtype"), [((64, 64), "float32"), ((8, 40), "float16")])
def test_parts_of_a_tile(shape: tuple[int, int], dtype: str) -> None:
    """Versions that the program keeps as the first dimension of a tile, without a product to arrange it."""
    steps, slots = 5, 2

    @T.prim_func
    def main(X: T.Tensor((steps, *shape), dtype), Y: T.Tensor((steps, *shape), dtype)):
        with T.Kernel(1, threads=128) as _:
            tile = T.alloc_shared((slots, *shape), dtype)
            bars = T.alloc_barrier([128] * slots)
            for k in T.serial(steps):
                T.tma_copy(X[k, :, :], tile[k % slots, :, :], barrier=bars[k % slots])
                T.mbarrier_arrive(bars[k % slots])
                T.mbarrier_wait_parity(bars[k % slots], k // slots % 2)
                T.copy(tile[k % slots, :, :], Y[k, :, :])

    kernel = compiled(main)
    x, y = random((steps, *shape), dtype), poisoned((steps, *shape), dtype)
    kernel(x, y)
    assert np.array_equal(y, x)


def test_a_part_that_is_no_tile_of_its_own() -> None:
    @T.prim_func
    def main(X: T.Tensor((64, 32), "float16")):
        with T.Kernel(1, threads=128) as _:
            tile = T.alloc_shared((64, 64), "float16")
            bar = T.alloc_barrier(1)
            T.tma_copy(X, tile[:, 0:32], barrier=bar)

    with pytest.raises(UnsupportedError, match="T.tma_copy cannot copy this tile: the shared tile is not in panels"):
        compiled(main)


@pytest.mark.parametrize("batch", [2, 3])
def test_parts_of_tiles_and_a_wait_in_a_branch(batch: int) -> None:
    """Panels of a shared tile are loaded and multiplied one by one, from a tensor whose outer stride is known when it
    is launched; some blocks wait inside of a branch."""
    B, K = T.dynamic("B"), 128

    @T.prim_func
    def main(A: T.Tensor((2, B, 64, K), "float16"), C: T.Tensor((2, B, 64, 64), "float32")):
        with T.Kernel(2, B, threads=256) as (bx, by):
            a = T.alloc_shared((64, K), "float16")
            ready = T.alloc_barrier([1, 1])
            if T.get_thread_binding() < 128:
                acc = T.alloc_fragment((64, 64), "float32")
                for j in T.unroll(2):
                    T.mbarrier_wait_parity(ready[j], 0)
                    T.wgmma_gemm(a[:, j * 64 : (j + 1) * 64], a[:, j * 64 : (j + 1) * 64], acc, transpose_B=True,
                                 clear_accum=j == 0)  # fmt: skip
                if by > 0:
                    T.wait_wgmma(0)
                    for i, j in T.Parallel(64, 64):
                        acc[i, j] *= 2
                T.wait_wgmma(0)
                T.copy(acc, C[bx, by, 0, 0])
            else:
                for j in T.unroll(2):
                    T.tma_copy(A[bx, by, 0, j * 64], a[:, j * 64 : (j + 1) * 64], barrier=ready[j])

    a, c = random((2, batch, 64, K)), poisoned((2, batch, 64, 64), "float32")
    compiled(main)(a, c)
    wide = f64(a)
    check(c, wide @ wide.swapaxes(-1, -2) * np.where(np.arange(batch) > 0, 2, 1)[:, None, None], "float32")


def test_stores_and_loads_of_a_staged_tile() -> None:
    M, N = 100, 136

    @T.prim_func
    def main(X: T.Tensor((M, N), "float32"), Y: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, 64), T.ceildiv(M, 32), threads=128) as (bx, by):
            tile = T.alloc_shared((32, 64), "float32")
            bar = T.alloc_barrier(128)
            T.tma_copy(X[by * 32, bx * 64], tile, barrier=bar, eviction_policy="evict_first")
            T.mbarrier_arrive(bar)
            T.mbarrier_wait_parity(bar, 0)
            for i, j in T.Parallel(32, 64):
                tile[i, j] = tile[i, j] * 2 + 1
            T.fence_proxy_async()
            T.sync_threads()
            T.tma_copy(tile, Y[by * 32, bx * 64], annotations={"eviction_policy": "evict_last"})
            T.tma_store_arrive()
            T.tma_store_wait(0, read=False)

    kernel = compiled(main)
    x, y = random((M, N), "float32"), poisoned((M, N), "float32")
    kernel(x, y)
    check(y, f64(x) * 2 + 1, "float32")


def test_cp_async_arrives_at_a_barrier() -> None:
    N = 300

    @T.prim_func
    def main(X: T.Tensor((N,), "float32"), Y: T.Tensor((N,), "float32")):
        with T.Kernel(T.ceildiv(N, 128), threads=128) as bx:
            tile = T.alloc_shared((128,), "float32")
            bar = T.alloc_barrier(128)
            T.async_copy(X[bx * 128], tile)
            T.cp_async_barrier_noinc(bar)
            T.mbarrier_wait_parity(bar, 0)
            for i in T.Parallel(128):
                if bx * 128 + i < N:
                    Y[bx * 128 + i] = tile[127 - i] if bx * 128 + 127 - i < N else 0.0

    kernel = compiled(main)
    x, y = random((N,), "float32"), poisoned((N,), "float32")
    kernel(x, y)
    padded = np.zeros(384)
    padded[:N] = f64(x)
    check(y, padded.reshape(3, 128)[:, ::-1].reshape(-1)[:N], "float32")


def test_products_of_what_threads_copied() -> None:
    """Words that a producer's threads copy with cp.async meet a product in another warpgroup: fenced there. The tile
    that all threads stored before is ready in every region, and no region waits for another."""

    @T.prim_func
    def main(A: T.Tensor((64, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=256) as _:
            a, b = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            full, free = T.alloc_barrier(128), T.alloc_barrier(128)
            tx = T.get_thread_binding()
            T.copy(A, a)
            if tx >= 128:
                T.mbarrier_wait_parity(free, 0)
                for r in T.serial(4):
                    row, column = r * 16 + (tx - 128) // 8, (tx - 128) % 8 * 8
                    T.ptx_cp_async(T.access_ptr(b[row, column], "w", 8), T.access_ptr(B[row, column], "r", 8), 8)
                T.cp_async_barrier_noinc(full)
            else:
                acc = T.alloc_fragment((64, 64), "float32")
                T.mbarrier_arrive(free)
                T.mbarrier_wait_parity(full, 0)
                T.wgmma_gemm(a, b, acc, clear_accum=True)
                T.wait_wgmma(0)
                T.copy(acc, C)

    kernel = compiled(main)
    a, b, c = random((64, 64)), random((64, 64)), poisoned((64, 64), "float32")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b), "float32")


def test_products_that_the_program_waits_for_in_a_pipelined_loop() -> None:
    """Tiles are given back behind the wait; the sums are cleared by a predicate, a second time half way."""

    @T.prim_func
    def main(A: T.Tensor((64, 256), "float16"), B: T.Tensor((256, 64), "float16"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=128) as _:
            a, b = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            for k in T.Pipelined(4, num_stages=2):
                T.copy(A[0, k * 64], a)
                T.copy(B[k * 64, 0], b)
                T.wgmma_gemm(a, b, acc, clear_accum=k % 2 == 0)
                T.wait_wgmma(0)
            T.copy(acc, C)

    kernel = compiled(main)
    a, b, c = random((64, 256)), random((256, 64)), poisoned((64, 64), "float32")
    kernel(a, b, c)
    check(c, f64(a)[:, 128:] @ f64(b)[128:], "float32")


def test_a_producer_may_store_what_the_consumer_multiplies() -> None:
    """Ordinary copies in the producer are fenced before the barrier hears of them."""
    M, N, K = 64, 64, 192

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(1, threads=256) as _:
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            bars = T.alloc_barrier([128, 128])
            with T.ws(0):
                for k in T.serial(3):
                    T.mbarrier_wait_parity(bars[1], (k & 1) ^ 1)
                    T.copy(A[0, k * 64], A_shared)
                    T.copy(B[k * 64, 0], B_shared)
                    T.mbarrier_arrive(bars[0])
            with T.ws(1):
                T.clear(acc)
                for k in T.serial(3):
                    T.mbarrier_wait_parity(bars[0], k & 1)
                    T.wgmma_gemm(A_shared, B_shared, acc)
                    T.wait_wgmma(0)
                    T.mbarrier_arrive(bars[1])
                T.copy(acc, C)

    run_gemm(main, (M, N, K))


def test_reductions_in_two_warpgroups_at_once() -> None:
    """Each has its own scratch memory and its own barrier."""

    @T.prim_func
    def main(X: T.Tensor((2, 32, 512), "float32"), Y: T.Tensor((2, 32), "float32")):
        with T.Kernel(1, threads=256) as _:
            for _g in T.unroll(2):
                with T.ws(0):
                    x, y = T.alloc_fragment((32, 512), "float32"), T.alloc_fragment((32,), "float32")
                    T.copy(X[0, 0:32, 0:512], x)
                    T.reduce_sum(x, y, dim=0 + 1)
                    T.copy(y, Y[0, 0:32])
                with T.ws(1):
                    u, v = T.alloc_fragment((32, 512), "float32"), T.alloc_fragment((32,), "float32")
                    T.copy(X[1, 0:32, 0:512], u)
                    T.reduce_sum(u, v, dim=1)
                    T.copy(v, Y[1, 0:32])

    kernel = compiled(main)
    x, y = random((2, 32, 512), "float32"), poisoned((2, 32), "float32")
    kernel(x, y)
    check(y, f64(x).sum(2), "float32")


def test_a_fragment_of_two_thread_counts_is_refused() -> None:
    @T.prim_func
    def main(X: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=256) as _:
            x = T.alloc_fragment((64, 64), "float32")
            with T.ws(0):
                T.clear(x)
            T.copy(x, X)

    with pytest.raises(LayoutError, match="x is used by 128 threads and by 256 threads"):
        compiled(main)


def test_tiles_the_engine_cannot_copy_are_explained() -> None:
    @T.prim_func
    def main(X: T.Tensor((33, 35), "float16")):
        with T.Kernel(1, threads=128) as _:
            tile = T.alloc_shared((32, 32), "float16")
            bar = T.alloc_barrier(1)
            T.tma_copy(X[0, 0], tile, barrier=bar)

    with pytest.raises(UnsupportedError, match="T.tma_copy cannot copy this tile: strides .* multiples of 16 bytes"):
        compiled(main)


def test_products_wgmma_cannot_run_are_explained() -> None:
    @T.prim_func
    def main(C: T.Tensor((32, 32), "float32")):
        with T.Kernel(1, threads=128) as _:
            tile, acc = T.alloc_shared((32, 32), "float16"), T.alloc_fragment((32, 32), "float32")
            T.clear(tile)
            T.wgmma_gemm(tile, tile, acc)
            T.wait_wgmma(0)
            T.copy(acc, C)

    with pytest.raises(UnsupportedError, match=r"C of \[32, 32\] does not split over 128 threads"):
        compiled(main)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *(("add", dtype) for dtype in ("float32", "float16", "bfloat16", "int32")),
        *(("max", "int32"), ("min", "float16"), ("max", "bfloat16"), ("or", "int32")),
    ],
)
def test_bulk_reductions(kind: str, dtype: str) -> None:
    M, N = 70, 72
    combine = {"add": T.atomic_add, "max": T.atomic_max, "min": T.atomic_min, "or": T.atomic_or}[kind]

    @T.prim_func
    def main(X: T.Tensor((3, M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(N, 32), T.ceildiv(M, 32), 3, threads=128) as (bx, by, bz):
            tile = T.alloc_shared((32, 32), dtype)
            T.copy(X[bz, by * 32, bx * 32], tile)
            combine(Y[by * 32, bx * 32], tile, use_tma=True)

    kernel = compiled(main)
    x, y = random((3, M, N), dtype), random((M, N), dtype)
    start = f64(y)
    kernel(x, y)
    whole = [start, *f64(x)]
    if kind == "or":
        expected: Any = np.bitwise_or.reduce([part.astype(np.int64) for part in whole]).astype(np.float64)
    else:
        expected = {"add": np.add, "max": np.maximum, "min": np.minimum}[kind].reduce(whole)
    check(y, expected, dtype)


def test_elements_the_engine_does_not_reduce() -> None:
    @T.prim_func
    def main(Y: T.Tensor((32, 32), "float32")):
        with T.Kernel(1, threads=128) as _:
            tile = T.alloc_shared((32, 32), "float32")
            T.clear(tile)
            T.atomic_max(Y, tile, use_tma=True)

    with pytest.raises(UnsupportedError, match="bulk copies have no max of f32"):
        compiled(main)


def test_bytes_announced_by_hand() -> None:
    """One thread announces more bytes and arrives; the copy announces its own."""
    N = 96

    @T.prim_func
    def main(X: T.Tensor((N, 64), "float32"), Y: T.Tensor((N, 64), "float32")):
        with T.Kernel(T.ceildiv(N, 32), threads=64) as bx:
            tile = T.alloc_shared((32, 64), "float32")
            bars = T.alloc_barrier([1, 64])
            T.tma_copy(X[bx * 32, 0], tile, barrier=bars[1])
            if T.get_thread_binding() == 0:
                T.mbarrier_arrive_expect_tx(bars[0], 0)
                T.mbarrier_expect_tx(bars[1], 0)
            T.mbarrier_wait_parity(bars[0], 0)
            T.mbarrier_arrive(bars[1])
            T.mbarrier_wait_parity(bars[1], 0)
            T.copy(tile, Y[bx * 32, 0])

    kernel = compiled(main)
    x, y = random((N, 64), "float32"), poisoned((N, 64), "float32")
    kernel(x, y)
    check(y, f64(x), "float32")


def test_bytes_that_never_come_are_reported() -> None:
    @T.prim_func
    def main(Y: T.Tensor((4,), "float32")):
        with T.Kernel(1, threads=32) as _:
            bar = T.alloc_barrier(32)
            if T.get_thread_binding() == 0:
                T.mbarrier_expect_tx(bar, 16)
            T.mbarrier_arrive(bar)
            T.mbarrier_wait_parity(bar, 0)
            Y[0] = 1.0

    with pytest.raises(SimulationError, match="16 bytes missing"):
        compiled(main)(poisoned((4,), "float32"))


@pytest.mark.parametrize("name", ["alloc_barrier(1)", "fence_proxy_async()", "tma_store_wait(0)"])
def test_older_machines_say_what_they_lack(name: str) -> None:
    from tilelang_mlir.tools.surface_page import support

    assert support(f"x = T.{name}") == {"sm_80": "no", "sm_90a": "yes", "sm_100a": "yes"}
