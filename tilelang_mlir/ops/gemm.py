"""Matrix products of two tensors, with tiles chosen by `tiling.choose`."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import functools
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.jit.compile import compile as compile_kernel
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.operands import EIGHT_BIT, HALF, one_dtype, stored
from tilelang_mlir.ops.product_tiles import add_product, load_tiles, store_sums
from tilelang_mlir.ops.split_k import fused_program, split_program
from tilelang_mlir.ops.tiling import Tiling, choose
from tilelang_mlir.target import Feature, Target


def program(
    M: int, N: int, K: int, dtype: str, out_dtype: str, tiling: Tiling, *, trans_A: bool = False, trans_B: bool = True
) -> Any:
    """The T program of C[M, N] = A[M, K] B[K, N]; A is stored as [K, M] with `trans_A`, B as [N, K] with `trans_B`."""
    block_M, block_N, block_K = tiling.block_M, tiling.block_N, tiling.block_K
    shape_A, tile_A = ((K, M), (block_K, block_M)) if trans_A else ((M, K), (block_M, block_K))
    shape_B, tile_B = ((N, K), (block_N, block_K)) if trans_B else ((K, N), (block_K, block_N))

    @T.prim_func
    def matmul(A: T.Tensor(shape_A, dtype), B: T.Tensor(shape_B, dtype), C: T.Tensor((M, N), out_dtype)):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=tiling.threads) as (bx, by):
            A_shared, B_shared = T.alloc_shared(tile_A, dtype), T.alloc_shared(tile_B, dtype)
            sums = T.alloc_fragment(tiling.sums, "float32")
            T.clear(sums)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=tiling.stages):
                load_tiles(A, B, A_shared, B_shared, by * block_M, bx * block_N, k * block_K, trans_A, trans_B)
                add_product(A_shared, B_shared, sums, trans_A, trans_B, tiling.swapped)
            store_sums(sums, C, by * block_M, bx * block_N, tiling.swapped)

    return matmul


def chosen_program(
    M: int, N: int, K: int, dtype: str, out_dtype: str, *, machine: Target, trans_A: bool = False, trans_B: bool = True
) -> Any:
    """`program` in the tiles that fit the sizes and the machine best, K in parts where that is faster."""
    tiling = choose(M, N, K, DType(dtype).bits, trans_A=trans_A, trans_B=trans_B, machine=machine)
    if tiling.fused:
        return fused_program(M, N, K, dtype, out_dtype, tiling, trans_A=trans_A, trans_B=trans_B)
    if tiling.parts > 1:
        early = machine.supports(Feature.PDL)
        return split_program(M, N, K, dtype, out_dtype, tiling, trans_A=trans_A, trans_B=trans_B, early=early)
    return program(M, N, K, dtype, out_dtype, tiling, trans_A=trans_A, trans_B=trans_B)


@functools.cache
def gemm(
    M: int,
    N: int,
    K: int,
    dtype: str = "float16",
    out_dtype: str = "",
    *,
    trans_A: bool = False,
    trans_B: bool = True,
    target: str = "auto",
) -> Any:
    """The compiled kernel of C[M, N] = A[M, K] B[K, N]; calling it with A and B returns C.

    Args:
        M, N, K: sizes in elements.
        dtype: of A and B: float16, bfloat16, float8_e4m3 or float8_e5m2.
        out_dtype: of C; that of A and B, or bfloat16 for eight-bit ones, when left out. Sums are float32.
        trans_A, trans_B: whether A is stored as [K, M], and B as [N, K].
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: a dtype that is not among these.
        TileValueError: an eight-bit operand that does not lie along K, or a size that is not positive.
    """
    if dtype not in (*HALF, *EIGHT_BIT):
        raise TileTypeError(f"no ready product of {dtype}", hint=f"dtypes: {', '.join((*HALF, *EIGHT_BIT))}")
    if dtype in EIGHT_BIT and (trans_A or not trans_B):
        raise TileValueError("products of eight-bit elements need A as [M, K] and B as [N, K]")
    if min(M, N, K) < 1:
        raise TileValueError(f"sizes must be positive, got {M}x{N}x{K}")
    out = out_dtype or ("bfloat16" if dtype in EIGHT_BIT else dtype)
    made = chosen_program(M, N, K, dtype, out, machine=resolve_target(target), trans_A=trans_A, trans_B=trans_B)
    return compile_kernel(made, out_idx=[-1], target=target)


def matmul(a: Any, b: Any, *, out_dtype: str = "", target: str = "auto") -> Any:
    """`a @ b` of two matrices, as a new tensor.

    Args:
        a: (M, K), b: (K, N), of one dtype: float16, bfloat16, float8_e4m3 or float8_e5m2. A transposed view of a
            contiguous matrix is read as it lies in memory; eight-bit operands need `a` and the transpose of `b`
            contiguous.
        out_dtype: of the result, see `gemm`.
        target: as for `tilelang.compile`.

    Raises:
        TileValueError: shapes that do not agree, or a matrix that is neither contiguous nor the transpose of one.
        TileTypeError: dtypes that differ or that are not supported.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise TileValueError(f"matmul of shapes {list(a.shape)} and {list(b.shape)}, expected (M, K) and (K, N)")
    dtype = one_dtype("product", {"a": a, "b": b}, (*HALF, *EIGHT_BIT))
    (left, trans_A), (right, trans_B) = stored(a, "a"), stored(b, "b")
    (M, K), N = a.shape, b.shape[1]
    kernel = gemm(int(M), int(N), int(K), dtype, out_dtype, trans_A=trans_A, trans_B=trans_B, target=target)
    return kernel(left, right)
