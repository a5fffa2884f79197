"""Finds races in shared memory: vector clocks per warp, shadow cells per unit of memory.

A cell remembers its last write (warp, clock, lane, warp epoch, line), the clock of the last read of every warp,
whether it was ever written and whether an asynchronous copy into it is under way. Barriers join clocks. While all CTAs
of a batch access the same addresses under the same masks, one row of shadow stands for all; the first difference gives
each CTA its own.

Every slot of a clock has a second column: the time up to which a proxy fence lies between the slot's operations and the
one who knows. It travels with the clock, so it says whether there is a fence along the path from one to the other,
whoever made it (PTX ISA 8.7, section 8.9.5, proxy-preserved base causality order).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir import knobs
from tilelang_mlir.errors import (
    InFlightError,
    Location,
    RaceError,
    SimulationError,
    UnfinishedError,
    UninitializedReadError,
)
from tilelang_mlir.isa.instruction import DEVICE_DONE
from tilelang_mlir.simulator.memory import SHARED_BASE

if TYPE_CHECKING:
    from tilelang_mlir.simulator.batch import Batch
    from tilelang_mlir.simulator.lanes import Lanes
    from tilelang_mlir.simulator.pending import Pending

_LOG = logging.getLogger("tilelang_mlir")
PLANES = 3  # of clocks: what is known, and what of it is fenced in shared and in device memory
# Which of them a fence of a scope is about, after the first.
_PLANES = {"proxy.async": (1, 2), "proxy.async.shared": (1,), "proxy.async.global": (2,), DEVICE_DONE: (2,)}
COLLECTIVE = -2  # the "lane" of an access made for other lanes


_Participants = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Access:
    """Accessed cells, flat: shadow row, cell index over all rows, warp, thread."""

    row: np.ndarray
    cell: np.ndarray
    warp: np.ndarray
    thread: np.ndarray
    rows: int  # shadow rows there were
    target: np.ndarray | None = None  # rows of the CTAs whose memory it is, where they are others of the cluster


class Checker:
    """The shadow of one batch. `unit` is its granularity: bytes of the kernel's narrowest shared store, at most 4."""

    def __init__(
        self,
        batch: Batch,
        locate: Callable[[int], Location | None],
        unit: int = 4,
        copied_into: bool = True,
    ) -> None:
        self._batch, self._locate = batch, locate
        self.locate = locate
        self._copied_into = copied_into  # whether the kernel has bulk copies into shared memory
        self._shift = unit.bit_length() - 1
        self._unit = unit
        self._known: dict[tuple[int, int, int, int], tuple[Lanes, np.ndarray | None, _Participants]] = {}
        self._rows = 1
        self._cells = (batch.shared.size + unit - 1) // unit
        self._engine = -(-batch.threads // batch.warp_size)  # the slot after the warps: asynchronous operations
        slots = self._engine + 1
        # What each slot knows, what of it is fenced in shared and in device memory; the same of each CTA of a cluster;
        # three columns per mbarrier.
        self._width = PLANES * slots
        self._clock = np.zeros((1, slots, self._width * (1 + (batch.cluster if batch.cluster > 1 else 0))), np.int32)
        self._fixed = self._clock.shape[2]
        self._clock[:, np.arange(slots), np.arange(slots)] = 1
        self._epoch = np.zeros((1, slots), np.int32)
        cells = self._cells
        self._write_clock = np.zeros(cells, np.int32)
        self._write_warp = np.zeros(cells, np.int16)
        self._write_lane = np.full(cells, -1, np.int16)
        self._write_epoch = np.full(cells, -1, np.int32)
        self._write_site = np.zeros(cells, np.int32)
        self._together = np.zeros(cells, np.uint64)  # lanes of the warp that wrote the same value in one instruction
        self._any_together = False
        self._read_clock = np.zeros((cells, slots), np.int32)
        self._read_lane = np.full(cells, -1, np.int16)
        self._read_warp = np.zeros(cells, np.int16)
        self._read_epoch = np.full(cells, -1, np.int32)
        self._read_site = np.zeros(cells, np.int32)
        self._written = np.zeros(cells, np.bool_)
        self._reading = np.zeros(cells, np.int16)  # how many asynchronous operations read the cell now
        self._flying = np.zeros(cells, np.bool_)
        self._atomic = np.zeros(cells, np.bool_)
        self._generic = np.zeros(cells, np.bool_)  # last written through the generic proxy
        self._generic_read = np.zeros((cells if copied_into else 0, slots), np.int32)  # clocks of ordinary reads
        self._generic_site = np.zeros(cells, np.int32)

    # ---- which cells -----------------------------------------------------------------------------
    def _each_cta(self) -> None:
        """Give every CTA its own shadow: up to now all were alike."""
        count = self._batch.ctas
        self._rows = count
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                repeats = (count, *[1] * (value.ndim - 1))
                setattr(self, name, np.tile(value, repeats))

    def _alike(self, value: np.ndarray | None) -> np.ndarray | None:
        """One row for all CTAs where they are alike; otherwise the value itself, and a shadow for each CTA."""
        if value is None or value.shape[0] == 1 or self._rows > 1:
            return value
        if (value == value[:1]).all():
            return value[:1]
        self._each_cta()
        return value

    def _access(
        self, lanes: Lanes, address: np.ndarray, size: int, columns: np.ndarray | None, mask: np.ndarray | None
    ) -> Access:
        if mask is not None and columns is not None:
            mask = np.broadcast_to(mask, (mask.shape[0], lanes.count))[:, columns]
        where, active = self._alike(address), self._alike(mask)
        assert where is not None
        if self._rows == 1 and where.shape[0] > 1:
            where = where[:1]
        cell = (where - SHARED_BASE) >> self._shift
        parts = max(size // self._unit, 1)
        if self._rows > 1:
            cell = cell + np.arange(self._rows)[:, None] * self._cells
        row, warp, thread = self._participants(lanes, columns, parts)
        shape = (self._rows, len(row) // (self._rows * parts))
        if cell.shape != shape:
            cell = np.broadcast_to(cell, shape)
        keep = None if active is None else np.broadcast_to(active, shape)
        cell = cell.reshape(-1) if keep is None else cell[keep]
        if parts > 1:
            cell = (cell[:, None] + np.arange(parts)).reshape(-1)
        if keep is not None:
            chosen = np.repeat(keep.reshape(-1), parts)
            row, warp, thread = row[chosen], warp[chosen], thread[chosen]
        return Access(row, cell, warp, thread, self._rows)

    def _participants(self, lanes: Lanes, columns: np.ndarray | None, parts: int) -> _Participants:
        """Row, warp and thread of each of `parts` cells of every lane in `columns` (None: all), flat. Computed once."""
        key = (id(lanes), id(columns), parts, self._rows)
        known = self._known.get(key)
        if known is None:
            warp = lanes.warp if columns is None else lanes.warp[columns]
            thread = lanes.threads if columns is None else np.full(len(columns), COLLECTIVE)
            row = np.repeat(np.arange(self._rows), len(warp) * parts)
            warp, thread = (np.tile(np.repeat(x, parts), self._rows) for x in (warp, thread))
            # The objects are kept, so their ids stay their own.
            known = self._known[key] = (lanes, columns, (row, warp, thread))
        return known[2]

    def _own_clock(self, at: Access) -> np.ndarray:
        return self._clock[at.row, at.warp, at.warp]

    def _learned(self, at: Access, slot: np.ndarray) -> np.ndarray:
        """Up to which time of a slot of the CTA whose memory it is the accessing warp knows."""
        mine = self._clock[at.row, at.warp, slot]
        if at.target is None:
            return mine
        other = (at.target != at.row) & (slot < self._width)  # barriers have one time in all CTAs
        return np.where(other, self._clock[at.row, at.warp, np.where(other, self._of_rank(at.target) + slot, 0)], mine)

    def _known_slots(self, at: Access, *, fenced: bool = False) -> np.ndarray:
        """The same of all warps and of asynchronous operations (n, slots); with `fenced` what a proxy fence follows."""
        slots = self._engine + 1
        first = slots if fenced else 0
        if at.target is None:
            return self._clock[:, :, first : first + slots][at.row, at.warp]
        start = np.where(at.target == at.row, 0, self._of_rank(at.target)) + first
        return self._clock[at.row[:, None], at.warp[:, None], start[:, None] + np.arange(slots)]

    def _of_rank(self, row: np.ndarray) -> np.ndarray:
        """Where the columns begin that say what is known of the slots of a CTA of the cluster."""
        return self._width * (1 + row % self._batch.cluster)

    # ---- accesses --------------------------------------------------------------------------------
    def read_shared(self, lanes: Lanes, address: np.ndarray, size: int, columns: np.ndarray | None = None) -> None:
        """A read; `columns` are the lanes that give the addresses when the data goes to other lanes."""
        self._profile(lanes, "shared", address, size, columns)
        at = self._access(lanes, address, size, columns, lanes.mask)
        self._check_read(lanes, at)
        self._read_clock[at.cell, at.warp] = self._own_clock(at)
        self._read_lane[at.cell] = at.thread
        self._read_warp[at.cell] = at.warp
        self._read_epoch[at.cell] = self._epoch[at.row, at.warp] if columns is None else -1
        self._read_site[at.cell] = lanes.site
        if self._copied_into:
            self._generic_read[at.cell, at.warp] = self._own_clock(at)
            self._generic_site[at.cell] = lanes.site

    def _check_read(self, lanes: Lanes, at: Access) -> None:
        who = self._write_warp.take(at.cell)
        self._no_flight(lanes, at, "read")
        self._ordered(lanes, at, self._write_clock.take(at.cell) > self._learned(at, who), "read", "write")
        same = (self._write_epoch.take(at.cell) == self._epoch[at.row, at.warp]) & (who == at.warp)
        if at.target is not None:
            same &= at.target == at.row
        same &= self._write_lane.take(at.cell) != at.thread
        if self._any_together:
            same &= (self._together.take(at.cell) & self._lane_bit(at)) == 0  # what it wrote itself it may read
        self._same_warp(lanes, at, same, "read", self._write_site, self._write_lane, "write")
        missing = ~self._written.take(at.cell)
        if missing.any():
            self._uninitialized(lanes, at, missing)

    def write_shared(self, lanes: Lanes, address: np.ndarray, size: int, columns: np.ndarray | None = None) -> bool:
        """A write; returns whether two lanes write one cell, which is a race unless the values agree."""
        self._profile(lanes, "shared", address, size, columns)
        at = self._access(lanes, address, size, columns, lanes.mask)
        self._no_conflict(lanes, at, "write")
        self._record_write(lanes, at)
        contested = columns is None and bool((self._write_lane.take(at.cell) != at.thread).any())
        if contested:
            self._any_together = True
            own = self._write_warp.take(at.cell) == at.warp
            np.bitwise_or.at(self._together, at.cell[own], self._lane_bit(at)[own])
        return contested

    def _lane_bit(self, at: Access) -> np.ndarray:
        return np.uint64(1) << (at.thread % self._batch.warp_size).astype(np.uint64)

    def _no_conflict(self, lanes: Lanes, at: Access, what: str, with_atomics: bool = True) -> None:
        who = self._write_warp.take(at.cell)
        self._no_flight(lanes, at, what)
        late = self._write_clock.take(at.cell) > self._learned(at, who)
        if not with_atomics:
            late &= ~self._atomic.take(at.cell)
        self._ordered(lanes, at, late, what, "write")
        unordered = np.any(self._read_clock[at.cell] > self._known_slots(at), axis=1)
        self._ordered(lanes, at, np.asarray(unordered), what, "read")
        same = (self._read_epoch.take(at.cell) == self._epoch[at.row, at.warp]) & (
            self._read_warp.take(at.cell) == at.warp
        )
        if at.target is not None:
            same &= at.target == at.row
        same &= self._read_lane.take(at.cell) != at.thread
        self._same_warp(lanes, at, same, what, self._read_site, self._read_lane, "read")

    def _record_write(self, lanes: Lanes, at: Access) -> None:
        self._write_clock[at.cell] = self._own_clock(at)
        self._write_warp[at.cell] = at.warp
        self._write_lane[at.cell] = at.thread
        self._write_epoch[at.cell] = self._epoch[at.row, at.warp]
        self._write_site[at.cell] = lanes.site
        self._written[at.cell] = True
        if self._any_together:
            self._together[at.cell] = 0
        self._atomic[at.cell] = False
        self._generic[at.cell] = True

    def atomic_shared(self, lanes: Lanes, address: np.ndarray, size: int) -> None:
        """A read-modify-write: ordered with plain accesses like a write, free among other atomics."""
        self._profile(lanes, "shared", address, size, None)
        at = self._access(lanes, address, size, None, lanes.mask)
        missing = ~self._written.take(at.cell)
        if missing.any():
            self._uninitialized(lanes, at, missing)
        self._no_conflict(lanes, at, "atomic update", with_atomics=False)
        self._record_write(lanes, at)
        self._atomic[at.cell] = True

    # ---- asynchronous copies ---------------------------------------------------------------------
    def issue_copy(self, lanes: Lanes, address: np.ndarray, size: int) -> None:
        """The start of a cp.async: from now until its wait nobody may touch the destination."""
        self._profile(lanes, "shared", address, size, None)
        at = self._access(lanes, address, size, None, lanes.mask)
        self._no_conflict(lanes, at, "asynchronous copy")
        self._record_write(lanes, at)
        self._flying[at.cell] = True

    def land_copy(self, lanes: Lanes, address: np.ndarray, size: int, mask: np.ndarray | None, site: int) -> None:
        """The end of a cp.async: as if the waiting thread wrote the data now."""
        at = self._access(lanes, address, size, None, mask)
        saved, lanes.site = lanes.site, site
        self._record_write(lanes, at)
        lanes.site = saved
        self._flying[at.cell] = False

    # ---- order -----------------------------------------------------------------------------------
    def join(self, waiters: Sequence[Lanes], arrivers: Sequence[Lanes]) -> None:
        """A barrier completes: waiters see everything all participants did before it."""
        everyone = [*waiters, *arrivers]
        rows = self._barrier_rows(everyone)
        warps = np.concatenate([x.warp_ids for x in everyone])
        merged = self._clock[np.ix_(rows, warps)].max(1)
        for lanes in waiters:
            self._clock[np.ix_(rows, lanes.warp_ids)] = merged[:, None, :]
        for lanes in everyone:
            self._clock[rows[:, None], lanes.warp_ids, lanes.warp_ids] += 1
            self._epoch[np.ix_(rows, lanes.warp_ids)] += 1

    def _barrier_rows(self, everyone: Sequence[Lanes]) -> np.ndarray:
        for lanes in everyone:
            mask = self._alike(None if lanes.mask is None else np.asarray(lanes.mask.any(1, keepdims=True)))
            if mask is not None and self._rows > 1:
                return np.nonzero(np.broadcast_to(mask, (self._rows, 1))[:, 0])[0]
        return np.arange(self._rows)

    def sync_warp(self, lanes: Lanes) -> None:
        """bar.warp.sync: the lanes of each active warp see one another's accesses."""
        if lanes.mask is None:
            self._epoch[:, lanes.warp_ids] += 1
            return
        active = self._alike(np.asarray(lanes.active().any(2)))
        assert active is not None
        self._epoch[:, lanes.warp_ids] += np.broadcast_to(active, (self._rows, len(lanes.warp_ids)))

    def _active_warps(self, lanes: Lanes) -> np.ndarray:
        active = self._alike(np.asarray(lanes.active().any(2)))
        assert active is not None
        return np.broadcast_to(active, (self._rows, len(lanes.warp_ids)))

    def _fenced_column(self, slot: np.ndarray) -> np.ndarray:
        """Where clocks say up to which time of a slot there is a proxy fence."""
        return np.where(slot <= self._engine, slot + self._engine + 1, slot + 1)

    def fence(self, lanes: Lanes, scope: str) -> None:
        """A proxy fence puts what the warp knows of before later asynchronous accesses of whoever learns of it.

        So does a wait for accesses to device memory with accesses there, where barriers leave them open.
        """
        planes = _PLANES.get(scope, ())
        if not planes:
            return
        slots, columns = self._engine + 1, self._clock.shape[2]
        warps = (np.arange(0, self._fixed, self._width)[:, None] + np.arange(slots)).reshape(-1)
        barriers = np.arange(self._fixed, columns, PLANES)
        known = np.tile(np.concatenate((warps, barriers)), len(planes))
        fenced = np.concatenate([x for plane in planes for x in (warps + plane * slots, barriers + plane)])
        active, clock = self._active_warps(lanes), self._clock[:, lanes.warp_ids]
        clock[..., fenced] = np.maximum(clock[..., fenced], np.where(active[..., None], clock[..., known], 0))
        self._clock[:, lanes.warp_ids] = clock
        self._clock[:, lanes.warp_ids, lanes.warp_ids] += active  # what comes after the fence is later

    def _profile(self, lanes: Lanes, space: str, address: np.ndarray, size: int, columns: np.ndarray | None) -> None:
        if self._batch.profile is not None:
            self._batch.profile.access(lanes, space, address, size, columns)

    # ---- reports ---------------------------------------------------------------------------------
    def where(self, site: int) -> Location | None:
        """The place in the program of an instruction."""
        return self._locate(site)

    def _place(self, at: Access, index: int) -> str:
        byte = int(at.cell[index]) % self._cells * self._unit
        row = (at.row if at.target is None else at.target)[index]
        return f"shared byte {byte} of CTA {self._batch.ids[row]}"

    def _name(self, slot: int) -> str:
        if slot >= self._engine:
            return "an asynchronous operation"
        role = self._batch.roles.get(slot)
        return f"warp {slot} ({role})" if role else f"warp {slot}"

    def _actor(self, at: Access, index: int) -> str:
        return self._name(int(at.warp[index]))

    def _ordered(self, lanes: Lanes, at: Access, bad: np.ndarray, what: str, earlier: str) -> None:
        if not bad.any():
            return
        index = int(bad.argmax())
        cell = int(at.cell[index])
        if earlier == "write":
            other, site = int(self._write_warp[cell]), int(self._write_site[cell])
        else:
            late = self._read_clock[cell] > self._known_slots(at)[index]
            other, site = int(late.argmax()), int(self._read_site[cell])
        raise RaceError(
            f"race: {what} of {self._place(at, index)} by {self._actor(at, index)} is not ordered "
            f"after the {earlier} by {self._name(other)}",
            self._locate(lanes.site),
            notes=((f"the {earlier} by {self._name(other)}", self._locate(site)),),
            hint="a barrier between the two is missing",
        )

    def _same_warp(
        self,
        lanes: Lanes,
        at: Access,
        bad: np.ndarray,
        what: str,
        sites: np.ndarray,
        threads: np.ndarray,
        earlier: str,
    ) -> None:
        if not bad.any():
            return
        index = int(bad.argmax())
        cell = int(at.cell[index])
        thread = int(at.thread[index])
        mine = "the warp" if thread == COLLECTIVE else f"thread {thread}"
        raise RaceError(
            f"race inside warp {int(at.warp[index])}: {what} of {self._place(at, index)} by {mine} is not ordered "
            f"after the {earlier} by thread {int(threads[cell])}",
            self._locate(lanes.site),
            notes=((f"the {earlier} by thread {int(threads[cell])}", self._locate(int(sites[cell]))),),
            hint="lanes of a warp do not run in step; synchronise the warp between the two",
        )

    def _no_flight(self, lanes: Lanes, at: Access, what: str) -> None:
        flying = self._flying.take(at.cell)
        if not flying.any():
            return
        index = int(flying.argmax())
        cell = int(at.cell[index])
        raise InFlightError(
            f"race: {what} of {self._place(at, index)} by {self._actor(at, index)} while an asynchronous copy "
            "into it is in flight",
            self._locate(lanes.site),
            notes=(
                (f"the copy by {self._name(int(self._write_warp[cell]))}", self._locate(int(self._write_site[cell]))),
            ),
            hint="wait for the copy's group, then synchronise",
        )

    def _uninitialized(self, lanes: Lanes, at: Access, missing: np.ndarray) -> None:
        index = int(missing.argmax())
        message = f"{self._actor(at, index)} reads {self._place(at, index)}, which nothing has written"
        if knobs.SIM_UNINITIALIZED.get() != "warn":
            raise UninitializedReadError(message, self._locate(lanes.site))
        self._written[at.cell] = True  # once is enough
        _LOG.warning("%s: %s: its value is arbitrary", self._locate(lanes.site), message)

    def unfinished(self, pending: Pending) -> SimulationError:
        """The error for an asynchronous operation that nobody has waited for when its CTA ends."""
        who = f" by {pending.who}" if pending.who else ""
        return UnfinishedError(
            f"race: the kernel ends before {pending.what}{who} has been waited for",
            self._locate(pending.site),
            hint="wait for it: shared memory belongs to the next block when a block ends",
        )

    def leaked(self, columns: int, site: int) -> SimulationError:
        """The error for tensor memory that a CTA keeps when it ends."""
        return SimulationError(
            f"the kernel ends with {columns} columns of tensor memory allocated",
            self._locate(site),
            hint="tcgen05.dealloc all of it: the next block waits for the columns",
        )

    def collision(self, lanes: Lanes) -> SimulationError:
        """The error for lanes that write different values to one place in one instruction."""
        return RaceError(
            "race: two threads write different values to one place of shared memory in one instruction",
            self._locate(lanes.site),
        )
