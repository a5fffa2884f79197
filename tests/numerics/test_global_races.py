"""Races in device memory: between CTAs, between the threads of one, and with bulk copies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import compiled, poisoned, random

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import ProxyFenceError, RaceError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def shifted(distance: int) -> Any:
    """Each block doubles its part, and reads one that another block doubles."""

    @T.prim_func
    def main(X: T.Tensor((4, 32), "float32"), Y: T.Tensor((4, 32), "float32")):
        with T.Kernel(4, threads=32) as bx:
            i = T.get_thread_binding()
            Y[bx, i] = X[(bx + distance) % 4, i]
            X[bx, i] = 2.0 * X[bx, i]

    return main


def test_a_block_writes_what_another_has_read() -> None:
    x = random((4, 32), "float32")
    message = "CTA . writes byte .* of argument 0, which (CTA .|more than one CTA) has read"
    with pytest.raises(RaceError, match=message) as caught:
        compiled(shifted(1))(x.copy(), poisoned((4, 32), "float32"))
    assert any("the other access" in text and where is not None for text, where in caught.value.notes)
    y, doubled = poisoned((4, 32), "float32"), x.copy()
    compiled(shifted(0))(doubled, y)
    assert np.array_equal(y, x) and np.array_equal(doubled, 2 * x)


def test_a_tile_that_all_blocks_read() -> None:
    @T.prim_func
    def main(X: T.Tensor((32,), "float32"), Y: T.Tensor((4, 32), "float32")):
        with T.Kernel(4, threads=32) as bx:
            i = T.get_thread_binding()
            Y[bx, i] = X[i]
            if bx == 0:
                X[i] = 0.0

    with pytest.raises(RaceError, match="CTA 0 writes byte 0 of argument 0, which (more than one CTA|CTA 3) has read"):
        compiled(main)(random((32,), "float32"), poisoned((4, 32), "float32"))


@pytest.mark.parametrize("own", [0, 1])
def test_a_tile_that_all_blocks_store(own: int) -> None:
    """By bulk copies out of shared memory: no race where all store the same."""

    @T.prim_func
    def main(X: T.Tensor((2, 8, 32), "float32"), Y: T.Tensor((8, 32), "float32")):
        with T.Kernel(2, threads=128) as bx:
            tile = T.alloc_shared((8, 32), "float32")
            T.copy(X[bx * own, :, :], tile)
            T.copy(tile, Y)

    x, y = random((2, 8, 32), "float32"), poisoned((8, 32), "float32")
    if own:
        with pytest.raises(RaceError, match="race between CTAs: CTA 0 writes byte 0 of argument 1"):
            compiled(main)(x, y)
    else:
        compiled(main)(x, y)
        assert np.array_equal(y, x[0])


def neighbours(*, sync: bool, write_first: bool) -> Any:
    """Threads exchange elements through device memory."""

    @T.prim_func
    def main(X: T.Tensor((128,), "float32"), Y: T.Tensor((128,), "float32")):
        with T.Kernel(1, threads=128) as _:
            i = T.get_thread_binding()
            if write_first:
                X[i] = 1.0
                if sync:
                    T.sync_threads()
                Y[i] = X[127 - i]
            else:
                Y[i] = X[127 - i]
                if sync:
                    T.sync_threads()
                X[i] = 1.0

    return main


@pytest.mark.parametrize("write_first", [True, False])
def test_threads_need_a_barrier_in_device_memory_too(write_first: bool) -> None:
    x, y = random((128,), "float32"), poisoned((128,), "float32")
    want = np.ones(128, np.float32) if write_first else x[::-1].copy()
    compiled(neighbours(sync=True, write_first=write_first))(x, y)
    assert np.array_equal(y, want)
    message = "read of byte .* is not ordered after the write" if write_first else "write of byte .* after the read"
    with pytest.raises(RaceError, match=message):
        compiled(neighbours(sync=False, write_first=write_first))(x, y)


def staged(*, fence: bool, sync: bool = True) -> Any:
    """Ordinary stores to device memory, then a bulk copy of the same bytes."""

    @T.prim_func
    def main(X: T.Tensor((32, 64), "float16"), Y: T.Tensor((32, 64), "float16")):
        with T.Kernel(1, threads=128) as _:
            tile, bar = T.alloc_shared((32, 64), "float16"), T.alloc_barrier(1)
            for i, j in T.Parallel(32, 64):
                X[i, j] = X[i, j] + T.float16(1)
            if fence:
                T.fence_proxy_async()
            if sync:
                T.sync_threads()
            T.tma_copy(X[0:32, 0:64], tile, barrier=bar)
            T.mbarrier_wait_parity(bar, 0)
            T.copy(tile, Y)

    return main


def test_stores_are_fenced_before_a_bulk_copy_reads_them() -> None:
    x, y = random((32, 64), "float16"), poisoned((32, 64), "float16")
    want = x + np.float16(1)
    compiled(staged(fence=True))(x, y)
    assert np.array_equal(y, want)
    with pytest.raises(ProxyFenceError, match="was written by ordinary accesses and is read by a bulk copy"):
        compiled(staged(fence=False))(x, y)
    with pytest.raises(RaceError, match="read of byte .* by thread 0 of CTA 0 is not ordered after the write"):
        compiled(staged(fence=True, sync=False))(x, y)


def test_lanes_of_a_warp_may_be_taken_to_follow_each_other(caplog: pytest.LogCaptureFixture) -> None:
    """One lane writes what another reads next: an error by the letter, a warning where the program counts on it."""

    @T.prim_func
    def main(X: T.Tensor((32,), "float32"), Y: T.Tensor((32,), "float32")):
        with T.Kernel(1, threads=32) as _:
            i = T.get_thread_binding()
            X[i] = X[i] + 1.0
            Y[i] = X[31 - i]

    x, y = random((32,), "float32"), poisoned((32,), "float32")
    want = x[::-1] + np.float32(1)
    with pytest.raises(RaceError, match=r"read of byte .* of CTA 0 is not ordered after the write by thread"):
        compiled(main)(x.copy(), y)
    with knobs.overrides({"TILELANG_SIM_LOCKSTEP": "warn"}):
        compiled(main)(x, y)
    assert np.array_equal(y, want) and "is not ordered after the write by thread" in caplog.text
