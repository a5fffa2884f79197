"""How warps share a matrix product whose instruction computes a tile of fixed size."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tilelang_mlir.errors import LayoutError
from tilelang_mlir.mlir import ir

from ..dialect.location import python_location


@dataclass(frozen=True)
class WarpGrid:
    """Warps along M and N, and the part of C each owns. Warps are numbered along M first."""

    m: int
    n: int
    rows: int
    columns: int


def split_tile(m: int, n: int, warps: int, policy: str, unit: tuple[int, int], op: ir.Operation) -> WarpGrid:
    """Split C over the warps, in multiples of `unit` rows and columns. Square makes the warps' tiles as square as
    can be, of two that are alike the wider one (as TileLang does); full_row and full_col put as many warps as fit on M
    or on N.

    Raises:
        LayoutError: no split gives every warp a multiple of the unit.
    """
    fits = [
        (a, warps // a)
        for a in range(1, warps + 1)
        if warps % a == 0 and m % (a * unit[0]) == 0 and n % (warps // a * unit[1]) == 0
    ]
    if not fits:
        raise LayoutError(
            f"C of {m}x{n} cannot be split over {warps} warps: each needs a multiple of {unit[0]}x{unit[1]}",
            python_location(op.location),
            hint="choose other block sizes or fewer threads",
        )
    if policy == "full_row":
        best = max(fits)
    elif policy == "full_col":
        best = min(fits)
    else:
        best = min(fits, key=lambda f: (abs(math.log((m / f[0]) / (n / f[1]))), f[0]))
    return WarpGrid(best[0], best[1], m // best[0], n // best[1])
