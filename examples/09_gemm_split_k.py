"""A GEMM with few output tiles and a long K, split along K so that it fills the GPU.

Each block multiplies one part of K and adds its tile to the output with `T.atomic_add`; the output is float32 and
starts as zeros. Shown here: a three-dimensional grid and atomic addition of a whole tile. This is the shape of
decoding: a handful of tokens against a large weight matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit
def gemm_split_k(M, N, K, dtype="float16", block_M=64, block_N=64, block_K=64, parts=4, num_stages=3):
    steps = -(-K // (block_K * parts))  # tiles along K of one part

    @T.prim_func
    def gemm_part(A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), parts, threads=128) as (bx, by, bz):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.clear(acc)
            for k in T.Pipelined(steps, num_stages=num_stages):
                T.copy(A[by * block_M, (bz * steps + k) * block_K], A_shared)
                T.copy(B[bx * block_N, (bz * steps + k) * block_K], B_shared)
                T.gemm(A_shared, B_shared, acc, transpose_B=True)
            T.atomic_add(C[by * block_M, bx * block_N], acc)

    return gemm_part


def reference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ b.T


def multiply(run: Run, M: int, N: int, K: int, parts: int) -> None:
    kernel = run.kernel(gemm_split_k, M, N, K, run.dtype, parts=parts)
    if run.compile_only:
        return
    a, b = run.random((M, K), run.dtype), run.random((N, K), run.dtype, K**-0.5)
    c = run.zeros((M, N))
    kernel(a, b, c)
    # Inputs are exact and sums are float32, so the result is far more exact than the inputs' dtype.
    run.check(f"gemm_split_k {M}x{N}x{K} {run.dtype}", c, reference(float64(a), float64(b)), "float32")

    def zero_and_add() -> None:
        c.zero_()
        kernel(a, b, c)

    run.time(zero_and_add, lambda: a @ b.T, bytes_moved=2 * N * K)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    real = [(16, 4096, 14336, 8), (64, 8192, 28672, 4)]  # the down projections of Llama-3-8B and -70B, few tokens
    for case in run.pick([(64, 128, 512, 4), (33, 70, 300, 3)], real):
        multiply(run, *case)
    return run


if __name__ == "__main__":
    main()
