"""The tiles that a step of a product takes, however its operands are stored."""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T


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
