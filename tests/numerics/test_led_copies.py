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
