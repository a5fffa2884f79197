"""relu(A @ B + bias): a matrix multiplication on tensor cores with its epilogue fused.

Shown here: tiles staged in shared memory, `T.Pipelined`, which copies the next tiles while the current ones are
multiplied, `T.gemm`, which the compiler turns into tensor-core instructions, and elementwise work on the accumulator
before it leaves the registers. Sizes need not be multiples of the tile: what lies outside reads as zero and is not
written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit(out_idx=[-1])
def gemm_bias_relu(M, N, K, dtype="float16", block_M=128, block_N=128, block_K=64, num_stages=3):
    @T.prim_func
    def gemm(
        A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), bias: T.Tensor((N,), dtype), C: T.Tensor((M, N), dtype)
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=128) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_K, block_N), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.use_swizzle(10)
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[by * block_M, k * block_K], A_shared)
                T.copy(B[k * block_K, bx * block_N], B_shared)
                T.gemm(A_shared, B_shared, acc)
            for i, j in T.Parallel(block_M, block_N):
                acc[i, j] = T.max(acc[i, j] + bias[bx * block_N + j], 0)
            T.copy(acc, C[by * block_M, bx * block_N])

    return gemm


def reference(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.maximum(a @ b + bias, 0)


def multiply(run: Run, M: int, N: int, K: int, tiles: tuple[int, int, int]) -> None:
    kernel = run.kernel(gemm_bias_relu, M, N, K, run.dtype, *tiles)
    if run.compile_only:
        return
    a, b, bias = run.random((M, K), run.dtype), run.random((K, N), run.dtype, K**-0.5), run.random((N,), run.dtype)
    rows = run.rows(M)
    want = reference(float64(a[rows]), float64(b), float64(bias))
    run.check(f"gemm_bias_relu {M}x{N}x{K} {run.dtype}", kernel(a, b, bias)[rows], want)
    run.time(lambda: kernel(a, b, bias), lambda: (a @ b + bias).relu_(), flops=2 * M * N * K)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    # The MLPs of Llama-3-8B (up, down) and -70B (up) for 4096 tokens.
    real = [(4096, 14336, 4096), (4096, 4096, 14336), (4096, 28672, 8192)]
    for M, N, K in run.pick([(200, 136, 104), (129, 77, 65)], real):
        multiply(run, M, N, K, run.pick((64, 64, 32), (128, 128, 64)))
    return run


if __name__ == "__main__":
    main()
