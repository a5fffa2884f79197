"""The tiles of a product, however its operands are stored and whichever of them gives the rows of the instructions."""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.dtypes import DType


@T.macro
def load_tiles(
    A: Any, B: Any, A_tile: Any, B_tile: Any, row: Any, column: Any, k: Any, trans_A: bool, trans_B: bool
) -> None:
    """Copy the tile of A [M, K] at (row, k) and that of B [K, N] at (k, column); [K, M] and [N, K] when transposed."""
    if trans_A:
        T.copy(A[k, row], A_tile)
    else:
        T.copy(A[row, k], A_tile)
    if trans_B:
        T.copy(B[column, k], B_tile)
    else:
        T.copy(B[k, column], B_tile)


@T.macro
def add_product(A_tile: Any, B_tile: Any, sums: Any, trans_A: bool, trans_B: bool, swapped: bool) -> None:
    """Add the product of two tiles to `sums`, or to its transpose when swapped."""
    if swapped:
        T.gemm(B_tile, A_tile, sums, transpose_A=not trans_B, transpose_B=not trans_A)
    else:
        T.gemm(A_tile, B_tile, sums, transpose_A=trans_A, transpose_B=trans_B)


@T.macro
def store_sums(sums: Any, C: Any, row: Any, column: Any, swapped: bool) -> None:
    """Store the sums, or their transpose when swapped, at (row, column) of C.

    A tile of 16-bit elements is turned on its way through small buffers, where rows of C start at 16 bytes.
    """
    if swapped:
        columns, rows = sums.shape
        if DType(C.dtype).bits == 16 and C.shape[1] % 8 == 0:
            turned = T.alloc_shared((rows, columns), C.dtype)
            for i, j in T.Parallel(rows, columns):
                turned[i, j] = sums[j, i]
            T.copy(turned, C[row, column])
        else:
            for j, i in T.Parallel(columns, rows):
                if row + i < C.shape[0] and column + j < C.shape[1]:
                    C[row + i, column + j] = sums[j, i]
    else:
        T.copy(sums, C[row, column])
