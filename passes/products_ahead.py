"""Pipelined loops whose first product is started an iteration ahead of its use.

    for k: S = A B[k]; wait O; wait S; f(S) -> P; O += P V[k]
    =>
    load B[lb ..]; load V[lb]; start S = A B[lb]
    for k: start S' = A B[k + 1]; wait S; load B[k + stages]; f(S) -> P (wait O only where f touches O)
           wait O; load V[k + 1]; O += P V[k];   S, S' = S', S

so that tensor cores have a product to do while the threads compute. B is loaded one iteration further ahead than what
the rest of the loop reads, into as many versions: a product that is complete gives its version back at once.

Two versions of S let its product start before the threads have read the last one. They take columns: where fewer blocks
would fit on a multiprocessor for them, S has one version. Then its product starts where all threads have met since they
read S: in front of the second product, at whose operand they meet anyway. That one runs under the next f, and only S
itself is waited for.

What qualifies: the product starts from zero, its operands are tiles that nothing else reads, or that the loop does not
change, and its sum passes through tensor memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import region_effects, root
from ..dialect.layout.tensor import COLUMNS
from ..dialect.tl import SHARED, scope_of
from . import build, bulk_pipeline
from .fragment_demand import most_at_once
from .nvidia.tma_rules import box_bytes
from .plan_tensor_memory import PASSING, THREADS, arena_with
from .specialize_warps.rings import Rounds, trip_count
from .specialize_warps.stores import shared_bytes
from .use_tensor_memory import barriers
from .versions import RELEASED, Versions, add_versions, inside, redirect, version_of
from .walk import nested, num_threads

_FEWEST_REGISTERS = 32  # of a thread
_PRODUCT, _COMMIT, _WAIT = "tl.tcgen05_mma", "tl.tcgen05_commit", "tl.mbarrier_wait"


@dataclass(frozen=True)
class Ahead:
    """What is started ahead: the product, its commit and its wait, the loads of its tiles, and how many versions its
    sum has. `second` is the product behind which nothing else starts; None where there is none."""

    product: ir.Operation
    commit: ir.Operation
    wait: ir.Operation
    loads: list[ir.Operation]
    versions: int
    second: ir.Operation | None

    @property
    def sum(self) -> ir.Value:
        return self.product.operands[2]


def find(
    loop: ir.Operation, launch: ir.Operation, loads: list[ir.Operation], stages: int, target: Target
) -> Ahead | None:
    """The product of a loop that can be started an iteration ahead."""
    body = _body(loop)
    products = [op for op in body if op.name == _PRODUCT]
    if not products or not _passes_through(products[0]):
        return None
    product, follows = products[0], body[body.index(products[0]) + 1]
    if follows.name != _COMMIT:
        return None
    waits = [use.owner.operation for use in follows.operands[0].uses if use.owner.operation != follows]
    if len(waits) != 1 or waits[0].name != _WAIT or waits[0] not in body:
        return None
    early = _own_loads(product, loop, loads)
    if not early:
        return None
    second = products[1] if len(products) > 1 else None
    met = second is not None and all(_precedes(use.owner.operation, second, body) for use in product.operands[2].uses)
    versions = _Room.of(launch, loads, stages, target).versions(product.operands[2], met=met)
    return Ahead(product, follows, waits[0], early, versions, second) if versions else None


def _precedes(op: ir.Operation, other: ir.Operation, body: list[ir.Operation]) -> bool:
    """Whether an operation is complete before another one of the body."""
    if op.name == "tl.slice":
        return all(_precedes(use.owner.operation, other, body) for use in op.results[0].uses)
    return op in body and body.index(op) < body.index(other)


def _body(loop: ir.Operation) -> list[ir.Operation]:
    return [view.operation for view in loop.regions[0].blocks[0].operations]


def _passes_through(product: ir.Operation) -> bool:
    """Whether a product's sum starts from zero and keeps nothing from one iteration to the next."""
    c, keeps = product.operands[2], product.operands[3].owner
    if root(c) != c or PASSING not in c.owner.operation.attributes or isinstance(keeps, ir.Block):
        return False
    keeps = keeps.operation
    zero = keeps.name == "arith.constant" and not ir.IntegerAttr(keeps.attributes["value"]).value
    writers = [use for use in c.uses if use.owner.operation.name == _PRODUCT]
    return zero and len(writers) == 1


def _own_loads(product: ir.Operation, loop: ir.Operation, loads: list[ir.Operation]) -> list[ir.Operation]:
    """The loads of the tiles that only this product reads; none where another operand changes in the loop."""
    effects = region_effects(loop)
    found: list[ir.Operation] = []
    for value in list(product.operands)[:2]:
        own = [op for op in loads if op.operands[1] == value]
        users = {use.owner.operation for use in value.uses}
        if own and users == {own[0], product}:
            found += [op for op in own if op not in found]
        elif _is_inside(value, loop) or any(e.kind == "write" and e.value == root(value) for e in effects):
            return []
    return found


