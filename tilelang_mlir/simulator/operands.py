"""What the operations of an agent's asynchronous hardware have in common: operands by CTA and lane, barriers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.errors import BarrierError, SimulationError
from tilelang_mlir.simulator.mbarrier import MBarrier
from tilelang_mlir.simulator.pending import Pending
from tilelang_mlir.simulator.schedule import Diverged

if TYPE_CHECKING:
    from tilelang_mlir.simulator.lanes import Lanes


class Operands:
    """The operands of operations on the lanes of one agent."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    def pending(self, finish: Callable[[], None], what: str) -> Pending:
        """An operation that something else completes; the kernel may not end before."""
        item = Pending(finish, what, self._lanes.site)
        self._lanes.batch.at_end.append(item)
        return item

    def fly(self, land: Callable[[], None], what: str) -> Pending:
        """An operation that completes by itself, as late as it may."""
        item = Pending(land, what, self._lanes.site)
        self._lanes.batch.flights.append(item)
        return item

    def barrier(self, address: Any) -> MBarrier:
        """The mbarrier at a shared address, as an operation on it sees it."""
        place = self.same(address, "the address of an mbarrier")
        barrier = self._lanes.batch.mbarriers.get(place)
        if barrier is None:
            raise BarrierError(f"the mbarrier at shared address {place} is not initialised")
        checker = self._lanes.batch.checker
        if checker is not None:
            checker.use_barrier(self._lanes, barrier)
        return barrier

    def _by_cta(self, value: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
        """An operand that all active lanes of a CTA share (C), and which CTAs have active lanes (C)."""
        lanes = self._lanes
        active = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
        wide = np.broadcast_to(np.asarray(value, np.int64), lanes.shape)
        chosen = wide[np.arange(len(wide)), active.argmax(1)]
        if (active & (wide != chosen[:, None])).any():
            raise SimulationError(f"{what} differs between lanes")
        return chosen, np.logical_or.reduce(active, axis=1)

    def same(self, value: Any, what: str) -> int:
        """An operand that all active lanes share. Raises Diverged when it differs between CTAs."""
        if not isinstance(value, np.ndarray):
            return int(value)
        if value.size == 1:
            return int(value.flat[0])
        chosen, ctas = self._by_cta(value, what)
        first = chosen[ctas.argmax()]
        if (chosen[ctas] != first).any():
            raise Diverged(np.where(ctas, chosen, -1))
        return int(first)

    def sides(self, address: Any) -> list[tuple[int, np.ndarray]]:
        """The places that lanes name and the lanes (C, T) of each, where lanes of one CTA name different ones."""
        if not isinstance(address, np.ndarray) or address.size == 1:
            return []
        lanes = self._lanes
        active = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
        wide = np.broadcast_to(address, lanes.shape)
        first = wide[np.arange(len(wide)), active.argmax(1)]
        if not (active & (wide != first[:, None])).any():
            return []
        return [(int(place), active & (wide == place)) for place in np.unique(wide[active])]

    @contextlib.contextmanager
    def among(self, mask: np.ndarray) -> Generator[None]:
        """Some of the active lanes alone."""
        saved, self._lanes.mask = self._lanes.mask, mask
        try:
            yield
        finally:
            self._lanes.mask = saved

    def lanes_per_cta(self) -> np.ndarray:
        """How many lanes are active (C)."""
        lanes = self._lanes
        if lanes.mask is None:
            return np.full(lanes.batch.ctas, lanes.count, np.int64)
        return np.broadcast_to(lanes.mask, lanes.shape).sum(1)

    def issuers(self) -> tuple[np.ndarray, np.ndarray]:
        """(CTA, column) of every lane that issues a copy: each makes its own."""
        lanes = self._lanes
        mask = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
        ctas, columns = np.nonzero(mask)
        return ctas, columns

    def _pick(self, value: Any, ctas: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, np.int64), self._lanes.shape)[ctas, columns]

    def _others(self, rows: np.ndarray, ranks: np.ndarray, what: str) -> np.ndarray:
        """The CTAs with these ranks in the clusters of CTAs `rows`."""
        cluster = self._lanes.batch.cluster
        wrong = (ranks < 0) | (ranks >= cluster)
        if wrong.any():
            raise BarrierError(f"{what} CTA {int(ranks[wrong][0])} of a cluster of {cluster}")
        return rows // cluster * cluster + ranks


def finish(groups: list[list[Pending]], pending: int) -> list[list[Pending]]:
    keep = max(len(groups) - pending, 0)
    for group in groups[:keep]:
        for item in group:
            item.land()
    return groups[keep:]
