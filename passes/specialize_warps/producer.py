"""The producer's region: the loops and branches around the pipelined loop, and the loads."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from .. import build
from ..nvidia.loads import sources, start
from ..nvidia.tma_rules import box_bytes
from ..versions import Versions, inside
from .candidate import Candidate
from .rings import Ring, Rounds, trip_count
from .singles import Singles


class Producer:
    """Writes the producer's region at its start; the consumers' part has been moved to the other region before.

    Per ring and iteration: wait for a free version, announce the bytes, start the loads. Where threads have read the
    version themselves, a fence by the producer's one thread is on the way from their reads to the copies; the consumers
    would wait for theirs between two products.
    """

    def __init__(
        self, split: ir.Operation, found: Candidate, versions: Versions, rings: list[Ring], singles: Singles
    ) -> None:
        self.split = split
        self.found = found
        self.versions = versions
        self.rings = rings
        self.singles = singles
        self.cloned: dict[ir.Value, ir.Value] = {}
        self.tiles: Rounds | None = None
        self.shares = any("multicast" in copy.attributes for copy in found.copies)  # loads for another CTA, too

    def write(self) -> None:
        with ir.InsertionPoint(self.split.regions[0].blocks[0]):
            rounds = Rounds(32, build.constant(0)) if self.found.path else None
            self.tiles = self.singles.counter(32)
            self._nest(self.found.path, rounds)

    def _nest(self, path: list[ir.Operation], rounds: Rounds | None) -> None:
        """Copies of the loops and branches of `path`, and the loads inside."""
        if not path:
            self.singles.load(self.tiles, self.clone)
            self._loads(rounds)
            return
        op, inner = path[0], path[1] if len(path) > 1 else self.found.loop
        operands = [self.clone(v) for v in list(op.operands)[: 3 if op.name == "scf.for" else 1]]
        attributes = build.attributes_of(op)
        with op.location:
            copy = ir.Operation.create(op.name, [], operands, attributes, regions=len(op.regions))
        side = next(i for i, region in enumerate(op.regions) if _contains(region, inner))
        arguments = op.regions[side].blocks[0].arguments
        names = [a.location for a in arguments]
        block = copy.regions[side].blocks.append(*(a.type for a in arguments), arg_locs=names)
        self.cloned.update(zip(arguments, block.arguments, strict=True))
        with ir.InsertionPoint(block):
            self._nest(path[1:], rounds)
            ir.Operation.create("scf.yield")
        if side == 1:
            with ir.InsertionPoint(copy.regions[0].blocks.append()):
                ir.Operation.create("scf.yield")

    def _loads(self, rounds: Rounds | None) -> None:
        versions = self.versions
        bounds = [self.clone(v) for v in (versions.lower, versions.upper, versions.step)]
        before = rounds.before() if rounds else None
        for ring in self.rings:
            for copy in ring.copies:
                for value in sources(copy):
                    self._clone_invariant(value)
        variable = versions.body.arguments[0]
        with self.found.loop.location:
            loop = ir.Operation.create("scf.for", [], bounds, regions=1)
        block = loop.regions[0].blocks.append(build.i32(), arg_locs=[variable.location])
        self.cloned[variable] = block.arguments[0]
        with ir.InsertionPoint(block), self.found.loop.location:
            trip = versions.trip(block.arguments[0], bounds)
            trip = build.binary("addi", before, trip) if before is not None else trip
            slot, phase = versions.slot(trip), versions.phase(trip)
            free = build.binary("xori", phase, build.constant(1))
            for ring in self.rings:
                self._load(ring, slot, free)
            ir.Operation.create("scf.yield")
        if rounds and before is not None:
            rounds.advance(before, trip_count(*bounds))

    def _load(self, ring: Ring, slot: ir.Value, free: ir.Value) -> None:
        size = sum(box_bytes(copy.operands[1]) for copy in ring.copies)
        attrs = {"expect": ir.IntegerAttr.get(build.i32(), size)}
        with ring.copies[0].location:
            ir.Operation.create("tl.mbarrier_wait", [], [ring.empty, slot, free])
            if ring.accessed and not self.shares:
                ir.Operation.create("tl.fence_proxy")  # between ordinary reads of the tiles and the copies over them
            ir.Operation.create("tl.mbarrier_arrive", [], [ring.full, slot], attrs)
        for copy in ring.copies:
            with copy.location:
                computed = [self.clone(v) for v in sources(copy)]
                target = self.versions.version(copy.operands[1], slot)
                ranks = {"multicast": copy.attributes["multicast"]} if "multicast" in copy.attributes else {}
                start(copy, computed, target, (ring.full, slot), ranks)

    def _clone_invariant(self, value: ir.Value) -> bool:
        """Compute what a value needs from outside of the loop in front of it; whether that was all of the value."""
        owner = value.owner
        if isinstance(owner, ir.Block):
            return owner != self.versions.body
        op = owner.operation
        if op.parent.operation != self.found.loop:
            self.clone(value)
            return True
        parts = [self._clone_invariant(v) for v in op.operands]
        if all(parts) and op.name != "tl.slice":
            self.clone(value)
        return all(parts)

    def clone(self, value: ir.Value) -> ir.Value:
        """The value for the producer: computed again where only the consumers have it."""
        if value in self.cloned:
            return self.cloned[value]
        owner = value.owner
        if isinstance(owner, ir.Block) or not inside(owner.operation, self.split):
            return value
        op = owner.operation
        operands = [self.clone(v) for v in op.operands]
        with op.location:
            copy = ir.Operation.create(op.name, [r.type for r in op.results], operands, build.attributes_of(op))
        self.cloned.update(zip(op.results, copy.results, strict=True))
        return self.cloned[value]


def _contains(region: ir.Region, op: ir.Operation) -> bool:
    return any(inner.operation == op for block in region.blocks for inner in block.operations)
