"""Finds races in global memory, between CTAs and between the threads of one.

Only allocations that the kernel may write are looked at. CTAs may write the same bytes to one place: what is there
then does not depend on their order. A unit remembers its last write and its last read: CTA, warp and time; of reads by
several CTAs, and of atomic updates, which are free among each other, it remembers all. What came before is known inside
of a CTA by the clocks of its warps, as in shared memory, and between CTAs by messages (`causality`): flags that one
releases and another acquires, and barriers of a cluster. Bulk copies go through the asynchronous proxy: ordinary
accesses come before them only with a fence.proxy.async of device memory between (PTX ISA 8.7, sections 8.6 and 8.9.5).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir import knobs
from tilelang_mlir.errors import Location, ProxyFenceError, RaceError
from tilelang_mlir.isa.instruction import MemoryOrder
from tilelang_mlir.simulator.access_sets import AccessSets
from tilelang_mlir.simulator.causality import Causality, Units
from tilelang_mlir.simulator.lanes import Lanes
from tilelang_mlir.simulator.memory import GlobalMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilelang_mlir.simulator.device_checks import DeviceChecker

_LOG = logging.getLogger("tilelang_mlir")
_ATOMIC, _MANY = -1, -2
_UNDER_WAY = 2**31 - 1  # the time of a write by a bulk copy that nobody has waited for
_COLUMNS = ("owner", "site", "reader", "read_site", "writer", "written")  # by unit; the last two: a warp and its time
_FINE = (
    *("warp", "clock", "thread", "epoch", "generic", "read_warp", "read_clock", "read_thread", "read_epoch"),
    *("updates", "readers"),  # sets of accesses: the updates where `owner` is atomic, the reads where there are many
)


@dataclass
class Contest:
    """A write into what others write: a race unless both leave the same bytes."""

    error: RaceError
    memory: GlobalMemory
    taken: np.ndarray  # the bytes that others have written before

    def store(self, view: np.ndarray, index: np.ndarray, value: np.ndarray) -> None:
        """Write, and look whether anything was lost.

        Raises:
            RaceError: what others had written has changed, or not all of the values are there now.
        """
        before = self.memory.views[1].take(self.taken)
        view[index] = value
        changed = (self.memory.views[1].take(self.taken) != before).any()
        if changed or view.take(index).tobytes() != np.ascontiguousarray(value, view.dtype).tobytes():
            raise self.error


class Ownership:
    """The shadow of one launch.

    Args:
        unit: the narrowest global store of the kernel in bytes (a power of two).
        written: indices of the allocations that the kernel may write. read: those that it may read. Updates do both.
        plain: those that it reads or writes other than by atomic updates.
        order: where CTAs may know of one another, what they do.
    """

    def __init__(
        self,
        memory: GlobalMemory,
        unit: int,
        written: set[int],
        read: set[int],
        plain: set[int],
        order: tuple[int, int] | None = None,
    ) -> None:
        self._memory = memory
        self._shift = unit.bit_length() - 1
        self._unit = unit
        self._written, self._shared, self._mixed = written, written & read, written & read & plain
        self._base: dict[int, int] = {}
        total = 0
        for slot in sorted(written):
            self._base[slot] = total - (memory.starts[slot] >> self._shift)
            total += ((memory.ends[slot] - memory.starts[slot]) >> self._shift) + 1
        self._columns = {name: np.zeros(total, np.int32) for name in _COLUMNS}
        self._order = None if order is None else Causality(*order, total)
        self._detailed = self._shared if order is None else written
        fine = total if self._detailed else 0
        self._fine = {name: np.zeros(fine, np.int32) for name in _FINE}
        self._sets = AccessSets()
        self._told: set[int] = set()  # places in the program that a warning was about

    def snapshot(self) -> Callable[[], None]:
        """Returns what forgets all that comes from now on; to be called once."""
        columns, fine = ({k: v.copy() for k, v in x.items()} for x in (self._columns, self._fine))
        order = None if self._order is None else self._order.snapshot()

        def restore() -> None:
            self._columns, self._fine = columns, fine
            if self._order is not None and order is not None:
                self._order.restore(order)

        return restore

    def forget(self) -> None:
        """A barrier of all CTAs orders what was done before it. Bulk copies not waited for are still under way."""
        done = self._fine["clock"] != _UNDER_WAY if self._detailed else slice(None)
        for column in (*self._columns.values(), *self._fine.values()):
            column[done] = 0

    # ---- which units -----------------------------------------------------------------------------
    def _slot(self, address: np.ndarray, slots: set[int]) -> int | None:
        """The allocation that a shadowed access goes to."""
        slot = self._memory.find(int(address.flat[0]))
        return slot if slot in slots else None

    def _lanes(self, lanes: Lanes, address: np.ndarray, size: int, slot: int, checker: DeviceChecker) -> Units:
        """Of all active lanes; where threads are not told apart, those of a CTA at a uniform address count as one."""
        shape = (lanes.batch.ctas, lanes.count) if slot in self._detailed else (lanes.batch.ctas, 1)
        if lanes.mask is not None:
            shape = np.broadcast_shapes(shape, lanes.mask.shape)
        shape = np.broadcast_shapes(shape, address.shape)
        number = np.arange(lanes.batch.ctas)[:, None]
        warp = lanes.warp[None, :] if shape[1] > 1 else lanes.warp[None, :1]
        thread = lanes.threads[None, :] if shape[1] > 1 else lanes.threads[None, :1]
        values = [
            (address >> self._shift) + self._base[slot],
            (lanes.batch.ids + 1)[:, None],
            number,
            number if checker.each else number * 0,
            warp,
            thread,
        ]
        keep = None if lanes.mask is None else np.broadcast_to(lanes.mask, shape)
        wide = [np.broadcast_to(v, shape) for v in values]
        flat = [v.reshape(-1) if keep is None else v[keep] for v in wide]
        parts = max(size >> self._shift, 1)
        if parts > 1:
            flat = [np.repeat(v, parts) for v in flat]
            flat[0] = flat[0] + np.tile(np.arange(parts), len(flat[0]) // parts)
        return Units(*flat)

    def _boxes(
        self,
        lanes: Lanes,
        ctas: np.ndarray,
        columns: np.ndarray,
        address: np.ndarray,
        size: int,
        slot: int,
        each: bool,
    ) -> Units:
        """Units of `size` bytes at addresses (K, U) of copies issued by lanes (ctas[k], columns[k])."""
        parts = max(size >> self._shift, 1)
        cell = (((address >> self._shift) + self._base[slot])[:, :, None] + np.arange(parts)).reshape(len(ctas), -1)
        wide = [
            np.broadcast_to(v[:, None], cell.shape).reshape(-1)
            for v in (
                lanes.batch.ids[ctas] + 1,
                ctas,
                ctas if each else ctas * 0,
                lanes.warp[columns],
                lanes.threads[columns],
            )
        ]
        return Units(cell.reshape(-1), *wide, collective=True)

    # ---- ordinary accesses -----------------------------------------------------------------------
    def write(self, lanes: Lanes, address: np.ndarray, size: int, checker: DeviceChecker) -> Contest | None:
        slot = self._slot(address, self._written)
        if slot is None:
            return None
        return self._write(lanes, self._lanes(lanes, address, size, slot, checker), checker, slot, generic=True)

    def read(self, lanes: Lanes, address: np.ndarray, size: int, checker: DeviceChecker) -> None:
        slot = self._slot(address, self._shared)
        if slot is not None:
            self._read(lanes, self._lanes(lanes, address, size, slot, checker), checker, generic=True)

    def atomic(self, lanes: Lanes, address: np.ndarray, size: int, order: MemoryOrder, checker: DeviceChecker) -> None:
        """An atomic update: others may update the same bytes, but not access them otherwise."""
        slot = self._slot(address, self._written)
        if slot is None or (slot not in self._mixed and self._order is None):
            return
        at = self._lanes(lanes, address, size, slot, checker)
        if slot in self._mixed:
            self._update(lanes, at, checker)
        if self._order is not None:
            self._order.update(at, order, checker)

    def fence(self, lanes: Lanes, order: MemoryOrder, checker: DeviceChecker) -> None:
        """A fence of device memory, as far as the device or further."""
        if self._order is None:
            return
        number, column = np.nonzero(np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape))
        row, owner = number if checker.each else number * 0, lanes.batch.ids[number] + 1
        at = Units(number * 0, owner, number, row, lanes.warp[column], lanes.threads[column])
        self._order.fence(at, order, checker)

    # ---- bulk copies -----------------------------------------------------------------------------
    def copy(
        self,
        lanes: Lanes,
        ctas: np.ndarray,
        columns: np.ndarray,
        address: np.ndarray,
        size: int,
        checker: DeviceChecker,
        kind: str,
    ) -> tuple[Contest | None, Callable[[], None]]:
        """A bulk copy of units of `size` bytes at addresses (K, U): a "load", a "store", or an "update", which adds.

        What is written may be there from now on, but nobody may count on it until the copy is complete: returned is
        what to call then, and what to write with where another CTA has written.
        """
        slot = self._slot(address, self._shared if kind == "load" else self._written) if address.size else None
        if slot is None or (kind == "update" and slot not in self._mixed):
            return None, lambda: None
        at = self._boxes(lanes, ctas, columns, address, size, slot, checker.each)
        if kind == "load":
            self._read(lanes, at, checker, generic=False)
            return None, lambda: None
        if kind == "update":
            self._update(lanes, at, checker)
            self._sets.add(self._fine["updates"], at, np.full(len(at.cell), _UNDER_WAY))
            return None, lambda: self._complete(at, checker, updates=True)
        contest = self._write(lanes, at, checker, slot, generic=False)
        if slot not in self._detailed:
            return contest, lambda: None
        self._fine["clock"][at.cell] = _UNDER_WAY
        return contest, lambda: self._complete(at, checker, updates=False)

    def _complete(self, at: Units, checker: DeviceChecker, *, updates: bool) -> None:
        """A bulk copy to device memory has ended, and the warp that issued it has waited for that."""
        at.row = at.number if checker.each else at.number * 0
        now, owner = checker.time(at.row, at.warp), self._columns["owner"].take(at.cell)
        if updates:
            still = np.flatnonzero(owner == _ATOMIC)
            self._sets.add(self._fine["updates"], at.only(still), now[still])
            return
        still = (owner == at.owner) & (self._fine["clock"].take(at.cell) == _UNDER_WAY)
        self._fine["clock"][at.cell[still]] = now[still]

    # ---- checks ----------------------------------------------------------------------------------
    def _write(self, lanes: Lanes, at: Units, checker: DeviceChecker, slot: int, *, generic: bool) -> Contest | None:
        owner = self._columns["owner"]
        before, detailed = owner.take(at.cell), slot in self._detailed
        self._after_updates(lanes, at, before, "writes", checker)
        taken = self._late(at, (before > 0) & (before != at.owner), before, "", checker)
        error = self._met(lanes, at, taken, before, "writes", "has written", checker)
        if detailed:
            self._ordered(lanes, at, checker, "write", ("", "read_"), generic=generic)
        else:
            overtaken = self._overtaken(at, before, checker)
            error = error or self._lost(lanes, at, overtaken, checker)
            taken |= overtaken
            self._columns["writer"][at.cell], self._columns["written"][at.cell] = at.warp, checker.time(at.row, at.warp)
        self._after_reads(lanes, at, "writes", checker)
        owner[at.cell] = at.owner
        self._columns["site"][at.cell] = lanes.site
        self._columns["reader"][at.cell] = 0
        after = owner.take(at.cell)
        error = error or self._met(lanes, at, after != at.owner, after, "writes", "has written", checker)
        if detailed:
            self._remember(at, checker, "")
            self._fine["generic"][at.cell] = generic
            for name in ("read_clock", "updates", "readers"):
                self._fine[name][at.cell] = 0
        if self._order is not None:
            self._order.overwrite(at.cell)
        if error is None:
            return None
        start = (at.cell[taken] - self._base[slot]) << self._shift
        return Contest(error, self._memory, (start[:, None] + np.arange(self._unit)).reshape(-1))

    def _overtaken(self, at: Units, before: np.ndarray, checker: DeviceChecker) -> np.ndarray:
        """Where another warp of the CTA has written a unit that nobody reads, and this write may come before its."""
        warp, time = (self._columns[name].take(at.cell) for name in ("writer", "written"))
        return (before == at.owner) & (warp != at.warp) & (time > checker.known(at.row, at.warp, warp))

    def _read(self, lanes: Lanes, at: Units, checker: DeviceChecker, *, generic: bool) -> None:
        before = self._columns["owner"].take(at.cell)
        self._after_updates(lanes, at, before, "reads", checker)
        late = self._late(at, (before > 0) & (before != at.owner), before, "", checker)
        self._apart(lanes, at, late, before, "reads", "has written", checker)
        self._ordered(lanes, at, checker, "read", ("",), generic=generic)
        reader = self._columns["reader"]
        known = reader.take(at.cell)
        reader[at.cell] = np.where((known == 0) | (known == at.owner), at.owner, _MANY)
        reader[at.cell[reader.take(at.cell) != at.owner]] = _MANY
        if self._order is not None:
            self._add_readers(at, known, checker)
        self._columns["read_site"][at.cell] = lanes.site
        if generic:
            self._remember(at, checker, "read_")

    def _add_readers(self, at: Units, known: np.ndarray, checker: DeviceChecker) -> None:
        """Where CTAs have read a unit, and where one of them had alone, which."""
        many = self._columns["reader"].take(at.cell) == _MANY
        alone = np.flatnonzero(many & (known > 0))
        first, fine = at.only(alone), self._fine
        first.owner, first.warp = known[alone], fine["read_warp"].take(first.cell)
        self._sets.add(fine["readers"], first, fine["read_clock"].take(first.cell))
        new = at.only(np.flatnonzero(many))
        self._sets.add(fine["readers"], new, checker.time(new.row, new.warp))

    def _update(self, lanes: Lanes, at: Units, checker: DeviceChecker) -> None:
        before, fine = self._columns["owner"].take(at.cell), self._fine
        late = self._late(at, (before > 0) & (before != at.owner), before, "", checker)
        self._apart(lanes, at, late, before, "updates", "has written", checker)
        self._ordered(lanes, at, checker, "atomic update", ("", "read_"), generic=True)
        self._after_reads(lanes, at, "updates", checker)
        self._columns["owner"][at.cell] = _ATOMIC
        self._columns["site"][at.cell] = lanes.site
        self._columns["reader"][at.cell] = 0
        for name in ("clock", "read_clock", "readers"):
            fine[name][at.cell] = 0
        self._sets.add(fine["updates"], at, checker.time(at.row, at.warp))

    def _after_updates(self, lanes: Lanes, at: Units, before: np.ndarray, verb: str, checker: DeviceChecker) -> None:
        other = self._in_set(at, "updates", before == _ATOMIC, checker)
        self._apart(lanes, at, other != 0, other, verb, "has updated", checker)

    def _after_reads(self, lanes: Lanes, at: Units, verb: str, checker: DeviceChecker) -> None:
        read = self._columns["reader"].take(at.cell)
        late = self._late(at, (read > 0) & (read != at.owner), read, "read_", checker)
        self._apart(lanes, at, late, read, verb, "has read", checker)
        many = read == _MANY
        other = np.where(many, _MANY, 0) if self._order is None else self._in_set(at, "readers", many, checker)
        self._apart(lanes, at, other != 0, other, verb, "has read", checker)

    def _late(
        self, at: Units, bad: np.ndarray, other: np.ndarray, kind: str, checker: DeviceChecker, *, fenced: bool = False
    ) -> np.ndarray:
        """Of the accesses marked `bad` those that the earlier one, of CTA `other`, does not come before."""
        if self._order is None or not bad.any():
            return bad
        which = np.flatnonzero(bad)
        some = at.only(which)
        warp, clock = (self._fine[f"{kind}{name}"].take(some.cell) for name in ("warp", "clock"))
        late = bad.copy()
        late[which] = ~self._order.covers(some, other[which], warp, clock, checker, fenced=fenced)
        return late

    def _in_set(self, at: Units, column: str, marked: np.ndarray, checker: DeviceChecker) -> np.ndarray:
        """For each of the marked accesses a CTA whose earlier access, one of several, does not come before it, or 0."""
        found = np.zeros(len(at.cell), np.int64)
        which = np.flatnonzero(marked)
        if len(which):
            some = at.only(which)
            found[which] = self._sets.unordered(self._fine[column].take(some.cell), some, checker, self._order)
        return found

    def _remember(self, at: Units, checker: DeviceChecker, kind: str) -> None:
        fine = self._fine
        fine[f"{kind}warp"][at.cell], fine[f"{kind}clock"][at.cell] = at.warp, checker.time(at.row, at.warp)
        fine[f"{kind}thread"][at.cell] = at.thread
        fine[f"{kind}epoch"][at.cell] = -1 if at.collective else checker.epoch(at.row, at.warp)

    def _ordered(
        self, lanes: Lanes, at: Units, checker: DeviceChecker, what: str, kinds: tuple[str, ...], *, generic: bool
    ) -> None:
        """Inside a CTA: the earlier accesses of these kinds come before, with a fence where the proxies differ."""
        for kind in kinds:
            seen = self._columns["reader" if kind else "owner"].take(at.cell)
            mine = seen == at.owner
            clock, warp = self._fine[f"{kind}clock"].take(at.cell), self._fine[f"{kind}warp"].take(at.cell)
            late = mine & (clock > checker.known(at.row, at.warp, warp))
            other = self._fine[f"{kind}thread"].take(at.cell) != at.thread
            same = self._fine[f"{kind}epoch"].take(at.cell) == checker.epoch(at.row, at.warp)
            beside = mine & other & same & (warp == at.warp) & (clock > 0) & (not at.collective)
            earlier = "read" if kind else "write"
            if late.any():
                raise self._unordered(lanes, at, int(late.argmax()), what, kind, checker)
            if beside.any():
                self._beside(lanes, self._unordered(lanes, at, int(beside.argmax()), what, kind, checker))
            if generic:
                continue
            plain = self._fine["generic"].take(at.cell) > 0 if not kind else np.True_
            stale = plain & (clock > checker.known(at.row, at.warp, warp, fenced=True)) & mine
            if self._order is not None:
                foreign = plain & (seen > 0) & (seen != at.owner)
                foreign &= ~self._late(at, foreign, seen, kind, checker)
                stale |= self._late(at, foreign, seen, kind, checker, fenced=True)
            if stale.any():
                self._unfenced(lanes, at, int(stale.argmax()), what, earlier, checker)

    # ---- reports ---------------------------------------------------------------------------------
    def _place(self, cell: int) -> str:
        slot = max(s for s in self._base if self._base[s] + (self._memory.starts[s] >> self._shift) <= cell)
        address = (cell - self._base[slot]) << self._shift
        return f"byte {address - self._memory.starts[slot]} of {self._memory.names[slot] or 'an allocation'}"

    def _apart(
        self, lanes: Lanes, at: Units, bad: np.ndarray, other: np.ndarray, verb: str, did: str, checker: DeviceChecker
    ) -> None:
        error = self._met(lanes, at, bad, other, verb, did, checker)
        if error is not None:
            raise error

    def _met(
        self, lanes: Lanes, at: Units, bad: np.ndarray, other: np.ndarray, verb: str, did: str, checker: DeviceChecker
    ) -> RaceError | None:
        """The report of CTAs that met in one of the `bad` units."""
        if not bad.any():
            return None
        index = int(bad.argmax())
        mine, theirs = int(at.owner[index]), int(other[index])
        who = "more than one CTA" if theirs == _MANY else f"CTA {theirs - 1}" if mine != theirs else "another warp"
        sites = self._columns["read_site" if did == "has read" else "site"]
        hint = "use an atomic operation, or give each CTA its own part"
        if mine == theirs:
            hint = "device memory too needs a barrier between the two: T.sync_threads"
        elif self._order is not None:
            hint = (
                "pass it on: T.atomic_store(flag, 1, 'release') after a barrier of those that accessed it, "
                "T.atomic_load(flag, 'acquire') and a barrier before those that do next"
            )
        return RaceError(
            f"race{' between CTAs' if mine != theirs else ''}: CTA {mine - 1} {verb} "
            f"{self._place(int(at.cell[index]))}, which {who} {did} in this launch",
            checker.locate(lanes.site),
            notes=(("the other access", checker.locate(int(sites[at.cell[index]]))),),
            hint=hint,
        )

    def _lost(self, lanes: Lanes, at: Units, bad: np.ndarray, checker: DeviceChecker) -> RaceError | None:
        """The report of warps of a CTA that write one place in no order."""
        if not bad.any():
            return None
        index = int(bad.argmax())
        cell, cta = int(at.cell[index]), int(at.owner[index]) - 1
        return RaceError(
            f"race: write of {self._place(cell)} by warp {int(at.warp[index])} of CTA {cta} is not ordered after the "
            f"write of another value by warp {int(self._columns['writer'][cell])}",
            checker.locate(lanes.site),
            notes=(("the write", checker.locate(int(self._columns["site"][cell]))),),
            hint="device memory too needs a barrier between the two: T.sync_threads",
        )

    def _beside(self, lanes: Lanes, error: RaceError) -> None:
        """Lanes of a warp: no order by the letter of the ISA, and what machines do whose lanes run together."""
        if knobs.SIM_LOCKSTEP.get() != "warn":
            raise error
        if lanes.site not in self._told:
            self._told.add(lanes.site)
            _LOG.warning("%s", error)

    def _unordered(
        self, lanes: Lanes, at: Units, index: int, what: str, kind: str, checker: DeviceChecker
    ) -> RaceError:
        earlier, cell = "read" if kind else "write", int(at.cell[index])
        thread = int(self._fine[f"{kind}thread"][cell])
        return RaceError(
            f"race: {what} of {self._place(cell)} by thread {int(at.thread[index])} of CTA {int(at.owner[index]) - 1} "
            f"is not ordered after the {earlier} by thread {thread}",
            checker.locate(lanes.site),
            notes=((f"the {earlier}", self._earlier(cell, kind, checker)),),
            hint="wait until the bulk copy is complete: T.tma_store_wait(read=False)"
            if not kind and self._fine["clock"][cell] == _UNDER_WAY
            else "device memory too needs a barrier between the two: T.sync_threads",
        )

    def _unfenced(self, lanes: Lanes, at: Units, index: int, what: str, earlier: str, checker: DeviceChecker) -> None:
        cell = int(at.cell[index])
        verb = {"read": "read", "write": "written"}
        raise ProxyFenceError(
            f"race: {self._place(cell)} was {verb[earlier]} by ordinary accesses and is {verb[what]} by a bulk copy "
            "without fence.proxy.async of device memory between",
            checker.locate(lanes.site),
            notes=((f"the {earlier}", self._earlier(cell, "read_" if earlier == "read" else "", checker)),),
            hint="T.fence_proxy_async() after the accesses, then synchronise",
        )

    def _earlier(self, cell: int, kind: str, checker: DeviceChecker) -> Location | None:
        return checker.locate(int(self._columns["read_site" if kind else "site"][cell]))
