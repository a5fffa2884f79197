"""Threads that part and meet: barriers of branches, of copies that the program awaits, and of replicas."""


from __future__ import annotations

import re

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import RaceError, UnsupportedError

RNG = np.random.default_rng(7)


def _close(got, want, tolerance=1e-5):
    assert np.linalg.norm(np.asarray(got, np.float64) - want) <= tolerance * np.linalg.norm(want)


def test_replicas_read_before_one_of_them_overwrites():
    """48 elements on 128 threads: all that hold an element read it, in shared and in device memory, then it changes."""

    @T.prim_func
    def main(A: T.Tensor((48,), "float32"), B: T.Tensor((3, 48), "float32")):
        with T.Kernel(1, threads=128):
            old, shared = T.alloc_fragment((48,), "float32"), T.alloc_shared((48,), "float32")
            T.copy(A, shared)
            for i in T.Parallel(48):
                old[i] = shared[i] + A[i]
                if i < 40:
                    shared[i] = old[i] * 2
                A[i] = 7
            for r, i in T.Parallel(3, 48):
                B[r, i] = old[i] + shared[i]

    a, b = RNG.standard_normal(48).astype(np.float32), np.full((3, 48), np.nan, np.float32)
    want = 2 * a.astype(np.float64) + np.where(np.arange(48) < 40, 4 * a, a)
    kernel = tilelang.compile(main, target="sim")
    kernel(a, b)
    _close(b, np.broadcast_to(want, (3, 48)))
    assert (a == 7).all()


@pytest.mark.parametrize("size", [48, 50, 7])
@pytest.mark.parametrize("shared", [True, False])
def test_replicas_meet_in_the_iterations_of_a_loop(size, shared):
    @T.prim_func
    def main(A: T.Tensor((size,), "float32"), S: T.Tensor((size,), "float32"), B: T.Tensor((3, size), "float32")):
        with T.Kernel(1, threads=128):
            sums, own = T.alloc_fragment((size,), "float32"), T.alloc_shared((size,), "float32")
            x = own if shared else S
            T.copy(A, x)
            T.clear(sums)
            T.sync_threads()
            for i in T.Parallel(size):
                for _ in T.serial(3):
                    sums[i] = sums[i] + x[i]
                    x[i] = x[i] * 2
            T.sync_threads()
            for r, i in T.Parallel(3, size):
                B[r, i] = sums[i] + x[i]

    a, s, b = RNG.standard_normal(size).astype(np.float32), np.zeros(size, np.float32), np.zeros((3, size), np.float32)
    tilelang.compile(main, target="sim")(a, s, b)
    _close(b, np.broadcast_to(15 * a.astype(np.float64), (3, size)))


def test_replicas_cannot_meet_in_a_branch():
    def program(ahead):
        @T.prim_func
        def main(A: T.Tensor((48,), "float32"), M: T.Tensor((48,), "int32"), B: T.Tensor((3, 48), "float32")):
            with T.Kernel(1, threads=128):
                old, s = T.alloc_fragment((48,), "float32"), T.alloc_shared((48,), "float32")
                T.copy(A, s)
                for i in T.Parallel(48):
                    old[i] = 1
                    before = T.alloc_var("float32")
                    if ahead:
                        before = s[i]
                    if M[i] > 0:
                        s[i] = (before if ahead else s[i]) * 2
                for r, i in T.Parallel(3, 48):
                    B[r, i] = old[i] + s[i]

        return main

    with pytest.raises(UnsupportedError, match="several threads hold a copy of is read and overwritten in a branch"):
        tilelang.compile(program(ahead=False), target="sim")
    a, m = RNG.standard_normal(48).astype(np.float32), RNG.integers(0, 2, 48, np.int32)
    b = np.zeros((3, 48), np.float32)
    tilelang.compile(program(ahead=True), target="sim")(a, m, b)
    _close(b, np.broadcast_to(1 + np.where(m > 0, 2, 1) * a.astype(np.float64), (3, 48)))


def test_threads_that_leave_a_loop_have_all_read_its_condition():
    """What the condition read may be overwritten behind the loop, although its body ends with a barrier."""

    @T.prim_func
    def main(B: T.Tensor((128,), "int32")):
        with T.Kernel(1, threads=128):
            tx = T.get_thread_binding()
            count, steps = T.alloc_shared((1,), "int32"), T.alloc_local((1,), "int32")
            steps[0] = 0
            count[0] = 0
            T.sync_threads()
            while count[0] < 5:
                steps[0] = steps[0] + 1
                T.sync_threads()
                if tx == 0:
                    count[0] = count[0] + 1
                T.sync_threads()
            if tx == 0:
                count[0] = 3
            B[tx] = steps[0]

    b = np.zeros(128, np.int32)
    tilelang.compile(main, target="sim")(b)
    assert (b == 5).all()


