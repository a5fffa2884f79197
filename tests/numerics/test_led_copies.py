"""Copies of a warp's own (`T.tma_copy(..., leader_scope_threads=...)`) and groups of stores, in the simulator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import compiled, poisoned, random

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import RaceError, SimulationError, TileValueError, UnsupportedError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def led_copies(parts: int, scope: int, count: int, first: int = 0, late: int = 0) -> Any:
    """Every `scope` threads copy a row of their own and wait for it, but for the last `late` of these parts."""
    rows, warps = 23, scope // 32

    @T.prim_func
    def main(X: T.Tensor((rows, 64), "float32"), Y: T.Tensor((rows, 64), "float32")):
        with T.Kernel(T.ceildiv(rows, parts), threads=parts * scope) as bx:
            thread = T.get_thread_binding()
            part = thread // scope
            tile, bar = T.alloc_shared((parts, 64), "float32"), T.alloc_barrier([count] * parts)
            if thread >= first:
                T.tma_copy(X[bx * parts + part, 0:64], tile[part, 0:64], barrier=bar[part], leader_scope_threads=scope)
            if count > 1:
                T.mbarrier_arrive(bar[part])
            if part < parts - late:
                T.mbarrier_wait_parity(bar[part], 0)
            for j in T.serial(2 // warps):
                if bx * parts + part < rows:
                    Y[bx * parts + part, thread % scope + scope * j] = tile[part, thread % scope + scope * j]

    return main


@pytest.mark.parametrize(("parts", "scope", "count"), [(4, 32, 32), (3, 32, 1), (2, 64, 64)])
def test_copies_of_each_warp(parts: int, scope: int, count: int) -> None:
    x, y = random((23, 64), "float32"), poisoned((23, 64), "float32")
    compiled(led_copies(parts, scope, count))(x, y)
    assert (y == x).all()


def test_copies_of_each_warp_are_checked() -> None:
    x, y = random((23, 64), "float32"), poisoned((23, 64), "float32")
    with pytest.raises(RaceError, match="asynchronous copy"):
        compiled(led_copies(4, 32, 1, late=1))(x, y)
    with pytest.raises(UnsupportedError, match="where the parts of 64 threads are reached from different threads on"):
        compiled(led_copies(2, 64, 1, first=32))
    with pytest.raises(TileValueError, match="leader_scope_threads is a multiple of 32, got int 48"):
        led_copies(2, 48, 1)


@pytest.mark.parametrize("changed", [0, 1])
def test_waits_count_the_groups_that_the_program_closes(changed: int) -> None:
    """Of two stores the first has read its tile when one may be pending; the second has not."""

    @T.prim_func
    def main(X: T.Tensor((2, 64, 64), "float16"), Y: T.Tensor((2, 64, 64), "float16")):
        with T.Kernel(1, threads=128):
            tiles = T.alloc_shared((2, 64, 64), "float16")
            T.copy(X[0, 0, 0], tiles[0, :, :])
            T.copy(X[1, 0, 0], tiles[1, :, :])
            T.fence_proxy_async()
            T.sync_threads()
            T.tma_copy(tiles[0, :, :], Y[0, 0, 0])
            T.tma_store_arrive()
            T.tma_copy(tiles[1, :, :], Y[1, 0, 0])
            T.tma_store_arrive()
            T.tma_store_wait(1)
            T.sync_threads()
            for i, j in T.Parallel(64, 64):
                tiles[changed, i, j] = 0
            T.tma_store_wait(0)

    kernel = compiled(main)
    assert kernel.ir("lowered").count("nvvm.cp.async.bulk.commit.group") == 2
    x, y = random((2, 64, 64), "float16"), poisoned((2, 64, 64), "float16")
    with pytest.raises(SimulationError) if changed else contextlib.nullcontext():
        kernel(x, y)
    assert changed or np.array_equal(x, y)


def turned(by_state: bool) -> Any:
    """Threads look whether all have stored before they read."""

    @T.prim_func
    def main(X: T.Tensor((64,), "float32"), Y: T.Tensor((64,), "float32"), Looks: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=64):
            tile, bar = T.alloc_shared((64,), "float32"), T.alloc_barrier(64)
            t, looks = T.get_thread_binding(), T.alloc_var("int32", init=0)
            tile[t] = X[t]
            if by_state:
                state = T.mbarrier_arrive_state(bar)
                while not T.mbarrier_test_wait(bar, state):
                    looks += 1
            else:
                T.mbarrier_arrive(bar)
                while not T.mbarrier_test_wait(bar, 0):
                    looks += 1
            Y[t] = tile[63 - t]
            Looks[t] = looks

    return main


@pytest.mark.parametrize("by_state", [True, False])
def test_a_phase_is_looked_at_without_waiting(by_state: bool) -> None:
    x, y, looks = random((64,), "float32"), poisoned((64,), "float32"), np.full(64, -1, np.int32)
    kernel = compiled(turned(by_state))
    kernel(x, y, looks)
    assert (y == x[::-1]).all() and (looks >= 0).all()
    found = "test_wait.shared.b64" if by_state else "test_wait.parity.shared.b64"
    assert "mbarrier." + found in kernel.get_kernel_source() and "try_wait" not in kernel.get_kernel_source()
