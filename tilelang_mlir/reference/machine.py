"""How instructions run: frames of lanes, the order of CTAs, and threads that wait for each other.

Code outside `tl.parallel` runs once for all threads of a CTA: a value is one number while all threads agree and an
array
over the threads where they do not. Inside `tl.parallel` a value is an array that broadcasts to the iteration space. A
branch that only some threads take runs under a mask. When such a branch has to wait for a barrier it is set aside and
the other threads go on, which is all that warp-specialised programs need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tilelang_mlir.errors import DeadlockError, TileError, UnsupportedError
from tilelang_mlir.reference.memory import Buffer
from tilelang_mlir.reference.program import Code, Instruction
from tilelang_mlir.reference.types import Array, Value

# Rounds in which every suspended CTA ran and nothing changed, after which the program counts as stuck.
_STUCK_ROUNDS = 1000


@dataclass(eq=False)
class Machine:
    """One run of a host function. `events` counts changes that a waiting thread could be waiting for."""

    events: int = 0
    printed: list[str] = field(default_factory=list)
    grid_size: int = 0
    grid_arrived: int = 0
    grid_phase: int = 0


@dataclass(eq=False)
class Cta:
    """One CTA: thread counts, and branches set aside because they wait."""

    machine: Machine
    threads: tuple[int, int, int]
    index: tuple[int, ...]
    warp_size: int = 32
    cluster: tuple[int, int, int] = (1, 1, 1)
    waiting: list[Iterator[str]] = field(default_factory=list)


@dataclass(eq=False)
class Frame:
    """Where code runs: values by slot, the shape of the lanes, and which of them are active (None: all)."""

    env: list[Any]
    machine: Machine
    cta: Cta | None = None
    lanes: tuple[int, ...] = ()
    mask: Array | None = None
    parallel: bool = False
    aside: bool = False  # this is a branch that was set aside
    private: dict[Buffer, Buffer] = field(default_factory=dict)

    def under(self, mask: Array | None) -> Frame:
        """The same place with fewer active lanes."""
        both = mask if self.mask is None else self.mask if mask is None else self.mask & mask
        return Frame(self.env, self.machine, self.cta, self.lanes, both, self.parallel, self.aside, self.private)

    def active(self) -> Array:
        """The mask, spread over all lanes."""
        return np.broadcast_to(True if self.mask is None else self.mask, self.lanes)

    def threads(self) -> Cta:
        """The CTA this code runs in."""
        if self.cta is None:
            raise UnsupportedError("this op has no meaning outside of a kernel")
        return self.cta


def run(code: Code, frame: Frame) -> Iterator[str]:
    """Execute a block. Yields the reason whenever the threads that run it have to wait."""
    instruction: Instruction | None = None
    try:
        for instruction in code.instructions:
            if frame.cta is not None and frame.cta.waiting and not frame.aside and _joins(instruction):
                yield from join(frame.cta)
            waiting = instruction.run(instruction, frame)
            if waiting is not None:
                yield from waiting
    except TileError as error:
        assert instruction is not None
        instruction.stamp(error)
        raise


# Ops that the threads of a branch set aside need not have reached: they only compute.
_ALONE = frozenset(
    ("tl.thread_id", "tl.cast", "tl.math", "tl.bitcast", "tl.slice", "tl.reshape", "tl.tensor", "tl.alloc")
)


def _joins(instruction: Instruction) -> bool:
    """Whether all threads take part in an op, so that branches set aside have to finish first."""
    if instruction.name in ("scf.if", "scf.for", "scf.while", "tl.warpgroups"):
        return instruction.name in ("scf.for", "scf.while")
    return instruction.name.startswith("tl.") and instruction.name not in _ALONE


def join(cta: Cta) -> Iterator[str]:
    """Run the branches set aside until all have finished."""
    while cta.waiting:
        before = cta.machine.events
        finished = [task for task in cta.waiting if next(task, None) is None]
        cta.waiting = [task for task in cta.waiting if task not in finished]
        if not finished and cta.machine.events == before:
            yield "branches that wait"


def run_ctas(machine: Machine, ctas: Iterator[Callable[[], Iterator[str]]]) -> None:
    """Run CTAs in order; one that waits for others is resumed in turn.

    Raises:
        DeadlockError: all wait and nothing changes any more.
    """
    suspended: deque[Iterator[str]] = deque()
    for start in ctas:
        task = start()
        if next(task, None) is not None:
            suspended.append(task)
    quiet = 0
    while suspended:
        before, reasons = machine.events, set[str]()
        for _ in range(len(suspended)):
            task = suspended.popleft()
            if (reason := next(task, None)) is not None:
                reasons.add(reason)
                suspended.append(task)
        quiet = 0 if machine.events != before else quiet + 1
        if quiet > _STUCK_ROUNDS:
            raise DeadlockError(f"{len(suspended)} CTAs wait for {', '.join(sorted(reasons))}, which never comes")


def is_uniform(value: Value) -> bool:
    """Whether all lanes agree on a scalar by construction."""
    return value.ndim == 0


def integer(value: Any, what: str) -> int:
    """A scalar that must be the same for all lanes, as an int."""
    if isinstance(value, np.ndarray) and value.ndim and not (value == value.flat[0]).all():
        raise UnsupportedError(f"{what} differs between threads, which has no meaning for a whole tile")
    return int(value.flat[0]) if isinstance(value, np.ndarray) else int(value)
