"""Softmax over the rows of a matrix, two ways.

`softmax` keeps a whole row in the registers of one block: each element is read once and written once. It suits rows
up to some 32 thousand elements. `softmax_online` handles rows of any length, such as logits over a vocabulary: a
first sweep keeps a running maximum and a sum that is rescaled when the maximum grows, a second sweep writes.

Shown here: reductions over fragments of any width, a mask for the last tile of a row, and loads and stores in the
dtype of the tensor (`packed`), eight elements at a time, with arithmetic in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

LOG2_E = 1.4426950408889634


@tilelang.jit(out_idx=[-1])
def softmax(M: int, N: int, dtype: str = "float16", threads: int = 256):
    @T.prim_func
    def softmax_rows(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(M, threads=threads) as row:
            packed = T.alloc_fragment((1, N), dtype)
            x = T.alloc_fragment((1, N), "float32")
            largest = T.alloc_fragment((1,), "float32")
            total = T.alloc_fragment((1,), "float32")
            T.copy(X[row, 0], packed)
            T.copy(packed, x)
            T.reduce_max(x, largest, dim=1)
            for i, j in T.Parallel(1, N):
                x[i, j] = T.exp2(x[i, j] * LOG2_E - largest[i] * LOG2_E)
            T.reduce_sum(x, total, dim=1)
            for i in T.Parallel(1):
                total[i] = 1.0 / total[i]
            for i, j in T.Parallel(1, N):
                x[i, j] = x[i, j] * total[i]
            T.copy(x, packed)
            T.copy(packed, Y[row, 0])

    return softmax_rows


@tilelang.jit(out_idx=[-1])
def softmax_online(M: int, N: int, dtype: str = "float16", block_N: int = 8192, threads: int = 256):
    @T.prim_func
    def softmax_long_rows(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(M, threads=threads) as row:
            packed = T.alloc_fragment((1, block_N), dtype)
            x = T.alloc_fragment((1, block_N), "float32")
            largest = T.alloc_fragment((1,), "float32")
            previous = T.alloc_fragment((1,), "float32")
            part = T.alloc_fragment((1,), "float32")
            total = T.alloc_fragment((1,), "float32")
            T.fill(largest, -T.infinity("float32"))
            T.clear(total)
            for k in T.serial(T.ceildiv(N, block_N)):
                T.copy(X[row, k * block_N], packed)
                T.copy(packed, x)
                for i, j in T.Parallel(1, block_N):
                    x[i, j] = T.if_then_else(k * block_N + j < N, x[i, j], -T.infinity("float32"))
                T.copy(largest, previous)
                T.reduce_max(x, largest, dim=1, clear=False)
                for i, j in T.Parallel(1, block_N):
                    x[i, j] = T.exp2(x[i, j] * LOG2_E - largest[i] * LOG2_E)
                T.reduce_sum(x, part, dim=1)
                for i in T.Parallel(1):
                    total[i] = total[i] * T.exp2((previous[i] - largest[i]) * LOG2_E) + part[i]
            for i in T.Parallel(1):
                total[i] = 1.0 / total[i]
            for k in T.serial(T.ceildiv(N, block_N)):
                T.copy(X[row, k * block_N], packed)
                T.copy(packed, x)
                for i, j in T.Parallel(1, block_N):
                    x[i, j] = T.exp2(x[i, j] * LOG2_E - largest[i] * LOG2_E) * total[i]
                T.copy(x, packed)
                T.copy(packed, Y[row, k * block_N])

    return softmax_long_rows


def reference(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def normalise(run: Run, function: Any, M: int, N: int, threads: int) -> None:
    kernel = run.kernel(function, M, N, run.dtype, threads=threads)
    if run.compile_only:
        return
    x = run.random((M, N), run.dtype, 3.0)
    rows = run.rows(M)
    run.check(f"{function.__name__} {M}x{N} {run.dtype}", kernel(x)[rows], reference(float64(x[rows])))
    run.time(lambda: kernel(x), lambda: x.softmax(-1), bytes_moved=2 * M * N * 2)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [(softmax, 37, 1000, 128), (softmax, 5, 333, 128), (softmax_online, 3, 9000, 256)]
    # Attention scores of 32 heads, S = 4096; rows of 16384; the logits of 4096 tokens over Llama-3's vocabulary.
    real = [(softmax, 32 * 4096, 4096, 256), (softmax, 8192, 16384, 512), (softmax_online, 4096, 128256, 512)]
    for case in run.pick(small, real):
        normalise(run, *case)
    return run


if __name__ == "__main__":
    main()
