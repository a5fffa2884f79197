"""`insert-barriers`: order accesses of different threads to shared memory.

Input: scheduled program with shared tiles placed. Output: `tl.sync_threads` before every operation that touches bytes
another one may still be reading or writing. Accesses since the last barrier are tracked as byte ranges of the arena, so
tiles that share memory conflict like one tile. A loop is walked twice, the second time with what its end left pending.

Rules, cited in the code:
ASYNC    An asynchronous copy is ordered against what came before it; after it the waits and barriers of the pipelining
         pass decide. A copy marked `ordered` comes with barriers before it too: it goes to another version of its tile
         than the accesses since.
WORDS    Copies that the program waits for itself (`T.async_copy`, `T.ptx_cp_async`) belong to the thread that waits for
         their group: from its wait on they are stores of that thread, which others see behind a barrier.
DIVERGE  A branch whose condition may differ between threads gets its barriers in front of it, never inside; so does a
         loop with such bounds or condition: the accesses of its iterations are the program's to order. Fences may stand
         inside: each thread fences what it accessed itself.
PROXY    Ordinary accesses come before asynchronous ones only with a fence between the proxies: what stores wrote and an
         asynchronous reader reads or a bulk copy overwrites, and what loads read and a bulk copy overwrites, is fenced
         by those threads before the barrier. What copies of single words bring (cp.async) is fenced by those who have
         waited for it at an mbarrier: its arrival there is no thread's.
GROUPS   Regions of different warpgroups run at the same time: the program orders them, with mbarriers. Barriers inside
         such a region are for its own threads, and order nothing for others; one for all threads is in front of the
         first of them. Accesses to what
         asynchronous operations of the kernel use are fenced before an mbarrier is told of them. Regions that were the
         arms of a branch come after all that stands before the branch, in whatever threads that was.
TENSOR   Loads and stores of tensor memory are accesses too; a product's are asynchronous, and ordered by its mbarrier.
         Where no two warps share lanes of a kernel's tiles, loads and stores need order with products only.
PRODUCT  A product under way reads its tiles until it has been waited for: barriers before the wait do not count.
ROLES    The producer's loads are ordered by mbarriers; only the consumers' part is walked. Who splits the roles fences
         the accesses to the rings.
PRIVATE  A parallel loop's iterations do not depend on each other, so it never conflicts with itself.
REPLICAS Threads that run the same iteration, for the fragments that it writes, all read what one of them then
         overwrites: they meet before it does, and before they read it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import Effect, effects
from ..dialect.layout import Fragment
from ..dialect.layout.attrs import from_attr, tensor_from_attr
from ..dialect.layout.tensor import COLUMNS
from ..dialect.location import python_location
from ..dialect.products import PRODUCTS, TENSOR_PRODUCTS
from ..dialect.tl import FRAGMENT, SHARED, TMEM, scope_of
from . import build
from .base import Pass
from .nvidia.tensor_memory import keep_to_lanes
from .pending_accesses import Pending, Range, Spans, Touched, meet
from .plan_shared_memory import tile_bytes
from .thread_branches import BRANCH
from .uniformity import is_uniform, is_uniform_loop
from .walk import launches, members_of, nested, num_threads, threads_of

# What writes shared memory through the asynchronous proxy.
_BULK_LOADS = ("tl.tma_load", "tl.box_load", "tl.tma_gather4", "tl.cluster_copy", "tl.bulk_words")
_ARRIVALS = ("tl.mbarrier_arrive", "tl.mbarrier_state")
_CONTROL = ("scf.if", "scf.for", "scf.while")


@dataclass(frozen=True)
class InsertBarriers(Pass):
    """Insert CTA barriers where shared memory needs them."""

    name: ClassVar[str] = "insert-barriers"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context:
                _Inserter(launch).walk(launch.regions[0].blocks[0], Pending())


def _spans(found: list[Effect], places: dict[ir.Value, Range | None]) -> Spans:
    """The byte ranges of some accesses; `places` keeps those of the buffers that were looked at."""
    spans = Spans(*(set[Range]() for _ in Spans._fields))
    for effect in found:
        if effect.value not in places:
            places[effect.value] = _place(effect.value) if _lies_in(effect, SHARED, TMEM) else None
        place, op = places[effect.value], effect.op
        if place is None or (effect.asynchronous and "ordered" in op.attributes):
            continue  # ASYNC
        if effect.kind == "read":
            spans.reads.add(place)
            if _lies_in(effect, SHARED):  # PROXY, which tensor memory has none of
                (spans.behind if _is_behind(effect) else spans.ordinary).add(place)
            if op.name != "tl.tcgen05_cp" and op.name not in TENSOR_PRODUCTS:
                spans.lasting.add(place)
            continue
        (spans.late if effect.asynchronous else spans.writes).add(place)
        if op.name in _BULK_LOADS:
            spans.bulk.add(place)
        if effect.asynchronous and (op.name == "tl.copy_words" or "explicit" in op.attributes):
            spans.landing.add(place)
    return spans


def _lies_in(effect: Effect, *scopes: str) -> bool:
    return isinstance(effect.value.type, ir.MemRefType) and scope_of(effect.value) in scopes


def _place(buffer: ir.Value) -> Range:
    """Where a buffer lies: bytes of shared memory, or columns of tensor memory below zero."""
    op = buffer.owner.operation
    if scope_of(buffer) == SHARED:
        start = ir.IntegerAttr(op.attributes["tl.offset"]).value
        return start, start + tile_bytes(op)
    arena, column = (ir.IntegerAttr(op.attributes[name]).value for name in ("tl.arena", "tl.column"))
    start = column - COLUMNS * (arena + 1)
    return start, start + tensor_from_attr(op.attributes["layout"]).columns


class _Inserter:
    """The walk of one kernel. Barriers have no effects, so those of an operation stay what they are."""

    def __init__(self, launch: ir.Operation) -> None:
        self.launch = launch
        self.lanes_apart = keep_to_lanes(launch)  # TENSOR
        self.known: dict[ir.Operation, list[Effect]] = {}
        self.known_spans: dict[ir.Operation, Spans] = {}
        self.places: dict[ir.Value, Range | None] = {}  # where buffers lie
        self.arriving: set[ir.Operation] = set()  # with an arrival at an mbarrier inside
        # What a loop leaves, by what was pending before it, as long as no barrier comes in. Without it every level of
        # nesting would double the walks.
        self.loops: dict[tuple[object, ...], Pending] = {}
        self.inserted = 0
        self.uniform: set[ir.Value] = set()  # what is known to be the same in all threads

    def effects(self, op: ir.Operation) -> list[Effect]:
        """The accesses of an operation and of what is nested in it."""
        found = self.known.get(op)
        if found is None:
            found = effects(op)
            for region in op.regions:
                for block in region:
                    for inner in block.operations:
                        found += self.effects(inner.operation)
                        if inner.operation.name in _ARRIVALS or inner.operation in self.arriving:
                            self.arriving.add(op)
            self.known[op] = found
        return found

    def spans(self, op: ir.Operation) -> Spans:
        """Where those accesses go."""
        found = self.known_spans.get(op)
        if found is None:
            found = self.known_spans[op] = _spans(self.effects(op), self.places)
        return found

    @cached_property
    def brought(self) -> set[Range]:
        """Where copies of single words go, anywhere in the kernel."""
        copies = [self.spans(op) for op in nested(self.launch) if op.name == "tl.copy_words"]
        return {place for spans in copies for place in spans.writes | spans.late}

    def order(self, op: ir.Operation, pending: Pending, *, fence: bool) -> None:
        """Put a barrier in front of an operation, behind a fence where the operation works asynchronously."""
        self._note_insertion()
        with ir.InsertionPoint(op), op.location:
            if fence:
                ir.Operation.create("tl.fence_proxy")
                pending.fenced()
            build.sync_threads()
        pending.clear()

    def _fence(self, op: ir.Operation, pending: Pending) -> None:
        self._note_insertion()
        with ir.InsertionPoint(op), op.location:
            ir.Operation.create("tl.fence_proxy")
        pending.fenced()

    def _note_insertion(self) -> None:
        self.inserted += 1
        self.loops.clear()

    def walk(self, block: ir.Block, pending: Pending) -> None:
        for op in list(block.operations):
            self._visit(op.operation, pending)

    def _visit(self, op: ir.Operation, pending: Pending) -> None:
        if op.name == "tl.sync_threads":
            if "id" not in op.attributes or self._meets_block(op):
                pending.clear()
            return
        if "tl.scratch" in op.attributes:
            pending.clear()  # its exchange through shared memory has barriers
            return
        if op.name == "tl.fence_proxy":
            pending.fenced()
            return
        pending.waited(op)
        if op.name in _ARRIVALS and self._tells_engine(op, pending):  # GROUPS
            self._fence(op, pending)
            return
        if op.name == "tl.warpgroups":
            self._visit_warpgroups(op, pending)
            return
        if op.name == "tl.specialize":  # ROLES
            self.walk(op.regions[1].blocks[0], pending)
            return
        if op.name == "tl.tensor_roles":
            self.walk(op.regions[3].blocks[0], pending)
            return
        if op.name in ("scf.for", "scf.while") and is_uniform_loop(op, self.uniform):
            self._visit_loop(op, pending)
            return
        if op.name == "scf.if" and is_uniform(op.operands[0], self.uniform):
            self._visit_branch(op, pending)
            return
        if op.name == "tl.parallel":
            self._order_replicas(op)
        found = self.effects(op)  # DIVERGE, PRIVATE
        if not found and not len(op.regions):
            return
        spans = self.spans(op)
        if pending.arrived and meet(spans.behind, self.brought):  # PROXY
            self._fence(op, pending)
        fence = pending.needs_fence(spans) or (op in self.arriving and self._tells_engine(op, pending))
        if fence or pending.conflicts(self._to_order(op)):
            self.order(op, pending, fence=fence)
        if op.name in _CONTROL:
            inside = Pending(arrived=pending.arrived, landing=set(pending.landing))
            self._fence_inside(op, inside)
            pending.writes |= inside.writes  # WORDS: what some threads have waited for
            pending.unfenced |= inside.unfenced
            pending.landing |= inside.landing
        pending.reads |= spans.lasting
        if op.name == "tl.gemm" and "asynchronous" in op.attributes:  # PRODUCT
            pending.flying[op.operands[2]] = spans.reads
        elif op.name == "tl.wait_products" and len(op.operands):
            pending.flying.pop(op.operands[0], None)
        pending.writes |= spans.writes  # ASYNC: `late` is left to the program
        if op.name not in _CONTROL:
            pending.landing |= spans.landing
        if op.name not in _BULK_LOADS:
            pending.unfenced |= spans.writes
        pending.unfenced_loads |= spans.ordinary

    def _meets_block(self, op: ir.Operation) -> bool:
        """Whether a barrier with a number is the one of all threads."""
        number, count = (op.attributes[name] if name in op.attributes else None for name in ("id", "count"))
        if number is None or count is None or len(op.operands):
            return False
        return ir.IntegerAttr(number).value == 0 and ir.IntegerAttr(count).value == num_threads(self.launch)

    def _to_order(self, op: ir.Operation) -> Spans:
        """What of it is to be ordered with the accesses of other threads."""
        if not self.lanes_apart:
            return self.spans(op)
        return _spans([e for e in self.effects(op) if e.op.name != "tl.copy" or not _lies_in(e, TMEM)], self.places)

    def _fence_inside(self, op: ir.Operation, pending: Pending) -> None:
        """DIVERGE, PROXY, GROUPS: the fences that threads need for what they do in a branch or loop of their own."""
        entry, left = pending.copy(), Pending()
        for _ in range(1 if op.name == "scf.if" else 2):
            for region in op.regions:
                arm = entry.copy() if op.name == "scf.if" else pending
                for block in region:
                    for inner in list(block.operations):
                        self._fence_before(inner.operation, arm)
                left.merge(arm)
        pending.merge(left)

    def _fence_before(self, op: ir.Operation, pending: Pending) -> None:
        if op.name in _CONTROL:
            self._fence_inside(op, pending)
            return
        if op.name == "tl.fence_proxy":
            pending.fenced()
            return
        pending.waited(op)
        spans = self.spans(op)
        brought = pending.arrived and meet(spans.behind, self.brought)
        if brought or pending.needs_fence(spans) or (op.name in _ARRIVALS and self._tells_engine(op, pending)):
            self._fence(op, pending)
        pending.landing |= spans.landing
        if op.name not in _BULK_LOADS:
            pending.unfenced |= spans.writes
        pending.unfenced_loads |= spans.ordinary

    def _order_replicas(self, loop: ir.Operation) -> None:
        """REPLICAS. Where the loop writes no fragment, one of them runs it alone."""
        layout = from_attr(loop.attributes["layout"]) if "layout" in loop.attributes else None
        if not isinstance(layout, Fragment) or (layout.replication == 1 and layout.num_threads >= threads_of(loop)):
            return
        if not any(e.kind == "write" and _lies_in(e, FRAGMENT) for e in self.effects(loop)):
            return
        self._meet_replicas(loop.regions[0].blocks[0], Touched(set(), set()))

    def _meet_replicas(self, block: ir.Block, since: Touched) -> None:
        """REPLICAS, of a block that all threads run; `since` is what they read and wrote since they met."""
        for op in [o.operation for o in block.operations]:
            if op.name == "tl.sync_threads":
                since.clear()
                continue
            if op.name in ("scf.for", "scf.while") and is_uniform_loop(op, self.uniform):
                for region in [*op.regions] * 2:
                    self._meet_replicas(region.blocks[0], since)
                continue
            if op.name == "scf.if" and is_uniform(op.operands[0], self.uniform):
                arms = [(region.blocks[0], since.copy()) for region in op.regions if len(region.blocks)]
                for arm, inside in arms:
                    self._meet_replicas(arm, inside)
                    since.merge(inside)
                continue
            here = Touched.by(self.effects(op))
            if since.meets(here):
                self._note_insertion()
                with ir.InsertionPoint(op), op.location:
                    build.sync_threads()
                since.clear()
            if len(op.regions):
                self._check_branch(op)
            since.merge(here)

    def _check_branch(self, op: ir.Operation) -> None:
        """REPLICAS, DIVERGE: in a branch or loop of some threads they cannot meet.

        Raises:
            UnsupportedError: what is read there is overwritten there.
        """
        for region in op.regions:
            since = Touched(set(), set())
            inner = [o.operation for block in region for o in block.operations]
            for inside in inner if op.name == "scf.if" else inner * 2:
                here = Touched.by(self.effects(inside))
                if since.read & here.written:
                    raise UnsupportedError(
                        "an element that several threads hold a copy of is read and overwritten in a branch of a "
                        "parallel loop", python_location(inside.location),
                        hint="read it in front of the branch: the threads meet before one of them overwrites it",
                    )  # fmt: skip
                since.merge(here)
                if len(inside.regions):
                    self._check_branch(inside)

    def _visit_warpgroups(self, op: ir.Operation, pending: Pending) -> None:
        """GROUPS: ordered against what all threads did before, and against its own threads."""
        key = members_of(op)
        if BRANCH in op.attributes and _beside(op, -1) is None:
            self._enter_branch(op, pending)
        others = {k: left for k, left in pending.groups.items() if k != key}
        before = Pending(pending.reads, pending.writes, pending.unfenced, pending.unfenced_loads)
        inside = self.spans(op)
        fence = before.needs_fence(inside)
        if fence or before.conflicts(inside):
            first = _first_beside(op)
            self.order(first, pending, fence=fence)
            others = {} if first == op else others
        arm = pending.groups.get(key, Pending()).copy()
        arm.unfenced |= pending.unfenced
        arm.unfenced_loads |= pending.unfenced_loads
        arm.landing |= pending.landing
        arm.region = True
        self.walk(op.regions[0].blocks[0], arm)
        pending.groups = {**others, key: arm}

    def _enter_branch(self, op: ir.Operation, pending: Pending) -> None:
        """GROUPS: put a barrier in front of the arms of a branch where one meets what other threads did before it."""
        arm: ir.Operation | None = op
        while arm is not None:
            earlier = Pending()
            for key, left in pending.groups.items():
                if key != members_of(arm):
                    earlier.merge(left.for_others())
            spans = self.spans(arm)
            fence = earlier.needs_fence(spans)
            if fence or earlier.conflicts(spans):
                self.order(op, pending, fence=fence)
                return
            arm = _beside(arm, 1)

    def _tells_engine(self, op: ir.Operation, pending: Pending) -> bool:
        """GROUPS, ROLES: whether an asynchronous operation of the kernel uses what has been accessed and not fenced."""
        if not pending.unfenced and not pending.unfenced_loads:
            return False
        while op != self.launch:
            if op.name == "tl.specialize":
                return False
            op = op.parent.operation
        return pending.needs_fence(self.spans(self.launch))

    def _visit_loop(self, op: ir.Operation, pending: Pending) -> None:
        inside = self.spans(op)
        fence = pending.needs_fence(inside)
        if fence or pending.conflicts(inside):  # once before the loop rather than in every iteration
            self.order(op, pending, fence=fence)
        before = (op, pending.state())
        if before in self.loops:
            pending.become(self.loops[before])
            return
        inserted = self.inserted
        left = Pending()  # a loop with a condition is left behind that
        for _ in range(2):
            entry = pending.copy()
            for region in op.regions:
                self.walk(region.blocks[0], pending)
                if op.name == "scf.while" and region == op.regions[0]:
                    left.merge(pending)
            pending.merge(entry)
        pending.merge(left)
        if inserted == self.inserted:
            self.loops[before] = pending.copy()

    def _visit_branch(self, op: ir.Operation, pending: Pending) -> None:
        after = pending.copy() if any(not len(r.blocks) for r in op.regions) else Pending()
        for region in op.regions:
            if len(region.blocks):
                arm = pending.copy()
                self.walk(region.blocks[0], arm)
                after.merge(arm)
        pending.clear()
        pending.fenced()
        pending.merge(after)


def _beside(op: ir.Operation, step: int) -> ir.Operation | None:
    """The arm of the same branch in front of a region, or behind it; arithmetic may stand between them."""
    others = [o.operation for o in op.block.operations if not o.operation.name.startswith("arith.")]
    place = others.index(op) + step
    return others[place] if 0 <= place < len(others) and _same_branch(op, others[place]) else None


def _same_branch(op: ir.Operation, other: ir.Operation) -> bool:
    return BRANCH in other.attributes and other.attributes[BRANCH] == op.attributes[BRANCH]


def _first_beside(op: ir.Operation) -> ir.Operation:
    """The first of the regions in front of one that run at the same time: a barrier of all threads between them would
    keep their threads apart."""
    others = [o.operation for o in op.block.operations]
    first, taken = op, set(members_of(op))
    for other in reversed(others[: others.index(op)]):
        if other.name == op.name and BRANCH in op.attributes and not _same_branch(op, other):
            break
        if other.name == op.name and not taken & set(members_of(other)):
            first = other
            taken |= set(members_of(other))
        elif not other.name.startswith("arith."):
            break
    return first


def _reads_asynchronously(op: ir.Operation) -> bool:
    """PROXY: warpgroup products and bulk stores read shared memory behind the threads' backs."""
    bulk = ("tl.tma_store", "tl.box_store", "tl.tma_scatter4", "tl.cluster_copy", "tl.shared_address", "tl.tcgen05_cp")
    return op.name in (*bulk, *TENSOR_PRODUCTS) or op.name in PRODUCTS and "instr" in op.attributes


def _is_behind(effect: Effect) -> bool:
    """PROXY: whether a read goes behind the threads' backs: metadata of sparse products they read themselves."""
    metadata = effect.op.name == "tl.gemm_sp" and effect.tile == effect.op.operands[1]
    return _reads_asynchronously(effect.op) and not metadata
