"""Agents and the scheduler: generators that yield a wait object where they block."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from tilelang_mlir.errors import (
    ArrivalCountError,
    DeadlockError,
    Location,
    SimulationError,
    TransactionBytesError,
)
from tilelang_mlir.simulator.locations import iteration_text

if TYPE_CHECKING:
    from tilelang_mlir.simulator.batch import Batch
    from tilelang_mlir.simulator.lanes import Lanes

Agent = Generator[Any, None, None]
Locate = Callable[[Agent], tuple[Location | None, dict[str, int]]]
_MAX_POLLS = 1000  # rounds in which nothing but tests of a condition ran: the condition will never hold


class Wait(Protocol):
    """Why an agent cannot go on."""

    def ready(self) -> bool: ...
    def resume(self, lanes: Lanes) -> None: ...
    def describe(self) -> str: ...

    def trouble(self) -> str:
        """What is wrong when nothing can move: a key of `_KINDS`, or where the wait is (`barrier`)."""
        return ""

    def waits_for(self) -> list[str]:
        """The agents, by name, that can end the wait."""
        return []


@runtime_checkable
class Poll(Protocol):
    """A wait that may also give up: a test of a condition. It gives up when nothing else can move."""

    def give_up(self) -> None: ...


class Diverged(Exception):
    """CTAs of a batch part ways where all must move together; the batch must run again in groups.

    `groups` has one key per CTA of the batch, equal for CTAs that go the same way; None: every CTA alone.
    """

    def __init__(self, groups: np.ndarray | None = None) -> None:
        super().__init__("the CTAs of a batch go different ways")
        self.groups = groups


@dataclass
class Fork(Wait):
    """Wait for child agents: the two sides of a branch on the thread whose body blocks."""

    children: list[tuple[Agent, Lanes]]
    left: int = 0

    def ready(self) -> bool:
        return self.left == 0

    def resume(self, lanes: Lanes) -> None:
        for _, child in self.children:
            lanes.private.merge(child.private, child.columns)

    def describe(self) -> str:
        return "its branches"


@dataclass
class WaitBarrier(Wait):
    """Wait until `expected` threads have arrived at a named barrier."""

    number: int
    expected: int
    arrived: int = 0
    done: bool = False
    kind: str = ""  # of a reduction: popc, and, or
    votes: np.ndarray | None = None  # of a reduction: how many threads of each CTA voted yes
    waiters: list[Lanes] = field(default_factory=list)
    arrivers: list[Lanes] = field(default_factory=list)

    def vote(self, kind: str, votes: np.ndarray) -> None:
        """Add the yes votes (C) of arriving threads.

        Raises:
            SimulationError: other threads came for another operation.
        """
        if self.arrived and kind != self.kind:
            raise SimulationError(f"barrier {self.number} is used for bar.{self.kind or 'sync'} and bar.{kind} at once")
        self.kind = kind
        self.votes = votes if self.votes is None else self.votes + votes

    def outcome(self) -> np.ndarray:
        """The result of a reduction (C, 1), i32."""
        assert self.votes is not None
        result = {"popc": self.votes, "and": self.votes == self.expected, "or": self.votes > 0}[self.kind]
        return result.astype(np.int32)[:, None]

    def ready(self) -> bool:
        return self.done

    def resume(self, lanes: Lanes) -> None:
        """Clocks were joined when the last thread arrived."""

    def describe(self) -> str:
        names = ", ".join(lanes.name for lanes in self.waiters + self.arrivers)
        return f"barrier {self.number}: {self.arrived} of {self.expected} threads arrived ({names})"

    def trouble(self) -> str:
        return "barrier"


@dataclass
class GridBarrier:
    """The barrier of all `ctas` CTAs of a launch, whose batches run side by side."""

    ctas: int
    here: set[int] = field(default_factory=set)
    waits: list[WaitGrid] = field(default_factory=list)

    def arrive(self, lanes: Lanes) -> WaitGrid | None:
        """The CTAs of a batch arrive. Returns what to wait for; None where they are the last."""
        wait = WaitGrid(self, lanes)
        self.here.update(lanes.batch.ids.tolist())
        self.waits.append(wait)
        if len(self.here) < self.ctas:
            return wait
        for each in self.waits:
            each.done = True
            if each.lanes.batch.checker is not None:
                each.lanes.batch.checker.meet_grid(each.lanes)
        self.here, self.waits = set(), []
        return None


@dataclass
class WaitGrid(Wait):
    """Wait until all CTAs have come to the barrier of the grid."""

    barrier: GridBarrier
    lanes: Lanes
    done: bool = False

    def ready(self) -> bool:
        return self.done

    def resume(self, lanes: Lanes) -> None:
        """Clocks were joined when the last CTA arrived."""

    def describe(self) -> str:
        missing = sorted(set(range(self.barrier.ctas)) - self.barrier.here)
        names = ", ".join(map(str, missing[:4])) + (", ..." if len(missing) > 4 else "")
        come = f"{len(self.barrier.here)} of {self.barrier.ctas} CTAs have come"
        return f"the barrier of the grid: {come}, not CTA {names}"

    def trouble(self) -> str:
        return "barrier"


@dataclass
class _Entry:
    agent: Agent
    lanes: Lanes
    parent: Fork | None = None
    waiting: Wait | None = None


@dataclass
class Spin(Wait):
    """A loop that reads device memory until, maybe, another CTA writes it: it goes round when nothing else can move.

    A round that changes nothing of what the lanes hold gets nowhere by itself.
    """

    lanes: Lanes
    fruitless: bool = False
    _again: bool = False
    _state: list[Any] = field(default_factory=list)

    def round(self, *values: Any) -> Spin:
        """Another round, with these loop-carried values."""
        state = [*values, *self.lanes.private.state(), self.lanes.active()]
        self.fruitless = len(state) == len(self._state) and all(
            a is b or np.array_equal(a, b) for a, b in zip(state, self._state, strict=True)
        )
        self._state = state
        return self

    def give_up(self) -> None:
        self._again = True

    def ready(self) -> bool:
        return self._again

    def resume(self, lanes: Lanes) -> None:
        self._again = False

    def describe(self) -> str:
        ids = self.lanes.batch.ids
        return f"a loop over device memory, in CTA {ids[0]}" + (f" to {ids[-1]}" if len(ids) > 1 else "")


@dataclass
class Start:
    """A batch, and the agent that runs it."""

    batch: Batch
    root: Agent
    lanes: Lanes


def run(starts: list[Start], locate: Locate) -> None:
    """Run agents to completion, those of all batches side by side.

    Raises:
        DeadlockError: no agent can move and no asynchronous operation is left; notes name what each one waits on.
        Diverged: the same, with several CTAs or clusters in a batch, where it may be an artefact of lock step.
    """
    live = [_Entry(start.root, start.lanes) for start in starts]
    random, idle = starts[0].batch.random, 0
    while live:
        moved = False
        if random is not None:
            random.shuffle(live)
        for entry in list(live):
            before = entry.waiting
            if before is not None:
                if not before.ready():
                    continue
                before.resume(entry.lanes)
                entry.waiting = None
            moved = True
            _step(entry, live)
            idle = idle if isinstance(before, Poll) and _same_poll(before, entry.waiting) else 0
        if moved or any([start.batch.land_next() for start in starts]):
            continue
        idle += 1
        if idle < _MAX_POLLS and _give_up_polls(live):
            continue
        if any(start.batch.ctas > start.batch.cluster for start in starts):
            raise Diverged
        _report(live, locate)
    for start in starts:
        start.batch.land_all()


def _same_poll(before: Wait, after: Wait | None) -> bool:
    """Whether an agent that has tested a condition tests again, rather than goes on."""
    if isinstance(before, Spin):
        return after is before and before.fruitless
    return isinstance(after, Poll)


def _give_up_polls(live: list[_Entry]) -> bool:
    """Let agents that only test a condition go on without it; whether there are any."""
    polls = [e.waiting for e in live if isinstance(e.waiting, Poll)]
    for poll in polls:
        poll.give_up()
    return bool(polls)


def _step(entry: _Entry, live: list[_Entry]) -> None:
    try:
        wait = next(entry.agent)
    except StopIteration:
        live.remove(entry)
        if entry.parent is not None:
            entry.parent.left -= 1
        return
    entry.waiting = wait
    if isinstance(wait, Fork):
        wait.left = len(wait.children)
        live.extend(_Entry(agent, lanes, wait) for agent, lanes in wait.children)


def _waits(lanes: Lanes) -> str:
    return f"{lanes.name} wait{'' if lanes.count > 1 else 's'}"


# By what is wrong, the first that applies: the error and what it begins with.
_KINDS = {
    "bytes": (TransactionBytesError, "deadlock, copies bring other than the expected bytes"),
    "arrivals": (ArrivalCountError, "deadlock, arrivals do not match what is waited for"),
    "": (DeadlockError, "deadlock, no thread can move"),
}


def _report(live: list[_Entry], locate: Locate) -> None:
    stuck = [(e, e.waiting) for e in live if e.waiting is not None and not isinstance(e.waiting, Fork)]
    notes: list[tuple[str, Location | None]] = []
    for entry, wait in stuck:
        where, iterations = locate(entry.agent)
        inside = iteration_text(iterations)
        text = f"{_waits(entry.lanes)} on {wait.describe()}"
        notes.append((f"{text}, {inside}" if inside else text, where))
    troubles = [wait.trouble() for _, wait in stuck]
    kind = next((kind for kind in _KINDS if kind in troubles), "")
    error, what = _KINDS[kind]
    where = notes[troubles.index(kind) if kind in troubles else 0][1] if notes else None
    summary = "; ".join(dict.fromkeys(text for text, _ in notes))
    raise error(f"{what}: {summary}", where, notes=(*dict.fromkeys(notes), *dict.fromkeys(_graph(stuck))))


def _graph(stuck: list[tuple[_Entry, Wait]]) -> list[tuple[str, Location | None]]:
    """The wait-for graph: for each agent that waits, those that can end its wait."""
    lines: list[tuple[str, Location | None]] = []
    for entry, wait in stuck:
        others = "; ".join(name for name in wait.waits_for() if name != entry.lanes.name)
        lines.append((f"wait-for graph: {entry.lanes.name} -> {others or 'nobody else'}", None))
    return lines
