"""Products of groups whose rows lie one after another, without padding, and are counted on the device only."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.ops.grouped import WIDE, grouped_tiling
from tilelang_mlir.ops.operands import HALF, has_dtype, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.ops.tiling import Tiling
from tilelang_mlir.target import Target

_FINDERS = 128  # threads that look for the groups of tiles


@jit(out_idx=[-1])
def packed_gemm(N: int, K: int, groups: int, dtype: str = "bfloat16", tiling: Tiling = WIDE) -> Any:
    """C[M, N] of A[M, K], B[groups, N, K] and where the rows of each group start, (groups + 1,) int32.

    A tile of rows belongs to one group. A first kernel finds the tiles; the second stores each through a view of its
    group's rows, so that the rows of the next group are not touched.
    """
    block_M, block_N, block_K = tiling.block_M, tiling.block_N, tiling.block_K
    M = T.dynamic("M")

    @T.prim_func
    def grouped_gemm_packed(
        A: T.Tensor((M, K), dtype),
        B: T.Tensor((groups, N, K), dtype),
        offsets: T.Tensor((groups + 1,), "int32"),
        C: T.Tensor((M, N), dtype),
    ):
        most = T.ceildiv(M, block_M) + groups  # tiles, if every group ends in a part of one
        tiles = T.alloc_global((most, 2), "int32")  # the group of a tile, or -1, and its first row
        with T.Kernel(T.ceildiv(most, _FINDERS), threads=_FINDERS) as bx:
            tile = bx * _FINDERS + T.get_thread_binding()
            before = T.alloc_var("int32", init=0)
            found = T.alloc_var("int32", init=-1)
            row = T.alloc_var("int32", init=0)
            for g in T.serial(groups):
                count = T.ceildiv(offsets[g + 1] - offsets[g], block_M)
                if tile >= before and tile < before + count:
                    found = g
                    row = offsets[g] + (tile - before) * block_M
                before += count
            if tile < most:
                tiles[tile, 0] = found
                tiles[tile, 1] = row
        with T.Kernel(T.ceildiv(N, block_N), most, threads=tiling.threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.use_swizzle(8)
            group = tiles[by, 0]
            first = tiles[by, 1]
            if group >= 0:
                own = T.make_tensor_descriptor(C[first, 0], (offsets[group + 1] - first, N))
                T.clear(acc)
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=tiling.stages):
                    T.copy(A[first, k * block_K], A_shared)
                    T.copy(B[group, bx * block_N, k * block_K], B_shared)
                    T.gemm(A_shared, B_shared, acc, transpose_B=True)
                T.copy(acc, own[0, bx * block_N])

    return grouped_gemm_packed


def packed_matmul(a: Any, b: Any, offsets: Any, *, target: str | Target = "auto") -> Any:
    """Rows of `a`, each times the transpose of the matrix of its group, as a new tensor (M, N).

    Args:
        a: (M, K): the rows of all groups one after another. K is a multiple of 8.
        b: (groups, N, K), of the dtype of `a`: float16 or bfloat16; both contiguous. N is a multiple of 8.
        offsets: (groups + 1,) int32, rising: the rows of group g are `offsets[g]` to `offsets[g + 1] - 1`. Rows that no
            group has are not written. Nobody reads it on the host.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree, or N that rows of C cannot have.
    """
    dtype = one_dtype("packed product", {"a": a, "b": b}, HALF)
    _, K = has_rank("a", a, "(M, K)")
    groups, N, _ = has_rank("b", b, "(groups, N, K)")
    has_shape("b", b, (groups, N, K), "(groups, N, K)")
    has_shape("offsets", offsets, (groups + 1,), "(groups + 1,)")
    has_dtype("offsets", offsets, "int32")
    return ready(packed_gemm, target, N, K, groups, dtype, grouped_tiling(target))(a, b, offsets)
