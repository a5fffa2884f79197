"""C = (A * SA) (B * SB)^T with a factor for every few elements along K: mxfp8, mxfp4 and nvfp4.

A word of a factor tensor has the factors of four blocks of a row. The same program runs on whatever the target has:
tcgen05 with its factors in tensor memory, block-scaled mma.sync, or MFMA with scales.
"""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T


def gemm_blockscaled(
    M: int, N: int, K: int, dtype: str = "float8_e4m3", block: int = 32, block_M: int = 128, block_N: int = 128,
    block_K: int = 128, num_stages: int = 2, threads: int = 256,
) -> Any:  # fmt: skip
    """A [M, K] and B [N, K] of float8 or float4_e2m1fn; SA [M, K / block / 4] and SB [N, K / block / 4] of uint32."""
    words = block_K // block // 4

    @T.prim_func
    def gemm_blockscaled(
        A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), SA: T.Tensor((M, K // block // 4), "uint32"),
        SB: T.Tensor((N, K // block // 4), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            a, b = T.alloc_shared((block_M, block_K), dtype), T.alloc_shared((block_N, block_K), dtype)
            sa, sb = T.alloc_shared((block_M, words), "uint32"), T.alloc_shared((block_N, words), "uint32")
            c = T.alloc_fragment((block_M, block_N), "float32")
            T.clear(c)
            for k in T.Pipelined(K // block_K, num_stages=num_stages):
                T.copy(A[by * block_M, k * block_K], a)
                T.copy(B[bx * block_N, k * block_K], b)
                T.copy(SA[by * block_M, k * words], sa)
                T.copy(SB[bx * block_N, k * words], sb)
                T.gemm_blockscaled(
                    a, b, c, sa, sb, transpose_B=True, sf_a_granularity_k=block, sf_b_granularity_k=block
                )
            T.copy(c, C[by * block_M, bx * block_N])

    return gemm_blockscaled
