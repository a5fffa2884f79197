"""Copies into several CTAs of a cluster and between them, prefetches, bulk copies of single threads, against numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, compiled, f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import BarrierError, InFlightError, RaceError, SimulationError, TileError, UnsupportedError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def expected(x: np.ndarray, mask: int) -> np.ndarray:
    """What blocks of 32 rows get in clusters of four: those of the mask the rows of its lowest rank."""
    lowest = (mask & -mask).bit_length() - 1
    want = np.zeros_like(x)
    for block in range(-(-len(x) // 32)):
        source = block // 4 * 4 + lowest if mask >> block % 4 & 1 else block
        rows = x[source * 32 : source * 32 + 32]
        count = len(x[block * 32 : block * 32 + 32])
        padded = np.zeros((32, *x.shape[1:]), x.dtype)
        padded[: len(rows)] = rows
        want[block * 32 : block * 32 + count] = padded[:count]
    return want


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("mask", [0b1111, 0b0011, 0b1010])
def test_multicast_reaches_the_blocks_of_the_mask(mask: int, seed: int) -> None:
    @T.prim_func
    def main(X: T.Tensor((250, 64), "float16"), Y: T.Tensor((250, 64), "float16")):
        with T.ClusterKernel(1, T.ceildiv(250, 32), cluster_dims=(1, 4, 1), threads=128) as (bx, by):
            tile = T.alloc_shared((32, 32), "float16")
            for half in T.serial(2):
                T.copy_cluster(X[by * 32, half * 32], tile, cluster_mask=mask)
                T.copy(tile, Y[by * 32, half * 32])

    kernel = compiled(main)
    x, y = random((250, 64), "float16"), poisoned((250, 64), "float16")
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        kernel(x, y)
    assert np.array_equal(y, expected(x, mask))


@pytest.mark.parametrize("seed", [0, 1])
def test_product_with_a_ring_shared_by_two_blocks(seed: int) -> None:
    """The tiles of B go to both blocks of a pair, which release them at the barrier of the one that loads."""
    M, N, K, stages = 128, 64, 256, 2

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.ClusterKernel(1, M // 64, cluster_dims=(1, 2, 1), threads=128) as (bx, by):
            a, b = T.alloc_shared((stages, 64, 64), "float16"), T.alloc_shared((stages, 64, 64), "float16")
            acc = T.alloc_fragment((64, N), "float32")
            full, empty = T.alloc_cluster_barrier([1] * stages), T.alloc_cluster_barrier([256] * stages)
            T.clear(acc)
            T.cluster_sync()
            for k in T.serial(K // 64):
                if k >= stages:
                    T.mbarrier_wait_parity(empty[k % stages], (k // stages - 1) % 2)
                T.tma_copy(A[by * 64, k * 64], a[k % stages, 0:64, 0:64], barrier=full[k % stages])
                T.tma_copy(B[k * 64, 0], b[k % stages, 0:64, 0:64], barrier=full[k % stages], cluster_mask=0b11)
                if T.get_thread_binding() == 0:
                    T.mbarrier_arrive(full[k % stages])
                T.mbarrier_wait_parity(full[k % stages], k // stages % 2)
                T.gemm(a[k % stages, 0:64, 0:64], b[k % stages, 0:64, 0:64], acc)
                T.mbarrier_arrive(empty[k % stages], 0)
                T.mbarrier_arrive(empty[k % stages], 1)
            T.copy(acc, C[by * 64, 0])
            T.cluster_sync()

    a, b, c = random((M, K), "float16"), random((K, N), "float16", 1), poisoned((M, N), "float32")
    kernel = compiled(main)
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        kernel(a, b, c)
    check(c, f64(a) @ f64(b), "float32")


def exchange(*, sync: bool = True, wait: bool = True, rank: int = 1, part: int = 64, after: bool = True) -> Any:
    """Each block of a pair sends its tile, plus one, to the other."""

    @T.prim_func
    def main(X: T.Tensor((4, 64), "float32"), Y: T.Tensor((4, 64), "float32")):
        with T.ClusterKernel(4, cluster_dims=2, threads=64) as bx:
            mine, theirs = T.alloc_shared((64,), "float32"), T.alloc_shared((64,), "float32")
            got = T.alloc_cluster_barrier(1) if sync else T.alloc_barrier(1)  # the former is seen by the cluster
            for i in T.Parallel(64):
                mine[i] = X[bx, i] + 1
            T.copy_cluster(
                mine[0:part], theirs[0:part], dst_block=T.block_rank_in_cluster() ^ rank, remote_barrier=got
            )
            if wait:
                T.mbarrier_wait_parity(got, 0)
            for i in T.Parallel(part):
                Y[bx, i] = theirs[i]
            if after:
                T.cluster_sync()

    return main


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_blocks_exchange_tiles(seed: int) -> None:
    x, y = random((4, 64), "float32"), poisoned((4, 64), "float32")
    kernel = compiled(exchange())
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        kernel(x, y)
    check(y, f64(x)[[1, 0, 3, 2]] + 1, "float32")


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_of_a_tile_go_to_another_block(rows: int) -> None:
    @T.prim_func
    def main(X: T.Tensor((2, 8, 32), "float32"), Y: T.Tensor((2, 8, 32), "float32")):
        with T.ClusterKernel(2, cluster_dims=2, threads=32) as bx:
            mine, theirs = T.alloc_shared((8, 32), "float32"), T.alloc_shared((8, 32), "float32")
            got = T.alloc_cluster_barrier(1)
            T.copy(X[bx, 0:8, 0:32], mine)
            T.clear(theirs)
            T.cluster_sync()
            T.copy_cluster(
                mine[1 : 1 + rows, 4:12], theirs[2 : 2 + rows, 16:24], dst_block=1 - bx, remote_barrier=got
            )
            T.mbarrier_wait_parity(got, 0)
            T.copy(theirs, Y[bx, 0:8, 0:32])
            T.cluster_sync()

    x, y = random((2, 8, 32), "float32"), poisoned((2, 8, 32), "float32")
    compiled(main)(x, y)
    want = np.zeros_like(x)
    want[:, 2 : 2 + rows, 16:24] = x[::-1, 1 : 1 + rows, 4:12]
    assert np.array_equal(y, want)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"sync": False}, RaceError, "uses the mbarrier .* whose initialisation is not ordered before"),
        ({"wait": False}, InFlightError, "in flight"),
        ({"rank": 2}, BarrierError, "an arrival at CTA [23] of a cluster of 2"),
    ],
)
def test_wrong_exchanges_are_reported(wrong: dict[str, Any], kind: type[SimulationError], message: str) -> None:
    with pytest.raises(kind, match=message):
        compiled(exchange(**wrong))(random((4, 64), "float32"), poisoned((4, 64), "float32"))


def test_tiles_that_bulk_copies_cannot_send_are_stored() -> None:
    x, y = random((4, 64), "float32"), poisoned((4, 64), "float32")
    compiled(exchange(part=3))(x, y)
    check(y[:, :3], f64(x)[[1, 0, 3, 2], :3] + 1, "float32")
    with pytest.raises(RaceError):
        compiled(exchange(part=3, wait=False))(x, y)
    with pytest.raises(UnsupportedError, match="thread block clusters, which .*sm_80 lacks"):
        tilelang.compile(exchange(), target="sim:sm_80")


@pytest.mark.parametrize("synchronised", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_tiles_are_stored_without_a_barrier_of_their_own(dtype: str, synchronised: bool) -> None:
    @T.prim_func
    def main(X: T.Tensor((2, 5, 24), dtype), Y: T.Tensor((2, 5, 24), dtype)):
        with T.ClusterKernel(2, cluster_dims=2, threads=64) as bx:
            mine, theirs = T.alloc_shared((5, 24), dtype), T.alloc_shared((9, 24), dtype)
            T.copy(X[bx, 0:5, 0:24], mine)
            T.cluster_sync()
            T.copy_cluster(mine, theirs[4 - 4 * bx : 9 - 4 * bx, 0:24], dst_block=1 - bx)
            if synchronised:
                T.cluster_sync()
            T.copy(theirs[4 * bx : 4 * bx + 5, 0:24], Y[bx, 0:5, 0:24])
            T.cluster_sync()

    x = random((2, 5, 24), dtype) if dtype == "float16" else np.arange(240, dtype=np.uint8).reshape(2, 5, 24)
    y = np.full_like(x, 7)
    if synchronised:
        compiled(main)(x, y)
        assert np.array_equal(y[::-1], x)
    else:
        with pytest.raises(SimulationError, match="race|nothing has written"):
            compiled(main)(x, y)


def test_a_multicast_over_a_tile_that_is_still_read() -> None:
    """The second block goes on reading what the first one overwrites."""

    @T.prim_func
    def main(X: T.Tensor((2, 32, 32), "float32"), Y: T.Tensor((2, 2, 32, 32), "float32")):
        with T.ClusterKernel(2, cluster_dims=2, threads=128) as bx:
            tile = T.alloc_shared((32, 32), "float32")
            bar = T.alloc_cluster_barrier(1)
            T.cluster_sync()
            for k in T.serial(2):
                T.tma_copy(X[k, 0:32, 0:32], tile, barrier=bar, cluster_mask=0b11)
                T.mbarrier_wait_parity(bar, k)
                T.copy(tile, Y[bx, k, 0:32, 0:32])

    with pytest.raises(RaceError, match="asynchronous copy of shared byte 0 of CTA 1 by .* is not ordered after the"):
        compiled(main)(random((2, 32, 32), "float32"), poisoned((2, 2, 32, 32), "float32"))


def test_ordinary_barriers_are_initialised_for_the_cluster() -> None:
    @T.prim_func
    def main(X: T.Tensor((32, 32), "float32"), Y: T.Tensor((2, 32, 32), "float32")):
        with T.ClusterKernel(2, cluster_dims=2, threads=128) as bx:
            tile, bar = T.alloc_shared((32, 32), "float32"), T.alloc_barrier(1)
            T.tma_copy(X, tile, barrier=bar, cluster_mask=0b11)
            T.mbarrier_wait_parity(bar, 0)
            T.copy(tile, Y[bx, 0:32, 0:32])

    x, y = random((32, 32), "float32"), poisoned((2, 32, 32), "float32")
    kernel = compiled(main)
    kernel(x, y)
    assert (y == x).all()
    assert kernel.ir("lowered").count("nvvm.cluster.wait") == 1


def test_masks_are_checked() -> None:
    def program(mask: Any) -> Any:
        @T.prim_func
        def main(X: T.Tensor((64, 64), "float16")):
            with T.ClusterKernel(2, cluster_dims=2, threads=128) as bx:
                tile = T.alloc_shared((32, 64), "float16")
                T.copy_cluster(X[bx * 32, 0], tile, cluster_mask=mask)

        return main

    with pytest.raises(UnsupportedError, match="cluster_mask 0x4 names no CTAs, or others than the 2 of the cluster"):
        compiled(program(4))
    with pytest.raises(TileError, match="a bit per block of the cluster, got int 0"):
        compiled(program(0))


def test_prefetches_change_nothing() -> None:
    @T.prim_func
    def main(X: T.Tensor((100, 64), "float16"), Y: T.Tensor((100, 64), "float16")):
        with T.Kernel(T.ceildiv(100, 32), threads=64) as bx:
            T.tma_prefetch(X[bx * 32 : bx * 32 + 32, 0:64])
            for i, j in T.Parallel(32, 64):
                Y[bx * 32 + i, j] = X[bx * 32 + i, j]

    x, y = random((100, 64), "float16"), poisoned((100, 64), "float16")
    kernel = compiled(main)
    assert "cp_async_bulk_prefetch" in kernel.ir("lowered") or "bulk.tensor.prefetch" in kernel.ir("lowered")
    kernel(x, y)
    assert np.array_equal(x, y)
    assert "prefetch" not in tilelang.compile(main, target="sim:sm_80").ir("lowered")


def bulk_words(size: int = 256, announced: int = 256) -> Any:
    @T.prim_func
    def main(X: T.Tensor((3, 64), "float32"), Y: T.Tensor((3, 64), "float32")):
        with T.Kernel(3, threads=64) as bx:
            tile, bar = T.alloc_shared((64,), "float32"), T.alloc_barrier(1)
            if T.get_thread_binding() == 0:
                T.mbarrier_arrive_expect_tx(bar, announced)
                T.ptx_cp_async_bulk(T.access_ptr(tile, "w"), T.access_ptr(X[bx, 0], "r"), size, bar)
            T.mbarrier_wait_parity(bar, 0)
            for i in T.Parallel(64):
                Y[bx, i] = tile[i]

    return main


def test_bulk_copies_of_single_threads() -> None:
    x, y = random((3, 64), "float32"), poisoned((3, 64), "float32")
    compiled(bulk_words())(x, y)
    assert np.array_equal(x, y)
    with pytest.raises(SimulationError, match="16 bytes missing"):
        compiled(bulk_words(announced=272))(x, y)
    with pytest.raises(TileError, match="a positive multiple of 16 bytes, got int 24"):
        compiled(bulk_words(size=24))
    with pytest.raises(UnsupportedError, match="needs .*, which .*sm_80 lacks"):
        tilelang.compile(bulk_words(), target="sim:sm_80")


def test_ptx() -> None:
    source = tilelang.compile(exchange(), target="sm_90a").get_kernel_source()
    for text in (
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes",
        "mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64",
    ):
        assert text in source, text
