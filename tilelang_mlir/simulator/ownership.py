"""Finds races in global memory, between CTAs and between the threads of one.

Only allocations that the kernel may write are looked at. CTAs may write the same bytes to one place: what is there
then does not depend on their order. A unit remembers the CTA that last wrote it, and which has read it since (one, or
several); of CTAs the order is not followed (fences, or flags that one releases and another acquires), so kernels with
those are checked inside of each CTA only. There the clocks of the warps decide, as in shared memory: a unit remembers
its last write and its last read. Bulk copies go through the asynchronous proxy: ordinary accesses come before them only
with a fence.proxy.async of device memory between (PTX ISA 8.7, sections 8.6 and 8.9.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir.errors import Location, ProxyFenceError, RaceError
from tilelang_mlir.simulator.lanes import Lanes
from tilelang_mlir.simulator.memory import GlobalMemory

if TYPE_CHECKING:
    from tilelang_mlir.simulator.checker import Checker

_ATOMIC, _MANY = -1, -2
_COLUMNS = ("owner", "site", "reader", "read_site")  # by unit
_FINE = ("warp", "clock", "thread", "epoch", "generic", "read_warp", "read_clock", "read_thread", "read_epoch")


@dataclass
class Units:
    """Accessed units, flat: which, and the CTA (counted from 1), row of clocks, warp and thread of each."""

    cell: np.ndarray
    owner: np.ndarray
    row: np.ndarray
    warp: np.ndarray
    thread: np.ndarray
    collective: bool = False  # by the copy engine, for a warp


@dataclass
class Contest:
    """A write into what another CTA writes: a race unless both leave the same bytes."""

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
        written: indices of the allocations that the kernel may write. shared: those that it may read, too.
        between: whether CTAs that meet in a unit are reported.
    """

    def __init__(
        self, memory: GlobalMemory, unit: int, written: set[int], shared: set[int], *, between: bool = True
    ) -> None:
        self._memory, self._between = memory, between
        self._shift = unit.bit_length() - 1
        self._unit = unit
        self._written, self._shared = written, written & shared
        self._base: dict[int, int] = {}
        total = 0
        for slot in sorted(written):
            self._base[slot] = total - (memory.starts[slot] >> self._shift)
            total += ((memory.ends[slot] - memory.starts[slot]) >> self._shift) + 1
        self._columns = {name: np.zeros(total, np.int32) for name in _COLUMNS}
        fine = total if self._shared else 0
        self._fine = {name: np.zeros(fine, np.int32) for name in _FINE}

    def snapshot(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What `restore` takes to forget later accesses."""
        return {k: v.copy() for k, v in self._columns.items()}, {k: v.copy() for k, v in self._fine.items()}

    def restore(self, saved: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]) -> None:
        """Forget what happened since the snapshot, which must not be used again."""
        self._columns, self._fine = saved

    def forget(self) -> None:
        """A barrier of all CTAs orders what was done before it."""
        for column in (*self._columns.values(), *self._fine.values()):
            column[:] = 0

    # ---- which units -----------------------------------------------------------------------------
    def _slot(self, address: np.ndarray, slots: set[int]) -> int | None:
        """The allocation that a shadowed access goes to."""
        slot = self._memory.find(int(address.flat[0]))
        return slot if slot in slots else None

    def _lanes(self, lanes: Lanes, address: np.ndarray, size: int, slot: int, checker: Checker) -> Units:
        """Of all active lanes; those that share a uniform address count as one per CTA outside of shared buffers."""
        shape = (lanes.batch.ctas, lanes.count) if slot in self._shared else (lanes.batch.ctas, 1)
        if lanes.mask is not None:
            shape = np.broadcast_shapes(shape, lanes.mask.shape)
        shape = np.broadcast_shapes(shape, address.shape)
        number = np.arange(lanes.batch.ctas)[:, None]
        warp = lanes.warp[None, :] if shape[1] > 1 else lanes.warp[None, :1]
        thread = lanes.threads[None, :] if shape[1] > 1 else lanes.threads[None, :1]
        values = [
            (address >> self._shift) + self._base[slot],
            (lanes.batch.ids + 1)[:, None],
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
                ctas if each else ctas * 0,
                lanes.warp[columns],
                lanes.threads[columns],
            )
        ]
        return Units(cell.reshape(-1), *wide, collective=True)

    # ---- ordinary accesses -----------------------------------------------------------------------
    def write(self, lanes: Lanes, address: np.ndarray, size: int, checker: Checker) -> Contest | None:
        slot = self._slot(address, self._written)
        if slot is None:
            return None
        return self._write(lanes, self._lanes(lanes, address, size, slot, checker), checker, slot, generic=True)

    def read(self, lanes: Lanes, address: np.ndarray, size: int, checker: Checker) -> None:
        slot = self._slot(address, self._shared)
        if slot is not None:
            self._read(lanes, self._lanes(lanes, address, size, slot, checker), checker, generic=True)

    def atomic(self, lanes: Lanes, address: np.ndarray, size: int, checker: Checker) -> None:
        """An atomic update: other CTAs may update the same bytes, but not have written them otherwise."""
        slot = self._slot(address, self._written)
        if slot is None:
            return
        at = self._lanes(lanes, address, size, slot, checker)
        before = self._columns["owner"].take(at.cell)
        self._apart(lanes, at, (before > 0) & (before != at.owner), before, "updates", "has written", checker)
        self._columns["owner"][at.cell] = _ATOMIC
        self._columns["site"][at.cell] = lanes.site
        self._columns["reader"][at.cell] = 0
        if slot in self._shared:
            for name in ("clock", "read_clock"):
                self._fine[name][at.cell] = 0

    # ---- bulk copies -----------------------------------------------------------------------------
    def copy(
        self,
        lanes: Lanes,
        ctas: np.ndarray,
        columns: np.ndarray,
        address: np.ndarray,
        size: int,
        checker: Checker,
        *,
        store: bool,
    ) -> Contest | None:
        """A bulk copy reads or, with `store`, writes units of `size` bytes at addresses (K, U)."""
        slot = self._slot(address, self._written if store else self._shared) if address.size else None
        if slot is None:
            return None
        at = self._boxes(lanes, ctas, columns, address, size, slot, checker.each)
        if store:
            return self._write(lanes, at, checker, slot, generic=False)
        self._read(lanes, at, checker, generic=False)
        return None

    # ---- checks ----------------------------------------------------------------------------------
    def _write(self, lanes: Lanes, at: Units, checker: Checker, slot: int, *, generic: bool) -> Contest | None:
        owner, reader = self._columns["owner"], self._columns["reader"]
        before, read = owner.take(at.cell), reader.take(at.cell)
        self._apart(lanes, at, before == _ATOMIC, before, "writes", "has written", checker)
        taken = (before != 0) & (before != at.owner)
        error = self._met(lanes, at, taken, before, "writes", "has written", checker)
        if slot in self._shared:
            self._ordered(lanes, at, checker, "write", ("", "read_"), generic=generic)
        owner[at.cell] = at.owner
        self._columns["site"][at.cell] = lanes.site
        reader[at.cell] = 0
        after = owner.take(at.cell)
        error = error or self._met(lanes, at, after != at.owner, after, "writes", "has written", checker)
        self._apart(lanes, at, (read != 0) & (read != at.owner), read, "writes", "has read", checker)
        if slot in self._shared:
            self._remember(at, checker, "")
            self._fine["generic"][at.cell] = generic
            self._fine["read_clock"][at.cell] = 0
        if error is None:
            return None
        start = (at.cell[taken] - self._base[slot]) << self._shift
        return Contest(error, self._memory, (start[:, None] + np.arange(self._unit)).reshape(-1))

    def _read(self, lanes: Lanes, at: Units, checker: Checker, *, generic: bool) -> None:
        before = self._columns["owner"].take(at.cell)
        self._apart(lanes, at, (before > 0) & (before != at.owner), before, "reads", "has written", checker)
        self._ordered(lanes, at, checker, "read", ("",), generic=generic)
        reader = self._columns["reader"]
        known = reader.take(at.cell)
        reader[at.cell] = np.where((known == 0) | (known == at.owner), at.owner, _MANY)
        reader[at.cell[reader.take(at.cell) != at.owner]] = _MANY
        self._columns["read_site"][at.cell] = lanes.site
        if generic:
            self._remember(at, checker, "read_")

    def _remember(self, at: Units, checker: Checker, kind: str) -> None:
        fine = self._fine
        fine[f"{kind}warp"][at.cell], fine[f"{kind}clock"][at.cell] = at.warp, checker.time(at.row, at.warp)
        fine[f"{kind}thread"][at.cell] = at.thread
        fine[f"{kind}epoch"][at.cell] = -1 if at.collective else checker.epoch(at.row, at.warp)

    def _ordered(
        self, lanes: Lanes, at: Units, checker: Checker, what: str, kinds: tuple[str, ...], *, generic: bool
    ) -> None:
        """Inside a CTA: the earlier accesses of these kinds come before, with a fence where the proxies differ."""
        for kind in kinds:
            seen = self._columns["reader" if kind else "owner"].take(at.cell)
            mine = seen == at.owner
            clock, warp = self._fine[f"{kind}clock"].take(at.cell), self._fine[f"{kind}warp"].take(at.cell)
            late = mine & (clock > checker.known(at.row, at.warp, warp))
            other = self._fine[f"{kind}thread"].take(at.cell) != at.thread
            same = self._fine[f"{kind}epoch"].take(at.cell) == checker.epoch(at.row, at.warp)
            late |= mine & other & same & (warp == at.warp) & (clock > 0) & (not at.collective)
            earlier = "read" if kind else "write"
            if late.any():
                self._unordered(lanes, at, int(late.argmax()), what, kind, checker)
            if generic:
                continue
            plain = self._fine["generic"].take(at.cell) > 0 if not kind else np.True_
            stale = plain & (clock > checker.known(at.row, at.warp, warp, fenced=True)) & mine
            if stale.any():
                self._unfenced(lanes, at, int(stale.argmax()), what, earlier, checker)

    # ---- reports ---------------------------------------------------------------------------------
    def _place(self, cell: int) -> str:
        slot = max(s for s in self._base if self._base[s] + (self._memory.starts[s] >> self._shift) <= cell)
        address = (cell - self._base[slot]) << self._shift
        return f"byte {address - self._memory.starts[slot]} of {self._memory.names[slot] or 'an allocation'}"

    def _apart(
        self, lanes: Lanes, at: Units, bad: np.ndarray, other: np.ndarray, verb: str, did: str, checker: Checker
    ) -> None:
        error = self._met(lanes, at, bad, other, verb, did, checker)
        if error is not None:
            raise error

    def _met(
        self, lanes: Lanes, at: Units, bad: np.ndarray, other: np.ndarray, verb: str, did: str, checker: Checker
    ) -> RaceError | None:
        """The report of CTAs that met in one of the `bad` units."""
        if not self._between or not bad.any():
            return None
        index = int(bad.argmax())
        names = {_ATOMIC: "an atomic update", _MANY: "more than one CTA"}
        who = names.get(int(other[index]), f"CTA {int(other[index]) - 1}")
        sites = self._columns["read_site" if did == "has read" else "site"]
        return RaceError(
            f"race between CTAs: CTA {int(at.owner[index]) - 1} {verb} {self._place(int(at.cell[index]))}, "
            f"which {who} {did} in this launch",
            checker.locate(lanes.site),
            notes=(("the other access", checker.locate(int(sites[at.cell[index]]))),),
            hint="use an atomic operation, or give each CTA its own part",
        )

    def _unordered(self, lanes: Lanes, at: Units, index: int, what: str, kind: str, checker: Checker) -> None:
        earlier, cell = "read" if kind else "write", int(at.cell[index])
        thread = int(self._fine[f"{kind}thread"][cell])
        raise RaceError(
            f"race: {what} of {self._place(cell)} by thread {int(at.thread[index])} of CTA {int(at.owner[index]) - 1} "
            f"is not ordered after the {earlier} by thread {thread}",
            checker.locate(lanes.site),
            notes=((f"the {earlier}", self._earlier(cell, kind, checker)),),
            hint="device memory too needs a barrier between the two: T.sync_threads",
        )

    def _unfenced(self, lanes: Lanes, at: Units, index: int, what: str, earlier: str, checker: Checker) -> None:
        cell = int(at.cell[index])
        verb = {"read": "read", "write": "written"}
        raise ProxyFenceError(
            f"race: {self._place(cell)} was {verb[earlier]} by ordinary accesses and is {verb[what]} by a bulk copy "
            "without fence.proxy.async of device memory between",
            checker.locate(lanes.site),
            notes=((f"the {earlier}", self._earlier(cell, "read_" if earlier == "read" else "", checker)),),
            hint="T.fence_proxy_async() after the accesses, then synchronise",
        )

    def _earlier(self, cell: int, kind: str, checker: Checker) -> Location | None:
        return checker.locate(int(self._columns["read_site" if kind else "site"][cell]))
