"""A GEMM of float16 activations with 4-bit weights (W4A16), dequantised on the way to the tensor cores.

Weights are stored as (N, K / 2) bytes, the even column in the low half, with one float16 scale per row and group of
`group` columns: w = (q - 8) * scale. Shown here: packed tiles in shared memory, bit arithmetic in a parallel loop,
and a dequantised tile that `T.gemm` reads like any other. The weights take a quarter of the memory of float16.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

DTYPE = "float16"


@tilelang.jit(out_idx=[-1])
def gemm_int4(M, N, K, group=128, block_M=128, block_N=128, block_K=64, num_stages=3, threads=128):
    @T.prim_func
    def gemm_w4a16(
        A: T.Tensor((M, K), DTYPE),
        W: T.Tensor((N, K // 2), "uint8"),
        scales: T.Tensor((N, K // group), DTYPE),
        C: T.Tensor((M, N), DTYPE),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), DTYPE)
            W_shared = T.alloc_shared((block_N, block_K // 2), "uint8")
            w = T.alloc_fragment((block_N, block_K), DTYPE)
            w_shared = T.alloc_shared((block_N, block_K), DTYPE)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[by * block_M, k * block_K], A_shared)
                T.copy(W[bx * block_N, k * (block_K // 2)], W_shared)
                for i, j in T.Parallel(block_N, block_K):
                    q = (W_shared[i, j // 2] >> T.cast(4 * (j % 2), "uint8")) & 15
                    w[i, j] = (T.cast(q, DTYPE) - 8) * scales[bx * block_N + i, (k * block_K) // group]
                T.copy(w, w_shared)
                T.gemm(A_shared, w_shared, acc, transpose_B=True)
            T.copy(acc, C[by * block_M, bx * block_N])

    return gemm_w4a16


def pack(q: np.ndarray) -> np.ndarray:
    """Values from 0 to 15, (N, K), as bytes, (N, K / 2)."""
    return (q[:, 0::2] | (q[:, 1::2] << 4)).astype(np.uint8)


def dequantise(q: np.ndarray, scales: np.ndarray, group: int) -> np.ndarray:
    """The weights that the kernel multiplies with: products are rounded to float16."""
    factors = scales.repeat(group, axis=1)
    return ((q.astype(DTYPE) - 8) * factors).astype(DTYPE)


def multiply(run: Run, M: int, N: int, K: int, blocks: tuple[int, int, int], group: int = 128) -> None:
    kernel = run.kernel(gemm_int4, M, N, K, group, *blocks)
    if run.compile_only:
        return
    rng = np.random.default_rng(1)
    q = rng.integers(0, 16, (N, K), np.uint8)
    scales = (rng.random((N, K // group)) * K**-0.5).astype(DTYPE)
    weights = dequantise(q, scales, group)
    a = run.random((M, K), DTYPE)
    packed, on_device = run.on_device(pack(q)), run.on_device(scales)
    rows = run.rows(M)
    want = float64(a[rows]) @ weights.astype(np.float64).T
    run.check(f"gemm_int4 {M}x{N}x{K}", kernel(a, packed, on_device)[rows], want, DTYPE)
    full = run.on_device(weights)
    # The peer multiplies float16 weights, four times the bytes.
    run.time(lambda: kernel(a, packed, on_device), lambda: a @ full.T, flops=2 * M * N * K)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [(64, 64, 256, (64, 64, 64)), (33, 70, 128, (64, 64, 32))]
    real = [(16, 14336, 4096, (16, 128, 64)), (4096, 14336, 4096, (128, 128, 64))]  # decoding and prefill, Llama-3-8B
    for case in run.pick(small, real):
        multiply(run, *case)
    return run


if __name__ == "__main__":
    main()
