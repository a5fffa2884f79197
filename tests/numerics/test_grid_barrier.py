"""Kernels whose CTAs meet (`T.sync_grid`), in the simulator against numpy in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import errors, knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def normalise(blocks: int, rounds: int, meet: bool = True) -> Any:
    """Each CTA sums its part; after the barrier all read all sums, as often as `rounds`."""

    @T.prim_func
    def kernel(
        A: T.Tensor((blocks, 64), "float32"), S: T.Tensor((blocks,), "float32"), C: T.Tensor((blocks, 64), "float32")
    ):
        with T.Kernel(blocks, threads=64) as block:
            row = T.alloc_fragment((64,), "float32")
            total = T.alloc_fragment((1,), "float32")
            sums = T.alloc_fragment((blocks,), "float32")
            T.copy(A[block, 0], row)
            for _ in T.serial(rounds):
                T.reduce_sum(row, total, dim=0)
                T.copy(total, S[block])
                if meet:
                    T.sync_grid()
                T.copy(S, sums)
                T.reduce_sum(sums, total, dim=0)
                for i in T.Parallel(64):
                    row[i] = row[i] / total[0] + 1.0
                if meet:
                    T.sync_grid()
            T.copy(row, C[block, 0])

    return kernel


@pytest.mark.parametrize(("blocks", "rounds"), [(1, 1), (7, 1), (33, 3)])
def test_sums_of_all_ctas(blocks: int, rounds: int) -> None:
    kernel = tilelang.compile(normalise(blocks, rounds), target="sim:sm_80")
    a = np.random.default_rng(blocks).random((blocks, 64)).astype(np.float32)
    want = a.astype(np.float64)
    for _ in range(rounds):
        want = want / want.sum() + 1.0
    got, sums = np.full((blocks, 64), np.nan, np.float32), np.full(blocks, np.nan, np.float32)
    kernel(a, sums, got)
    assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)
    assert "tl.cooperative" in kernel.ir("lowered")
    assert kernel.plan.kernels[0].cooperative


def test_without_the_barrier_it_is_a_race() -> None:
    kernel = tilelang.compile(normalise(4, 1, meet=False), target="sim:sm_80")
    a = np.ones((4, 64), np.float32)
    with pytest.raises(errors.RaceError, match="race between CTAs"):
        kernel(a, np.zeros(4, np.float32), np.zeros((4, 64), np.float32))


def test_a_part_of_the_ctas_never_meets() -> None:
    @T.prim_func
    def half(A: T.Tensor((64,), "float32")):
        with T.Kernel(2, threads=32) as block:
            if block == 0:
                T.sync_grid()
            A[block] = 1.0

    kernel = tilelang.compile(half, target="sim:sm_80")
    with pytest.raises(errors.SimulationError, match="grid barrier is reached by a part|part ways"):
        kernel(np.zeros(64, np.float32))


@pytest.mark.parametrize("arch", ["sm_75", "sm_90a"])
def test_machine_code(arch: str) -> None:
    kernel = tilelang.compile(normalise(4, 2), target=f"cuda:{arch}")
    ptx = kernel.get_kernel_source()
    assert ".global .align 4 .u32 tilelang_grid_barrier" in ptx
    assert ptx.count("atom.add.acq_rel.gpu.global.u32") == 2
    assert "ld.global.nc.f32" not in ptx.split("atom.add", 1)[1]
    assert kernel.artifact.binary
