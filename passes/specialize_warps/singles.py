"""Tiles that are loaded once in front of the pipelined loop: the producer loads them as well, before its first ring.

    consumers: copy Q -> S; loop
    =>
    producer:  arrive full expecting the bytes; load Q -> S; loop
    consumers: wait full; loop

Inside of other loops the tile is given back as well, behind its last use, and has two versions where shared memory has
room for them beside the buffers of the store: the next tile is loaded while this one is worked on.

    producer:  for t: wait empty[t % 2]; arrive full[t % 2] expecting the bytes; load Q[t] -> S[t % 2]; loop
    consumers: for t: wait full[t % 2]; loop over S[t % 2]; arrive empty[t % 2]
"""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from ...dialect.tl import GLOBAL, SHARED, scope_of
from .. import build
from ..nvidia.tma_rules import box_bytes, tma_obstacle
from ..versions import add_versions, redirect, version_of
from .candidate import Candidate, is_setup_value
from .rings import Rounds, ends_of_use, is_access

VERSIONS = 2


class Singles:
    """The single tiles of one kernel, whose consumers' part has been moved to its region."""

    def __init__(self, launch: ir.Operation, split: ir.Operation, found: Candidate, room: int) -> None:
        """`room`: bytes of shared memory that are left for second versions."""
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
        tiles = [copy.operands[1] for copy in self.copies]
        uses = [e for e in region_effects(split) if e.value in tiles and e.op not in self.copies]
        self.accessed = any(is_access(e) for e in uses)  # by threads, not only by products
        walks = any(op.name == "scf.for" for op in found.path)
        self.versions = VERSIONS if walks and self.copies and _bytes(self.copies) <= room else 1
        self.tiles = {tile: add_versions(tile, self.versions) for tile in tiles} if self.versions > 1 else {}
        if self.copies:
            with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]), self.copies[0].location:
                self.full = _barrier(1, self.versions)
                self.empty = _barrier(self.consumers // 32, self.versions) if found.path else None

    def counter(self, threads: int) -> Rounds | None:
        """How often a role has had the tiles; to be created at the start of the role's region."""
        return Rounds(threads, build.constant(0)) if self.copies and self.found.path else None

    def load(self, counter: Rounds | None, clone: Callable[[ir.Value], ir.Value]) -> None:
        """The producer's part, in front of its loop; `clone` computes a value for it that the consumers have."""
        if not self.copies:
            return
        with self.copies[0].location:
            slot = build.constant(0)
            if counter is not None and self.empty is not None:
                before = counter.before()
                slot, phase = self._place(before)
                free = build.binary("xori", phase, build.constant(1))
                ir.Operation.create("tl.mbarrier_wait", [], [self.empty, slot, free])
                if self.accessed:
                    ir.Operation.create("tl.fence_proxy")  # as for a ring's tiles
                counter.advance(before, build.constant(1))
            expect = ir.IntegerAttr.get(build.i32(), _bytes(self.copies))
            ir.Operation.create("tl.mbarrier_arrive", [], [self.full, slot], {"expect": expect})
        for copy in self.copies:
            with copy.location:
                tile = copy.operands[1]
                target = version_of(self.tiles[tile], slot) if self.versions > 1 else tile
                ir.Operation.create("tl.tma_load", [], [clone(copy.operands[0]), target, self.full, slot])

    def use(self) -> None:
        """The consumers' part: the wait where the copies were, the arrival behind the last use."""
        if not self.copies:
            return
        with ir.InsertionPoint.at_block_begin(self.split.regions[1].blocks[0]):
            counter = self.counter(self.consumers)
        with ir.InsertionPoint(self.copies[0]), self.copies[0].location:
            before = counter.before() if counter is not None else build.constant(0)
            slot, phase = self._place(before) if counter is not None else (before, before)
            ir.Operation.create("tl.mbarrier_wait", [], [self.full, slot, phase])
        if counter is not None and self.empty is not None:
            last = self._last_use()
            with ir.InsertionPoint.after(last), last.location:
                if self.accessed:
                    ir.Operation.create("tl.sync_warp")
                ir.Operation.create("tl.mbarrier_arrive", [], [self.empty, slot], {"per_warp": build.unit()})
                counter.advance(before, build.constant(1))
        for copy in self.copies:
            copy.erase()
        for old, new in self.tiles.items():
            redirect(old, new, slot)
            old.owner.operation.erase()

    def _place(self, before: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Version and parity of a round."""
        count = build.constant(self.versions)
        slot = build.binary("remui", before, count) if self.versions > 1 else build.constant(0)
        turn = build.binary("divui", before, count) if self.versions > 1 else before
        return slot, build.binary("andi", turn, build.constant(1))

    def _last_use(self) -> ir.Operation:
        tiles = [copy.operands[1] for copy in self.copies]
        users = [op.operation for op in self.found.loop.block.operations]
        uses = [any(e.value in tiles for e in region_effects(op)) for op in users]
        ends = [end for used, end in zip(uses, ends_of_use(users), strict=True) if used]
        return users[max(len(users) - 2 if end is None else end for end in ends)]


def _bytes(copies: list[ir.Operation]) -> int:
    return sum(box_bytes(copy.operands[1]) for copy in copies)


def _barrier(count: int, versions: int) -> ir.Value:
    kind, counts = ir.Type.parse(f"!tl.barrier<{versions} : i64>"), ir.DenseI64ArrayAttr.get([count] * versions)
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
