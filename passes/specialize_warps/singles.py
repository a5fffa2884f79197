"""Tiles that are loaded once in front of the pipelined loop: the producer loads them as well, before its first ring.

    consumers: copy Q -> S; loop
    =>
    producer:  arrive full expecting the bytes; load Q -> S; loop
    consumers: wait full; loop

Inside of other loops the tile is given back as well, behind its last use:

    producer:  for t: wait empty; arrive full expecting the bytes; load Q[t] -> S; loop
    consumers: for t: wait full; loop; arrive empty
"""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from ...dialect.tl import GLOBAL, SHARED, scope_of
from .. import build
from ..nvidia.tma_rules import box_bytes, tma_obstacle
from .candidate import Candidate, is_setup_value
from .rings import Rounds, end_of_use


class Singles:
    """The single tiles of one kernel, whose consumers' part has been moved to its region."""

    def __init__(self, launch: ir.Operation, split: ir.Operation, found: Candidate) -> None:
        self.split = split
        self.found = found
        written = [e.value for e in region_effects(launch) if e.kind == "write"]
        self.copies: list[ir.Operation] = []
        for op in found.loop.block.operations:
            if op.operation == found.loop:
                break
            if _is_single(op.operation, written, found.path):
                self.copies.append(op.operation)
        self.consumers = ir.IntegerAttr(split.attributes["consumers"]).value
        if self.copies:
            with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]), self.copies[0].location:
                self.full = _barrier(1)
                self.empty = _barrier(self.consumers // 32) if found.path else None

    def counter(self, threads: int) -> Rounds | None:
        """How often a role has had the tiles; to be created at the start of the role's region."""
        return Rounds(threads, build.constant(0)) if self.copies and self.found.path else None

    def load(self, counter: Rounds | None, clone: Callable[[ir.Value], ir.Value]) -> None:
        """The producer's part, in front of its loop; `clone` computes a value for it that the consumers have."""
        if not self.copies:
            return
        with self.copies[0].location:
            zero = build.constant(0)
            if counter is not None and self.empty is not None:
                before = counter.before()
                free = build.binary("xori", build.binary("andi", before, build.constant(1)), build.constant(1))
                ir.Operation.create("tl.mbarrier_wait", [], [self.empty, zero, free])
                counter.advance(before, build.constant(1))
            expect = ir.IntegerAttr.get(build.i32(), sum(box_bytes(copy.operands[1]) for copy in self.copies))
            ir.Operation.create("tl.mbarrier_arrive", [], [self.full, zero], {"expect": expect})
        for copy in self.copies:
            with copy.location:
                ir.Operation.create("tl.tma_load", [], [clone(copy.operands[0]), copy.operands[1], self.full, zero])

    def use(self) -> None:
        """The consumers' part: the wait where the copies were, the arrival behind the last use."""
        if not self.copies:
            return
        with ir.InsertionPoint.at_block_begin(self.split.regions[1].blocks[0]):
            counter = self.counter(self.consumers)
        with ir.InsertionPoint(self.copies[0]), self.copies[0].location:
            zero = build.constant(0)
            before = counter.before() if counter is not None else zero
            parity = build.binary("andi", before, build.constant(1)) if counter is not None else zero
            ir.Operation.create("tl.mbarrier_wait", [], [self.full, zero, parity])
        if counter is not None and self.empty is not None:
            last = self._last_use()
            with ir.InsertionPoint.after(last), last.location:
                ir.Operation.create("tl.fence_proxy")  # as behind the last use of a ring's tiles
                ir.Operation.create("tl.sync_warp")
                ir.Operation.create("tl.mbarrier_arrive", [], [self.empty, zero], {"per_warp": build.unit()})
                counter.advance(before, build.constant(1))
        for copy in self.copies:
            copy.erase()

    def _last_use(self) -> ir.Operation:
        tiles = [copy.operands[1] for copy in self.copies]
        users = [op.operation for op in self.found.loop.block.operations]
        ends = [end_of_use(users, i) for i, op in enumerate(users) if any(e.value in tiles for e in region_effects(op))]
        return users[max(len(users) - 2 if end is None else end for end in ends)]


def _barrier(count: int) -> ir.Value:
    kind, counts = ir.Type.parse("!tl.barrier<1 : i64>"), ir.DenseI64ArrayAttr.get([count])
    return ir.Operation.create("tl.alloc_barrier", [kind], attributes={"counts": counts}).result


def _is_single(op: ir.Operation, written: list[ir.Value], path: list[ir.Operation]) -> bool:
    """A bulk copy of what nobody writes into a tile that nothing else writes, computed from what both roles share."""
    if op.name != "tl.copy" or "disable_tma" in op.attributes or "async" in op.attributes:
        return False
    source, tile = op.operands
    if scope_of(source) != GLOBAL or scope_of(tile) != SHARED or root(tile) != tile or tma_obstacle(source, tile):
        return False
    if op.parent.name == "scf.for" and tile.owner.operation.parent.operation == op.parent.operation:
        return False  # a tile of the iteration alone shares memory with others
    return written.count(tile) == 1 and root(source) not in written and is_setup_value(source, path, written)
