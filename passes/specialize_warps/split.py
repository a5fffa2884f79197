"""The rewriting of one kernel: a region for the producer, one for the consumers."""

from __future__ import annotations

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from .. import build
from ..cluster_tiles import PAIR
from ..nvidia.store_plan import BUFFER_BYTES
from ..nvidia.tma_rules import box_bytes
from ..nvidia.wgmma_layout import WARPGROUP, max_columns
from ..versions import Versions
from ..walk import num_threads
from .candidate import WAIT_DEPENDENCIES, Candidate, described, is_intrinsic, is_shared_setup, widest
from .producer import Producer
from .rings import Ring, Rounds, Use, by_use, trip_count
from .singles import Singles
from .stores import BUFFERS, Stores, reserved, shared_bytes

# Registers per thread of producer and consumers, by consumer warpgroups: 64512 for the multiprocessor, which runs two
# CTAs of one consumer warpgroup or one larger CTA.
_REGISTERS = {1: (24, 232), 2: (24, 240), 3: (24, 160)}
_HALF_SHARED = 112 * 1024  # bytes of shared memory with which two CTAs fit


class Split:
    """The rewriting of one kernel."""

    def __init__(self, launch: ir.Operation, found: Candidate, target: Target) -> None:
        self.launch = launch
        self.target = target
        self.found = found
        self.threads = num_threads(launch)
        self.groups = ir.IntegerAttr(launch.attributes["groups"]).value if "groups" in launch.attributes else 1
        self.block = launch.regions[0].blocks[0]
        self.ctas = PAIR if any("multicast" in copy.attributes for copy in found.copies) else 1  # that share loads

    def run(self) -> None:
        found = self.found
        del found.loop.attributes["tl.pipeline"]
        uses = by_use(found.copies, found.loop)
        ring = found.stages * sum(box_bytes(copy.operands[1]) for copy in found.copies)
        versions = Versions(found.loop, found.copies, found.stages)
        with ir.InsertionPoint.at_block_begin(self.block):
            rings = [self._ring(use) for use in uses]
        attributes = {"consumers": ir.IntegerAttr.get(build.i32(), self.threads)}
        warpgroups = self.threads * self.groups // WARPGROUP
        attributes["registers"] = ir.DenseI32ArrayAttr.get(_registers(self.launch, warpgroups))
        if self.groups > 1:
            attributes["groups"] = ir.IntegerAttr.get(build.i32(), self.groups)
        with ir.InsertionPoint(self.block):
            split = ir.Operation.create("tl.specialize", attributes=attributes, regions=2)
        split.regions[0].blocks.append()
        consumer = split.regions[1].blocks.append(*[build.i32()] * (self.groups > 1))
        self._move(consumer, split)
        singles = Singles(self.launch, split, found, self._room(ring))
        Producer(split, found, versions, rings, singles).write()
        self._consume(consumer, versions, rings)
        singles.use()
        Stores(self.launch, split, bool(found.path), self.target).run()
        threads = self.threads * self.groups + WARPGROUP
        self.launch.attributes["threads"] = ir.DenseI32ArrayAttr.get([threads, 1, 1])
        self._share_registers(split, ring)
        if self.ctas > 1:  # a CTA may not leave while the other one arrives at its barriers
            with ir.InsertionPoint.after(split), split.location:
                relaxed = {"relaxed": ir.IntegerAttr.get(build.i32(), 0)}
                for name, attributes in (("cluster_arrive", relaxed), ("cluster_wait", {})):
                    ir.Operation.create("tl.intrinsic", attributes={"name": ir.StringAttr.get(name), **attributes})

    def _take_turns(self, consumer: ir.Block, bounds: list[ir.Value]) -> ir.Value:
        """Each group works on every second tile, and skips the other one's rounds. The groups' products alternate: one
        stores its tile while the other one computes. Returns the rounds before the pipelined loop."""
        group, (tiles, *_) = consumer.arguments[0], self.found.path
        lower, _, step = list(tiles.operands)
        with ir.InsertionPoint(tiles):
            trips = trip_count(*bounds)
            rounds = Rounds(self.threads, build.binary("muli", group, trips))
            both = build.binary("muli", trips, build.constant(self.groups))
            tiles.operands[0] = build.binary("addi", lower, build.binary("muli", group, step))
            tiles.operands[2] = build.binary("muli", step, build.constant(self.groups))
        with ir.InsertionPoint.at_block_begin(consumer):
            build.turn("open")
        with ir.InsertionPoint(self.found.loop), self.found.loop.location:
            before = rounds.before()
            build.turn("take")
        with ir.InsertionPoint.after(self.found.loop):
            rounds.advance(before, both)
        with ir.InsertionPoint.after(self.found.loop), self.found.loop.location:
            build.turn("pass")
        return before

    def _room(self, ring: int) -> int:
        """Bytes of shared memory beside the ring, the program's other tiles and the buffers of the store."""
        buffers = self.threads * self.groups // WARPGROUP * BUFFERS * BUFFER_BYTES
        others = shared_bytes(self.launch, [copy.operands[1] for copy in self.found.copies])
        return self.target.max_shared_bytes - reserved(self.launch) - ring - buffers - others

    def _share_registers(self, split: ir.Operation, ring: int) -> None:
        """How many CTAs a multiprocessor gets; the split of registers holds for one number only."""
        most = 2 if self.threads * self.groups == WARPGROUP else 1
        columns = max_columns(most * (self.threads * self.groups + WARPGROUP))
        fits = ring <= _HALF_SHARED and widest(self.launch, self.threads) <= columns
        blocks = most if fits else 1
        if "min_blocks" in self.launch.attributes:
            blocks = ir.IntegerAttr(self.launch.attributes["min_blocks"]).value
        if blocks != most or "keep_registers" in self.launch.attributes:
            del split.attributes["registers"]
        self.launch.attributes["min_blocks"] = ir.IntegerAttr.get(build.i32(), blocks)

    def _ring(self, use: Use) -> Ring:
        with use.copies[0].location:
            full, empty = self._barriers(1), self._barriers(self.ctas * self.threads // 32)
            return Ring(use.copies, use.first, use.last, use.accessed, full, empty)

    def _barriers(self, count: int) -> ir.Value:
        kind = ir.Type.parse(f"!tl.barrier<{self.found.stages} : i64>")
        counts = ir.DenseI64ArrayAttr.get([count] * self.found.stages)
        attributes = {"counts": counts, **({"cluster": build.unit()} if self.ctas > 1 else {})}
        return ir.Operation.create("tl.alloc_barrier", [kind], attributes=attributes).result

    def _move(self, consumer: ir.Block, split: ir.Operation) -> None:
        """Everything but what both roles share goes to the consumers: also a wait for the kernels ahead that the
        program puts behind the loop, and so behind all that the producer does."""
        moved: set[ir.Value] = set()
        before = described(self.launch)
        outermost, over = (*self.found.path, self.found.loop)[0], False
        for op in list(self.block.operations):
            op = op.operation
            stays = is_shared_setup(op) and not any(v in moved for v in op.operands)
            stays = stays or (is_intrinsic(op, WAIT_DEPENDENCIES) and not over) or op in before
            over = over or op == outermost
            if op != split and op.name != "tl.alloc_barrier" and not stays:
                moved.update(op.results)
                consumer.append(op)

    def _consume(self, consumer: ir.Block, versions: Versions, rings: list[Ring]) -> None:
        """Per ring: wait for the version before its first use, give it back after its last."""
        bounds = [versions.lower, versions.upper, versions.step]
        before = None
        if self.groups > 1:
            before = self._take_turns(consumer, bounds)
        elif self.found.path:
            with ir.InsertionPoint.at_block_begin(consumer):
                rounds = Rounds(self.threads, build.constant(0))
            with ir.InsertionPoint(self.found.loop):
                before = rounds.before()
            with ir.InsertionPoint.after(self.found.loop):
                rounds.advance(before, trip_count(*bounds))
        with ir.InsertionPoint(next(iter(versions.body.operations))), self.found.loop.location:
            trip = versions.trip(versions.body.arguments[0], bounds)
            trip = build.binary("addi", before, trip) if before is not None else trip
            slot, phase = versions.slot(trip), versions.phase(trip)
        for ring in rings:
            with ir.InsertionPoint(ring.first), ring.first.location:
                ir.Operation.create("tl.mbarrier_wait", [], [ring.full, slot, phase])
            with ir.InsertionPoint.after(ring.last), ring.last.location:
                if ring.accessed:
                    # A product has read its tiles when it ends, and its warps end together. Ordinary reads may still
                    # be under way, and the copy that overwrites them goes another way than they: it is fenced by the
                    # producer, which learns of the reads here, or, where that may be another CTA's, before they meet.
                    if self.ctas > 1:
                        ir.Operation.create("tl.fence_proxy")
                    ir.Operation.create("tl.sync_warp")
                for rank in range(self.ctas):  # who loads for both waits for all
                    cta = [build.constant(rank)] if self.ctas > 1 else []
                    ir.Operation.create("tl.mbarrier_arrive", [], [ring.empty, slot, *cta], {"per_warp": build.unit()})
        versions.finish(slot)


def _registers(launch: ir.Operation, warpgroups: int) -> list[int]:
    """Registers per thread of producer and consumers: what the program asks for, else what fills the multiprocessor."""
    names = ("producer_registers", "consumer_registers")
    return [
        ir.IntegerAttr(launch.attributes[name]).value if name in launch.attributes else default
        for name, default in zip(names, _REGISTERS[warpgroups], strict=True)
    ]
