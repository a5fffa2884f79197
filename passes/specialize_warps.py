"""`specialize-warps`: a producer warp loads tiles, consumer warpgroups compute.

Input: laid-out program for a target with the tensor memory accelerator and warpgroup products; a kernel with one
pipelined loop at its top level whose tiles can be loaded by bulk copies and feed a warpgroup product. Output:
`tl.specialize` with a ring of s versions per tile and two barriers per version (tiles used by the same operations share
them):

    for k: copy A[k] -> S; use S
    =>
    producer:  for k: wait empty[k % s] (parity of the round before); arrive full[k % s] expecting the bytes;
                      load A[k] -> S[k % s]
    consumers: ...before...
               for k: wait full[k % s] (parity of this round); use S[k % s]; arrive empty[k % s]
               ...after...

Every warp of the consumers arrives once per round on `empty`. Copies of fragments to device memory after the loop go
through a swizzled shared tile and one bulk store. Kernels that name threads or barriers themselves keep their form, as
do those that write what they load and those whose copies do not qualify; the rules of the bulk copy are in
`nvidia/tma_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..dialect.effects import effects, region_effects, root
from ..dialect.layout import swizzle_span, swizzled
from ..dialect.layout.attrs import to_attr
from ..dialect.ops.gemm import tile_shape_2d
from ..dialect.tl import FRAGMENT, GLOBAL, SHARED, buffer_type, scope_of
from . import build
from .base import Pass
from .nvidia.tma_rules import box_bytes, tma_obstacle
from .nvidia.wgmma_layout import max_columns, partition
from .pipeline_loops import Versions, producers
from .walk import launches, nested, num_threads

# Operations whose meaning depends on which threads run them.
_THREADED = (
    "tl.thread_id", "tl.sync_threads", "tl.sync_warp", "tl.sync_grid", "tl.vote", "tl.shuffle", "tl.alloc_barrier",
    "tl.print", "tl.warpgroups", "tl.intrinsic",
)  # fmt: skip
# Registers per thread of producer and consumers, by consumer warpgroups: 64512 for the multiprocessor, which runs two
# CTAs of one consumer warpgroup or one larger CTA.
_REGISTERS = {1: (24, 232), 2: (24, 240), 3: (24, 160)}
_HALF_SHARED = 112 * 1024  # bytes of shared memory with which two CTAs fit


@dataclass(frozen=True)
class SpecializeWarps(Pass):
    """Split pipelined kernels into a loading warp and computing warpgroups."""

    name: ClassVar[str] = "specialize-warps"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled or not all(target.supports(f) for f in (Feature.TMA, Feature.WGMMA, Feature.SETMAXNREG)):
            return
        for launch in launches(module):
            found = _candidate(launch)
            if found is not None:
                with module.context, launch.location:
                    _Split(launch, *found).run()


def _candidate(launch: ir.Operation) -> tuple[ir.Operation, list[ir.Operation], int] | None:
    """The loop to split, its copies and stages."""
    body = launch.regions[0].blocks[0]
    loops = [
        op.operation
        for op in body.operations
        if op.operation.name == "scf.for" and "tl.pipeline" in op.operation.attributes
    ]
    threads = num_threads(launch)
    if len(loops) != 1 or threads % 128 or threads > 384 or any(op.name in _THREADED for op in nested(launch)):
        return None
    loop = loops[0]
    stages = ir.IntegerAttr(ir.DictAttr(loop.attributes["tl.pipeline"])["num_stages"]).value
    copies = producers(loop)
    loads = [
        op
        for op in nested(loop)
        if op.name == "tl.copy" and scope_of(op.operands[1]) == SHARED and scope_of(op.operands[0]) == GLOBAL
    ]
    if stages < 1 or not copies or len(copies) != len(loads):
        return None
    if any(tma_obstacle(*copy.operands) or "disable_tma" in copy.attributes for copy in copies):
        return None
    inputs = [*list(loop.operands)[:3], *(copy.operands[0] for copy in copies)]
    if not all(_is_setup_value(v, loop) for v in inputs):
        return None
    used = [e.value for op in nested(loop) if op not in copies for e in effects(op)]
    written = [e.value for e in region_effects(launch) if e.kind == "write"]
    if any(copy.operands[1] not in used or root(copy.operands[0]) in written for copy in copies):
        return None
    products = [op for op in nested(loop) if op.name == "tl.gemm"]
    if not products or not all("instr" in op.attributes for op in products):
        return None
    if _widest(launch, threads) > max_columns(threads + 128):
        return None
    return loop, copies, stages


class _Split:
    """The rewriting of one kernel."""

    def __init__(self, launch: ir.Operation, loop: ir.Operation, copies: list[ir.Operation], stages: int) -> None:
        self.launch = launch
        self.loop = loop
        self.copies = copies
        self.stages = stages
        self.threads = num_threads(launch)
        self.block = launch.regions[0].blocks[0]

    def run(self) -> None:
        del self.loop.attributes["tl.pipeline"]
        groups = _by_use(self.copies, self.loop)
        versions = Versions(self.loop, self.copies, self.stages)
        with ir.InsertionPoint.at_block_begin(self.block):
            rings = [
                _Ring(copies, first, last, self._barriers(1), self._barriers(self.threads // 32))
                for copies, first, last in groups
            ]
        warpgroups = self.threads // 128
        attributes = {"consumers": ir.IntegerAttr.get(build.i32(), self.threads)}
        attributes["registers"] = ir.DenseI32ArrayAttr.get(_registers(self.launch, warpgroups))
        with ir.InsertionPoint(self.block):
            split = ir.Operation.create("tl.specialize", attributes=attributes, regions=2)
        producer, consumer = (region.blocks.append() for region in split.regions)
        self._move(consumer, split)
        with ir.InsertionPoint(producer):
            self._produce(versions, rings)
        self._consume(versions, rings)
        # Bulk stores are ordered with nothing that the threads read or write themselves.
        direct = {e.value for e in region_effects(self.launch) if e.kind == "read" or e.op.name != "tl.copy"}
        for op in list(nested(split)):
            if op.name == "tl.copy" and root(op.operands[1]) not in direct:
                _store_by_tma(op)
        self.launch.attributes["threads"] = ir.DenseI32ArrayAttr.get([self.threads + 128, 1, 1])
        ring = self.stages * sum(box_bytes(tile) for tile in versions.tiles.values())
        self._share_registers(split, ring)

    def _share_registers(self, split: ir.Operation, ring: int) -> None:
        """How many CTAs a multiprocessor gets; the split of registers holds for one number only."""
        most = 2 if self.threads == 128 else 1
        fits = ring <= _HALF_SHARED and _widest(self.launch, self.threads) <= max_columns(most * (self.threads + 128))
        blocks = most if fits else 1
        if "min_blocks" in self.launch.attributes:
            blocks = ir.IntegerAttr(self.launch.attributes["min_blocks"]).value
        if blocks != most or "keep_registers" in self.launch.attributes:
            del split.attributes["registers"]
        self.launch.attributes["min_blocks"] = ir.IntegerAttr.get(build.i32(), blocks)

    def _barriers(self, count: int) -> ir.Value:
        kind = ir.Type.parse(f"!tl.barrier<{self.stages} : i64>")
        counts = ir.DenseI64ArrayAttr.get([count] * self.stages)
        return ir.Operation.create("tl.alloc_barrier", [kind], attributes={"counts": counts}).result

    def _move(self, consumer: ir.Block, split: ir.Operation) -> None:
        """Everything but what both roles share goes to the consumers."""
        moved: set[ir.Value] = set()
        for op in list(self.block.operations):
            op = op.operation
            stays = _is_shared_setup(op) and not any(v in moved for v in op.operands)
            if op != split and op.name != "tl.alloc_barrier" and not stays:
                moved.update(op.results)
                consumer.append(op)

    def _produce(self, versions: Versions, rings: list[_Ring]) -> None:
        """Per ring: wait for a free version, announce the bytes, start the loads."""
        clone: dict[ir.Value, ir.Value] = {}
        bounds = [versions.clone(v, clone) for v in (versions.lower, versions.upper, versions.step)]
        loop = ir.Operation.create("scf.for", [], bounds, regions=1)
        block = loop.regions[0].blocks.append(build.i32())
        with ir.InsertionPoint(block):
            trip = versions.trip(block.arguments[0], bounds)
            slot, phase = versions.slot(trip), versions.phase(trip)
            free = build.binary("xori", phase, build.constant(1))
            clone[versions.body.arguments[0]] = block.arguments[0]
            for ring in rings:
                ir.Operation.create("tl.mbarrier_wait", [], [ring.empty, slot, free])
                size = sum(box_bytes(copy.operands[1]) for copy in ring.copies)
                attrs = {"expect": ir.IntegerAttr.get(build.i32(), size)}
                ir.Operation.create("tl.mbarrier_arrive", [], [ring.full, slot], attrs)
                for copy in ring.copies:
                    with copy.location:
                        source = versions.clone(copy.operands[0], clone)
                        target = versions.version(copy.operands[1], slot)
                        ir.Operation.create("tl.tma_load", [], [source, target, ring.full, slot])
            ir.Operation.create("scf.yield")

    def _consume(self, versions: Versions, rings: list[_Ring]) -> None:
        """Per ring: wait for the version before its first use, give it back after its last."""
        with ir.InsertionPoint(next(iter(versions.body.operations))):
            trip = versions.trip(versions.body.arguments[0], [versions.lower, versions.upper, versions.step])
            slot, phase = versions.slot(trip), versions.phase(trip)
        for ring in rings:
            with ir.InsertionPoint(ring.first):
                ir.Operation.create("tl.mbarrier_wait", [], [ring.full, slot, phase])
            with ir.InsertionPoint.after(ring.last):
                if ring.last.name != "tl.gemm":  # a product ends with its warps together, ordinary reads may not
                    ir.Operation.create("tl.sync_warp")
                ir.Operation.create("tl.mbarrier_arrive", [], [ring.empty, slot], {"per_warp": build.unit()})
        versions.finish(slot)


def _registers(launch: ir.Operation, warpgroups: int) -> list[int]:
    """Registers per thread of producer and consumers: what the program asks for, else what fills the multiprocessor."""
    names = ("producer_registers", "consumer_registers")
    return [
        ir.IntegerAttr(launch.attributes[name]).value if name in launch.attributes else default
        for name, default in zip(names, _REGISTERS[warpgroups], strict=True)
    ]


@dataclass(frozen=True)
class _Ring:
    """Tiles that are used together: their copies, the first and last operation that uses them, and their barriers."""

    copies: list[ir.Operation]
    first: ir.Operation
    last: ir.Operation
    full: ir.Value
    empty: ir.Value


def _by_use(
    copies: list[ir.Operation], loop: ir.Operation
) -> list[tuple[list[ir.Operation], ir.Operation, ir.Operation]]:
    """Copies grouped by the span of the body in which their tiles are used, in the order of first use."""
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    spans: dict[tuple[int, int], list[ir.Operation]] = {}
    for copy in copies:
        tile = copy.operands[1]
        uses = [i for i, op in enumerate(body) if op != copy and any(e.value == tile for e in region_effects(op))]
        span = (uses[0], uses[-1]) if uses else (len(body) - 1, len(body) - 1)
        spans.setdefault(span, []).append(copy)
    return [(spans[span], body[span[0]], body[span[1]]) for span in sorted(spans)]


def _widest(launch: ir.Operation, threads: int) -> int:
    """Columns of the widest instruction of a kernel's products on warpgroups."""
    products = [op for op in nested(launch) if op.name == "tl.gemm" and "instr" in op.attributes]
    tiles = [tile_shape_2d(op.operands[2]) for op in products]
    grids = [partition(*tile, threads) for tile in tiles if tile]
    return max((grid.columns for grid in grids if grid), default=0)


