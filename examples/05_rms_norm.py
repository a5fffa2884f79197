"""RMSNorm over the rows of a matrix: x * rsqrt(mean(x * x) + epsilon) * weight.

Each row is read once: it stays in registers between the sum of squares and the scaling. Short rows share a block
(`rows` of them), so that a block always moves enough bytes. Eager style: the sizes come from the arguments, `rows`
and `threads` are compile-time options.

    y = rms_norm(x, weight, rows=4)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit
def rms_norm(x, weight, dtype: str = "float16", rows: int = 1, threads: int = 256, epsilon: float = 1e-5):
    M, N = T.const("M, N")
    x: T.Tensor((M, N), dtype)
    weight: T.Tensor((N,), dtype)
    y = T.empty((M, N), dtype)
    with T.Kernel(T.ceildiv(M, rows), threads=threads) as block:
        packed = T.alloc_fragment((rows, N), dtype)
        row = T.alloc_fragment((rows, N), "float32")
        square = T.alloc_fragment((rows, N), "float32")
        factor = T.alloc_fragment((rows,), "float32")
        T.copy(x[block * rows, 0], packed)
        T.copy(packed, row)
        for i, j in T.Parallel(rows, N):
            square[i, j] = row[i, j] * row[i, j]
        T.reduce_sum(square, factor, dim=1)
        for i in T.Parallel(rows):
            factor[i] = T.rsqrt(factor[i] / N + epsilon)
        for i, j in T.Parallel(rows, N):
            row[i, j] = row[i, j] * factor[i] * weight[j]
        T.copy(row, packed)
        T.copy(packed, y[block * rows, 0])
    return y


def reference(x: np.ndarray, weight: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + epsilon) * weight


def normalise(run: Run, M: int, N: int, rows: int, threads: int) -> None:
    kernel = run.kernel(rms_norm, M=M, N=N, dtype=run.dtype, rows=rows, threads=threads)
    if run.compile_only:
        return
    x, weight = run.random((M, N), run.dtype), run.random((N,), run.dtype)
    sample = run.rows(M)
    want = reference(float64(x[sample]), float64(weight))
    run.check(f"rms_norm {M}x{N} {run.dtype}", kernel(x, weight)[sample], want)

    def peer() -> Any:
        from torch.nn.functional import rms_norm

        return rms_norm(x, (N,), weight, 1e-5)

    run.time(lambda: kernel(x, weight), peer, bytes_moved=2 * M * N * 2)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [(21, 768, 4, 128), (5, 1003, 1, 128)]
    real = [(16384, 4096, 1, 256), (16384, 8192, 1, 256), (8192, 16384, 1, 512)]  # hidden sizes: Llama-3 8B, 70B, 405B
    for case in run.pick(small, real):
        normalise(run, *case)
    return run


if __name__ == "__main__":
    main()
