"""Names for programs that place every instruction themselves; `T` has them all."""

from __future__ import annotations

from tilelang_mlir.language.block_scales import gemm_blockscaled, make_blockscaled_gemm_layout
from tilelang_mlir.language.cluster import (
    get_cluster_dims,
    get_cluster_extent,
    get_cluster_extents,
    get_cluster_id,
    get_cluster_ids,
    get_cluster_size,
)
from tilelang_mlir.language.descriptors import (
    alloc_descriptor,
    alloc_tcgen05_instr_desc,
    alloc_tcgen05_instruction_desc,
    alloc_tcgen05_smem_desc,
    alloc_wgmma_desc,
    create_tma_descriptor,
    increase_descriptor_offset,
    initialize_tcgen05_descriptor,
    initialize_wgmma_descriptor,
    tma_load,
    tma_load_2sm,
    tma_store,
)
from tilelang_mlir.language.emitter import (
    TensorCoreIntrinEmitter,
    TensorCoreIntrinEmitterWithLadderTransform,
    get_ldmatrix_offset,
    get_mma_micro_size,
)
from tilelang_mlir.language.explicit import ptx_fence_barrier_init
from tilelang_mlir.language.extern import CUDASourceCodeKernel, call_extern, call_pure_extern, import_source
from tilelang_mlir.language.gemm_sparse import gemm_sp, tcgen05_gemm_sp, wgmma_gemm_sp
from tilelang_mlir.language.math import fma, fmul
from tilelang_mlir.language.matrix import (
    mma_fill,
    mma_store,
    mma_store_index_map,
    ptx_ldmatrix,
    ptx_mma,
    ptx_mma_sm70,
    ptx_mma_sp,
    ptx_stmatrix,
)
from tilelang_mlir.language.matrix_descriptors import (
    TCGEN05DescriptorParams,
    WGMMADescriptorParams,
    compute_gmma_descriptor,
    compute_umma_descriptor,
)
from tilelang_mlir.language.named_calls import call_intrin, call_llvm_intrin
from tilelang_mlir.language.tensor_emitter import TCGEN05TensorCoreIntrinEmitter
from tilelang_mlir.language.wgmma import ptx_wgmma_rs, ptx_wgmma_ss
from tilelang_mlir.language.wgmma_emitter import WGMMATensorCoreIntrinEmitter

__all__ = [
    "CUDASourceCodeKernel", "TCGEN05DescriptorParams", "TCGEN05TensorCoreIntrinEmitter", "TensorCoreIntrinEmitter",
    "TensorCoreIntrinEmitterWithLadderTransform", "WGMMADescriptorParams", "WGMMATensorCoreIntrinEmitter",
    "alloc_descriptor", "alloc_tcgen05_instr_desc",
    "alloc_tcgen05_instruction_desc", "alloc_tcgen05_smem_desc", "alloc_wgmma_desc", "call_extern",
    "call_pure_extern", "compute_gmma_descriptor", "compute_umma_descriptor",
    "create_tma_descriptor", "fma", "fmul", "gemm_sp", "get_cluster_dims", "get_cluster_extent",
    "get_cluster_extents", "get_cluster_id", "get_cluster_ids", "get_cluster_size", "get_ldmatrix_offset",
    "get_mma_micro_size", "import_source", "increase_descriptor_offset", "initialize_tcgen05_descriptor",
    "initialize_wgmma_descriptor", "mma_fill", "mma_store", "mma_store_index_map", "ptx_fence_barrier_init",
    "ptx_ldmatrix", "ptx_mma",
    "ptx_mma_sm70", "ptx_mma_sp", "ptx_stmatrix", "ptx_wgmma_rs", "ptx_wgmma_ss", "tma_load", "tma_load_2sm",
    "call_intrin", "call_llvm_intrin", "gemm_blockscaled", "make_blockscaled_gemm_layout", "tcgen05_gemm_sp",
    "tma_store", "wgmma_gemm_sp",
]  # fmt: skip
