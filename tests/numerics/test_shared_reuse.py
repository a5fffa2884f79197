"""Kernels whose shared tiles fit only one after the other."""

from __future__ import annotations

import numpy as np

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
