"""Parameters of the reference pages' functions that no other test passes, by what the kernel computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def _run(program: Any, *arrays: np.ndarray, target: str = "sm_90a") -> str:
    kernel = tilelang.compile(program, target=f"sim:{target}")
    kernel(*arrays)
    return kernel.ir("ptx")


def test_scopes_by_name() -> None:
    @T.prim_func
    def main(A: T.Tensor((37,), "float32", scope="global"), B: T.StridedTensor((37,), (2,), "float32", scope="global")):
        with T.Kernel(1, threads=32):
            s = T.alloc_shared((37,), "float32", scope="shared")
            d = T.alloc_shared((37,), "float32", "shared.dyn")
            f = T.alloc_fragment((37,), "float32", scope="local.fragment")
            p = T.alloc_local((1,), "float32", scope="local")
            v = T.alloc_var("float32", scope="local.var", init=2)
            p[0] = v + 1
            T.copy(A, s)
            T.copy(s, f)
            for i in T.Parallel(37):
                d[i] = f[i] * p[0]
            T.copy(d, B)

    a = np.random.default_rng(0).standard_normal(37).astype(np.float32)
    b = np.full(74, np.nan, np.float32)
    _run(main, a, b[::2])
    assert np.array_equal(b[::2], a * 3) and np.isnan(b[1::2]).all()


def test_places_of_a_pointer() -> None:
    """Elements further in memory order, over the ends of rows; the last dimensions' indices left out."""

    @T.prim_func
    def main(A: T.Tensor((5, 16), "float32"), B: T.Tensor((4, 4), "float32")):
        with T.Kernel(1, threads=32):
            s = T.alloc_shared((4, 4), "float32")
            if T.get_thread_binding() == 0:
                T.ptx_cp_async(T.access_ptr(s, "w", 4), T.access_ptr(A[1, 4], 1, 4, offset=24), 4)
                T.ptx_cp_async(T.access_ptr(s[1, 0], 2, extent=4), T.access_ptr(A[3, 4:8], "r", extent=4), 4)
                T.ptx_cp_async(T.access_ptr(s[2, 3], "rw", 4, ignore_last_ndim=1), T.access_ptr(A[2, 9], "r", 1, 4,
                               ignore_last_ndim=1), 4)  # fmt: skip
                T.ptx_cp_async(T.access_ptr(s[3, 0], "w", 4), T.access_ptr(A[2, 9], "r", 4, ignore_last_ndim=2,
                               offset=4), 4)  # fmt: skip
            T.ptx_commit_group()
            T.ptx_wait_group(0)
            T.sync_threads()
            T.copy(s, B)

    a, b = np.arange(80, dtype=np.float32).reshape(5, 16), np.full((4, 4), np.nan, np.float32)
    _run(main, a, b, target="sm_80")
    assert np.array_equal(b, np.stack([a[2, 12:16], a[3, 4:8], a[2, 0:4], a[0, 4:8]]))


