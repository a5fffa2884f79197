"""Products of 8-bit floats with scales: one per tensor, or one per block (`scaled_blocks.py`) as models trained in 8
bits use.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import functools
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.operands import EIGHT_BIT, has_dtype, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.product_tiles import add_product, store_sums
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.ops.scaled_blocks import BLOCK, E4M3, blocks_form
from tilelang_mlir.ops.tiling import Tiling, choose
from tilelang_mlir.target import Target

WIDE = Tiling(128, 256, 128, 4, 256)


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
            acc = T.alloc_fragment(tiling.sums, "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=tiling.stages):
                T.copy(A[by * block_M, k * block_K], A_shared)
                T.copy(B[bx * block_N, k * block_K], B_shared)
                add_product(A_shared, B_shared, acc, False, True, tiling.swapped)
            factor = scale_a[0] * scale_b[0]
            for i, j in T.Parallel(*tiling.sums):
                acc[i, j] = acc[i, j] * factor
            store_sums(acc, C, by * block_M, bx * block_N, tiling.swapped)

    return gemm_fp8_tensor


@functools.cache
def tensor_tiling(M: int, N: int, K: int, target: str | Target = "auto") -> Tiling:
    """Tiles for one scale per tensor."""
    return choose(M, N, K, 8, machine=resolve_target(target), split=False)


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
    factory, *form = blocks_form(M, N, target)
    return ready(factory, target, M, N, K, dtype, out_dtype, *form)(a, scale_a, b, scale_b)
