"""GEMMs of 8-bit floats, two ways to scale them.

`gemm_fp8` has one scale per tensor: C = scale_a * scale_b * A B^T, summed by the tensor cores as they are ("fast
accumulation"). `gemm_fp8_blocks` has a scale per row of A and 128 columns, and one per 128 x 128 block of B, as models
trained in 8 bits use: the product of each 128 columns is scaled and added up in float32, which also makes up for the
few bits that the tensor cores keep of their sums.

Shown here: fp8 tensors, two accumulators of one product (`clear_accum`), and a row of factors that follows the layout
of an accumulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.target import Feature

NEEDS = Feature.MMA_FP8
E4M3 = "float8_e4m3"
BLOCK = 128  # columns, and rows of B, that share a scale


@tilelang.jit(out_idx=[-1])
def gemm_fp8(M, N, K, dtype=E4M3, out="bfloat16", block_M=128, block_N=256, block_K=128, num_stages=4, threads=256):
    @T.prim_func
    def gemm_fp8_tensor(
        A: T.Tensor((M, K), dtype),
        B: T.Tensor((N, K), dtype),
        scale_a: T.Tensor((1,), "float32"),
        scale_b: T.Tensor((1,), "float32"),
        C: T.Tensor((M, N), out),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.use_swizzle(16)
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[by * block_M, k * block_K], A_shared)
                T.copy(B[bx * block_N, k * block_K], B_shared)
                T.gemm(A_shared, B_shared, acc, transpose_B=True)
            factor = scale_a[0] * scale_b[0]
            for i, j in T.Parallel(block_M, block_N):
                acc[i, j] = acc[i, j] * factor
            T.copy(acc, C[by * block_M, bx * block_N])

    return gemm_fp8_tensor


@tilelang.jit(out_idx=[-1])
def gemm_fp8_blocks(M, N, K, dtype=E4M3, out="bfloat16", block_M=128, block_N=128, num_stages=4, threads=256):
    steps = -(-K // BLOCK)

    @T.prim_func
    def gemm_fp8_scaled_blocks(
        A: T.Tensor((M, K), dtype),
        scales_a: T.Tensor((steps, M), "float32"),
        B: T.Tensor((N, K), dtype),
        scales_b: T.Tensor((T.ceildiv(N, BLOCK), steps), "float32"),
        C: T.Tensor((M, N), out),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, BLOCK), dtype)
            B_shared = T.alloc_shared((block_N, BLOCK), dtype)
            rows_shared = T.alloc_shared((1, block_M), "float32")
            bands_shared = T.alloc_shared((1, steps), "float32")
            part = T.alloc_fragment((block_M, block_N), "float32")
            acc = T.alloc_fragment((block_M, block_N), "float32")
            factors = T.alloc_fragment((block_M,), "float32")
            T.use_swizzle(16)
            T.copy(scales_b[bx * block_N // BLOCK, 0], bands_shared)
            T.clear(acc)
            for k in T.Pipelined(steps, num_stages=num_stages):
                T.copy(A[by * block_M, k * BLOCK], A_shared)
                T.copy(B[bx * block_N, k * BLOCK], B_shared)
                T.copy(scales_a[k, by * block_M], rows_shared)
                T.gemm(A_shared, B_shared, part, transpose_B=True, clear_accum=True)
                for i in T.Parallel(block_M):
                    factors[i] = rows_shared[0, i] * bands_shared[0, k]
                for i, j in T.Parallel(block_M, block_N):
                    acc[i, j] += part[i, j] * factors[i]
            T.copy(acc, C[by * block_M, bx * block_N])

    return gemm_fp8_scaled_blocks


def spread(scales: np.ndarray, rows: int, columns: int, height: int) -> np.ndarray:
    """Scales of blocks of `height` x 128, one per element of a (rows, columns) matrix."""
    return scales.repeat(height, axis=0)[:rows].repeat(BLOCK, axis=1)[:, :columns]


def per_tensor(run: Run, M: int, N: int, K: int, blocks: tuple[int, ...]) -> None:
    out = run.dtype
    kernel = run.kernel(gemm_fp8, M, N, K, E4M3, out, *blocks)
    if run.compile_only:
        return
    a, b = run.random((M, K), E4M3), run.random((N, K), E4M3)
    scales = [run.on_device(np.full(1, value, np.float32)) for value in (0.75, K**-0.5)]
    rows = run.rows(M)
    want = float64(a[rows]) @ float64(b).T * 0.75 * K**-0.5
    # The tensor cores keep some 13 bits of a sum: the error grows with K.
    run.check(f"gemm_fp8 {M}x{N}x{K}", kernel(a, b, *scales)[rows], want, "bfloat16")

    def peer() -> Any:
        import torch

        kind = torch.bfloat16
        return torch._scaled_mm(a, b.T, *scales, out_dtype=kind, use_fast_accum=True)  # pyright: ignore

    run.time(lambda: kernel(a, b, *scales), peer, flops=2 * M * N * K)


def by_blocks(run: Run, M: int, N: int, K: int, blocks: tuple[int, ...]) -> None:
    kernel = run.kernel(gemm_fp8_blocks, M, N, K, E4M3, run.dtype, *blocks)
    if run.compile_only:
        return
    a, b = run.random((M, K), E4M3), run.random((N, K), E4M3)
    rng = np.random.default_rng(1)
    steps, bands = -(-K // BLOCK), -(-N // BLOCK)
    scales_a, scales_b = (rng.random(shape, np.float32) + 0.5 for shape in ((steps, M), (bands, steps)))
    rows = run.rows(M)
    left = float64(a[rows]) * spread(scales_a.T[rows], len(rows), K, 1)
    want = left @ (float64(b) * spread(scales_b, N, K, BLOCK)).T
    inputs = a, run.on_device(scales_a), b, run.on_device(scales_b)
    run.check(f"gemm_fp8_blocks {M}x{N}x{K}", kernel(*inputs)[rows], want)
    run.time(lambda: kernel(*inputs), flops=2 * M * N * K)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [(per_tensor, 136, 264, 400, (128, 128, 128, 2, 256)), (by_blocks, 130, 136, 400, (128, 128, 2, 256))]
    # 8192 cubed, and projections of DeepSeek-V3 (hidden size 7168).
    shapes = [(8192, 8192, 8192), (4096, 7168, 2048), (4096, 24576, 1536)]
    real: list[Any] = [(per_tensor, *shape, ()) for shape in shapes]
    real += [(by_blocks, *shape, (192, 128, 4, 384)) for shape in shapes]
    for measure, *case in run.pick(small, real):
        measure(run, *case)
    return run


if __name__ == "__main__":
    main()
