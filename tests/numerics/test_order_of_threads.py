"""What other threads of a block see: after branches on the thread index, and after copies that a program waits for."""

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


def test_arms_of_a_branch_come_after_the_branch_before() -> None:
    """Two branches on one condition stay two, with a barrier between them for what the second one's threads read."""

    @tilelang.jit(target="sim:sm_90a")
    def make():
        @T.prim_func
        def main(A: T.Tensor((24,), "float32"), B: T.Tensor((4,), "float32"), C: T.Tensor((4,), "float32")):
            with T.Kernel(1, threads=96):
                tile = T.alloc_shared(24, "float32")
                if T.get_thread_binding() < 32:
                    mine = T.alloc_fragment(24, "float32")
                    for j in T.Parallel(24):
                        mine[j] = A[j] * 2
                    T.copy(mine, tile)
                if T.get_thread_binding() < 32:
                    for j in T.Parallel(4):
                        B[j] = tile[j + 4]
                else:
                    part = T.alloc_shared(4, "float32")
                    for j in T.Parallel(4):
                        part[j] = tile[j] + 1
                    for j in T.Parallel(4):
                        C[j] = part[3 - j]

        return main

    a = np.random.default_rng(9).standard_normal(24).astype(np.float32)
    b, c = np.zeros(4, np.float32), np.zeros(4, np.float32)
    make()(a, b, c)
    assert np.array_equal(b, a[4:8] * 2) and np.array_equal(c, (a[:4] * 2 + 1)[::-1])


def test_awaited_copies_are_seen_by_other_threads() -> None:
    """`T.async_copy`, `T.ptx_wait_group`, and a read by threads that have not copied: a barrier comes in between."""

    @tilelang.jit(out_idx=[1], target="sim:sm_90a")
    def make():
        @T.prim_func
        def main(A: T.Tensor((4, 4), "float32"), B: T.Tensor((4, 64), "float32")):
            with T.Kernel(1, threads=64):
                tiles, own = T.alloc_shared((2, 4), "float32"), T.alloc_fragment((64,), "float32")
                T.async_copy(A[0, :], tiles[0, :])
                for k in T.serial(4):
                    if k < 3:
                        T.async_copy(A[k + 1, :], tiles[1 - k % 2, :])
                        T.ptx_wait_group(1)
                    else:
                        T.ptx_wait_group(0)
                    for i in T.Parallel(64):
                        own[i] = tiles[k % 2, i % 4] * 2
                    T.copy(own, B[k, :])

        return main

    a = np.random.default_rng(10).standard_normal((4, 4)).astype(np.float32)
    assert np.array_equal(make()(a), np.tile(a * 2, (1, 16)))


@pytest.mark.parametrize("inside", [False, True])
def test_awaited_copies_of_a_branch(inside: bool) -> None:
    """One warp copies words and waits for them; a bulk store reads them there, or behind the branch."""

    @tilelang.jit(out_idx=[1], target="sim:sm_90a")
    def make():
        @T.prim_func
        def main(A: T.Tensor((4, 64), "float16"), B: T.Tensor((4, 64), "float16")):
            with T.Kernel(1, threads=128):
                tile, tx = T.alloc_shared((4, 64), "float16"), T.get_thread_binding()
                if tx < 32:
                    row, column = tx // 8, tx % 8 * 8
                    T.ptx_cp_async(T.access_ptr(tile[row, column], "w", 8), T.access_ptr(A[row, column], "r", 8), 8)
                    T.ptx_commit_group()
                    T.ptx_wait_group(0)
                    T.sync_warp()
                    if inside:
                        T.tma_copy(tile, B)
                if not inside:
                    T.tma_copy(tile, B)
                T.tma_store_arrive()
                T.tma_store_wait(0, read=False)

        return main

    a = np.random.default_rng(11).standard_normal((4, 64)).astype(np.float16)
    assert np.array_equal(make()(a), a)
