"""cp.async: the queue of copies of an agent, in groups. Copies land as late as the program allows: at their wait.

PTX ISA 8.7, section 9.7.9.25.3 (cp.async, commit_group, wait_group): a thread's groups complete in order, and
`wait_group N` waits until at most N of the executing thread's most recent groups are pending.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.simulator.memory import CARRY, BadLane, poison
from tilelang_mlir.simulator.pending import Pending

if TYPE_CHECKING:
    from tilelang_mlir.simulator.lanes import Lanes


@dataclass
class _Copy:
    shared: np.ndarray
    source: np.ndarray
    size: int
    valid: Any
    mask: np.ndarray | None
    site: int


@dataclass
class _Group:
    copies: list[_Copy]
    mask: np.ndarray | None


class CopyQueue:
    """The open and the committed groups of one agent."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._open: list[_Copy] = []
        self._groups: list[_Group] = []

    def issue(self, shared: np.ndarray, source: Any, size: int, valid: Any) -> None:
        """Start a copy; the destination is unreadable until its group has been waited for."""
        lanes, batch = self._lanes, self._lanes.batch
        source = np.full((1, 1), source, np.int64) if not isinstance(source, np.ndarray) else source
        if valid is not None and np.min(valid) >= size:
            valid = None  # whole units in all lanes
        copy = _Copy(shared, source, size, valid, lanes.mask, lanes.site)
        try:
            batch.shared.check(shared, size)
            _, reads = self._source_index(copy, lanes.mask)
        except BadLane as bad:
            raise lanes.fault(bad) from None
        if batch.checker is not None:
            self._read_source(copy, reads)
            batch.checker.issue_copy(lanes, shared, size)
            batch.shared.store(shared, size, np.full((1, 1), poison(size), CARRY[size]), lanes.mask)
        self._open.append(copy)

    def _read_source(self, copy: _Copy, reads: np.ndarray | None) -> None:
        lanes = self._lanes
        if lanes.batch.checker is None or (reads is not None and not reads.any()):
            return
        saved, lanes.mask = lanes.mask, reads
        lanes.batch.checker.read_source(lanes, copy.source, copy.size)
        lanes.mask = saved

    def commit(self) -> None:
        self._groups.append(_Group(self._open, self._lanes.mask))
        self._open = []

    def wait(self, pending: int) -> None:
        """Land all groups but the `pending` most recent ones of the active lanes."""
        mask = self._lanes.mask
        if mask is None and all(g.mask is None for g in self._groups):
            keep = max(len(self._groups) - pending, 0)
            for group in self._groups[:keep]:
                for copy in group.copies:
                    if copy.mask is None or copy.mask.any():
                        self._land(copy, copy.mask)
            del self._groups[:keep]
            return
        self._wait_lanewise(pending)

    def outstanding(self) -> list[tuple[_Copy, np.ndarray]]:
        """The copies of the active lanes that have not landed, with those lanes."""
        lanes = self._lanes
        active = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
        found = [*(copy for group in self._groups for copy in group.copies), *self._open]
        return [(copy, active if copy.mask is None else active & copy.mask) for copy in found]

    def unfinished(self) -> list[Pending]:
        """The copies that nobody has waited for."""
        found = [*(copy for group in self._groups for copy in group.copies), *self._open]
        late = [copy for copy in found if copy.mask is None or copy.mask.any()]
        return [
            Pending(lambda c=copy: self._write(c, c.mask), "an asynchronous copy", copy.site, self._lanes.name)
            for copy in late
        ]

    def land_part(self, copy: _Copy, mask: np.ndarray) -> np.ndarray | None:
        """Land a copy in the lanes of a mask that have not been waited for; returns those lanes (None: none)."""
        own = np.broadcast_to(np.bool_(True) if copy.mask is None else copy.mask, self._lanes.shape)
        landing = own & mask
        copy.mask = own & ~mask
        if not landing.any():
            return None
        self._write(copy, landing)
        return landing

    def _wait_lanewise(self, pending: int) -> None:
        """Lanes committed different numbers of groups: count each lane's own."""
        lanes = self._lanes
        newer = np.zeros(lanes.shape, np.int64)
        due: list[tuple[_Copy, np.ndarray]] = []
        for group in reversed(self._groups):
            members = np.broadcast_to(np.bool_(True) if group.mask is None else group.mask, lanes.shape)
            landing = members & (newer >= pending)
            if lanes.mask is not None:
                landing = landing & lanes.mask
            for copy in reversed(group.copies):
                own = np.broadcast_to(np.bool_(True) if copy.mask is None else copy.mask, lanes.shape)
                if (own & landing).any():
                    due.append((copy, own & landing))
                copy.mask = own & ~landing
            newer += members
        for copy, mask in reversed(due):
            self._land(copy, mask)
        for group in self._groups:
            group.copies = [copy for copy in group.copies if copy.mask is None or copy.mask.any()]

    def _source_index(self, copy: _Copy, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Indices of the units to read, and which lanes read at all (None: all)."""
        reads = mask
        if copy.valid is not None:
            some = np.asarray(copy.valid) > 0
            reads = np.broadcast_to(some if mask is None else some & mask, self._lanes.shape)
        address = copy.source
        if reads is not None:
            if not reads.any():
                return np.zeros((1, 1), np.int64), reads
            address, wide = np.broadcast_arrays(address, reads)
            address = np.where(wide, address, address[wide][0])
        return self._lanes.batch.memory.index(address, copy.size), reads

    def _land(self, copy: _Copy, mask: np.ndarray | None) -> None:
        self._write(copy, mask)
        checker = self._lanes.batch.checker
        if checker is not None:
            checker.land_copy(self._lanes, copy.shared, copy.size, mask, copy.site)

    def _write(self, copy: _Copy, mask: np.ndarray | None) -> None:
        batch = self._lanes.batch
        index, reads = self._source_index(copy, mask)
        if copy.valid is not None and reads is not None and not reads.any():
            data = np.zeros((1, 1), CARRY[copy.size])
        else:
            data = batch.memory.views[copy.size].take(index)
        if copy.valid is not None:
            data = _zero_tail(data, copy.size, copy.valid)
        batch.shared.store(copy.shared, copy.size, data, mask)


def _zero_tail(data: np.ndarray, size: int, valid: Any) -> np.ndarray:
    """Units whose bytes from `valid` on are zero."""
    valid = np.asarray(valid).reshape(np.shape(valid) or (1, 1))
    shape = np.broadcast_shapes(data.shape, valid.shape)
    units = np.ascontiguousarray(np.broadcast_to(data, shape))[..., None].view(np.uint8)
    kept = np.arange(size) < np.broadcast_to(valid, shape)[..., None]
    return np.where(kept, units, np.uint8(0)).view(CARRY[size])[..., 0]
