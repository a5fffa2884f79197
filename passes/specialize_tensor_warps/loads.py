"""Tiles that kernels with roles load: as they are, or packed elements that get the gaps which kind::mxf8f6f4 wants.

Of the latter `use-tensor-memory` has written

    tl.copy G -> S;  parallel: P = S with 16 elements at the start of 16 bytes

A bulk copy makes the gaps by itself, from G to P.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from ...dialect.products import padded_operands
from ...dialect.tl import GLOBAL, SHARED, scope_of
from ..nvidia.tile_gaps import gaps_bytes, gaps_obstacle
from ..nvidia.tma_rules import box_bytes, tma_obstacle
from ..walk import nested


@dataclass(frozen=True)
class Load:
    """A tile of the ring: where it comes from, the format of elements that get gaps, and the operations it replaces."""

    source: ir.Value
    tile: ir.Value
    replaced: tuple[ir.Operation, ...]
    gaps: str = ""

    @property
    def bytes(self) -> int:
        """What the copy completes at its barrier."""
        return gaps_bytes(self.source) if self.gaps else box_bytes(self.tile)

    @property
    def location(self) -> ir.Location:
        return self.replaced[0].location

    @property
    def left_out(self) -> ir.Value | None:
        """The tile of packed elements, which nothing needs any more."""
        return self.replaced[0].operands[1] if self.gaps else None


def plain_load(copy: ir.Operation) -> Load | None:
    """A copy as a bulk copy; None where it cannot be one."""
    if tma_obstacle(*copy.operands) or "disable_tma" in copy.attributes:
        return None
    return Load(copy.operands[0], copy.operands[1], (copy,))


def loads_with_gaps(body: Sequence[ir.Operation], products: Sequence[ir.Operation]) -> list[Load]:
    """The tiles with gaps of the products of a loop that bulk copies can fill."""
    found: dict[ir.Value, Load] = {}
    for product in products:
        for tile, kind in zip(list(product.operands)[:2], padded_operands(product), strict=True):
            load = _load(body, tile, kind) if kind and tile not in found else None
            if load is not None:
                found[tile] = load
    return list(found.values())


def _load(body: Sequence[ir.Operation], tile: ir.Value, kind: str) -> Load | None:
    loops = [op for op in body if op.name == "tl.parallel" and _writes(op, tile)]
    if len(loops) != 1:
        return None
    read = {e.value for e in region_effects(loops[0]) if e.kind == "read"}
    copies = [op for op in body if op.name == "tl.copy" and len(op.operands) == 2 and root(op.operands[1]) in read]
    if len(read) != 1 or len(copies) != 1 or "disable_tma" in copies[0].attributes:
        return None
    source, packed = copies[0].operands
    known = [copies[0], *nested(loops[0])]
    whole = scope_of(source) == GLOBAL and scope_of(packed) == SHARED and root(packed) == packed
    if not whole or any(use.owner.operation not in known for use in packed.uses) or gaps_obstacle(source, tile, kind):
        return None
    return Load(source, tile, (copies[0], loops[0]), kind)


def _writes(op: ir.Operation, buffer: ir.Value) -> bool:
    return any(e.kind == "write" and e.value == buffer for e in region_effects(op))
