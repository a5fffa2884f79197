"""Products of many groups in one launch, as the experts of a mixture of experts: every group has weights of its own."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.operands import HALF, has_dtype, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.ops.tiling import Tiling, has_wide_products, warp_threads
from tilelang_mlir.target import Target

GROUP_ROWS = 128  # rows of a tile: groups that lie one after another start at multiples of it
WIDE = Tiling(GROUP_ROWS, 256, 64, 4, 256)
NARROW = Tiling(GROUP_ROWS, 128, 64, 3, 128)
_WARPS = Tiling(GROUP_ROWS, 128, 32, 2, 128)


@functools.cache
def grouped_tiling(target: str | Target, *, few: bool = False) -> Tiling:
    """Tiles of 128 rows; narrow ones where `few` of them have work, and where there are no warpgroup products."""
    machine = resolve_target(target)
    if not has_wide_products(machine):
        return replace(_WARPS, threads=warp_threads(machine))
    return NARROW if few else WIDE


@jit(out_idx=[-1])
def grouped_gemm(M: int, N: int, K: int, groups: int, dtype: str = "bfloat16", tiling: Tiling = WIDE) -> Any:
    """C[M, N] of A[M, K], B[groups, N, K] and the group of every tile of rows; -1: none, the tile is left as it is."""
    block_M, block_N, block_K = tiling.block_M, tiling.block_N, tiling.block_K

    @T.prim_func
    def grouped_gemm_contiguous(
        A: T.Tensor((M, K), dtype),
        B: T.Tensor((groups, N, K), dtype),
        experts: T.Tensor((T.ceildiv(M, block_M),), "int32"),
        C: T.Tensor((M, N), dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=tiling.threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.use_swizzle(8)
            expert = experts[by]
            if expert >= 0:
                T.clear(acc)
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=tiling.stages):
                    T.copy(A[by * block_M, k * block_K], A_shared)
                    T.copy(B[expert, bx * block_N, k * block_K], B_shared)
                    T.gemm(A_shared, B_shared, acc, transpose_B=True)
                T.copy(acc, C[by * block_M, bx * block_N])

    return grouped_gemm_contiguous


@jit(out_idx=[-1])
def masked_gemm(M: int, N: int, K: int, groups: int, dtype: str = "bfloat16", tiling: Tiling = WIDE) -> Any:
    """C[groups, M, N] of A[groups, M, K] and B[groups, N, K]; tiles without used rows are left as they are."""
    block_M, block_N, block_K = tiling.block_M, tiling.block_N, tiling.block_K

    @T.prim_func
    def grouped_gemm_masked(
        A: T.Tensor((groups, M, K), dtype),
        B: T.Tensor((groups, N, K), dtype),
        counts: T.Tensor((groups,), "int32"),
        C: T.Tensor((groups, M, N), dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), groups, threads=tiling.threads) as (bx, by, group):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            if by * block_M < counts[group]:
                T.clear(acc)
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=tiling.stages):
                    T.copy(A[group, by * block_M, k * block_K], A_shared)
                    T.copy(B[group, bx * block_N, k * block_K], B_shared)
                    T.gemm(A_shared, B_shared, acc, transpose_B=True)
                T.copy(acc, C[group, by * block_M, bx * block_N])

    return grouped_gemm_masked


def grouped_matmul(a: Any, b: Any, experts: Any, *, target: str | Target = "auto") -> Any:
    """Rows of `a`, each times the transpose of the matrix of its group, as a new tensor (M, N).

    Args:
        a: (M, K): the rows of all groups one after another, each group padded to a multiple of 128 rows.
        b: (groups, N, K), of the dtype of `a`: float16 or bfloat16; both contiguous.
        experts: (ceildiv(M, 128),) int32: the group of every 128 rows; -1 for none, whose results are not written.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree.
    """
    dtype = one_dtype("grouped product", {"a": a, "b": b}, HALF)
    M, K = has_rank("a", a, "(M, K)")
    groups, N, _ = has_rank("b", b, "(groups, N, K)")
    has_shape("b", b, (groups, N, K), "(groups, N, K)")
    has_shape("experts", experts, (-(-M // GROUP_ROWS),), f"(ceildiv(M, {GROUP_ROWS}),)")
    has_dtype("experts", experts, "int32")
    return ready(grouped_gemm, target, M, N, K, groups, dtype, grouped_tiling(target))(a, b, experts)


def masked_matmul(a: Any, b: Any, counts: Any, *, few: bool = False, target: str | Target = "auto") -> Any:
    """For every group, the first `counts` rows times the transpose of its matrix, as a new tensor (groups, M, N).

    Args:
        a: (groups, M, K), b: (groups, N, K), of one dtype, float16 or bfloat16; both contiguous.
        counts: rows in use of every group, (groups,) int32. Results of whole tiles of other rows are not written.
        few: most groups use at most one tile of 128 rows, as in decoding; smaller tiles then fill the machine.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree.
    """
    dtype = one_dtype("grouped product", {"a": a, "b": b}, HALF)
    groups, M, K = has_rank("a", a, "(groups, M, K)")
    _, N, _ = has_rank("b", b, "(groups, N, K)")
    has_shape("b", b, (groups, N, K), "(groups, N, K)")
    has_shape("counts", counts, (groups,), "(groups,)")
    has_dtype("counts", counts, "int32")
    return ready(masked_gemm, target, M, N, K, groups, dtype, grouped_tiling(target, few=few))(a, b, counts)
