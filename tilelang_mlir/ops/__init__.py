"""Ready kernels: operations on tensors that need no kernel of one's own and no tuning.

    from tilelang_mlir import ops

    c = ops.matmul(a, b)
    o = ops.attention(q, k, v, causal=True)

Each operation also has the factory of its kernel (`gemm`, `attention_forward`, ...), whose arguments are sizes.
"""

from __future__ import annotations

from tilelang_mlir.ops.attention import AttentionTiling, attention, attention_forward, attention_tiling
from tilelang_mlir.ops.attention_backward import attention_backward
from tilelang_mlir.ops.chunk_scan import chunk_scan, chunk_scan_heads, chunk_scan_rows
from tilelang_mlir.ops.decode import decode, decoding_parts, flash_decoding, paged_decoding
from tilelang_mlir.ops.gemm import gemm, matmul
from tilelang_mlir.ops.grouped import grouped_gemm, grouped_matmul, grouped_tiling, masked_gemm, masked_matmul
from tilelang_mlir.ops.mla import mla_decode, mla_decoding, mla_parts
from tilelang_mlir.ops.packed import packed_gemm, packed_matmul
from tilelang_mlir.ops.scaled import gemm_fp8, scaled_matmul
from tilelang_mlir.ops.scaled_blocks import gemm_fp8_blocks, gemm_fp8_blocks_persistent
from tilelang_mlir.ops.sparse import gemm_sparse, sparse_matmul, sparse_tiling, sparsify
from tilelang_mlir.ops.tiling import Tiling, choose
from tilelang_mlir.ops.varlen import attention_varlen, attention_varlen_forward, varlen_tiles

__all__ = [
    "AttentionTiling", "Tiling", "attention", "attention_backward", "attention_forward", "attention_tiling",
    "attention_varlen", "attention_varlen_forward", "choose", "chunk_scan", "chunk_scan_heads", "chunk_scan_rows",
    "decode", "decoding_parts", "flash_decoding", "gemm", "gemm_fp8", "gemm_fp8_blocks", "gemm_fp8_blocks_persistent",
    "gemm_sparse", "grouped_gemm", "grouped_matmul", "grouped_tiling", "masked_gemm", "masked_matmul", "matmul",
    "mla_decode", "mla_decoding", "mla_parts", "packed_gemm", "packed_matmul", "paged_decoding", "scaled_matmul",
    "sparse_matmul", "sparse_tiling", "sparsify", "varlen_tiles",
]  # fmt: skip