@pytest.mark.parametrize("stages", [1, 3])
def test_a_branch_on_an_array_of_the_threads_has_its_barriers(stages):
    @tilelang.jit(out_idx=[-1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((64, 128), "float16"), Mask: T.Tensor((4,), "bool"), C: T.Tensor((64, 64), "float32")):
            with T.Kernel(1, threads=128):
                a = T.alloc_shared((64, 32), "float16")
                acc = T.alloc_fragment((64, 64), "float32")
                wanted = T.alloc_local((1,), "bool")
                T.clear(acc)
                for k in T.Pipelined(4, num_stages=stages):
                    wanted[0] = Mask[k]
                    if wanted[0]:
                        T.copy(A[0, k * 32], a)
                        T.gemm(a, a, acc, transpose_B=True)
                T.copy(acc, C)

        return kernel

    a = RNG.standard_normal((64, 128)).astype(np.float16)
    mask = np.array([True, False, True, True])
    parts = [a[:, k * 32 : k * 32 + 32].astype(np.float64) for k in range(4) if mask[k]]
    _close(make()(a, mask), sum(p @ p.T for p in parts))


def test_a_branch_on_the_thread_is_for_its_warpgroup():
    @tilelang.jit(out_idx=[-1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((64, 64), "float16"), B: T.Tensor((64, 64), "float16")):
            with T.Kernel(1, threads=256):
                a = T.alloc_shared((64, 64), "float16")
                if T.get_thread_binding(0) < 128:
                    for i, j in T.Parallel(32, 64):
                        a[i, j] = A[i, j]
                else:
                    T.copy(A[32:64, :], a[32:64, :])
                T.copy(a, B)

        return kernel

    a = RNG.standard_normal((64, 64)).astype(np.float16)
    assert np.array_equal(make()(a), a)


def test_a_branch_that_parts_a_warpgroup_is_for_its_warps():
    """One warp reduces rows while two others reverse the tile; each counts its own threads only."""

    @tilelang.jit(out_idx=[-2, -1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((4, 40), "float32"), B: T.Tensor((4,), "float32"), C: T.Tensor((4, 40), "float32")):
            with T.Kernel(1, threads=96):
                rows = T.alloc_shared((4, 40), "float32")
                T.copy(A, rows)
                if T.get_thread_binding() < 32:
                    mine = T.alloc_fragment((4, 40), "float32")
                    sums = T.alloc_fragment((4,), "float32")
                    T.copy(rows, mine)
                    T.reduce_sum(mine, sums, dim=1)
                    T.copy(sums, B)
                else:
                    turned = T.alloc_shared((4, 40), "float32")
                    other = T.alloc_fragment((4, 40), "float32")
                    top = T.alloc_fragment((40,), "float32")
                    for i, j in T.Parallel(4, 40):
                        turned[i, j] = rows[3 - i, 39 - j]
                    T.copy(turned, other)
                    T.reduce_max(other, top, dim=0)
                    for i, j in T.Parallel(4, 40):
                        C[i, j] = turned[3 - i, 39 - j] + top[j]

        return kernel

    a = RNG.standard_normal((4, 40)).astype(np.float32)
    b, c = make()(a)
    _close(b, a.astype(np.float64).sum(1))
    _close(c, a.astype(np.float64) + a.max(0)[::-1])


def _published(configs, tile, meet):
    """The first 128 threads write what the others read behind a barrier that both branches have."""

    @T.prim_func
    def main(A: T.Tensor((256,), "int32"), B: T.Tensor((256,), "int32")):
        with T.Kernel(1, threads=256):
            tx = T.get_thread_binding()
            shared, row = T.alloc_shared((256,), "int32"), T.alloc_fragment((128,), "int32")
            if tx < 128:
                shared[tx] = A[tx]
                T.sync_threads()
                if tile:
                    T.copy(A[128:256], row)
                    T.copy(row, B[128:256])
                B[tx] = shared[tx ^ 64]
            else:
                if meet:
                    T.sync_threads()
                    shared[tx] = shared[tx - 128]

    a, b = RNG.integers(0, 99, 256).astype(np.int32), np.zeros(256, np.int32)
    tilelang.compile(main, target="sim:sm_90a", pass_configs=configs)(a, b)
    assert np.array_equal(b[:128], a[np.arange(128) ^ 64])
    assert np.array_equal(b[128:], a[128:] if tile else np.zeros(128))


def test_a_barrier_in_a_branch_is_for_the_threads_that_take_it():
    """With tile operations beside it and without; where thread synchronisation is off it is for the whole block."""
    whole = {"tl.disable_thread_storage_sync": True}
    for tile in (False, True):
        _published({}, tile, meet=False)
        _published(whole, tile, meet=True)
    with pytest.raises(RaceError, match="read of shared byte 0 .* not ordered after the write by warp 0"):
        _published({}, True, meet=True)


def test_what_some_threads_do_with_a_tile_is_theirs():
    """A warp by its number, one thread, and all of them: tiles copied, changed and read again in their branches."""

    @T.prim_func
    def main(A: T.Tensor((8, 5), "float32"), B: T.Tensor((3, 8, 5), "float32"), C: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=96):
            tx = T.get_thread_binding()
            a, b, c = (T.alloc_shared((8, 5), "float32") for _ in range(3))
            s = T.alloc_shared((2, 64), "float32")
            top = T.alloc_var("float32", init=0.0)
            if tx // 32 == 1:
                T.copy(A, a)
            if tx == 95:
                T.copy(A[4, 0], b)
                for i, j in T.Parallel(8, 5):
                    b[i, j] = b[i, j] * 2 + i
            if tx < 96:
                T.fill(c, 3)
            if tx // 32 < 2:
                s[tx % 2, tx] = tx
                for i in T.serial(tx % 32, 64, 32):
                    top = T.max(top, s[i % 2, i])
                s[0, tx] = top * 2
                C[tx] = s[0, tx ^ 1]
            T.copy(a, B[0, :, :])
            T.copy(b, B[1, :, :])
            T.copy(c, B[2, :, :])

    a, b = RNG.standard_normal((8, 5)).astype(np.float32), np.full((3, 8, 5), np.nan, np.float32)
    c = np.full(64, np.nan, np.float32)
    tilelang.compile(main, target="sim")(a, b, c)
    want = np.stack([a, np.concatenate([a[4:] * 2, np.zeros((4, 5))]) + np.arange(8)[:, None], np.full((8, 5), 3)])
    _close(b, want)
    _close(c, 2 * (np.arange(64) % 32 + 32)[np.arange(64) ^ 1])


def test_barriers_numbered_at_run_time():
    """Two groups of 64 threads, each with a barrier of its own."""

    @T.prim_func
    def main(A: T.Tensor((128,), "float32"), B: T.Tensor((128,), "float32")):
        with T.Kernel(1, threads=128):
            t = T.get_thread_binding()
            s = T.alloc_shared((128,), "float32")
            s[t] = A[t]
            T.sync_threads(t // 64 + 1, 64)
            T.device_assert(t < 128, no_stack_info=True)
            B[t] = s[t ^ 63]

    a, b = RNG.standard_normal(128).astype(np.float32), np.full(128, np.nan, np.float32)
    kernel = tilelang.compile(main, target="sim", pass_configs={"tl.disable_thread_storage_sync": True})
    kernel(a, b)
    assert (b == a[np.arange(128) ^ 63]).all()
    assert re.search(r"bar.sync\s+%r\d+, 64", tilelang.compile(main, target="cuda:sm_90a").get_kernel_source())


def test_a_variable_that_some_threads_write_in_a_parallel_loop_differs():
    @T.prim_func
    def main(A: T.Tensor((128,), "float32"), B: T.Tensor((128,), "float32")):
        with T.Kernel(1, threads=128):
            s, flag = T.alloc_shared((128,), "float32"), T.alloc_var("int32")
            flag = 0
            for _ in T.Parallel(4):
                flag = 1
            T.copy(A, s)
            if flag == 1:
                T.copy(s, B)

    with pytest.raises(UnsupportedError, match="tile operations in a branch that some threads take and others do not"):
        tilelang.compile(main, target="sim")


@pytest.mark.parametrize("target", ["sim:sm_80", "sim:sm_90a"])
def test_chains_of_ranges_and_uniform_conditions(target: str) -> None:
    """Even blocks copy with their first warps, all with the fifth and sixth; the third one lies between others."""

    @T.prim_func
    def main(A: T.Tensor((5, 3, 96), "float32"), B: T.Tensor((5, 3, 96), "float32")):
        with T.Kernel(5, threads=256) as b:
            t = T.get_thread_binding()
            s = T.alloc_shared((3, 96), "float32")
            if t < 64 and b % 2 == 0:
                T.copy(A[b, 0, 0:96], s[0, :])
                for i in T.Parallel(96):
                    B[b, 0, i] = s[0, 95 - i] + 1
            elif t >= 64 and t < 96:
                T.copy(A[b, 1, 0:96], s[1, :])
                for i in T.Parallel(96):
                    B[b, 1, i] = s[1, 95 - i] + 2
            elif 128 <= t < 192 and b > 0:
                T.copy(A[b, 2, 0:96], s[2, :])
                for i in T.Parallel(96):
                    B[b, 2, i] = s[2, 95 - i] + 3

    a, b = np.random.default_rng(0).standard_normal((5, 3, 96)).astype(np.float32), np.zeros((5, 3, 96), np.float32)
    tilelang.compile(main, target=target)(a, b)
    want = a[:, :, ::-1] + np.array([1, 2, 3], np.float32)[None, :, None]
    want[1::2, 0], want[0, 2] = 0, 0
    assert np.array_equal(b, want)
