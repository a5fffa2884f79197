"""`persist-tiles`: one CTA per multiprocessor works on many tiles.

Input: a laid-out kernel that `specialize-warps` will split, with one product in its pipelined loop and more CTAs than
the machine runs at once. Output: as many CTAs as multiprocessors, and the kernel's body in a loop over tiles:

    launch (gx, gy): body(x, y)
    =>
    launch (min(gx * gy, multiprocessors)): for tile = block to gx * gy step grid {tl.tiles}: body(x(tile), y(tile))

The producer then loads the next tile while the consumers store this one. Tiles are walked in groups of 16 rows of tiles
(what `T.use_swizzle` asks for where it does), column by column, so that tiles at work at the same time share operands
in the L2 cache. A kernel keeps its grid when all of its tiles run at once, when tiles take different numbers of steps
(the hardware then hands out blocks better than a fixed stride does), when the program asks for a number of CTAs per
multiprocessor, and when its ring leaves no room for the buffers of the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..dialect.tl import SHARED, scope_of
from . import build, raster
from .base import Pass
from .nvidia.store_plan import BUFFER_BYTES
from .nvidia.tma_rules import box_bytes
from .nvidia.wgmma_layout import WARPGROUP
from .specialize_warps.candidate import Candidate, candidate
from .walk import launches, nested, num_threads

GROUP = 16  # rows of tiles
_RESERVED = 1024  # bytes of shared memory for barriers


@dataclass(frozen=True)
class PersistTiles(Pass):
    """Turn grids of tiles into loops over tiles where that pays."""

    name: ClassVar[str] = "persist-tiles"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled or not all(target.supports(f) for f in (Feature.TMA, Feature.WGMMA, Feature.SETMAXNREG)):
            return
        for launch in launches(module):
            found = candidate(launch)
            if found is not None and _pays(launch, found, target):
                with module.context, launch.location:
                    _persist(launch, target)


def _pays(launch: ir.Operation, found: Candidate, target: Target) -> bool:
    tiles = raster.product([raster.known(v) for v in launch.operands])
    if found.path or "cluster" in launch.attributes or "min_blocks" in launch.attributes:
        return False
    if isinstance(tiles, int) and tiles <= target.multiprocessors:
        return False
    warpgroups = num_threads(launch) // WARPGROUP
    ring = found.stages * sum(box_bytes(copy.operands[1]) for copy in found.copies)
    if warpgroups < 2 or ring + warpgroups * BUFFER_BYTES + _RESERVED > target.max_shared_bytes:
        return False
    products = [op for op in nested(launch) if op.name == "tl.gemm"]
    return len(products) <= 2 and not any(_depends_on_block(v, launch) for v in list(found.loop.operands)[:3])


def _products(launch: ir.Operation) -> int:
    return sum(op.name == "tl.gemm" for op in nested(launch))


def _depends_on_block(value: ir.Value, launch: ir.Operation) -> bool:
    owner = value.owner
    if isinstance(owner, ir.Block):
        return owner.owner.operation == launch
    return any(_depends_on_block(v, launch) for v in owner.operation.operands)


def _persist(launch: ir.Operation, target: Target) -> None:
    old = launch.regions[0].blocks[0]
    extents = [raster.known(v) for v in launch.operands]
    with ir.InsertionPoint(launch):
        tiles = raster.value(raster.product(extents))
        grid = raster.value(raster.minimum(raster.known(tiles), target.multiprocessors))
        attributes = build.attributes_of(launch)
        panel, tall = _panel(attributes) if _products(launch) == 1 else (1, 0)
        attributes.pop("swizzle", None)
        attributes["persistent"] = ir.IntegerAttr.get(build.i32(), target.multiprocessors)
        new = ir.Operation.create("tl.launch", [], [grid], attributes, regions=1)
    body = new.regions[0].blocks.append(build.i32())
    with ir.InsertionPoint(body):
        loop = ir.Operation.create(
            "scf.for", [], [body.arguments[0], tiles, grid], {"tl.tiles": build.unit()}, regions=1
        )
    inside = loop.regions[0].blocks.append(build.i32())
    with ir.InsertionPoint(inside):
        places = raster.tile_coordinates(inside.arguments[0], extents, panel, tall)
        for argument, place in zip(old.arguments, places, strict=True):
            argument.replace_all_uses_with(raster.value(place))
    for op in [o.operation for o in old.operations]:
        if op.name == "tl.alloc" and scope_of(op.results[0]) == SHARED:
            op.move_before(loop)
        else:
            inside.append(op)
    with ir.InsertionPoint(inside):
        ir.Operation.create("scf.yield")
    launch.erase()


def _panel(attributes: dict[str, ir.Attribute]) -> tuple[int, int]:
    """Blocks per group, and the dimension they lie along."""
    if "swizzle" not in attributes:
        return GROUP, 1
    swizzle = ir.DictAttr(attributes["swizzle"])
    row = "order" not in swizzle or ir.StringAttr(swizzle["order"]).value == "row"
    return ir.IntegerAttr(swizzle["panel"]).value, 1 if row else 0
