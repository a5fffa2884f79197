"""Names for programs that place every instruction themselves; `T` has them all."""

from __future__ import annotations

from tilelang_mlir.language.emitter import TensorCoreIntrinEmitter, get_ldmatrix_offset, get_mma_micro_size
from tilelang_mlir.language.gemm_sparse import gemm_sp
from tilelang_mlir.language.matrix import (
    mma_fill,
    mma_store,
    mma_store_index_map,
    ptx_ldmatrix,
    ptx_mma,
    ptx_mma_sm70,
    ptx_stmatrix,
)

__all__ = [
    "TensorCoreIntrinEmitter", "gemm_sp", "get_ldmatrix_offset", "get_mma_micro_size", "mma_fill", "mma_store",
    "mma_store_index_map", "ptx_ldmatrix", "ptx_mma", "ptx_mma_sm70", "ptx_stmatrix",
]  # fmt: skip
