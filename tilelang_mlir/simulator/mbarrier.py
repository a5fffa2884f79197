"""mbarrier objects: arrivals, transaction bytes, phases. PTX ISA 8.7, section 9.7.13.15.

A barrier is one object for all CTAs of a batch, with a state per CTA. A phase completes when no arrival and no byte is
pending; then the count starts anew. What arrivals release is what a wait for that phase acquires.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir.errors import BarrierError, SimulationError
from tilelang_mlir.simulator.schedule import Diverged

if TYPE_CHECKING:
    from tilelang_mlir.simulator.lanes import Lanes

_MAX_COUNT = (1 << 20) - 1


class MBarrier:
    """The barrier at one shared address. `clock` is released into, `done` is what the last completed phase released."""

    def __init__(self, address: int, count: int, ctas: int) -> None:
        if not 1 <= count <= _MAX_COUNT:
            raise SimulationError(f"an mbarrier needs a count of 1 to {_MAX_COUNT}, got {count}")
        self.address, self.count = address, count
        self.pending = np.full(ctas, count, np.int64)
        self.bytes = np.zeros(ctas, np.int64)
        self.phase = np.zeros(ctas, np.int64)
        self.clock: np.ndarray | None = None
        self.done: np.ndarray | None = None
        self.arrived: list[str] = []
        self.users: dict[str, None] = {}  # who has ever arrived, in order
        self.passed: Counter[str] = Counter()  # how many completed phases each agent has waited for
        self.site = 0  # of the initialisation
        self.slot = 0  # of the checker, for the times at which copies complete on this barrier
        self.made: np.ndarray | None = None  # the clocks of the initialisation, until everyone knows them
        self.fenced = False  # whether a fence has followed it

    def arrive(self, count: np.ndarray, expected: np.ndarray, who: str) -> None:
        """Arrivals and expected bytes by CTA."""
        self.bytes += expected
        self.pending -= count
        before = list(self.arrived)
        if who not in self.arrived:
            self.arrived.append(who)
        self.users[who] = None
        if (self.pending < 0).any():
            raise BarrierError(
                f"the mbarrier at {self.address} gets more arrivals in a phase than its count {self.count}: "
                f"{who} arrives after {', '.join(before) or 'nobody'}"
            )
        self.settle()

    def complete(self, ctas: np.ndarray, size: int) -> None:
        """`size` bytes have arrived in each of these CTAs."""
        np.subtract.at(self.bytes, ctas, size)
        self.settle()

    def settle(self) -> None:
        """Complete the phase in the CTAs where no arrival and no byte is missing."""
        flips = (self.pending == 0) & (self.bytes == 0)
        if not flips.any():
            return
        self.phase += flips
        self.pending[flips] = self.count
        self.arrived.clear()
        if self.clock is not None:
            self.done = np.array(self.clock if self.done is None else np.maximum(self.done, self.clock))

    def trouble(self, late: int, who: str) -> str:
        """What keeps an agent waiting in a CTA when nothing can move: `bytes`, `arrivals`, or nothing of this barrier.

        Arrivals are wrong when only a part has come, or when phases have gone by that the agent has not waited for: a
        role that hands over and takes back is never two phases behind.
        """
        pending, size = int(self.pending[late]), int(self.bytes[late])
        if size < 0 or (size > 0 and pending == 0):
            return "bytes"
        skipped = int(self.phase[late]) - self.passed[who] > 1
        return "arrivals" if skipped or 0 < pending < self.count else ""

    def describe(self, late: int) -> str:
        """The state in a CTA of the batch."""
        return (
            f"mbarrier at {self.address}: phase {int(self.phase[late])}, "
            f"{int(self.pending[late])} of {self.count} arrivals missing, {_bytes(int(self.bytes[late]))}, "
            f"arrived so far: {', '.join(self.arrived) or 'nobody'}"
        )


def _bytes(pending: int) -> str:
    """Transaction bytes of a phase: negative when more arrived than were announced."""
    return f"{pending} bytes missing" if pending >= 0 else f"{-pending} bytes more than expected"


class WaitPhase:
    """Wait until a phase is complete in every active CTA.

    `target` (C) is a parity, or with `token` the number of the phase as `mbarrier.arrive` returned it.
    """

    def __init__(self, barrier: MBarrier, target: np.ndarray, token: bool, ctas: np.ndarray, lanes: Lanes) -> None:
        self._barrier, self._target, self._token, self._ctas = barrier, target, token, ctas
        self._checker, self._who = lanes.batch.checker, lanes.name

    def complete(self) -> np.ndarray:
        """In which CTAs the phase is complete (C)."""
        phase = self._barrier.phase
        done = phase > self._target if self._token else (phase & 1) != self._target
        return np.asarray(done | ~self._ctas)

    def ready(self) -> bool:
        return bool(self.complete().all())

    def resume(self, lanes: Lanes) -> None:
        self._barrier.passed[lanes.name] += bool(self._barrier.phase.any())
        if self._checker is not None:
            self._checker.acquire(lanes, self._barrier.done)

    def outcome(self) -> np.ndarray:
        return self.complete()[:, None]

    def describe(self) -> str:
        late = int(np.argmin(self.complete()))
        what = "phase" if self._token else "parity"
        return f"{what} {int(self._target[late])} of the {self._barrier.describe(late)}"

    def trouble(self) -> str:
        return self._barrier.trouble(int(np.argmin(self.complete())), self._who)

    def waits_for(self) -> list[str]:
        return list(self._barrier.users)


class WaitSeveral:
    """Waits at several barriers, each of some of the lanes (C, T): over when all of them are."""

    def __init__(self, parts: Sequence[tuple[WaitPhase | WaitSeveral, np.ndarray]]) -> None:
        self._parts = parts

    def ready(self) -> bool:
        return all(part.ready() for part, _ in self._parts)

    def resume(self, lanes: Lanes) -> None:
        saved = lanes.mask
        for part, lanes.mask in self._parts:
            part.resume(lanes)
        lanes.mask = saved

    def outcome(self) -> np.ndarray:
        return np.ones((1, 1), np.bool_)

    def _late(self) -> WaitPhase | WaitSeveral:
        return next(part for part, _ in self._parts if not part.ready())

    def describe(self) -> str:
        return self._late().describe()

    def trouble(self) -> str:
        return self._late().trouble()

    def waits_for(self) -> list[str]:
        return self._late().waits_for()


class WaitCluster(WaitPhase):
    """Wait for the barrier of the cluster: a phase is over when it is in every CTA of the cluster."""

    def __init__(self, barrier: MBarrier, target: np.ndarray, token: bool, ctas: np.ndarray, lanes: Lanes) -> None:
        super().__init__(barrier, target, token, ctas, lanes)
        self._cluster = lanes.batch.cluster

    def complete(self) -> np.ndarray:
        whole = super().complete().reshape(-1, self._cluster).all(1)
        return np.repeat(whole, self._cluster)

    def describe(self) -> str:
        return "the barrier of the cluster"


class PollPhase(WaitPhase):
    """A test of a phase: gives up when nothing else can move, so that the program may do something else meanwhile."""

    _given_up = False

    def give_up(self) -> None:
        self._given_up = True

    def ready(self) -> bool:
        return self._given_up or super().ready()

    def resume(self, lanes: Lanes) -> None:
        done = self.complete()[self._ctas]
        if done.all():
            super().resume(lanes)
        elif done.any():
            raise Diverged(self.complete())
