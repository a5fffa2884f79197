"""The checks of tensor memory: what orders accesses to it.

PTX ISA 8.7, section 9.7.16.6 (tcgen05 memory consistency): products and copies are asynchronous and complete at an
mbarrier; a wait for it, or another synchronisation of threads, orders tcgen05 operations only together with
tcgen05.fence::before_thread_sync in front of it (loads and stores of the thread itself) and
tcgen05.fence::after_thread_sync behind it. The granularity is a column of 16 lanes, the fewest that an access reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir.errors import RaceError

if TYPE_CHECKING:
    from tilelang_mlir.simulator.batch import Batch
    from tilelang_mlir.simulator.lanes import Lanes
    from tilelang_mlir.simulator.mbarrier import MBarrier

_COLUMNS, _GROUP, _GROUPS = 512, 16, 8  # lanes that an access of 16 rows reaches
_UNFENCED = np.int32(2**31 - 1)  # later than everything


@dataclass
class Region:
    """Accessed cells, flat, and for each the warp that accesses it and its CTA."""

    cell: np.ndarray
    warp: np.ndarray
    row: np.ndarray

    @staticmethod
    def of(index: np.ndarray, warp: np.ndarray, row: np.ndarray) -> Region:
        """From flat indices of tensor memory (n, k), one warp and CTA per row of them."""
        cell = (index // (_COLUMNS * _GROUP) * _COLUMNS + index % _COLUMNS).reshape(-1)
        repeat = index.shape[1]
        return Region(cell, np.repeat(warp, repeat), np.repeat(row, repeat))


class TensorChecks:
    """The shadow of the tensor memory of a batch."""

    def __init__(self, batch: Batch) -> None:
        assert batch.checker is not None
        self._batch, self._checker = batch, batch.checker
        self._warps = (batch.threads + 31) // 32
        cells = batch.ctas * _GROUPS * _COLUMNS
        self._write_slot = np.zeros(cells, np.int32)
        self._write_clock = np.zeros(cells, np.int32)
        self._write_site = np.zeros(cells, np.int32)
        self._read_clock = np.zeros((cells, self._warps), np.int32)
        self._read_site = np.zeros(cells, np.int32)
        self._writing = np.zeros(cells, np.int16)  # products and copies under way
        self._reading = np.zeros(cells, np.int16)
        self._issuer = np.zeros(cells, np.int16)
        self._known = np.zeros((batch.ctas, self._warps, 1), np.int32)  # the clocks at the last fence::after
        self._unfenced: dict[int, list[np.ndarray]] = {}
        self._landed: list[np.ndarray] = []

    def _clocks(self) -> np.ndarray:
        return self._checker.clocks(self._batch.ctas)

    def _seen(self, at: Region, slot: np.ndarray, *, fenced: bool) -> np.ndarray:
        """What the accessing warps know of other slots' times: with `fenced`, as of their last fence."""
        known = self._known if fenced else self._clocks()
        inside = slot < known.shape[2]
        return np.where(inside, known[at.row, at.warp, np.where(inside, slot, 0)], 0)

    # ---- accesses --------------------------------------------------------------------------------
    def read(self, lanes: Lanes, at: Region) -> None:
        self._after_write(lanes, at, "read")
        self._read_clock[at.cell, at.warp] = _UNFENCED
        self._read_site[at.cell] = lanes.site
        self._remember(at)

    def write(self, lanes: Lanes, at: Region) -> None:
        self._after_write(lanes, at, "write")
        self._after_reads(lanes, at, "write")
        self._write_slot[at.cell], self._write_clock[at.cell] = at.warp, _UNFENCED
        self._write_site[at.cell] = lanes.site
        self._remember(at)

    def start(self, lanes: Lanes, reads: list[Region], writes: list[Region]) -> None:
        """A product or copy is issued: its reads and writes go on until it is complete."""
        for at in [*reads, *writes]:
            self._after_write(lanes, at, "asynchronous operation", issued=True)
        for at in writes:
            self._after_reads(lanes, at, "asynchronous operation", issued=True)
        for at in reads:
            np.add.at(self._reading, at.cell, 1)
            self._read_site[at.cell], self._issuer[at.cell] = lanes.site, at.warp
        for at in writes:
            np.add.at(self._writing, at.cell, 1)
            self._write_site[at.cell], self._issuer[at.cell] = lanes.site, at.warp

    def finish(self, reads: list[Region], writes: list[Region]) -> None:
        for at in reads:
            np.subtract.at(self._reading, at.cell, 1)
        for at in writes:
            np.subtract.at(self._writing, at.cell, 1)
        self._landed += [at.cell for at in [*reads, *writes]]

    def publish(self, barrier: MBarrier, now: int) -> None:
        """What has finished is known to whoever waits for the barrier."""
        for cells in self._landed:
            self._write_slot[cells], self._write_clock[cells] = barrier.slot, now
        self._landed.clear()

    def free(self, lanes: Lanes, start: int, count: int) -> None:
        """tcgen05.dealloc: nothing may be under way in the columns, and all other accesses come before."""
        warp = int(lanes.warp_ids[np.asarray(lanes.active().any(2))[0].argmax()])
        columns = np.arange(start, start + count)
        cell = (np.arange(self._batch.ctas * _GROUPS)[:, None] * _COLUMNS + columns).reshape(-1)
        row = cell // (_GROUPS * _COLUMNS)
        at = Region(cell, np.full(len(cell), warp), row)
        self._under_way(lanes, at, self._reading.take(cell) > 0, "deallocation")
        self._after_write(lanes, at, "deallocation")
        self._after_reads(lanes, at, "deallocation")

    def _remember(self, at: Region) -> None:
        for warp in np.unique(at.warp):
            self._unfenced.setdefault(int(warp), []).append(at.cell[at.warp == warp])

    # ---- order -----------------------------------------------------------------------------------
    def fence(self, lanes: Lanes, kind: str) -> None:
        clocks = self._clocks()
        if kind == "after":
            if self._known.shape[2] < clocks.shape[2]:
                self._known = np.pad(self._known, ((0, 0), (0, 0), (0, clocks.shape[2] - self._known.shape[2])))
            active = np.broadcast_to(np.asarray(lanes.active().any(2)), (len(clocks), len(lanes.warp_ids)))
            now = np.where(active[..., None], clocks[:, lanes.warp_ids], self._known[:, lanes.warp_ids])
            self._known[:, lanes.warp_ids] = now
            return
        for warp in lanes.warp_ids:
            for cell in self._unfenced.pop(int(warp), []):
                now = clocks[cell // (_GROUPS * _COLUMNS), warp, warp]
                mine = (self._write_slot[cell] == warp) & (self._write_clock[cell] == _UNFENCED)
                self._write_clock[cell[mine]] = now[mine]
                self._read_clock[cell, warp] = np.minimum(self._read_clock[cell, warp], now)

    def _after_write(self, lanes: Lanes, at: Region, what: str, *, issued: bool = False) -> None:
        writing = self._writing.take(at.cell) > 0
        self._under_way(lanes, at, writing & (self._issuer.take(at.cell) != at.warp) if issued else writing, what)
        slot, clock = self._write_slot.take(at.cell), self._write_clock.take(at.cell)
        if issued:  # operations of one thread run in the order in which it issued them
            clock = np.where((slot >= self._warps) & (self._issuer.take(at.cell) == at.warp), 0, clock)
        self._require(lanes, at, slot, clock, self._write_site, what, "write")

    def _after_reads(self, lanes: Lanes, at: Region, what: str, *, issued: bool = False) -> None:
        reading = self._reading.take(at.cell) > 0
        self._under_way(lanes, at, reading & (self._issuer.take(at.cell) != at.warp) if issued else reading, what)
        for warp in range(self._warps):
            clock = self._read_clock[at.cell, warp]
            if clock.any():
                self._require(lanes, at, np.full(len(clock), warp), clock, self._read_site, what, "read")

    def _require(
        self, lanes: Lanes, at: Region, slot: np.ndarray, clock: np.ndarray, sites: np.ndarray, what: str, earlier: str
    ) -> None:
        late = (clock > self._seen(at, slot, fenced=True)) & (slot != at.warp)
        if not late.any():
            return
        index = int(late.argmax())
        fenced = clock[index] != _UNFENCED
        if not fenced:
            hint = "tcgen05.fence::before_thread_sync before the threads synchronise"
        elif clock[index] <= self._seen(at, slot, fenced=False)[index]:
            hint = "tcgen05.fence::after_thread_sync after the threads synchronise"
        else:
            hint = "wait for the mbarrier of its commit, or synchronise the threads between the two"
        self._report(lanes, at, index, f"is not ordered after the {earlier}", what, sites, hint)

    def _under_way(self, lanes: Lanes, at: Region, bad: np.ndarray, what: str) -> None:
        if bad.any():
            hint = "tcgen05.commit to an mbarrier and wait for it"
            text = "comes while an asynchronous operation there is not complete"
            self._report(lanes, at, int(bad.argmax()), text, what, self._write_site, hint)

    def _report(
        self, lanes: Lanes, at: Region, index: int, problem: str, what: str, sites: np.ndarray, hint: str
    ) -> None:
        cell = int(at.cell[index])
        group, column = cell // _COLUMNS % _GROUPS, cell % _COLUMNS
        raise RaceError(
            f"race: {what} of tensor memory column {column}, lanes {group * _GROUP} to "
            f"{group * _GROUP + _GROUP - 1}, of CTA {self._batch.ids[int(at.row[index])]} by warp "
            f"{int(at.warp[index])} {problem}",
            self._checker.locate(lanes.site),
            notes=(("the earlier access", self._checker.locate(int(sites[cell]))),),
            hint=hint,
        )
