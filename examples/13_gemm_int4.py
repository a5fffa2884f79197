"""A GEMM of float16 activations with 4-bit weights (W4A16), dequantised in registers on the way to the tensor cores.

Weights have one float16 scale per row and group of `group` columns: w = (q - 8) * scale. They are the left operand, so
that they go from shared memory through registers straight into the product, C^T = W A^T: the dequantised tile is never
stored. `pack` arranges the nibbles for that: of 64 columns, a thread of the tensor core's left operand needs 16 per
row, which become 8 bytes in a row, and a 16-bit word holds nibbles that become neighbouring elements of neighbouring
registers, so that one mask and shift unpacks two. The weights take a quarter of the memory of float16.

Where the rows of the weights give too few tiles to fill the GPU, as in decoding, K is split into parts, whose sums a
second kernel adds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.target import Feature

DTYPE = "float16"


@tilelang.jit(out_idx=[-1])
def gemm_int4(M, N, K, group=128, block_M=128, block_N=128, block_K=64, num_stages=4, threads=256, parts=1):
    steps = -(-K // (block_K * parts))  # tiles along K of one part; what lies behind K reads as zero
    columns, rows = 128, 8  # of a block that adds parts

    @T.prim_func
    def gemm_w4a16(
        A: T.Tensor((M, K), DTYPE),
        W: T.Tensor((N, K // 4), "uint16"),
        scales: T.Tensor((K // group, N), DTYPE),
        C: T.Tensor((M, N), DTYPE),
    ):
        if parts > 1:
            Parts = T.alloc_global((parts, N, M), "float32")
        with T.Kernel(T.ceildiv(M, block_M), T.ceildiv(N, block_N), parts, threads=threads) as (by, bx, part):
            A_shared = T.alloc_shared((block_M, block_K), DTYPE)
            W_shared = T.alloc_shared((block_N, block_K // 4), "uint16")
            scale_shared = T.alloc_shared((1, block_N), DTYPE)
            C_shared = T.alloc_shared((block_M, block_N), DTYPE)
            w = T.alloc_fragment((block_N, block_K), DTYPE)
            acc = T.alloc_fragment((block_N, block_M), "float32")
            T.clear(acc)
            for step in T.Pipelined(steps, num_stages=num_stages):
                k = part * steps + step
                T.copy(A[by * block_M, k * block_K], A_shared)
                T.copy(W[bx * block_N, k * (block_K // 4)], W_shared)
                T.copy(scales[k * block_K // group, bx * block_N], scale_shared)
                for i, j in T.Parallel(block_N, block_K):
                    word = W_shared[i, j // 64 * 16 + j % 8 // 2 * 4 + j % 64 // 32 * 2 + j % 2]
                    q = (word >> T.cast(4 * (j % 32 // 8), "uint16")) & 15
                    w[i, j] = (T.cast(q, DTYPE) - 8) * scale_shared[0, i]
                T.gemm(w, A_shared, acc, transpose_B=True)
            if parts > 1:
                T.copy(acc, Parts[part, bx * block_N : (bx + 1) * block_N, by * block_M : (by + 1) * block_M])
            else:
                for i, j in T.Parallel(block_M, block_N):
                    C_shared[i, j] = acc[j, i]
                T.copy(C_shared, C[by * block_M, bx * block_N])
        if parts > 1:
            with T.Kernel(T.ceildiv(N, columns), T.ceildiv(M, rows), threads=128) as (bx, by):
                total = T.alloc_fragment((columns, rows), "float32")
                more = T.alloc_fragment((columns, rows), "float32")
                T.clear(total)
                for part in T.unroll(parts):
                    T.copy(Parts[part, bx * columns : (bx + 1) * columns, by * rows : (by + 1) * rows], more)
                    for i, j in T.Parallel(columns, rows):
                        total[i, j] += more[i, j]
                for i, j in T.Parallel(columns, rows):
                    if by * rows + j < M and bx * columns + i < N:
                        C[by * rows + j, bx * columns + i] = total[i, j]

    return gemm_w4a16


def pack(q: np.ndarray) -> np.ndarray:
    """Values from 0 to 15, (N, K), as 16-bit words, (N, K / 4): column 32 h + 8 m + 2 t + e of each 64 is nibble m of
    word 4 t + 2 h + e."""
    rows, columns = q.shape
    nibbles = q.reshape(rows, columns // 64, 2, 4, 4, 2).transpose(0, 1, 4, 2, 5, 3).astype(np.uint16)  # t, h, e, m
    return (nibbles << (4 * np.arange(4, dtype=np.uint16))).sum(-1, dtype=np.uint16).reshape(rows, columns // 4)


def dequantise(q: np.ndarray, scales: np.ndarray, group: int) -> np.ndarray:
    """The weights that the kernel multiplies with: products are rounded to float16."""
    factors = scales.T.repeat(group, axis=1)
    return ((q.astype(DTYPE) - 8) * factors).astype(DTYPE)


def multiply(run: Run, M: int, N: int, K: int, blocks: tuple[int, ...], group: int = 128) -> None:
    kernel = run.kernel(gemm_int4, M, N, K, group, *blocks)
    if run.compile_only:
        return
    rng = np.random.default_rng(1)
    q = rng.integers(0, 16, (N, K), np.uint8)
    scales = (rng.random((K // group, N)) * K**-0.5).astype(DTYPE)
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
    small = [(64, 64, 256, (64, 64, 64, 2, 128)), (33, 136, 128, (64, 128, 64)), (5, 72, 512, (16, 64, 64, 2, 128, 3))]
    # Decoding and prefill of Llama-3-8B.
    real = [(16, 14336, 4096, (16, 128, 128, 6, 256)), (16, 4096, 14336, (16, 128, 128, 6, 256, 4))]
    real.append((4096, 14336, 4096, (256, 128, 64)))
    if not run.target.supports(Feature.WGMMA):
        real = [(16, 14336, 4096, (16, 64, 128, 4, 128)), (4096, 14336, 4096, (128, 128, 64, 2))]
    for case in run.pick(small, real):
        multiply(run, *case)
    return run


if __name__ == "__main__":
    main()
