"""Cluster launch control: IR, PTX, wrong use, and kernels that take over blocks until they are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import RaceError, TileError, TileTypeError, UnsupportedError


def program(*, wait: bool = True) -> Any:
    """Doubles blocks of 128 numbers until no block is left to take over; W says who did it."""

    @T.prim_func
    def main(X: T.Tensor((640,), "float32"), Y: T.Tensor((640,), "float32"), W: T.Tensor((5,), "int32")):
        with T.Kernel(5, threads=128) as bx:
            answer, mbar = T.alloc_shared((4,), "uint32"), T.alloc_barrier(1)
            block = T.alloc_var("int32", init=bx)
            going = T.alloc_var("int32", init=1)
            phase = T.alloc_var("int32", init=0)
            while going != 0:
                if T.get_thread_binding() == 0:
                    W[block] = bx
                    T.mbarrier_arrive_expect_tx(mbar, 16)
                    T.clc_try_cancel(answer, mbar)
                for i in T.Parallel(128):
                    Y[block * 128 + i] = X[block * 128 + i] * 2
                if wait:
                    T.mbarrier_wait_parity(mbar, phase)
                phase = phase ^ 1
                going = T.clc_is_canceled(answer)
                if going != 0:
                    block = T.clc_get_first_ctaid_x(answer)
                T.sync_threads()

    return main


def test_ptx() -> None:
    source = tilelang.compile(program(), target="cuda:sm_100a").get_kernel_source()
    assert "clusterlaunchcontrol.try_cancel.async" in source
    assert "clusterlaunchcontrol.query_cancel.is_canceled.pred.b128" in source
    assert "clusterlaunchcontrol.query_cancel.get_first_ctaid::x.b32.b128" in source


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_blocks_take_over_those_that_have_not_started(seed: int) -> None:
    """Some of five run; the work of the others is theirs."""
    x, y, who = np.arange(640, dtype=np.float32), np.full(640, np.nan, np.float32), np.full(5, -1, np.int32)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_SIM_SEED": seed}):
        tilelang.compile(program(), target="sim:sm_100a")(x, y, who)
    assert (y == 2 * x).all()
    assert len(set(who.tolist())) <= 3 and all(who[block] == block for block in set(who.tolist()))


def test_reading_the_answer_too_early_is_reported() -> None:
    x, y = np.zeros(640, np.float32), np.zeros(640, np.float32)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True}), pytest.raises(RaceError, match="in flight"):
        tilelang.compile(program(wait=False), target="sim:sm_100a")(x, y, np.zeros(5, np.int32))


def for_a_cluster(*, expect: bool = True) -> Any:
    """One block of each pair asks for both; the first pair gets the blocks of the second, which does not start."""

    @T.prim_func
    def main(Y: T.Tensor((4,), "int32")):
        with T.ClusterKernel(4, cluster_dims=2, threads=32) as bx:
            answer, mbar = T.alloc_shared((4,), "uint32"), T.alloc_cluster_barrier(1)
            if T.get_thread_binding() == 0:
                if expect:
                    T.mbarrier_arrive_expect_tx(mbar, 16)
                else:
                    T.mbarrier_arrive(mbar)
            T.cluster_sync()
            if T.block_rank_in_cluster() == 0:
                T.clc_try_cancel_multicast(answer, mbar)
            T.mbarrier_wait_parity(mbar, 0)
            if T.get_thread_binding() == 0:
                Y[bx] = 10 * T.clc_get_first_ctaid_x(answer) + T.clc_is_canceled(answer)
            T.cluster_sync()

    return main


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_answer_for_a_cluster(seed: int) -> None:
    y = np.full(4, -1, np.int32)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_SIM_SEED": seed}):
        tilelang.compile(for_a_cluster(), target="sim:sm_100a")(y)
    assert y.tolist() == [21, 21, -1, -1]


@pytest.mark.parametrize("arch", ["sm_100a", "sm_103a"])
def test_ptx_for_a_cluster(arch: str) -> None:
    kernel = tilelang.compile(for_a_cluster(), target=f"cuda:{arch}")
    assert "multicast::cluster::all" in kernel.get_kernel_source() and kernel.artifact.binary


def test_an_answer_that_nobody_expects_is_reported() -> None:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True}), pytest.raises(TileError):
        tilelang.compile(for_a_cluster(expect=False), target="sim:sm_100a")(np.zeros(4, np.int32))


def test_wrong_use() -> None:
    with pytest.raises(TileTypeError, match=r"T.clc_is_canceled needs an answer in shared memory, got fragment"):

        @T.prim_func
        def main(X: T.Tensor((4,), "float32")):
            with T.Kernel(1, threads=32):
                X[0] = T.clc_is_canceled(T.alloc_fragment((4,), "uint32"))

    with pytest.raises(UnsupportedError, match="cluster launch control is not on sim:sm_90a"):
        tilelang.compile(program(), target="sim:sm_90a")


