"""`persist-tiles`: one CTA per multiprocessor works on many tiles.

Input: a laid-out kernel that `specialize-warps` will split, with one product in its pipelined loop and more CTAs than
the machine runs at once. Output: as many CTAs as multiprocessors, and the kernel's body in a loop over tiles:

    launch (gx, gy): body(x, y)
    =>
    launch (min(gx * gy, multiprocessors)): for tile = block to gx * gy step grid {tl.tiles}: body(x(tile), y(tile))

The producer then loads the next tile while the consumers store this one. Tiles are walked in groups of 16 rows of tiles
(what `T.use_swizzle` asks for where it does), column by column, so that tiles at work at the same time share operands
in the L2 cache.

Where one warpgroup computes a tile, two groups of consumers take tiles by turns, so that one stores its tile while the
other one computes; the ring then has twice the versions that the program asks for, as far as they fit. This needs a
kernel whose consumers share nothing but the ring, and accumulators that leave registers for the rest.

With `multicast` (off unless asked for) two CTAs of a cluster walk pairs of neighbouring tiles and load what both need
once (`cluster_tiles.py`).

Where all tiles of a product run at once, the grid stays, and CTAs that start one after the other are made to work on
tiles of the same columns (`swizzle`): they read the wider operand at the same time, and it comes from memory once.

Kernels with their sums in tensor memory, which `specialize-tensor-warps` splits, walk where at most two of their blocks
fit on a multiprocessor (`specialize_tensor_warps/persistence.py`).

A kernel keeps its grid when all of its tiles run at once (and no pairs are asked for), when tiles take different
numbers of steps (the hardware then hands out blocks better than a fixed stride does; but not when each block walks over
several tiles, a short one and a long one for example), when the program asks for a
number of CTAs per multiprocessor, and when its ring leaves no room for the buffers of the store.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..dialect.products import PRODUCTS, factors
from ..dialect.tl import FRAGMENT, GLOBAL, SHARED, TMEM, scope_of
from ..dialect.verify import shape_of
from . import build, raster
from .base import Pass
from .cluster_tiles import PAIR, Pairs, pairs_of
from .facts import Facts, state
from .nvidia.store_plan import BUFFER_BYTES
from .nvidia.tma_rules import box_bytes
from .nvidia.wgmma_layout import WARPGROUP, partition
from .specialize_tensor_warps.persistence import stages_of_walk
from .specialize_warps.candidate import Candidate, candidate
from .specialize_warps.carriers import carrier_of
from .specialize_warps.stores import BUFFERS, carriers_left_out, reserved, stores_by_tile
from .walk import depends_on_block, launches, nested, num_threads

GROUP = 16  # rows of tiles
PANEL = 8  # the same, of grids that run at once
GROUPS = 2  # of consumers, where one warpgroup computes a tile
ACCUMULATORS = 208  # per thread, which leave enough of 240 registers for the rest
_DEEPER = 2  # versions of the ring per version that the program asks for: two groups share it
# What groups may do at the same time: nothing that exchanges data between threads.
_SEPARATE = frozenset((
    "tl.alloc", "tl.bitcast", "tl.cast", "tl.copy", "tl.fill", "tl.gemm", "tl.gemm_sp", "tl.im2col", "tl.math",
    "tl.parallel",
    "tl.slice", "memref.load", "memref.store", "scf.for", "scf.if", "scf.yield",
))  # fmt: skip


@dataclass(frozen=True)
class PersistTiles(Pass):
    """Turn grids of tiles into loops over tiles where that pays."""

    name: ClassVar[str] = "persist-tiles"

    enabled: bool = True
    multicast: bool = False

    def run(self, module: ir.Module, target: Target) -> None:
        if self.enabled and target.supports(Feature.TCGEN05):
            _walk_around_tensor_memory(module, target)
        if not self.enabled or not all(target.supports(f) for f in (Feature.TMA, Feature.WGMMA, Feature.SETMAXNREG)):
            return
        for launch in launches(module):
            found = candidate(launch)
            if found is not None and not found.path and not _is_large(launch, target):
                with module.context:
                    _group_rows(launch)
            if found is not None and self._is_wanted(launch, target) and _pays(launch, found, target):
                with module.context, launch.location:
                    if num_threads(launch) == WARPGROUP:
                        _alternate(launch, found, target)
                    alone = "groups" not in launch.attributes
                    pairs = pairs_of(launch, found.copies) if self.multicast and alone else None
                    if pairs is not None or _is_large(launch, target):
                        _persist(launch, target, pairs)

    def _is_wanted(self, launch: ir.Operation, target: Target) -> bool:
        """Whether there are tiles to walk over, or pairs that may share loads."""
        return _is_large(launch, target) or (self.multicast and num_threads(launch) > WARPGROUP)


def _walk_around_tensor_memory(module: ir.Module, target: Target) -> None:
    """The same of kernels with their sums in tensor memory, which `specialize-tensor-warps` splits."""
    for launch in [launch for launch in launches(module) if _is_large(launch, target)]:
        with module.context, launch.location:
            stages = stages_of_walk(launch, target)
            if stages:
                loop = next(op for op in nested(launch) if "tl.pipeline" in op.attributes)
                pipeline = _entries(loop.attributes["tl.pipeline"])
                pipeline["num_stages"] = ir.IntegerAttr.get(build.i32(), stages)
                loop.attributes["tl.pipeline"] = ir.DictAttr.get(pipeline)
                _persist(launch, target, None)


def _is_large(launch: ir.Operation, target: Target) -> bool:
    """Whether there may be more tiles than multiprocessors."""
    extents = [extent for v in launch.operands if isinstance(extent := raster.known(v), int)]
    return len(extents) < len(launch.operands) or math.prod(extents) > target.multiprocessors


def _group_rows(launch: ir.Operation) -> None:
    """Number the tiles of a product by rows first, unless it has far more rows of tiles than columns of them."""
    extents = [raster.known(v) for v in launch.operands]
    if len(extents) < 2 or _products(launch) != 1 or {"swizzle", "cluster"} & set(build.attributes_of(launch)):
        return
    columns, rows = extents[:2]
    if isinstance(columns, int) and isinstance(rows, int) and 1 < rows <= 2 * columns:
        launch.attributes["swizzle"] = ir.DictAttr.get({"panel": ir.IntegerAttr.get(build.i32(), PANEL)})


def _pays(launch: ir.Operation, found: Candidate, target: Target) -> bool:
    if "cluster" in launch.attributes or "min_blocks" in launch.attributes:
        return False
    products = [op for op in nested(launch) if op.name in PRODUCTS]
    depends = any(depends_on_block(v, launch) for v in list(found.loop.operands)[:3])
    if len(products) > 2 or (found.path or depends) and not _evens_out(found.path):
        return False
    alone = num_threads(launch) == WARPGROUP
    if alone and (len(products) != 1 or not _may_alternate(launch, found)):
        return False
    return _stages(launch, found, target) >= found.stages


def _evens_out(path: list[ir.Operation]) -> bool:
    """Whether each block works on the same number of tiles, more than one: a program walks over several in a block
    so that blocks take equally long, whatever the tiles do."""
    if len(path) != 1 or path[0].name != "scf.for":
        return False
    bounds = [bound for v in list(path[0].operands)[:3] if isinstance(bound := raster.known(v), int)]
    return len(bounds) == 3 and len(range(*bounds)) > 1


def _stages(launch: ir.Operation, found: Candidate, target: Target) -> int:
    """How many versions of the ring fit beside the buffers of the store and the tiles that are loaded once."""
    warpgroups = max(num_threads(launch) // WARPGROUP, GROUPS)
    ring = [copy.operands[1] for copy in found.copies]
    others = sum(box_bytes(tile) for tile in _tiles(launch) if tile not in ring)
    buffers = warpgroups * BUFFERS * BUFFER_BYTES * _stored_types(launch)
    room = target.max_shared_bytes - buffers - reserved(launch) - others
    return room // sum(box_bytes(copy.operands[1]) for copy in found.copies)


def _stored_types(launch: ir.Operation) -> int:
    """How many types of elements fragments, and tiles that only carry one, are stored as: each has its own buffers."""
    stores = [op for op in nested(launch) if op.name == "tl.copy" and scope_of(op.operands[1]) == GLOBAL]
    through = [op for op in stores if scope_of(op.operands[0]) == FRAGMENT or carrier_of(op) is not None]
    return len({ir.MemRefType(op.operands[1].type).element_type for op in through})


def _tiles(launch: ir.Operation) -> list[ir.Value]:
    """The shared tiles that a kernel uses, without those that fragments pass by on their way to device memory."""
    left_out = carriers_left_out(launch, num_threads(launch))
    tiles = [op.results[0] for op in nested(launch) if op.name == "tl.alloc" and scope_of(op.results[0]) == SHARED]
    return [tile for tile in tiles if tile not in left_out and any(True for _ in tile.uses)]


def _may_alternate(launch: ir.Operation, found: Candidate) -> bool:
    """Whether two groups can run the kernel at the same time: they share nothing but the ring, and fit in registers."""
    ring = [copy.operands[1] for copy in found.copies]
    inner = [op for op in nested(launch) if not op.name.startswith(("arith.", "math."))]
    product = next(op for op in inner if op.name in PRODUCTS)
    rows, columns = shape_of(factors(product)[2].type)[-2:]
    grid = partition(rows, columns, WARPGROUP)
    small = grid is not None and grid.rows * grid.columns // WARPGROUP <= ACCUMULATORS
    alone = all(t in ring for t in _tiles(launch)) and not stores_by_tile(launch, WARPGROUP)
    return small and alone and all(op.name in _SEPARATE for op in inner)


def _products(launch: ir.Operation) -> int:
    return sum(op.name in PRODUCTS for op in nested(launch))


def _alternate(launch: ir.Operation, found: Candidate, target: Target) -> None:
    """Two groups of consumers, and a deeper ring for them."""
    pipeline = _entries(found.loop.attributes["tl.pipeline"])
    deepest = found.stages if "fixed" in pipeline else _DEEPER * found.stages
    pipeline["num_stages"] = ir.IntegerAttr.get(build.i32(), min(_stages(launch, found, target), deepest))
    found.loop.attributes["tl.pipeline"] = ir.DictAttr.get(pipeline)
    launch.attributes["groups"] = ir.IntegerAttr.get(build.i32(), GROUPS)


def _entries(attribute: ir.Attribute) -> dict[str, ir.Attribute]:
    return {entry.name: entry.attr for entry in ir.DictAttr(attribute)}


def _persist(launch: ir.Operation, target: Target, pairs: Pairs | None) -> None:
    """Walk the tiles, or the pairs of them, that two CTAs of a cluster share."""
    old = launch.regions[0].blocks[0]
    extents = [raster.known(v) for v in launch.operands]
    with ir.InsertionPoint(launch):
        tiles = raster.value(raster.product(extents))
        most = target.multiprocessors if pairs is None else target.multiprocessors // PAIR * PAIR
        grid = raster.value(raster.minimum(raster.known(tiles), most))
        attributes = build.attributes_of(launch)
        panel, tall = _panel(attributes) if _products(launch) == 1 or "swizzle" in attributes else (1, 0)
        attributes.pop("swizzle", None)
        attributes["persistent"] = ir.IntegerAttr.get(build.i32(), most)
        if pairs is not None:
            attributes["cluster"] = ir.DenseI32ArrayAttr.get([PAIR, 1, 1])
            panel = max(panel // PAIR, 1) if pairs.dim == tall else panel
            pairs.mark()
        new = ir.Operation.create("tl.launch", [], [grid], attributes, regions=1)
    body = new.regions[0].blocks.append(build.i32())
    with ir.InsertionPoint(body):
        bounds, rank = [body.arguments[0], tiles, grid], None
        if pairs is not None:
            rank = build.binary("remui", body.arguments[0], build.constant(PAIR))
            bounds = [build.binary("divui", v, build.constant(PAIR)) for v in bounds]
        loop = ir.Operation.create("scf.for", [], bounds, {"tl.tiles": build.unit()}, regions=1)
    inside = loop.regions[0].blocks.append(build.i32(), arg_locs=[ir.Location.name("tile", launch.location)])
    with ir.InsertionPoint(inside):
        numbered = extents if pairs is None else pairs.extents(extents)
        places = raster.tile_coordinates(inside.arguments[0], numbered, panel, tall)
        if pairs is not None and rank is not None:
            places = pairs.coordinates(places, rank)
        for argument, place, extent in zip(old.arguments, places, extents, strict=True):
            argument.replace_all_uses_with(_bounded(raster.value(place), extent))
    for op in [o.operation for o in old.operations]:
        kept = op.name == "tl.alloc" and scope_of(op.results[0]) in (SHARED, TMEM)
        if kept or (op.name.startswith("arith.") and not _is_computed_in(op, loop)):
            op.move_before(loop)
        else:
            inside.append(op)
    with ir.InsertionPoint(inside):
        ir.Operation.create("scf.yield")
    launch.erase()


def _bounded(place: ir.Value, extent: raster.Int) -> ir.Value:
    """A coordinate, marked with the number it stays below, which no analysis sees through the last group's height."""
    if isinstance(extent, int) and not isinstance(place.owner, ir.Block):
        state(place, Facts(lo=0, hi=extent - 1))
    return place


def _is_computed_in(op: ir.Operation, loop: ir.Operation) -> bool:
    """Whether an operation needs what a loop computes."""
    owners = [v.owner for v in op.operands]
    parents = [o.owner.operation if isinstance(o, ir.Block) else o.operation.parent.operation for o in owners]
    return loop in parents


def _panel(attributes: dict[str, ir.Attribute]) -> tuple[int, int]:
    """Blocks per group, and the dimension they lie along."""
    if "swizzle" not in attributes:
        return GROUP, 1
    swizzle = ir.DictAttr(attributes["swizzle"])
    row = "order" not in swizzle or ir.StringAttr(swizzle["order"]).value == "row"
    return ir.IntegerAttr(swizzle["panel"]).value, 1 if row else 0
