"""mbarrier objects: arrivals, transaction bytes, phases. PTX ISA 8.7, section 9.7.13.15.

A barrier is one object for all CTAs of a batch, with a state per CTA. A phase completes when no arrival and no byte is
pending; then the count starts anew. What arrivals release is what a wait for that phase acquires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.errors import SimulationError

if TYPE_CHECKING:
    from tilelang_mlir.simulator.engine_checks import EngineChecker
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

    def arrive(self, count: np.ndarray, expected: np.ndarray, who: str) -> None:
        """Arrivals and expected bytes by CTA."""
        self.bytes += expected
        self.pending -= count
        if who not in self.arrived:
            self.arrived.append(who)
        if (self.pending < 0).any():
            raise SimulationError(
                f"the mbarrier at {self.address} gets more arrivals in a phase than its count {self.count}"
            )
        self.settle()

    def complete(self, ctas: np.ndarray, size: int) -> None:
        """`size` bytes have arrived in each of these CTAs."""
        np.subtract.at(self.bytes, ctas, size)
        self.settle()

    def settle(self) -> None:
        flips = (self.pending == 0) & (self.bytes == 0)
        if not flips.any():
            return
        self.phase += flips
        self.pending[flips] = self.count
        self.arrived.clear()
        if self.clock is not None:
            self.done = np.array(self.clock if self.done is None else np.maximum(self.done, self.clock))

    def describe(self) -> str:
        late = int(np.argmax(self.pending + abs(self.bytes)))
        return (
            f"mbarrier at {self.address}: phase {int(self.phase[late])}, "
            f"{int(self.pending[late])} of {self.count} arrivals and {int(self.bytes[late])} bytes pending, "
            f"arrived so far: {', '.join(self.arrived) or 'nobody'}"
        )


class WaitPhase:
    """Wait until the phase of a parity is complete in every active CTA."""

    def __init__(self, barrier: MBarrier, parity: int, ctas: np.ndarray | None, checker: EngineChecker | None) -> None:
        self._barrier, self._parity, self._ctas, self._checker = barrier, parity, ctas, checker

    def ready(self) -> bool:
        done = (self._barrier.phase & 1) != self._parity
        return bool(done.all() if self._ctas is None else done[self._ctas].all())

    def resume(self, lanes: Lanes) -> None:
        if self._checker is not None:
            self._checker.acquire(lanes, self._barrier.done)

    def describe(self) -> str:
        return f"parity {self._parity} of the {self._barrier.describe()}"


def scalar(value: Any, what: str) -> int:
    """An operand that must be the same in all lanes."""
    if not isinstance(value, np.ndarray):
        return int(value)
    if (value != value.flat[0]).any():
        raise SimulationError(f"{what} differs between lanes")
    return int(value.flat[0])
