"""Cluster launch control: IR, PTX, wrong use, and a kernel that asks and is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import RaceError, TileTypeError, UnsupportedError


def program(*, wait: bool = True) -> Any:
    """Doubles blocks of 128 numbers until no block is left to take over."""

    @T.prim_func
    def main(X: T.Tensor((512,), "float32"), Y: T.Tensor((512,), "float32")):
        with T.Kernel(4, threads=128) as bx:
            answer, mbar = T.alloc_shared((4,), "uint32"), T.alloc_barrier(1)
            block = T.alloc_var("int32", init=bx)
            going = T.alloc_var("int32", init=1)
            phase = T.alloc_var("int32", init=0)
            while going != 0:
                if T.get_thread_binding() == 0:
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
def test_every_block_does_its_own_work(seed: int) -> None:
    x, y = np.arange(512, dtype=np.float32), np.full(512, np.nan, np.float32)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_SIM_SEED": seed}):
        tilelang.compile(program(), target="sim:sm_100a")(x, y)
    assert (y == 2 * x).all()


def test_reading_the_answer_too_early_is_reported() -> None:
    x, y = np.zeros(512, np.float32), np.zeros(512, np.float32)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True}), pytest.raises(RaceError, match="in flight"):
        tilelang.compile(program(wait=False), target="sim:sm_100a")(x, y)


def test_wrong_use() -> None:
    with pytest.raises(TileTypeError, match=r"T.clc_is_canceled needs an answer in shared memory, got fragment"):

        @T.prim_func
        def main(X: T.Tensor((4,), "float32")):
            with T.Kernel(1, threads=32):
                X[0] = T.clc_is_canceled(T.alloc_fragment((4,), "uint32"))

    with pytest.raises(UnsupportedError, match="cluster launch control is not on sim:sm_90a"):
        tilelang.compile(program(), target="sim:sm_90a")


