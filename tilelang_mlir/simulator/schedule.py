"""Agents and the scheduler: generators that yield a wait object where they block."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from tilelang_mlir.errors import DeadlockError, Location, SimulationError
from tilelang_mlir.simulator.locations import iteration_text

if TYPE_CHECKING:
    from tilelang_mlir.simulator.lanes import Batch, Lanes

Agent = Generator[Any, None, None]
Locate = Callable[[Agent], tuple[Location | None, dict[str, int]]]
_MAX_POLLS = 1000  # rounds in which nothing but tests of a condition ran: the condition will never hold


class Wait(Protocol):
    """Why an agent cannot go on."""

    def ready(self) -> bool: ...
    def resume(self, lanes: Lanes) -> None: ...
    def describe(self) -> str: ...


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
class Fork:
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
class WaitBarrier:
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


@dataclass
class _Entry:
    agent: Agent
    lanes: Lanes
    parent: Fork | None = None
    waiting: Wait | None = None


def run(batch: Batch, root: Agent, lanes: Lanes, locate: Locate) -> None:
    """Run agents to completion.

    Raises:
        DeadlockError: no agent can move and no asynchronous operation is left; notes name what each one waits on.
        Diverged: the same, with several CTAs in the batch, where it may be an artefact of lock step.
    """
    live = [_Entry(root, lanes)]
    idle = 0
    while live:
        moved = False
        if batch.random is not None:
            batch.random.shuffle(live)  # type: ignore[arg-type]
        for entry in list(live):
            if entry.waiting is not None:
                if not entry.waiting.ready():
                    continue
                entry.waiting.resume(entry.lanes)
                idle = idle if isinstance(entry.waiting, Poll) else 0
                entry.waiting = None
            moved = True
            _step(entry, live)
        if moved or batch.land_next():
            continue
        idle += 1
        if idle < _MAX_POLLS and _give_up_polls(live):
            continue
        if batch.ctas > 1:
            raise Diverged
        _report(live, locate)
    batch.land_all()


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


def _report(live: list[_Entry], locate: Locate) -> None:
    notes: list[tuple[str, Location | None]] = []
    for entry in live:
        if entry.waiting is not None and not isinstance(entry.waiting, Fork):
            where, iterations = locate(entry.agent)
            inside = iteration_text(iterations)
            text = f"{_waits(entry.lanes)} on {entry.waiting.describe()}"
            notes.append((f"{text}, {inside}" if inside else text, where))
    summary = "; ".join(text for text, _ in notes)
    raise DeadlockError(f"deadlock, no thread can move: {summary}", notes[0][1] if notes else None, notes=tuple(notes))
