"""LayerNorm over the rows of a matrix: (x - mean) * rsqrt(variance + epsilon) * weight + bias.

The row stays in registers for both reductions, so the variance is that of the centred values (no cancellation) and
memory is read once. Shown here: several fragments of one layout, reductions whose result is used elementwise, and
vectors (`weight`, `bias`) read straight from global memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit(out_idx=[-1])
def layer_norm(M: int, N: int, dtype: str = "float16", threads: int = 256, epsilon: float = 1e-5):
    @T.prim_func
    def layer_norm_rows(
        X: T.Tensor((M, N), dtype), W: T.Tensor((N,), dtype), B: T.Tensor((N,), dtype), Y: T.Tensor((M, N), dtype)
    ):
        with T.Kernel(M, threads=threads) as row:
            packed = T.alloc_fragment((1, N), dtype)
            x = T.alloc_fragment((1, N), "float32")
            square = T.alloc_fragment((1, N), "float32")
            mean = T.alloc_fragment((1,), "float32")
            factor = T.alloc_fragment((1,), "float32")
            T.copy(X[row, 0], packed)
            T.copy(packed, x)
            T.reduce_sum(x, mean, dim=1)
            for i, j in T.Parallel(1, N):
                x[i, j] = x[i, j] - mean[i] / N
            for i, j in T.Parallel(1, N):
                square[i, j] = x[i, j] * x[i, j]
            T.reduce_sum(square, factor, dim=1)
            for i in T.Parallel(1):
                factor[i] = T.rsqrt(factor[i] / N + epsilon)
            for i, j in T.Parallel(1, N):
                packed[i, j] = x[i, j] * factor[i] * W[j] + B[j]
            T.copy(packed, Y[row, 0])

    return layer_norm_rows


def reference(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon) * weight + bias


def normalise(run: Run, M: int, N: int, threads: int) -> None:
    kernel = run.kernel(layer_norm, M, N, run.dtype, threads)
    if run.compile_only:
        return
    x, weight, bias = run.random((M, N), run.dtype), run.random((N,), run.dtype), run.random((N,), run.dtype)
    rows = run.rows(M)
    want = reference(float64(x[rows]), float64(weight), float64(bias))
    run.check(f"layer_norm {M}x{N} {run.dtype}", kernel(x, weight, bias)[rows], want)

    def peer() -> Any:
        from torch.nn.functional import layer_norm

        return layer_norm(x, (N,), weight, bias)

    run.time(lambda: kernel(x, weight, bias), peer, bytes_moved=2 * M * N * 2)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    real = [(16384, 4096, 256), (16384, 8192, 256), (8192, 16384, 256)]
    for case in run.pick([(9, 768, 128), (5, 1003, 128)], real):
        normalise(run, *case)
    return run


if __name__ == "__main__":
    main()
