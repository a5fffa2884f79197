"""Pairs of CTAs that work on neighbouring tiles and load what both need once.

Of a kernel over a grid of tiles, the CTAs of a cluster of two take tiles that differ in one dimension of the grid.
Loads that do not depend on that dimension are the same in both: one CTA's copy goes to both of them (multicast).
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from . import build, raster
from .layout_inference.subscripts import depends
from .nvidia.tma_rules import box_bytes

PAIR = 2


@dataclass(frozen=True)
class Pairs:
    """The dimension of the grid along which the tiles of a pair are neighbours, and the loads that they share."""

    dim: int
    shared: list[ir.Operation]

    def mark(self) -> None:
        """Say at the loads which CTAs of the cluster get them."""
        for load in self.shared:
            load.attributes["multicast"] = ir.IntegerAttr.get(build.i32(), (1 << PAIR) - 1)

    def extents(self, extents: list[raster.Int]) -> list[raster.Int]:
        """The grid of pairs."""
        return [e // PAIR if d == self.dim and isinstance(e, int) else e for d, e in enumerate(extents)]

    def coordinates(self, pair: list[raster.Int], rank: ir.Value) -> list[raster.Int]:
        """The tile of one CTA of a pair."""
        own = [*pair]
        first = build.binary("muli", raster.value(pair[self.dim]), build.constant(PAIR))
        own[self.dim] = build.binary("addi", first, rank)
        return own


def pairs_of(launch: ir.Operation, loads: list[ir.Operation]) -> Pairs | None:
    """The pairs that share the most bytes; None where the grid is not one of pairs, or all or no loads differ."""
    extents = [raster.known(v) for v in launch.operands]
    arguments = launch.regions[0].blocks[0].arguments
    found: list[tuple[int, int, list[ir.Operation]]] = []
    for dim, extent in enumerate(extents):
        shared = [load for load in loads if not depends(load, {arguments[dim]: dim})]
        if isinstance(extent, int) and extent % PAIR == 0 and 0 < len(shared) < len(loads):
            found.append((sum(box_bytes(load.operands[1]) for load in shared), dim, shared))
    if not found or not all(isinstance(extent, int) for extent in extents):
        return None
    _, dim, shared = max(found, key=lambda entry: entry[:2])
    return Pairs(dim, shared)
