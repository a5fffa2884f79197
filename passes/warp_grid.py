"""How warps share a matrix product whose instruction computes a tile of fixed size."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tilelang_mlir.errors import LayoutError
from tilelang_mlir.mlir import ir

from ..dialect.location import python_location


@dataclass(frozen=True)
class WarpGrid:
    """Warps along M and N, and the part of C each owns. Warps are numbered along M first; where C is too small for
    all of them, `replicas` sets of m x n warps compute the same."""

    m: int
    n: int
    rows: int
    columns: int
    replicas: int = 1


def split_tile(
    m: int, n: int, warps: int, policy: str, unit: tuple[int, int], op: ir.Operation,
    hint: str = "choose other block sizes",
) -> WarpGrid:  # fmt: skip
    """Split C over the warps, in multiples of `unit` rows and columns. Square makes the warps' tiles as square as
    can be, of two that are alike the wider one (as TileLang does); full_row and full_col put as many warps as fit on M
    or on N. The most warps that C can be split over share it, the others repeat their work: as replicas they hold its
    elements, too, whatever follows.

    Raises:
        LayoutError: C is no multiple of the unit.
    """
    if m % unit[0] or n % unit[1]:
        raise LayoutError(
            f"C of {m}x{n} is no multiple of {unit[0]}x{unit[1]}, which one instruction computes",
            python_location(op.location),
            hint=hint,
        )
    sharing = next(share for share in range(warps, 0, -1) if warps % share == 0 and _splits(m, n, share, unit))
    fits = _splits(m, n, sharing, unit)
    if policy == "full_row":
        best = max(fits)
    elif policy == "full_col":
        best = min(fits)
    else:
        best = min(fits, key=lambda f: (abs(math.log((m / f[0]) / (n / f[1]))), f[0]))
    return WarpGrid(best[0], best[1], m // best[0], n // best[1], warps // sharing)


def _splits(m: int, n: int, warps: int, unit: tuple[int, int]) -> list[tuple[int, int]]:
    """Warps along M and N that give each a multiple of the unit."""
    along_m = [a for a in range(1, warps + 1) if warps % a == 0]
    return [(a, warps // a) for a in along_m if m % (a * unit[0]) == 0 and n % (warps // a * unit[1]) == 0]