def _is_inside(value: ir.Value, loop: ir.Operation) -> bool:
    owner = value.owner
    return not isinstance(owner, ir.Block) and inside(owner.operation, loop)


@dataclass(frozen=True)
class _Room:
    """What a kernel's blocks leave of tensor memory: as many of them as fit on a multiprocessor for other reasons."""

    launch: ir.Operation
    blocks: int

    @staticmethod
    def of(launch: ir.Operation, loads: list[ir.Operation], stages: int, target: Target) -> _Room:
        """`stages` versions of the tiles that are loaded; registers as few as fragments take."""
        ring = (stages - 1) * sum(box_bytes(op.operands[1]) for op in loads)
        threads, registers = num_threads(launch), max(most_at_once(list(nested(launch))), _FEWEST_REGISTERS)
        shared = target.max_shared_bytes // max(shared_bytes(launch) + ring, 1)
        return _Room(launch, min(shared, THREADS // threads, target.registers // (threads * registers)))

    def versions(self, total: ir.Value, *, met: bool) -> int:
        """Versions of a sum; 0 where there is no room for it beside other tiles in tensor memory. One is enough only
        where threads meet (`met`) before the product is started."""
        now = min(self.blocks, COLUMNS // arena_with(self.launch, {}))
        for versions in (2, 1) if met else (2,):
            if COLUMNS // arena_with(self.launch, {total: versions}) >= max(now, 1):
                return versions
        return 0


def expand(found: Ahead, loop: ir.Operation, loads: list[ir.Operation], stages: int, launch: ir.Operation) -> None:
    """Rewrite a loop; its loads become bulk copies ahead of their use."""
    rest = [op for op in loads if op not in found.loads]
    with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]):
        runs_again = loop.parent.operation != launch
        rounds = Rounds(num_threads(launch), build.constant(0)) if runs_again else None
        groups = [_Group(Versions(loop, part, stages), barriers([1] * stages)) for part in (found.loads, rest) if part]
    _Rewriting(found, *groups).run(rounds)


@dataclass(frozen=True)
class _Group:
    """Tiles that are loaded together, and the barriers at which they arrive."""

    versions: Versions
    full: ir.Value

    def wait(self, number: ir.Value) -> None:
        operands = [self.full, self.versions.slot(number), self.versions.phase(number)]
        ir.Operation.create(_WAIT, [], operands)

    def load(self, variable: ir.Value, number: ir.Value, ahead: int, *, ordered: bool = True) -> None:
        """The tiles of so many iterations after one."""
        bulk_pipeline.load(self.versions, variable, number, ahead, self.full, ordered=ordered)


class _Rewriting:
    """The rewriting of one loop."""

    def __init__(self, found: Ahead, early: _Group, late: _Group | None = None) -> None:
        self.found, self.early, self.late = found, early, late
        self.loop, self.stages = early.versions.loop, early.versions.stages
        self.bounds = (early.versions.lower, early.versions.upper, early.versions.step)
        self.variable = early.versions.body.arguments[0]
        self.old = found.product.operands[2]
        self.sum = add_versions(self.old, found.versions)
        with ir.InsertionPoint(found.commit.operands[0].owner.operation):
            self.done = barriers([1] * found.versions)
        del self.sum.owner.operation.attributes[PASSING]

    def run(self, rounds: Rounds | None) -> None:
        lower, _, step = self.bounds
        with ir.InsertionPoint(self.loop):
            before = rounds.before() if rounds else build.constant(0)
            for ahead in range(self.stages):
                self.early.load(lower, before, ahead, ordered=False)
            for ahead in range(self.stages - 1):
                if self.late is not None:
                    self.late.load(lower, before, ahead, ordered=False)
            with self._while_there_is(lower):
                self.early.wait(before)
                self._start(before)
        if rounds:
            with ir.InsertionPoint.after(self.loop):
                rounds.advance(before, trip_count(*self.bounds))
        with ir.InsertionPoint(_body(self.loop)[0]):
            number = build.binary("addi", before, self.early.versions.trip(self.variable, list(self.bounds)))
            following = build.binary("addi", self.variable, step), build.binary("addi", number, build.constant(1))
            slot, tile = self._slot(number), self.early.versions.slot(number)
            if self.found.versions > 1:
                with self._while_there_is(following[0]):
                    self.early.wait(following[1])
                    self._start(following[1])
        if self.found.versions == 1:
            self._start_before_second(*following)
        self._wait_for_sum(number, slot)
        self._load_late(number)
        self._clean_up(slot, tile)

    def _while_there_is(self, variable: ir.Value) -> ir.InsertionPoint:
        """Inside of a branch to an iteration of the loop."""
        return ir.InsertionPoint(build.terminator(build.branch(build.compare(2, variable, self.bounds[1]))))

    def _slot(self, number: ir.Value) -> ir.Value:
        return build.binary("remui", number, build.constant(self.found.versions))

    def _start(self, number: ir.Value) -> None:
        """The product of an iteration, and its completion."""
        versions, old = self.early.versions, self.found.product
        with old.location:
            tile, slot = versions.slot(number), self._slot(number)
            sides = [versions.version(v, tile) if v in versions.tiles else v for v in list(old.operands)[:2]]
            operands = [*sides, version_of(self.sum, slot), build.truth(False)]
            ir.Operation.create(_PRODUCT, [], operands, build.attributes_of(old))
            ir.Operation.create(_COMMIT, [], [self.done, slot])

    def _start_before_second(self, variable: ir.Value, number: ir.Value) -> None:
        """All threads have read the sum, and have waited for the tiles, when they meet."""
        second = self.found.second
        assert second is not None
        with ir.InsertionPoint(second):
            with self._while_there_is(variable):
                self.early.wait(number)
            if scope_of(second.operands[0]) == SHARED:
                ir.Operation.create("tl.fence_proxy")
            build.sync_threads()
            with self._while_there_is(variable):
                self._start(number)

    def _wait_for_sum(self, number: ir.Value, slot: ir.Value) -> None:
        """The product has read its tiles, too: the ones that take their places are loaded."""
        with ir.InsertionPoint(self.found.wait), self.found.wait.location:
            round_ = build.binary("divui", number, build.constant(self.found.versions))
            ir.Operation.create(_WAIT, [], [self.done, slot, build.binary("andi", round_, build.constant(1))])
            self.early.load(self.variable, number, self.stages)

    def _load_late(self, number: ir.Value) -> None:
        """What the rest of the loop reads is loaded where it was before: behind the waits for its last readers."""
        body = _body(self.loop)
        for wait in [op for op in body if RELEASED in op.attributes]:
            self._defer(wait)
        if self.late is None:
            return
        versions = self.late.versions
        released, used = versions.released(), self._first_use(self.late)
        accessed = bulk_pipeline.is_accessed(versions)
        if released is None:
            with ir.InsertionPoint(used):
                bulk_pipeline.release(accessed)
                self.late.load(self.variable, number, self.stages - 1)
                self.late.wait(number)
            return
        body = _body(self.loop)
        with ir.InsertionPoint(min(used, released, key=body.index)):
            self.late.wait(number)
        with ir.InsertionPoint.after(released):
            if accessed:
                bulk_pipeline.release(accessed)
            self.late.load(self.variable, number, self.stages - 1)

    def _first_use(self, group: _Group) -> ir.Operation:
        tiles, body = group.versions.tiles, _body(self.loop)
        others = (op for op in body if op not in group.versions.copies)
        return next((op for op in others if any(e.value in tiles for e in region_effects(op))), body[-1])

    def _defer(self, wait: ir.Operation) -> None:
        """Wait for a product of the iteration before where something needs it: it is behind the one started ahead."""
        body = _body(self.loop)
        commit = next(op for op in body if op.name == _COMMIT and op.operands[0] == wait.operands[0])
        product = body[body.index(commit) - 1]
        a, b, c = (root(v) for v in list(product.operands)[:3])
        loads = [*self.early.versions.copies, *(self.late.versions.copies if self.late else ())]

        def needs(op: ir.Operation) -> bool:
            return any(e.value == c or (e.kind == "write" and e.value in (a, b)) for e in region_effects(op))

        for op in body[body.index(wait) + 1 : body.index(product)]:
            if op in loads or not needs(op):
                continue
            if op.name != "scf.if":
                wait.move_before(op)
                return
            for arm in [region.blocks[0] for region in op.regions if len(region.blocks)]:
                if any(needs(view.operation) for view in arm.operations):
                    with ir.InsertionPoint.at_block_begin(arm), wait.location:
                        ir.Operation.create(_WAIT, [], list(wait.operands))
        wait.move_before(product)

    def _clean_up(self, slot: ir.Value, tile: ir.Value) -> None:
        found = self.found
        phase, barrier = found.wait.operands[2].owner.operation.operands[0], found.commit.operands[0]
        for op in (found.product, found.commit, found.wait):
            op.erase()
        for op in [use.owner.operation for use in phase.uses if use.owner.operation.name == "memref.store"]:
            op.erase()
        barrier.owner.operation.erase()
        redirect(self.old, self.sum, slot)
        self.old.owner.operation.erase()
        for group in (self.early, self.late):
            if group is not None:
                group.versions.finish(tile)
