"""Clusters, dependent launches and schedulers of tiles, in the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, compiled, f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import SimulationError, UnsupportedError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.mark.parametrize(("grid", "cluster"), [((4, 6), (2, 3)), ((6, 1), (3, 1)), ((2, 4), (1, 2))])
def test_ranks_count_x_first(grid: tuple[int, int], cluster: tuple[int, int]) -> None:
    @T.prim_func
    def main(Y: T.Tensor((grid[1], grid[0]), "int32")):
        with T.ClusterKernel(grid[0], grid[1], cluster_dims=cluster, threads=32) as (bx, by):
            if T.get_thread_binding() == 0:
                Y[by, bx] = T.block_rank_in_cluster()

    kernel = compiled(main)
    y = poisoned((grid[1], grid[0]), "int32")
    kernel(y)
    x, z = np.meshgrid(np.arange(grid[0]), np.arange(grid[1]))
    assert (y == z % cluster[1] * cluster[0] + x % cluster[0]).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_arrivals_at_the_neighbours_barrier(seed: int) -> None:
    """Each block waits for the threads of the other one of its pair."""
    N = 8

    @T.prim_func
    def main(X: T.Tensor((N, 64), "float32"), Y: T.Tensor((N, 64), "float32")):
        with T.ClusterKernel(N, cluster_dims=2, threads=64) as bx:
            bar = T.alloc_cluster_barrier(64)
            T.cluster_sync()
            T.mbarrier_arrive(bar, T.block_rank_in_cluster() ^ 1)
            T.mbarrier_wait_parity(bar, 0)
            for i in T.Parallel(64):
                Y[bx, i] = X[bx, i] + 1
            T.cluster_arrive_relaxed()
            T.cluster_wait()

    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        kernel = compiled(main)
        x, y = random((N, 64), "float32"), poisoned((N, 64), "float32")
        kernel(x, y)
    check(y, f64(x) + 1, "float32")


def test_wrong_arrivals_are_reported() -> None:
    @T.prim_func
    def main(Y: T.Tensor((4,), "float32")):
        with T.ClusterKernel(4, cluster_dims=2, threads=32) as bx:
            bar = T.alloc_cluster_barrier(32)
            T.cluster_sync()
            T.ptx_arrive_cluster_barrier(bar, 2)
            T.mbarrier_wait_parity(bar, 0)
            Y[bx] = 1.0

    with pytest.raises(SimulationError, match="an arrival at CTA 2 of a cluster of 2"):
        compiled(main)(poisoned((4,), "float32"))


def test_a_grid_that_is_no_whole_number_of_clusters() -> None:
    @T.prim_func
    def main(Y: T.Tensor((3,), "float32")):
        with T.ClusterKernel(3, cluster_dims=2, threads=32) as bx:
            Y[bx] = 1.0

    with pytest.raises(SimulationError, match="no whole number of clusters"):
        compiled(main)(poisoned((3,), "float32"))


def test_targets_without_clusters_say_so() -> None:
    @T.prim_func
    def main(Y: T.Tensor((4,), "float32")):
        with T.ClusterKernel(4, cluster_dims=2, threads=32) as bx:
            Y[bx] = 1.0

    text = "a kernel of clusters needs thread block clusters, which .*sm_80 lacks"
    with pytest.raises(UnsupportedError, match=text) as caught:
        tilelang.compile(main, target="sim:sm_80")
    assert caught.value.location is not None


def test_ptx_of_clusters_and_dependent_launches() -> None:
    @T.prim_func
    def main(X: T.Tensor((256,), "float32"), Y: T.Tensor((256,), "float32")):
        with T.ClusterKernel(2, cluster_dims=2, threads=128) as bx:
            bar = T.alloc_cluster_barrier(128)
            T.cluster_sync()
            T.mbarrier_arrive(bar, T.block_rank_in_cluster() ^ 1)
            T.mbarrier_wait_parity(bar, 0)
            T.pdl_sync()
            for i in T.Parallel(128):
                Y[bx * 128 + i] = X[bx * 128 + i]
            T.pdl_trigger()

    source = tilelang.compile(main, target="sm_90a").get_kernel_source()
    for text in (
        *("barrier.cluster.arrive.aligned", "barrier.cluster.wait.aligned", "%cluster_ctarank", "mapa.shared::cluster"),
        *("mbarrier.arrive.release.cluster.shared::cluster", "griddepcontrol.wait", "griddepcontrol.launch_dependents"),
        ".reqnctapercluster",
    ):
        assert text in source, text


@pytest.mark.parametrize("column_major", [True, False])
@pytest.mark.parametrize(("tiles", "swizzle"), [((5, 7), 1), ((5, 7), 3), ((4, 8), 4), ((1, 1), 2)])
def test_every_tile_is_visited_once(tiles: tuple[int, int], swizzle: int, column_major: bool) -> None:
    m, n = tiles
    workers = 4

    @T.prim_func
    def main(Y: T.Tensor((m, n), "int32"), Order: T.Tensor((m, n), "int32")):
        with T.Kernel(workers, threads=32) as bx:
            sched = T.PersistentTileScheduler(m, n, workers, swizzle_size=swizzle, column_major=column_major)
            sched.init(bx)
            while sched.valid():
                if T.get_thread_binding() == 0:
                    Y[sched.m_idx, sched.n_idx] = sched.current_iter
                    Order[sched.m_idx, sched.n_idx] = sched.linear_idx
                sched.next_tile()

    y, order = (poisoned((m, n), "int32") for _ in range(2))
    compiled(main)(y, order)
    expected = np.zeros((m, n), np.int64)
    number = 0
    long, across = (m, n) if column_major else (n, m)
    for first in range(0, across, swizzle):
        for step in range(long):
            for line in range(first, min(first + swizzle, across)):
                place: Any = (step, line) if column_major else (line, step)
                expected[place] = number
                number += 1
    assert (order == expected).all() and (y == expected // workers).all()


@pytest.mark.parametrize(("tiles", "swizzle"), [((5, 3), 1), ((6, 4), 2)])
def test_a_cluster_takes_neighbours_along_m(tiles: tuple[int, int], swizzle: int) -> None:
    """`m_idx` counts rows of clusters; a scheduler's numbers may be read as arrays of one element."""
    m, n = tiles

    @T.prim_func
    def main(Y: T.Tensor((m, n), "int32")):
        with T.ClusterKernel(4, threads=32, cluster_dims=2) as (bx):
            rank = T.block_rank_in_cluster()
            sched = T.PersistentTileScheduler(m, n, swizzle_size=swizzle, cluster_size=2)
            sched.init(bx // 2)
            while sched.valid():
                row = sched.m_idx[0] * 2 + rank
                if T.get_thread_binding() == 0 and row < m:
                    Y[row, sched.n_idx[0]] = sched.linear_idx[0] * 4 + rank * 2 + sched.current_iter[0] % 2
                sched.next_tile()

    y = poisoned((m, n), "int32")
    compiled(main)(y)
    rows = -(-m // 2)
    for row in range(m):
        for column in range(n):
            first = column // swizzle * swizzle
            number = first * rows + row // 2 * min(swizzle, n - first) + column - first
            assert y[row, column] == number * 4 + row % 2 * 2 + number // 2 % 2


@pytest.mark.parametrize("order", ["row", "column"])
@pytest.mark.parametrize(("grid", "panel"), [((4, 3), 2), ((6, 5), 4), ((2, 7), 16)])
def test_swizzled_blocks_of_a_cluster_stay_neighbours(grid: tuple[int, int], panel: int, order: str) -> None:
    m, n = grid

    @T.prim_func
    def main(Rank: T.Tensor((m, n), "int32"), Cluster: T.Tensor((m, n), "int32")):
        with T.ClusterKernel(m, n, threads=32, cluster_dims=2) as (bx, by):
            T.use_swizzle(panel, order=order)
            if T.get_thread_binding() == 0:
                Rank[bx, by] = T.block_rank_in_cluster()
                Cluster[bx, by] = T.get_cluster_id(0) + T.get_cluster_id(1) * (m // 2)

    rank, cluster = (poisoned((m, n), "int32") for _ in range(2))
    compiled(main)(rank, cluster)
    assert (rank == np.arange(m)[:, None] % 2).all()
    assert (cluster[0::2] == cluster[1::2]).all() and sorted(cluster[0::2].reshape(-1)) == list(range(m // 2 * n))


def test_a_warp_of_the_first_block_only() -> None:
    """Threads that one block of a cluster sends another way, among others of both: they wait, and move on."""

    @T.prim_func
    def main(Y: T.Tensor((4, 128), "int32")):
        with T.ClusterKernel(4, threads=128, cluster_dims=2) as (bx):
            rank, t = T.block_rank_in_cluster(), T.get_thread_binding()
            first, second = T.alloc_barrier(32), T.alloc_barrier(32)
            if t < 32:
                T.mbarrier_arrive(first)
            elif t < 64 and rank == 0:
                T.mbarrier_wait_parity(first, 0)
                T.mbarrier_arrive(second)
            elif t < 96:
                T.mbarrier_wait_parity(first, 0)
                Y[bx, t] = 7
            if rank == 0:
                T.mbarrier_wait_parity(second, 0)
            if t < 32 or t >= 96 or (t < 64 and rank == 0):
                Y[bx, t] = rank

    y = poisoned((4, 128), "int32")
    compiled(main)(y)
    want = np.repeat(np.array([0, 1, 0, 1])[:, None], 128, axis=1)
    want[:, 64:96], want[1::2, 32:64] = 7, 7
    assert (y == want).all()