def test_masks_and_older_names_of_shuffles() -> None:
    @T.prim_func
    def main(A: T.Tensor((32,), "int32"), B: T.Tensor((5, 32), "int32")):
        with T.Kernel(1, threads=32):
            t = T.get_thread_binding()
            B[0, t] = T.shfl_down(A[t], offset=2, mask=0xFFFFFFFF)
            B[1, t] = T.shfl_up(A[t], 2, mask=0xFFFFFFFF)
            B[2, t] = T.shfl_sync(0xFFFFFFFF, A[t], 5)
            B[3, t] = T.get_warp_idx_sync(warp_size=8)
            if t < 16:
                T.sync_warp(mask=0xFFFF)
                B[4, t] = T.shfl_xor(A[t], 1, mask=0xFFFF)

    a, b = np.arange(32, dtype=np.int32) * 3, np.full((5, 32), -1, np.int32)
    ptx = _run(main, a, b)
    t = np.arange(32)
    for row, lane in zip(b, (np.where(t < 30, t + 2, t), np.where(t > 1, t - 2, t), 5 + 0 * t), strict=False):
        assert np.array_equal(row, a[lane])
    assert np.array_equal(b[3], t // 8) and np.array_equal(b[4, :16], a[t[:16] ^ 1]) and (b[4, 16:] == -1).all()
    assert "bar.warp.sync \t65535;" in ptx


def test_hints_of_copies() -> None:
    """A width in elements and a layout of the loop say which thread moves what, never what is moved."""

    @T.prim_func
    def main(A: T.Tensor((16, 64), "float16"), B: T.Tensor((5, 16, 64), "float16")):
        with T.Kernel(1, threads=128):
            s, r, q = (T.alloc_shared((16, 64), "float16") for _ in range(3))
            rows = T.Fragment(
                (16, 64), forward_thread_fn=lambda i, j: i * 8 + j // 8, forward_index_fn=lambda i, j: j % 8
            )
            T.copy(A, s, coalesced_width=2)
            T.copy(s, B[0, :, :], loop_layout=rows, disable_tma=True)
            T.async_copy(A, r, coalesced_width=2)
            T.async_copy(A, q, loop_layout=rows, annotations={"coalesced_width": 4})
            T.ptx_wait_group(0)
            T.sync_threads()
            T.copy(r, B[1, :, :], annotations={"disable_tma": True, "coalesced_width": 4})
            T.copy(q, B[2, :, :], annotations={"loop_layout": rows, "disable_tma": True})
            T.copy(q, B[3, :, :], eviction_policy="evict_last")
            T.copy(q, B[4, :, :], annotations={"eviction_policy": "evict_first"})

    a = np.random.default_rng(1).standard_normal((16, 64)).astype(np.float16)
    b = np.full((5, 16, 64), np.nan, np.float16)
    _run(main, a, b)
    assert np.array_equal(b, np.broadcast_to(a, b.shape))


def test_columns_of_a_convolution_by_the_older_name() -> None:
    """Every position of the tile, against a gather written by hand."""
    step, channel, kernel, stride, dilation, pad = 1, 1, 3, 2, 1, 1

    @T.prim_func
    def main(A: T.Tensor((2, 7, 7, 64), "float16"), B: T.Tensor((16, 32), "float16")):
        with T.Kernel(1, threads=64):
            s = T.alloc_shared((16, 32), "float16")
            T.c2d_im2col(A, s, step, channel, kernel, stride, dilation, pad, eviction_policy="evict_first")
            T.copy(s, B)

    a = np.random.default_rng(2).standard_normal((2, 7, 7, 64)).astype(np.float16)
    b, want = np.full((16, 32), np.nan, np.float16), np.zeros((16, 32), np.float16)
    _run(main, a, b)
    for m in range(16):
        n, rest = divmod(step * 16 + m, 16)
        for c in range(32):
            tap, f = divmod(channel * 32 + c, 64)
            y, x = rest // 4 * stride + tap // 3 * dilation - pad, rest % 4 * stride + tap % 3 * dilation - pad
            if 0 <= y < 7 and 0 <= x < 7:
                want[m, c] = a[n, y, x, f]
    assert np.array_equal(b, want)


def test_views_of_pointers_and_scoped_proxies() -> None:
    @T.macro
    def scaled(s: T.SharedBuffer((4, 8), "float32", scope="shared.dyn"), f: T.FragmentBuffer((4, 8), dtype="float32"),
               p: T.LocalBuffer((1,), dtype="float32", align=0), B: T.Buffer((4, 8), "float32", align=64)):  # fmt: skip
        T.copy(s, f)
        for i, j in T.Parallel(4, 8):
            f[i, j] = f[i, j] * p[0]
        T.copy(f, B)

    @T.prim_func
    def main(P: T.ptr("float32", "global", is_size_var=False), B: T.Tensor((4, 8), "float32")):
        with T.Kernel(1, threads=32):
            columns = T.make_tensor(P, (4, 8), "float32", strides=(1, 4))
            s, f = T.alloc_shared((4, 8), "float32"), T.alloc_fragment((4, 8), "float32")
            p = T.alloc_local((1,), "float32")
            p[0] = 2
            T.copy(columns, s)
            scaled(s, f, p, B)

    a, b = np.random.default_rng(3).standard_normal(32).astype(np.float32), np.full((4, 8), np.nan, np.float32)
    _run(main, a, b)
    assert np.array_equal(b, a.reshape(8, 4).T * 2)


@pytest.mark.parametrize("kind", ["bitand", "bitor", "bitxor"])
def test_reductions_of_bits_with_all_parameters(kind: str) -> None:
    reduce = getattr(T, f"reduce_{kind}")

    @T.prim_func
    def main(A: T.Tensor((8, 40), "int32"), B: T.Tensor((2, 40), "int32")):
        with T.Kernel(1, threads=64):
            f, r = T.alloc_fragment((8, 40), "int32"), T.alloc_fragment((40,), "int32")
            T.copy(A, f)
            reduce(f, r, dim=0, clear=True, batch=1, nan_propagate=False)
            T.copy(r, B[0, :])
            T.fill(r, 0x55555555)
            reduce(f, r, 0, False)
            T.copy(r, B[1, :])

    operation = getattr(np, {"bitand": "bitwise_and", "bitor": "bitwise_or", "bitxor": "bitwise_xor"}[kind])
    a = np.random.default_rng(4).integers(-(2**31), 2**31, (8, 40)).astype(np.int32)
    b = np.full((2, 40), 77, np.int32)
    _run(main, a, b, target="sm_80")
    want = operation.reduce(a, axis=0)
    assert np.array_equal(b, np.stack([want, operation(want, np.int32(0x55555555))]))


def test_reductions_that_keep_what_is_there_or_pass_on_nan() -> None:
    @T.prim_func
    def main(A: T.Tensor((4, 64), "float16"), B: T.Tensor((5, 4), "float16")):
        with T.Kernel(1, threads=64):
            f, r = T.alloc_fragment((4, 64), "float16"), T.alloc_fragment((4,), "float16")
            T.copy(A, f)
            T.reduce_absmax(f, r, dim=1, nan_propagate=True)
            T.copy(r, B[0, :])
            T.reduce_max(f, r, -1, True, nan_propagate=True)
            T.copy(r, B[1, :])
            T.fill(r, 9)
            T.reduce_absmax(f, r, dim=1, clear=False, batch=1)
            T.copy(r, B[2, :])
            T.reduce_abssum(f, r, dim=1)
            T.copy(r, B[3, :])
            T.reduce(f, r, "min", 1, True, 1)
            T.copy(r, B[4, :])

    a = np.random.default_rng(5).integers(-3, 4, (4, 64)).astype(np.float16)
    a[2, 40] = np.nan
    b = np.full((5, 4), 77, np.float16)
    _run(main, a, b, target="sm_80")
    clean = np.array([0, 1, 3])
    rows = np.stack([np.abs(a).max(1), a.max(1), np.full(4, 9), np.abs(a).sum(1), a.min(1)])
    assert np.array_equal(b[:, clean], rows[:, clean]) and np.isnan(b[[0, 1, 3], 2]).all() and b[2, 2] == 9


def test_names_of_the_launch() -> None:
    @T.prim_func
    def main(P: T.Tensor((3, 2, 64, 8), "int32")):
        with T.Kernel(3, 2, threads=(16, 4)):
            x, y = T.get_block_bindings()[:2]
            t = T.get_thread_bindings()[0] + T.get_thread_bindings()[1] * T.get_thread_extents()[0]
            P[x, y, t, 0] = T.get_block_binding(1) * T.get_block_extent(dim=0) + T.get_block_binding(0)
            P[x, y, t, 1] = T.get_block_extents()[1] * 100 + T.get_thread_extent(1)
            row, column = T.index_to_coordinates(t, (8, 8))
            P[x, y, t, 2] = row * 10 + column
            P[x, y, t, 3] = T.where(T.likely(t % 2 == 0), t, -t)
            P[x, y, t, 4] = T.bitwise_or(T.bitwise_xor(t, 5), T.shift_right(t, 3))
            P[x, y, t, 5] = T.max(t, 7, 9) + T.min(t, 30, 20)
            P[x, y, t, 6] = T.cdiv(t, 5)
            P[x, y, t, 7] = T.Select(T.And(T.GE(t, 3), T.Not(T.EQ(t, 9))), T.FloorMod(t, 4), T.Sub(t, T.Mul(2, t)))

    p = np.full((3, 2, 64, 8), -99, np.int32)
    _run(main, p)
    x, y, t = np.meshgrid(np.arange(3), np.arange(2), np.arange(64), indexing="ij")
    rows = [y * 3 + x, 204 + 0 * t, t // 8 * 10 + t % 8, np.where(t % 2 == 0, t, -t), (t ^ 5) | t >> 3]
    rows += [np.maximum(t, 9) + np.minimum(t, 20), -(-t // 5), np.where((t >= 3) & (t != 9), t % 4, -t)]
    assert np.array_equal(p, np.stack(rows, -1))
