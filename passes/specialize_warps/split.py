"""The rewriting of one kernel: a region for the producer, one for the consumers."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from .. import build
from ..nvidia.tma_rules import box_bytes
from ..nvidia.wgmma_layout import max_columns
from ..pipeline_loops import Versions
from ..walk import nested, num_threads
from .candidate import is_shared_setup, widest
from .rings import Ring, by_use
from .singles import load_singles
from .stores import store_by_tma

# Registers per thread of producer and consumers, by consumer warpgroups: 64512 for the multiprocessor, which runs two
# CTAs of one consumer warpgroup or one larger CTA.
_REGISTERS = {1: (24, 232), 2: (24, 240), 3: (24, 160)}
_HALF_SHARED = 112 * 1024  # bytes of shared memory with which two CTAs fit


class Split:
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
        groups = by_use(self.copies, self.loop)
        versions = Versions(self.loop, self.copies, self.stages)
        with ir.InsertionPoint.at_block_begin(self.block):
            rings = [
                Ring(copies, first, last, self._barriers(1), self._barriers(self.threads // 32))
                for copies, first, last in groups
            ]
        warpgroups = self.threads // 128
        attributes = {"consumers": ir.IntegerAttr.get(build.i32(), self.threads)}
        attributes["registers"] = ir.DenseI32ArrayAttr.get(list(_REGISTERS[warpgroups]))
        with ir.InsertionPoint(self.block):
            split = ir.Operation.create("tl.specialize", attributes=attributes, regions=2)
        producer, consumer = (region.blocks.append() for region in split.regions)
        self._move(consumer, split)
        with ir.InsertionPoint(producer):
            self._produce(versions, rings)
        load_singles(self.launch, split, self.loop)
        self._consume(versions, rings)
        # Bulk stores are ordered with nothing that the threads read or write themselves.
        direct = {e.value for e in region_effects(self.launch) if e.kind == "read" or e.op.name != "tl.copy"}
        for op in list(nested(split)):
            if op.name == "tl.copy" and root(op.operands[1]) not in direct:
                store_by_tma(op)
        self.launch.attributes["threads"] = ir.DenseI32ArrayAttr.get([self.threads + 128, 1, 1])
        ring = self.stages * sum(box_bytes(tile) for tile in versions.tiles.values())
        self._share_registers(split, ring)

    def _share_registers(self, split: ir.Operation, ring: int) -> None:
        """How many CTAs a multiprocessor gets; the split of registers holds for one number only."""
        most = 2 if self.threads == 128 else 1
        fits = ring <= _HALF_SHARED and widest(self.launch, self.threads) <= max_columns(most * (self.threads + 128))
        blocks = most if fits else 1
        if "min_blocks" in self.launch.attributes:
            blocks = ir.IntegerAttr(self.launch.attributes["min_blocks"]).value
        if blocks != most:
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
            stays = is_shared_setup(op) and not any(v in moved for v in op.operands)
            if op != split and op.name != "tl.alloc_barrier" and not stays:
                moved.update(op.results)
                consumer.append(op)

    def _produce(self, versions: Versions, rings: list[Ring]) -> None:
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

    def _consume(self, versions: Versions, rings: list[Ring]) -> None:
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
