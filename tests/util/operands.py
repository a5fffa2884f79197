"""Tiles of a product's operands, which may lie transposed."""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T


@T.macro
def copy_operands(A: Any, B: Any, a: Any, b: Any, place: Any, transposed: tuple[bool, bool]) -> None:
    """Copy the tiles of A and B at a place (row, column, depth): [M, K] and [K, N], or transposed."""
    row, column, depth = place
    if transposed[0]:
        T.copy(A[depth, row], a)
    else:
        T.copy(A[row, depth], a)
    if transposed[1]:
        T.copy(B[column, depth], b)
    else:
        T.copy(B[depth, column], b)
