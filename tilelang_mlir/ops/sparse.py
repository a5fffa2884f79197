"""Products whose left operand is 2:4 sparse: of every four neighbours along K two are kept, with their places.

    kept, places = ops.sparsify(weights)        # once: [M, K] -> [M, K / 2] and four bits for every two elements
    c = ops.sparse_matmul(kept, places, x)      # weights @ x

Tensor cores skip what is zero, and half of A is never loaded. What limits such a product is the way from the L2 cache
to shared memory, which is why large tiles are best.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import functools
import math
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.operands import EIGHT_BIT, HALF, has_dtype, has_rank, has_shape, one_dtype, stored
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.ops.tiling import Tiling
from tilelang_mlir.target import Feature, Target
from tilelang_mlir.utils.sparse import compress, get_e_factor

DTYPES = (*HALF, *EIGHT_BIT, "int8")
PLACES = "int32"  # of the metadata: a place of two bits for every element kept
_WARPS = 128  # threads of a tile without warpgroup products
_SPAN = 128  # bytes of a row of B in a stage: a swizzle span, or two of them


@jit(out_idx=[-1])
def gemm_sparse(
    M: int, N: int, K: int, dtype: str, out_dtype: str, tiling: Tiling, trans_B: bool = True, panel: int = 8
) -> Any:
    """C[M, N] = A[M, K] B[K, N] from what is kept of A, and its places; B is stored as [N, K] with `trans_B`."""
    block_M, block_N, block_K = tiling.block_M, tiling.block_N, tiling.block_K
    share = get_e_factor(dtype, PLACES)  # elements of a row of A that an element of the metadata describes
    shape_B, tile_B = ((N, K), (block_N, block_K)) if trans_B else ((K, N), (block_K, block_N))
    sums_dtype = "int32" if dtype == "int8" else "float32"

    @T.prim_func
    def matmul_sparse(
        A: T.Tensor((M, K // 2), dtype),
        E: T.Tensor((M, K // share), PLACES),
        B: T.Tensor(shape_B, dtype),
        C: T.Tensor((M, N), out_dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=tiling.threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K // 2), dtype)
            E_shared = T.alloc_shared((block_M, block_K // share), PLACES)
            B_shared = T.alloc_shared(tile_B, dtype)
            sums = T.alloc_fragment((block_M, block_N), sums_dtype)
            T.use_swizzle(panel)
            if tiling.threads == _WARPS:
                T.annotate_min_blocks_per_sm(2)  # else ptxas makes room for four on sm_120a, and spills
            T.clear(sums)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=tiling.stages):
                T.copy(A[by * block_M, k * block_K // 2], A_shared)
                T.copy(E[by * block_M, k * block_K // share], E_shared)
                if trans_B:
                    T.copy(B[bx * block_N, k * block_K], B_shared)
                else:
                    T.copy(B[k * block_K, bx * block_N], B_shared)
                T.gemm_sp(A_shared, E_shared, B_shared, sums, transpose_B=trans_B)
            T.copy(sums, C[by * block_M, bx * block_N])

    return matmul_sparse


@functools.cache
def sparse_tiling(M: int, N: int, dtype: str, target: str | Target = "auto") -> Tiling:
    """The tiles of a sparse product: of those whose loads keep up with the products the ones that fill waves best."""
    machine = resolve_target(target)
    bits = DType(dtype).bits
    if not machine.supports(Feature.WGMMA):
        return Tiling(128, 64, 64 * 16 // bits, 2, _WARPS)
    depth = 2 * _SPAN * 8 // bits  # of A as much as a swizzle span holds
    # Columns of a tile of 128 rows, versions that fit beside the buffers of the store, and how busy products are: what
    # was measured on an H200.
    forms = ((256, 2, 1.0), (128, 3, 0.9), (64, 4, 0.6))

    def cost(form: tuple[int, int, float]) -> float:
        columns, _, busy = form
        waves = math.ceil(math.ceil(M / 128) * math.ceil(N / columns) / machine.multiprocessors)
        return waves * columns / busy

    columns, stages, _ = min(forms, key=cost)
    return Tiling(128, columns, depth, stages, 256)


def sparsify(a: Any) -> tuple[Any, Any]:
    """What is kept of a 2:4 sparse matrix and the places, for `sparse_matmul`: (M, K / 2), and (M, K / 32) int32.

    Runs on the host. For 8-bit elements the places take (M, K / 32) as well.

    Args:
        a: (M, K), numpy or torch, with at most two elements that are not zero in every four neighbours of a row; K is
            a multiple of 32.

    Raises:
        ArgumentError: a group has more elements, or K is no such multiple.
    """
    return compress(a, meta_dtype=PLACES)


def sparse_matmul(kept: Any, places: Any, b: Any, *, out_dtype: str = "", target: str | Target = "auto") -> Any:
    """`a @ b` of a 2:4 sparse matrix and a dense one, as a new tensor (M, N).

    Args:
        kept, places: (M, K / 2) and (M, K / 32) int32, contiguous: the results of `sparsify(a)`.
        b: (K, N), of the dtype of `kept`: float16, bfloat16, float8_e4m3, float8_e5m2 or int8. The transpose of a
            contiguous matrix is read as it lies in memory; eight-bit operands have to be that.
        out_dtype: of the result. When left out that of the operands, bfloat16 for fp8, int32 for int8.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree, or a matrix that is neither contiguous nor the transpose of one.
    """
    dtype = one_dtype("sparse product", {"kept": kept, "b": b}, DTYPES)
    M, _ = has_rank("kept", kept, "(M, K / 2)")
    K, N = has_rank("b", b, "(K, N)")
    has_shape("kept", kept, (M, K // 2), "(M, K / 2)")
    if K % 32:
        raise TileValueError(f"b has {K} rows, expected a multiple of 32")
    has_shape("places", places, (M, K // get_e_factor(dtype, PLACES)), "(M, K / 32)")
    has_dtype("places", places, PLACES)
    right, trans_B = stored(b, "b")
    if not trans_B and dtype not in HALF:
        raise TileTypeError(
            "products of eight-bit elements need b as the transpose of a contiguous matrix",
            hint="pass b.T.contiguous().T",
        )
    out = out_dtype or {"int8": "int32"}.get(dtype, dtype if dtype in HALF else "bfloat16")
    tiling = sparse_tiling(M, N, dtype, target)
    return ready(gemm_sparse, target, M, N, K, dtype, out, tiling, trans_B)(kept, places, right)
