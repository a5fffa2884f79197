"""What `insert-barriers` carries along its walk: byte ranges that were accessed and not ordered since.

Rules in capitals are those of `insert_barriers.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tilelang_mlir.mlir import ir

from ..dialect.effects import Effect
from ..dialect.tl import GLOBAL, SHARED, scope_of

Range = tuple[int, int]


class Spans(NamedTuple):
    """The byte ranges that accesses touch, by what the rules ask."""

    reads: set[Range]
    writes: set[Range]
    late: set[Range]  # written asynchronously
    behind: set[Range]  # read behind the threads' backs (PROXY)
    ordinary: set[Range]  # read by the threads themselves
    bulk: set[Range]  # written by bulk copies
    lasting: set[Range]  # TENSOR: read until the operation ends, or a barrier
    landing: set[Range]  # WORDS: where copies go that the program waits for itself


@dataclass
class Touched:
    """Buffers of all threads that those which run the same iteration read and wrote (REPLICAS)."""

    read: set[ir.Value]
    written: set[ir.Value]

    @staticmethod
    def by(found: list[Effect]) -> Touched:
        shown = [e for e in found if isinstance(e.value.type, ir.MemRefType) and scope_of(e.value) in (SHARED, GLOBAL)]
        read, written = ({e.value for e in shown if e.kind == kind} for kind in ("read", "write"))
        return Touched(read, written)

    def meets(self, later: Touched) -> bool:
        """Whether what comes later overwrites what was read, or reads what was written."""
        return bool(self.read & later.written or self.written & later.read)

    def copy(self) -> Touched:
        return Touched(set(self.read), set(self.written))

    def merge(self, other: Touched) -> None:
        self.read |= other.read
        self.written |= other.written

    def clear(self) -> None:
        self.read.clear()
        self.written.clear()


@dataclass
class Pending:
    """Byte ranges accessed since the last barrier, those written and those read since the last fence between the
    proxies, and those that products under way read, by accumulator."""

    reads: set[Range] = field(default_factory=set)
    writes: set[Range] = field(default_factory=set)
    unfenced: set[Range] = field(default_factory=set)
    unfenced_loads: set[Range] = field(default_factory=set)
    flying: dict[ir.Value, set[Range]] = field(default_factory=dict)
    groups: dict[range, Pending] = field(default_factory=dict)  # what regions of some warpgroups left
    arrived: bool = False  # an mbarrier was waited for since the last fence: it may have told of copies of words
    landing: set[Range] = field(default_factory=set)  # where the program's own copies go that were not waited for
    # GROUPS: what the threads of a region read and wrote before a barrier of theirs, at which others do not meet.
    region: bool = False
    met_reads: set[Range] = field(default_factory=set)
    met_writes: set[Range] = field(default_factory=set)

    def copy(self) -> Pending:
        flying = {accumulator: set(ranges) for accumulator, ranges in self.flying.items()}
        groups = {key: left.copy() for key, left in self.groups.items()}
        sets = (set(self.reads), set(self.writes), set(self.unfenced), set(self.unfenced_loads))
        met = (self.region, set(self.met_reads), set(self.met_writes))
        return Pending(*sets, flying, groups, self.arrived, set(self.landing), *met)

    def merge(self, other: Pending) -> None:
        self.reads |= other.reads
        self.writes |= other.writes
        self.unfenced |= other.unfenced
        self.unfenced_loads |= other.unfenced_loads
        self.arrived = self.arrived or other.arrived
        self.landing |= other.landing
        self.met_reads |= other.met_reads
        self.met_writes |= other.met_writes
        for accumulator, ranges in other.flying.items():
            self.flying[accumulator] = self.flying.get(accumulator, set()) | ranges
        for key, left in other.groups.items():
            self.groups.setdefault(key, Pending()).merge(left)

    def clear(self) -> None:
        total = self.everywhere()
        if self.region:
            self.met_reads |= total.reads
            self.met_writes |= total.writes
        self.reads.clear()
        self.writes.clear()
        # A barrier is no fence.
        self.unfenced, self.unfenced_loads = total.unfenced, total.unfenced_loads
        self.groups.clear()
        for ranges in self.flying.values():  # a barrier does not end a product
            self.reads |= ranges

    def waited(self, op: ir.Operation) -> None:
        """What a thread knows behind a wait: that others arrived, that copies of its own landed (WORDS)."""
        if op.name in ("tl.mbarrier_wait", "tl.mbarrier_test"):
            self.arrived = True
        if op.name == "tl.wait_group":
            self.writes |= self.landing
            self.unfenced |= self.landing
            self.landing = self.landing if ir.IntegerAttr(op.attributes["pending"]).value else set()

    def everywhere(self) -> Pending:
        """With what the regions of warpgroups left: all threads are meant."""
        total = Pending(set(self.reads), set(self.writes), set(self.unfenced), set(self.unfenced_loads))
        for left in self.groups.values():
            total.merge(left.for_others())
        return total

    def for_others(self) -> Pending:
        """Of a region, what other threads have to be ordered after: a barrier of its own threads is none for them."""
        total = self.everywhere()
        total.reads |= self.met_reads
        total.writes |= self.met_writes
        return total

    def state(self) -> tuple[object, ...]:
        """What is pending, to be compared."""
        sets = (self.reads, self.writes, self.unfenced, self.unfenced_loads, self.landing)
        sets += (self.met_reads, self.met_writes)
        flying = frozenset((accumulator, frozenset(ranges)) for accumulator, ranges in self.flying.items())
        groups = frozenset((key, left.state()) for key, left in self.groups.items())
        return *(frozenset(ranges) for ranges in sets), flying, groups, self.arrived

    def become(self, other: Pending) -> None:
        """Take over a copy of what is pending elsewhere."""
        new = other.copy()
        self.reads, self.writes, self.unfenced = new.reads, new.writes, new.unfenced
        self.unfenced_loads, self.flying, self.groups = new.unfenced_loads, new.flying, new.groups
        self.arrived, self.landing = new.arrived, new.landing
        self.region, self.met_reads, self.met_writes = new.region, new.met_reads, new.met_writes

    def fenced(self) -> None:
        self.unfenced.clear()
        self.unfenced_loads.clear()
        self.arrived = False

    def needs_fence(self, spans: Spans) -> bool:
        """PROXY: whether asynchronous ones among these accesses meet ordinary ones that no fence has followed."""
        if not spans.behind and not spans.bulk:
            return False
        total = self.everywhere() if self.groups else self
        return meet(spans.behind | spans.bulk, total.unfenced) or meet(spans.bulk, total.unfenced_loads)

    def conflicts(self, spans: Spans) -> bool:
        """Whether accesses meet others since the last barrier, one of the two a write."""
        writes = spans.writes | spans.late
        if not spans.reads and not writes:
            return False
        total = self.everywhere() if self.groups else self
        return meet(spans.reads, total.writes) or meet(writes, total.writes) or meet(writes, total.reads)


def meet(a: set[Range], b: set[Range]) -> bool:
    """Whether a range of one set has bytes in common with one of the other."""
    return any(x[0] < y[1] and y[0] < x[1] for x in a for y in b)