def _is_setup_value(value: ir.Value, loop: ir.Operation) -> bool:
    """Whether both roles can compute a value: from arguments, constants and the loop's variable by arithmetic alone."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return owner.owner.operation.name in ("tl.launch", "func.func") or owner.owner.operation == loop
    op = owner.operation
    return (_is_shared_setup(op) or op.name in ("tl.tensor", "tl.slice")) and all(
        _is_setup_value(v, loop) for v in op.operands
    )


def _is_shared_setup(op: ir.Operation) -> bool:
    """Shared allocations and arithmetic without effects stay in front: both roles may use them."""
    if op.name == "tl.alloc":
        return scope_of(op.results[0]) == SHARED
    return op.name.startswith("arith.") or op.name in ("tl.slice", "tl.cast")


def _store_by_tma(op: ir.Operation) -> None:
    """A copy to device memory as one bulk store, from a staging tile when it starts in registers."""
    source, target = op.operands
    if scope_of(target) != GLOBAL or scope_of(source) not in (FRAGMENT, SHARED) or "disable_tma" in op.attributes:
        return
    with ir.InsertionPoint(op), op.location:
        if scope_of(source) == FRAGMENT:
            staged = _staging_tile(source, target)
            if staged is None:
                return
            attrs = build.attributes_of(op)
            if tma_obstacle(target, staged):
                staged.owner.operation.erase()
                return
            ir.Operation.create("tl.copy", [], [source, staged], attrs)
            source = staged
        elif root(source) != source or tma_obstacle(target, source):
            return
        ir.Operation.create("tl.tma_store", [], [source, target])
        ir.Operation.create("tl.tma_wait", attributes={"pending": ir.IntegerAttr.get(build.i32(), 0)})
    op.erase()


def _staging_tile(source: ir.Value, target: ir.Value) -> ir.Value | None:
    """A shared tile of the fragment's shape in the widest swizzle, in the device element type."""
    if root(source) != source:
        return None
    shape = list(ir.MemRefType(source.type).shape)
    element = ir.MemRefType(target.type).element_type
    if len(shape) != 2 or element.width < 8:
        return None
    span = swizzle_span(shape, element.width)
    if not span:
        return None
    layout = to_attr(swizzled(shape, element.width, span))
    return ir.Operation.create("tl.alloc", [buffer_type(shape, element, SHARED)], attributes={"layout": layout}).result
