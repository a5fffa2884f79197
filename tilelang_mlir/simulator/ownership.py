"""Finds races between CTAs in global memory: each written unit remembers the CTA that wrote it.

Cheap on purpose: only buffers that the kernel writes are looked at, and order between CTAs (fences with flags) is not
followed, so kernels with fences are not checked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tilelang_mlir.errors import Location, RaceError
from tilelang_mlir.simulator.lanes import Lanes
from tilelang_mlir.simulator.memory import GlobalMemory

_Locate = Callable[[int], Location | None]
_ATOMIC = -1


class Ownership:
    """The owners of one launch. `unit` is the narrowest global store of the kernel in bytes (a power of two)."""

    def __init__(self, memory: GlobalMemory, unit: int) -> None:
        self._memory = memory
        self._unit = unit
        self._shift = unit.bit_length() - 1
        self._owner = np.zeros((memory.top >> self._shift) + 1, np.int32)
        self._site = np.zeros(len(self._owner), np.int32)
        self._buffers: set[int] = set()

    def snapshot(self) -> tuple[np.ndarray, set[int]]:
        """What `restore` takes to forget later accesses."""
        return self._owner.copy(), set(self._buffers)

    def restore(self, saved: tuple[np.ndarray, set[int]]) -> None:
        """Forget what happened since the snapshot, which must not be used again."""
        self._owner, self._buffers = saved

    def forget(self) -> None:
        """A barrier of all CTAs orders what was written before it."""
        self._owner[:] = 0

    def _cells(self, lanes: Lanes, address: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Flat unit indices and owner numbers of the active lanes."""
        cell = address >> self._shift
        owner = (lanes.batch.ids + 1).astype(np.int32)[:, None]
        shape = np.broadcast_shapes(cell.shape, owner.shape)
        if lanes.mask is not None:
            shape = np.broadcast_shapes(shape, lanes.mask.shape)
        cell, owner = np.broadcast_to(cell, shape), np.broadcast_to(owner, shape)
        if lanes.mask is not None:
            keep = np.broadcast_to(lanes.mask, shape)
            cell, owner = cell[keep], owner[keep]
        cell, owner = cell.reshape(-1), owner.reshape(-1)
        parts = size >> self._shift
        if parts > 1:
            cell = (cell[:, None] + np.arange(parts)).reshape(-1)
            owner = np.repeat(owner, parts)
        return cell, owner

    def write(self, lanes: Lanes, address: np.ndarray, size: int, locate: _Locate) -> None:
        self._buffers.add(self._memory.find(int(address.flat[0])))
        cell, owner = self._cells(lanes, address, size)
        before = self._owner.take(cell)
        self._check(lanes, cell, owner, (before != 0) & (before != owner), before, "writes", locate)
        self._owner[cell] = owner
        self._site[cell] = lanes.site
        after = self._owner.take(cell)
        self._check(lanes, cell, owner, after != owner, after, "writes", locate)

    def read(self, lanes: Lanes, address: np.ndarray, size: int, locate: _Locate) -> None:
        if not self._buffers or self._memory.find(int(address.flat[0])) not in self._buffers:
            return
        cell, owner = self._cells(lanes, address, size)
        before = self._owner.take(cell)
        self._check(lanes, cell, owner, (before > 0) & (before != owner), before, "reads", locate)

    def atomic(self, lanes: Lanes, address: np.ndarray, size: int, locate: _Locate) -> None:
        self._buffers.add(self._memory.find(int(address.flat[0])))
        cell, owner = self._cells(lanes, address, size)
        before = self._owner.take(cell)
        self._check(lanes, cell, owner, (before > 0) & (before != owner), before, "updates", locate)
        self._owner[cell] = _ATOMIC
        self._site[cell] = lanes.site

    def _check(
        self,
        lanes: Lanes,
        cell: np.ndarray,
        owner: np.ndarray,
        bad: np.ndarray,
        other: np.ndarray,
        verb: str,
        locate: _Locate,
    ) -> None:
        if not bad.any():
            return
        index = int(bad.argmax())
        address = int(cell[index]) << self._shift
        slot = self._memory.find(address)
        name = self._memory.names[slot] or "an allocation"
        who = "an atomic update" if other[index] == _ATOMIC else f"CTA {int(other[index]) - 1}"
        raise RaceError(
            f"race between CTAs: CTA {int(owner[index]) - 1} {verb} "
            f"byte {address - self._memory.starts[slot]} of {name}, "
            f"which {who} has written in this launch",
            locate(lanes.site),
            notes=(("the other access", locate(int(self._site[cell[index]]))),),
            hint="use an atomic operation, or give each CTA its own part",
        )
