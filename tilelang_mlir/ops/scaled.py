"""Products of 8-bit floats with scales: one per tensor, or one per block as models trained in 8 bits use.

With scales of blocks the product of each 128 columns is scaled and added up in float32, which also makes up for the few
bits that the tensor cores keep of their sums.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import functools
import math
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.operands import EIGHT_BIT, has_dtype, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.ops.tiling import Tiling, choose, has_wide_products
from tilelang_mlir.target import Target

E4M3 = "float8_e4m3"
BLOCK = 128  # columns, and rows of B, that share a scale
WIDE = Tiling(128, 256, 128, 4, 256)
BLOCKS = Tiling(192, 128, BLOCK, 4, 384)
_BLOCKS_OF_WARPS = Tiling(128, 128, BLOCK, 2, 256)


@jit(out_idx=[-1])
def gemm_fp8(M: int, N: int, K: int, dtype: str = E4M3, out: str = "bfloat16", tiling: Tiling = WIDE) -> Any:
    """C[M, N] = scale_a * scale_b * A[M, K] B[N, K]^T, summed as the tensor cores do."""
    block_M, block_N, block_K = tiling.block_M, tiling.block_N, tiling.block_K

    @T.prim_func
    def gemm_fp8_tensor(
        A: T.Tensor((M, K), dtype),
        B: T.Tensor((N, K), dtype),
        scale_a: T.Tensor((1,), "float32"),
        scale_b: T.Tensor((1,), "float32"),
        C: T.Tensor((M, N), out),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=tiling.threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.use_swizzle(16)
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=tiling.stages):
                T.copy(A[by * block_M, k * block_K], A_shared)
                T.copy(B[bx * block_N, k * block_K], B_shared)
                T.gemm(A_shared, B_shared, acc, transpose_B=True)
            factor = scale_a[0] * scale_b[0]
            for i, j in T.Parallel(block_M, block_N):
                acc[i, j] = acc[i, j] * factor
            T.copy(acc, C[by * block_M, bx * block_N])

    return gemm_fp8_tensor


@jit(out_idx=[-1])
def gemm_fp8_blocks(M: int, N: int, K: int, dtype: str = E4M3, out: str = "bfloat16", tiling: Tiling = BLOCKS) -> Any:
    """C[M, N] of A[M, K] with a scale per 128 columns and B[N, K] with one per 128 x 128.

    `block_N` is a multiple of 8: a tile may begin and end within blocks of B, whose scales change every `band` columns
    at most.
    """
    block_M, block_N = tiling.block_M, tiling.block_N
    steps, band = -(-K // BLOCK), math.gcd(tiling.block_N, BLOCK)
    bands = block_N // band

    @T.prim_func
    def gemm_fp8_scaled_blocks(
        A: T.Tensor((M, K), dtype),
        scales_a: T.Tensor((steps, M), "float32"),
        B: T.Tensor((N, K), dtype),
        scales_b: T.Tensor((T.ceildiv(N, BLOCK), steps), "float32"),
        C: T.Tensor((M, N), out),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=tiling.threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, BLOCK), dtype)
            B_shared = T.alloc_shared((block_N, BLOCK), dtype)
            rows_shared = T.alloc_shared((1, block_M), "float32")
            part = T.alloc_fragment((block_M, block_N), "float32")
            acc = T.alloc_fragment((block_M, block_N), "float32")
            factors = T.alloc_fragment((block_M, bands), "float32")
            T.use_swizzle(16)
            T.clear(acc)
            for k in T.Pipelined(steps, num_stages=tiling.stages):
                T.copy(A[by * block_M, k * BLOCK], A_shared)
                T.copy(B[bx * block_N, k * BLOCK], B_shared)
                T.copy(scales_a[k, by * block_M], rows_shared)
                T.gemm(A_shared, B_shared, part, transpose_B=True, clear_accum=True)
                for i, g in T.Parallel(block_M, bands):
                    factors[i, g] = rows_shared[0, i] * scales_b[(bx * block_N + g * band) // BLOCK, k]
                for i, g, j in T.Parallel(block_M, bands, band):
                    acc[i, g * band + j] += part[i, g * band + j] * factors[i, g]
            T.copy(acc, C[by * block_M, bx * block_N])

    return gemm_fp8_scaled_blocks


@functools.cache
def tensor_tiling(M: int, N: int, K: int, target: str | Target = "auto") -> Tiling:
    """Tiles for one scale per tensor."""
    return choose(M, N, K, 8, machine=resolve_target(target))


@functools.cache
def blocks_tiling(target: str | Target = "auto") -> Tiling:
    """Tiles for scales of blocks: three warpgroups, or eight warps."""
    return BLOCKS if has_wide_products(resolve_target(target)) else _BLOCKS_OF_WARPS


def scaled_matmul(
    a: Any, b: Any, scale_a: Any, scale_b: Any, *, out_dtype: str = "bfloat16", target: str | Target = "auto"
) -> Any:
    """a b^T of 8-bit floats with their scales, as a new tensor (M, N).

    Args:
        a: (M, K), b: (N, K), contiguous, both float8_e4m3 or both float8_e5m2.
        scale_a, scale_b: float32. Both (1,): factors of the tensors. Or (ceildiv(K, 128), M): of 128 columns of every
            row of `a`, and (ceildiv(N, 128), ceildiv(K, 128)): of blocks of 128 x 128 of `b`.
        out_dtype: of the result.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported. TileValueError: shapes that do not agree.
        UnsupportedError: the target has no products of 8-bit floats.
    """
    dtype = one_dtype("scaled product", {"a": a, "b": b}, EIGHT_BIT)
    (M, K), (N, _) = has_rank("a", a, "(M, K)"), has_rank("b", b, "(N, K)")
    has_shape("b", b, (N, K), "(N, K)")
    for name, scale in (("scale_a", scale_a), ("scale_b", scale_b)):
        has_dtype(name, scale, "float32")
    if tuple(scale_a.shape) == tuple(scale_b.shape) == (1,):
        tiling = tensor_tiling(M, N, K, target)
        return ready(gemm_fp8, target, M, N, K, dtype, out_dtype, tiling)(a, b, scale_a, scale_b)
    steps, bands = -(-K // BLOCK), -(-N // BLOCK)
    if len(scale_a.shape) != 2 or len(scale_b.shape) != 2:
        raise TileValueError(
            f"scales have the shapes {list(scale_a.shape)} and {list(scale_b.shape)}, expected (1,) and (1,), "
            f"or (ceildiv(K, {BLOCK}), M) and (ceildiv(N, {BLOCK}), ceildiv(K, {BLOCK}))"
        )
    has_shape("scale_a", scale_a, (steps, M), f"(ceildiv(K, {BLOCK}), M)")
    has_shape("scale_b", scale_b, (bands, steps), f"(ceildiv(N, {BLOCK}), ceildiv(K, {BLOCK}))")
    tiling = blocks_tiling(target)
    return ready(gemm_fp8_blocks, target, M, N, K, dtype, out_dtype, tiling)(a, scale_a, b, scale_b)
