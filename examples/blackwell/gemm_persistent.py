"""Persistent matrix product: one block per multiprocessor walks over the output tiles.

The program names no warps. On a target with tensor memory the compiler gives it three roles: a warp that loads tiles
with bulk copies, a warp that issues the products, and warps that bring finished sums from tensor memory to the result.
Sums have two versions, so the next tile is computed while the last one is stored. Elsewhere the same program becomes
the roles, or the pipeline, of that target.
"""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T


def gemm_persistent(
    M: int, N: int, K: int, block_M: int = 128, block_N: int = 128, block_K: int = 64, blocks: int = 148,
    num_stages: int = 4, dtype: str = "float16",
) -> Any:  # fmt: skip
    """C [M, N] = A [M, K] @ B [N, K] transposed, on `blocks` blocks."""

    @T.prim_func
    def gemm(A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(blocks, threads=128) as block:
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            total = T.alloc_fragment((block_M, block_N), "float32")
            for by, bx in T.Persistent([T.ceildiv(M, block_M), T.ceildiv(N, block_N)], blocks, block):
                T.clear(total)
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                    T.copy(A[by * block_M, k * block_K], A_shared)
                    T.copy(B[bx * block_N, k * block_K], B_shared)
                    T.gemm(A_shared, B_shared, total, transpose_B=True)
                T.copy(total, C[by * block_M, bx * block_N])

    return gemm
