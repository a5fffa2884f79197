"""The checks of asynchronous hardware: what mbarriers order, who may touch memory while a copy or product uses it.

Releases and acquires follow the memory consistency model of the PTX ISA 8.7, sections 8.9 and 9.7.13.15: an arrival
releases what its warp knows, a completed copy what it wrote, and a wait acquires what the completed phase was given.
Ordinary accesses come before asynchronous ones only with a fence.proxy.async between (sections 8.6 and 8.9.5):
stores before what reads or overwrites them, loads before what overwrites what they read. What runs through the
asynchronous proxy itself (bulk copies, products that read shared memory) and what follows its completion needs none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir.errors import ProxyFenceError, RaceError
from tilelang_mlir.isa.instruction import MemoryOrder
from tilelang_mlir.simulator.checker import COLLECTIVE, PLANES, Access
from tilelang_mlir.simulator.device_checks import DeviceChecker
from tilelang_mlir.simulator.memory import SHARED_BASE

if TYPE_CHECKING:
    from tilelang_mlir.simulator.lanes import Lanes
    from tilelang_mlir.simulator.mbarrier import MBarrier

_FOREVER = np.int32(2**31 - 1)


class EngineChecker(DeviceChecker):
    """The checker of kernels with mbarriers, bulk copies and warpgroup products."""

    # ---- order -----------------------------------------------------------------------------------
    def _fit(self, clock: np.ndarray | None) -> np.ndarray:
        """A barrier's clock with one row per shadow row, and a column for every slot there is by now."""
        columns = self._clock.shape[2]
        if clock is None:
            return np.zeros((self._rows, columns), np.int32)
        if clock.shape[1] < columns:
            clock = np.pad(clock, ((0, 0), (0, columns - clock.shape[1])))
        return clock if len(clock) == self._rows else np.repeat(clock[:1], self._rows, axis=0)

    def release(self, lanes: Lanes, barrier: MBarrier) -> None:
        """An arrival: the barrier learns what the arriving warps know."""
        active = self._active_warps(lanes)
        known = np.where(active[..., None], self._clock[:, lanes.warp_ids], 0).max(1)
        self._clock[:, lanes.warp_ids, lanes.warp_ids] += active
        self._epoch[:, lanes.warp_ids] += active
        barrier.clock = np.maximum(self._fit(barrier.clock), known)
        barrier.done = None if barrier.done is None else self._fit(barrier.done)

    def _tell(self, clock: np.ndarray) -> np.ndarray:
        """Clocks (rows, columns) of CTAs as others of their clusters read them: what is known of a CTA, by its rank."""
        told, width = clock.copy(), self._width
        for rank in range(self._batch.cluster):
            rows = slice(None) if len(told) == 1 else slice(rank, None, self._batch.cluster)
            theirs = slice(width * (1 + rank), width * (2 + rank))
            told[rows, theirs] = np.maximum(told[rows, theirs], told[rows, :width])
        return told

    def _hear(self, clock: np.ndarray) -> np.ndarray:
        """The inverse: what others know of a CTA it knows, too."""
        heard, width = clock.copy(), self._width
        columns = self._of_rank(np.arange(len(heard)))[:, None] + np.arange(width)
        heard[:, :width] = np.maximum(heard[:, :width], np.take_along_axis(heard, columns, 1))
        return heard

    def share(self, barrier: MBarrier) -> None:
        """What one CTA of a cluster has released at the barrier of the cluster, the others will know, too."""
        cluster, width = self._batch.cluster, self._width
        if cluster == 1 or barrier.clock is None:
            return
        clock = self._tell(self._fit(barrier.clock))
        if len(clock) > 1:
            known = clock[:, width:].reshape(len(clock) // cluster, cluster, -1).max(1)
            clock[:, width:] = np.repeat(known, cluster, axis=0)
        barrier.clock = self._hear(clock)

    def release_remote(self, lanes: Lanes, barrier: MBarrier, rows: np.ndarray, targets: np.ndarray) -> None:
        """Arrivals of CTAs `rows` at the barrier of others of their clusters, `targets`."""
        if self._rows == 1 and self._batch.ctas > 1:
            self._each_cta()
        self.use_remotely(lanes, barrier, rows, targets)
        active = self._active_warps(lanes)
        known = self._tell(np.where(active[..., None], self._clock[:, lanes.warp_ids], 0).max(1))
        self._clock[:, lanes.warp_ids, lanes.warp_ids] += active
        self._epoch[:, lanes.warp_ids] += active
        message = np.zeros_like(known)
        width = self._width
        for row, target in {(int(r), int(t)) for r, t in zip(rows, targets, strict=True)}:
            message[target, width:] = np.maximum(message[target, width:], known[row, width:])
        barrier.clock = np.maximum(self._fit(barrier.clock), self._hear(message))
        barrier.done = None if barrier.done is None else self._fit(barrier.done)

    def use_remotely(self, lanes: Lanes, barrier: MBarrier, rows: np.ndarray, targets: np.ndarray) -> None:
        """The barrier of another CTA must be initialised before an arrival or a copy's bytes come there."""
        if barrier.made is None:
            return
        slots, made = self._engine + 1, self._fit(barrier.made)
        for row, target in {(int(r), int(t)) for r, t in zip(rows, targets, strict=True)}:
            start = int(self._of_rank(np.array(target)))
            known = self._clock[row, lanes.warp_ids, start : start + slots].max(0)
            if row != target and (made[target, :slots] > known).any():
                raise RaceError(
                    f"race: {lanes.name} of CTA {self._batch.ids[row]} uses the mbarrier at shared address "
                    f"{barrier.address} of CTA {self._batch.ids[target]}, whose initialisation is not ordered before",
                    self._locate(lanes.site),
                    notes=(("the initialisation", self._locate(barrier.site)),),
                    hint="synchronise the cluster after mbarrier.init",
                )

    def acquire(self, lanes: Lanes, done: np.ndarray | None) -> None:
        """A wait: the waiting warps learn what the completed phase was given."""
        active = self._active_warps(lanes)
        if done is not None:
            learned = np.where(active[..., None], self._fit(done)[:, None], 0)
            self._clock[:, lanes.warp_ids] = np.maximum(self._clock[:, lanes.warp_ids], learned)
        self._epoch[:, lanes.warp_ids] += active

    def initialise(self, lanes: Lanes, barrier: MBarrier) -> None:
        """mbarrier.init: notes what a warp must know before it may use the barrier.

        Copies that complete on different barriers do so in any order, so each barrier has a time of its own.
        """
        barrier.site, barrier.slot = lanes.site, self._clock.shape[2]
        self._clock = np.pad(self._clock, ((0, 0), (0, 0), (0, PLANES)))
        made = np.zeros((self._rows, self._clock.shape[2]), np.int32)
        made[:, lanes.warp_ids] = self._active_warps(lanes) * self._clock[:, lanes.warp_ids, lanes.warp_ids]
        barrier.made = made

    def use_barrier(self, lanes: Lanes, barrier: MBarrier) -> None:
        """An operation on an mbarrier: raises RaceError when its initialisation is not ordered before."""
        if barrier.made is None:
            return
        active, known = self._active_warps(lanes), self._clock[:, lanes.warp_ids]
        late = active & (self._fit(barrier.made)[:, None] > known).any(2)
        if late.any():
            row, slot = (int(i) for i in np.argwhere(late)[0])
            raise RaceError(
                f"race: {self._name(int(lanes.warp_ids[slot]))} of CTA {self._batch.ids[row]} uses the mbarrier at "
                f"shared address {barrier.address}, whose initialisation is not ordered before",
                self._locate(lanes.site),
                notes=(("the initialisation", self._locate(barrier.site)),),
                hint="synchronise the block after mbarrier.init",
            )
        if self._batch.cluster == 1 and (self._fit(barrier.made)[:, None] <= self._clock[:, : self._engine]).all():
            barrier.made = None

    def use_by_copy(self, lanes: Lanes, barrier: MBarrier) -> None:
        """An asynchronous copy completes on an mbarrier: it must see the initialisation, too."""
        if not barrier.fenced:
            raise RaceError(
                f"race: an asynchronous copy completes on the mbarrier at shared address {barrier.address} without a "
                "fence after its initialisation",
                self._locate(lanes.site),
                notes=(("the initialisation", self._locate(barrier.site)),),
                hint="fence.mbarrier_init after mbarrier.init, then synchronise the block",
            )

    def fence(self, lanes: Lanes, scope: str, order: MemoryOrder = MemoryOrder.BOTH) -> None:
        super().fence(lanes, scope, order)
        if scope == "mbarrier" or scope.startswith("proxy.async"):
            for barrier in self._batch.mbarriers.values():
                barrier.fenced = True

    # ---- which cells -----------------------------------------------------------------------------
    def engine_access(
        self,
        lanes: Lanes,
        ctas: np.ndarray,
        columns: np.ndarray,
        place: np.ndarray,
        unit: int,
        into: np.ndarray | None = None,
    ) -> Access:
        """Units of `unit` bytes at addresses (K, U), issued by lane (ctas[k], columns[k]); in CTA `into`[k]."""
        count, total = len(ctas), self._batch.ctas
        if into is not None:
            if self._rows == 1 and total > 1:
                self._each_cta()
            at = self._cells_of(into, lanes.warp[columns], place, unit)
            return replace(at, row=np.repeat(ctas, len(at.cell) // max(count, 1)), target=at.row)
        if self._rows == 1 and total > 1:
            same = count % total == 0
            if same:
                grouped = place.reshape(total, -1)
                same = bool((grouped == grouped[:1]).all()) and bool(
                    (columns.reshape(total, -1) == columns[: count // total]).all()
                )
            if same:
                keep = slice(0, count // total)
                ctas, columns, place = ctas[keep], columns[keep], place[keep]
            else:
                self._each_cta()
        rows = ctas if self._rows > 1 else np.zeros_like(ctas)
        return self._cells_of(rows, lanes.warp[columns], place, unit)

    def copied(self, lanes: Lanes, address: np.ndarray, size: int, mask: np.ndarray) -> Access:
        """The destination of cp.async copies that complete on an mbarrier."""
        return self._access(lanes, address, size, None, mask)

    def product_access(self, lanes: Lanes, address: np.ndarray) -> Access:
        """16-byte units (C|1, K) read by the warpgroups of an agent, in equal parts."""
        where = self._alike(address)
        assert where is not None
        groups = lanes.warp_ids[::4]
        wide = np.broadcast_to(where[: self._rows], (self._rows, where.shape[1])).reshape(self._rows * len(groups), -1)
        rows = np.repeat(np.arange(self._rows), len(groups))
        return self._cells_of(rows, np.tile(groups, self._rows), wide, 16)

    def _cells_of(self, rows: np.ndarray, warps: np.ndarray, place: np.ndarray, unit: int) -> Access:
        parts = np.arange(max(unit // self._unit, 1))
        cell = ((place - SHARED_BASE) >> self._shift)[:, :, None] + parts
        cell = (cell + (rows * self._cells)[:, None, None]).reshape(len(rows), -1)
        shape = cell.shape
        row, warp = (np.broadcast_to(x[:, None], shape).reshape(-1) for x in (rows, warps))
        return Access(row, cell.reshape(-1), warp, np.full(cell.size, COLLECTIVE), self._rows)

    def store_remote(
        self, lanes: Lanes, ctas: np.ndarray, columns: np.ndarray, place: np.ndarray, size: int, into: np.ndarray
    ) -> None:
        """Ordinary stores of lanes (ctas[k], columns[k]) to CTAs `into`: each of those has a time for them, which the
        storing warps know, and tell at barriers of both."""
        at = self.engine_access(lanes, ctas, columns, place, size, into)
        assert at.target is not None
        self._no_conflict(lanes, at, "write")
        slot = self._engine
        self._clock[np.unique(into), slot, slot] += 1
        now = self._clock[at.target, slot, slot]
        column = np.where(at.target == at.row, 0, self._of_rank(at.target)) + slot
        self._clock[at.row, at.warp, column] = now
        self._write_clock[at.cell] = now
        self._write_warp[at.cell] = slot
        self._write_lane[at.cell] = COLLECTIVE
        self._write_epoch[at.cell] = -1
        self._write_site[at.cell] = lanes.site
        self._written[at.cell] = self._generic[at.cell] = True
        self._atomic[at.cell] = False

    def _refit(self, at: Access) -> Access:
        """The access in a shadow that has got one row per CTA since."""
        if at.rows == self._rows:
            return at
        row = np.repeat(np.arange(self._rows), len(at.cell))
        cell = np.tile(at.cell, self._rows) + row * self._cells
        return replace(
            at,
            row=row,
            cell=cell,
            warp=np.tile(at.warp, self._rows),
            thread=np.tile(at.thread, self._rows),
            rows=self._rows,
        )

    # ---- copies into shared memory ---------------------------------------------------------------
    def issue_load(self, lanes: Lanes, at: Access) -> None:
        """The start of a bulk or tensor load: until it lands nobody may touch the destination."""
        self._no_conflict(lanes, at, "asynchronous copy")
        self._require_fence_before_copy(lanes, at)
        self._write_warp[at.cell] = self._engine
        self._write_site[at.cell] = lanes.site
        self._flying[at.cell] = True

    def _require_fence_before_copy(self, lanes: Lanes, at: Access) -> None:
        stale = self._unfenced_writes(at)
        if stale.any():
            self._no_fence(lanes, at, int(stale.argmax()), "written by ordinary stores", "overwritten by a copy")
        unfenced = self._generic_read[at.cell] > self._known_slots(at, fenced=True)
        if unfenced.any():
            index, slot = (int(i) for i in np.argwhere(unfenced)[0])
            self._no_fence(lanes, at, index, "read by ordinary loads", "overwritten by a copy", slot)

    def _unfenced_writes(self, at: Access) -> np.ndarray:
        """Cells whose last store is an ordinary one, with no proxy fence between it and this access."""
        who = self._write_warp.take(at.cell)
        fenced = self._learned(at, self._fenced_column(who))
        return self._generic.take(at.cell) & (self._write_clock.take(at.cell) > fenced)

    def _no_fence(self, lanes: Lanes, at: Access, index: int, was: str, now: str, reader: int | None = None) -> None:
        cell = int(at.cell[index])
        who = self._name(int(self._write_warp[cell]) if reader is None else reader)
        earlier, sites = ("store", self._write_site) if reader is None else ("read", self._generic_site)
        raise ProxyFenceError(
            f"race: {self._place(at, index)} was {was} of {who} and is {now} without fence.proxy.async between",
            self._locate(lanes.site),
            notes=((f"the {earlier}", self._locate(int(sites[cell]))),),
            hint=f"fence.proxy.async after the {earlier}s, then synchronise",
        )

    def land_load(self, at: Access, barrier: MBarrier, *, generic: bool = False) -> None:
        """The end of a load: its barrier learns of the data. `generic`: it was no bulk copy, but a cp.async."""
        at, slot = self._refit(at), barrier.slot
        if at.target is not None:
            at = replace(at, row=at.target, target=None)
        self._clock[:, self._engine, slot] += 1
        now = self._clock[at.row, self._engine, slot]
        self._write_clock[at.cell] = now
        self._write_warp[at.cell] = slot
        self._write_lane[at.cell] = COLLECTIVE
        self._write_epoch[at.cell] = -1
        self._written[at.cell] = True
        self._flying[at.cell] = self._atomic[at.cell] = False
        self._generic[at.cell] = generic
        clock = self._fit(barrier.clock).copy()
        clock[at.row, slot] = now
        barrier.clock = clock
        barrier.done = None if barrier.done is None else self._fit(barrier.done)

    # ---- reads that go on ------------------------------------------------------------------------
    def start_reading(self, lanes: Lanes, at: Access) -> None:
        """The start of a store or product that reads shared memory until its wait."""
        self._check_read(lanes, at)
        stale = self._unfenced_writes(at)
        if stale.any():
            index = int(stale.argmax())
            self._no_fence(lanes, at, index, "written by ordinary stores", "read by an asynchronous operation")
        self._count_readers(at, 1)
        self._read_clock[at.cell, self._engine] = _FOREVER
        self._read_site[at.cell] = lanes.site

    def _count_readers(self, at: Access, step: int) -> None:
        """Cells may occur several times; counting all cells at once is faster unless there are many others."""
        if len(self._reading) < 8 * len(at.cell):
            counts = np.bincount(at.cell, minlength=len(self._reading))
            np.add(self._reading, step * counts, out=self._reading, casting="same_kind")
        else:
            np.add.at(self._reading, at.cell, step)

    def stop_reading(self, at: Access) -> None:
        """Its end, known to the warp that waits; other operations may still read the same cells."""
        at = self._refit(at)
        self._count_readers(at, -1)
        self._read_clock[at.cell[self._reading.take(at.cell) == 0], self._engine] = 0
        self._read_clock[at.cell, at.warp] = self._own_clock(at)

    def end_reading(self, at: Access) -> None:
        """Its end where nobody here is told of it: a copy to another CTA has left."""
        self._count_readers(at, -1)
        self._read_clock[at.cell[self._reading.take(at.cell) == 0], self._engine] = 0

    # ---- tensor memory products ------------------------------------------------------------------
    def clocks(self, ctas: int) -> np.ndarray:
        """What each warp knows of each slot, per CTA (C, slots, slots and mbarriers)."""
        return np.broadcast_to(self._clock, (ctas, *self._clock.shape[1:]))

    def finish_reading(self, at: Access) -> None:
        """A product that completes at an mbarrier has read shared memory: whoever waits for it will know."""
        at = self._refit(at)
        self._count_readers(at, -1)
        done = at.cell[self._reading.take(at.cell) == 0]
        self._read_clock[done, self._engine] = self._clock[0, self._engine, self._engine] + 1

    def knowledge(self, lanes: Lanes) -> np.ndarray:
        """What the active warps of an agent know now, a row per shadow row. What they do from now on is later."""
        active = self._active_warps(lanes)
        known = np.where(active[..., None], self._clock[:, lanes.warp_ids], 0).max(1)
        self._clock[:, lanes.warp_ids, lanes.warp_ids] += active
        return known

    def hand_over(self, barrier: MBarrier, known: np.ndarray) -> None:
        """What someone knew who asked for an answer comes before the answer: its barrier learns of it."""
        barrier.clock = np.maximum(self._fit(barrier.clock), self._fit(known))

    def complete_products(self, barrier: MBarrier, known: np.ndarray, announced: np.ndarray | None) -> np.ndarray:
        """Products and copies that have finished are announced to their barrier, with what their issuer knew: it came
        before. `announced` is what its earlier ones were announced with; returns that of all."""
        slot = barrier.slot
        self._clock[:, self._engine, (self._engine, slot)] += 1
        everything = self._fit(announced).copy()
        everything[:, (self._engine, slot)] = self._clock[:, self._engine, (self._engine, slot)]
        barrier.clock = np.maximum(np.maximum(self._fit(barrier.clock), self._fit(known)), everything)
        barrier.done = None if barrier.done is None else self._fit(barrier.done)
        checks = self._batch.tensor.checks
        if checks is not None:
            checks.publish(barrier, int(self._clock[0, self._engine, slot]))
        return everything
