"""Fused elementwise work with broadcasting: silu(x + bias[None, :]) * scale[:, None] in one pass over the matrix.

Shown here: a two-dimensional grid, tiles of a matrix in registers (`T.alloc_fragment`), vectors that are broadcast
along rows and columns by plain indexing, and a helper inlined with `T.macro`. Written as a factory (the lazy style):
sizes are Python values, the inner `T.prim_func` is the kernel, `out_idx` names the parameter it allocates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@T.macro
def silu(x):
    return x / (1.0 + T.exp(-x))


@tilelang.jit(out_idx=[-1])
def fused_elementwise(M: int, N: int, dtype: str = "float16", block_M: int = 8, block_N: int = 512):
    @T.prim_func
    def fused(
        X: T.Tensor((M, N), dtype),
        bias: T.Tensor((N,), dtype),
        scale: T.Tensor((M,), "float32"),
        Y: T.Tensor((M, N), dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=256) as (bx, by):
            x = T.alloc_fragment((block_M, block_N), dtype)
            T.copy(X[by * block_M, bx * block_N], x)
            for i, j in T.Parallel(block_M, block_N):
                shifted = T.cast(x[i, j], "float32") + T.cast(bias[bx * block_N + j], "float32")
                x[i, j] = silu(shifted) * scale[by * block_M + i]
            T.copy(x, Y[by * block_M, bx * block_N])

    return fused


def reference(x: np.ndarray, bias: np.ndarray, scale: np.ndarray) -> np.ndarray:
    shifted = x + bias[None, :]
    return shifted / (1 + np.exp(-shifted)) * scale[:, None]


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    M, N = run.pick((77, 1030), (4096, 14336))
    kernel = run.kernel(fused_elementwise, M, N, run.dtype)
    if run.compile_only:
        return run
    x, bias, scale = run.random((M, N), run.dtype), run.random((N,), run.dtype), run.random((M,))
    rows = run.rows(M)
    want = reference(float64(x[rows]), float64(bias), float64(scale[rows]))
    run.check(f"fused elementwise {M}x{N} {run.dtype}", kernel(x, bias, scale)[rows], want)

    def peer():
        from torch.nn.functional import silu

        return silu(x + bias) * scale[:, None].to(x.dtype)

    run.time(lambda: kernel(x, bias, scale), peer, bytes_moved=2 * M * N * 2)
    return run


if __name__ == "__main__":
    main()
