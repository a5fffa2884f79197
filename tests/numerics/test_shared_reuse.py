"""Kernels whose shared tiles fit only one after the other."""

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs


def test_tiles_that_each_iteration_fills_anew() -> None:
    """Two tiles of 84 KB share memory within an iteration; what the next one fills waits for what this one reads."""
    rows, columns = 168, 128

    @T.prim_func
    def main(A: T.Tensor((2, rows, columns), "float32"), C: T.Tensor((2, rows, columns), "float32")):
        with T.Kernel(1, threads=256):
            s = T.alloc_shared((rows, columns), "float32")
            t = T.alloc_shared((rows, columns), "float32")
            kept = T.alloc_shared((columns,), "float32")
            T.fill(kept, 1)
            for k in T.serial(2):
                f = T.alloc_fragment((rows, columns), "float32")
                T.copy(A[k, :, :], s)
                for i, j in T.Parallel(rows, columns):
                    f[i, j] = s[rows - 1 - i, j] * kept[j]
                for i, j in T.Parallel(rows, columns):
                    t[i, j] = f[i, j]
                for j in T.Parallel(columns):
                    kept[j] = kept[j] + 1
                for i, j in T.Parallel(rows, columns):
                    C[k, i, j] = t[i, columns - 1 - j]

    with knobs.overrides({"TILELANG_SIM_CHECKED": True}):
        kernel = tilelang.compile(main, target="sim:sm_80")
        a = np.random.default_rng(0).standard_normal((2, rows, columns)).astype(np.float32)
        c = np.full_like(a, np.nan)
        kernel(a, c)
    want = (a[:, ::-1] * np.arange(1, 3, dtype=np.float32)[:, None, None])[:, :, ::-1]
    assert np.array_equal(c, want)


@pytest.mark.parametrize("arch", ["sm_90a", "sm_100a", "sm_103a"])
def test_tiles_in_front_of_a_loop_whose_loads_have_a_role(arch: str) -> None:
    """The tiles of the loop are loaded while all threads still use another one."""
    M, N, K = 64, 64, 48

    @T.prim_func
    def main(X: T.Tensor((40, 64), "float16"), A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"),
             Y: T.Tensor((40, 64), "float16"), C: T.Tensor((M, N), "float32")):  # fmt: skip
        with T.Kernel(1, threads=256):
            x, y = T.alloc_shared((40, 64), "float16"), T.alloc_fragment((40, 64), "float16")
            a, b = T.alloc_shared((M, 16), "float16"), T.alloc_shared((16, N), "float16")
            c = T.alloc_fragment((M, N), "float32")
            T.copy(X, x)
            for i, j in T.Parallel(40, 64):
                y[i, j] = x[39 - i, 63 - j]
            T.copy(y, Y)
            T.clear(c)
            for k in T.Pipelined(K // 16, num_stages=1):
                T.copy(A[0, k * 16], a)
                T.copy(B[k * 16, 0], b)
                T.gemm(a, b, c)
            T.copy(c, C)

    rng = np.random.default_rng(0)
    x, a, b = (rng.standard_normal(shape).astype(np.float16) for shape in ((40, 64), (M, K), (K, N)))
    y, c = np.full_like(x, np.nan), np.full((M, N), np.nan, np.float32)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True}):
        tilelang.compile(main, target=f"sim:{arch}")(x, a, b, y, c)
    assert np.array_equal(y, x[::-1, ::-1])
    want = a.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(c - want) < 1e-5 * np.linalg.norm(want)
