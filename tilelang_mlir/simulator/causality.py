"""What CTAs know of one another through device memory: flags that one releases and another acquires.

Memory consistency model of the PTX ISA 8.7, sections 8.8 and 8.9.4 to 8.9.6. A release pattern is an atomic write that
releases, or one after a fence of its thread; an acquire pattern an atomic read that acquires, or one before a fence of
its thread. The first synchronises with the second when the value read was written by it, or by read-modify-writes that
follow it. Everything that comes before the release, by program order, barriers of the CTA or earlier messages, then
comes before what follows the acquisition (causality order is transitive: fences are cumulative).

A message is what a warp knew when it released: times of the warps of each CTA, and up to which of these a proxy fence
of device memory follows. A unit of memory carries the message of whoever wrote it last. What a warp has acquired is
kept with the time it did so; whoever in its CTA knows of that time, knows the message, too. So the clocks of the CTA
need no columns for other CTAs, and all that orders its warps orders what they have learnt.

Fences and flags act for the thread that executes them; what is learnt, and the time of an access, belong to its warp.
Orders of a scope narrower than the device order nothing here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir.isa.instruction import MemoryOrder

if TYPE_CHECKING:
    from tilelang_mlir.simulator.device_checks import DeviceChecker

Known = dict[int, np.ndarray]
"""By CTA: (2, warps), up to which time of each of its warps is known, and up to which a proxy fence follows."""


@dataclass
class Units:
    """Accessed units, flat: which; the CTA (counted from 1), its index in the batch, the row of clocks, warp and thread
    of each."""

    cell: np.ndarray
    owner: np.ndarray
    number: np.ndarray
    row: np.ndarray
    warp: np.ndarray
    thread: np.ndarray
    collective: bool = field(default=False, kw_only=True)  # by the copy engine, for a warp

    def only(self, keep: np.ndarray) -> Units:
        """Some of them."""
        columns = (self.cell, self.owner, self.number, self.row, self.warp, self.thread)
        return Units(*(column[keep] for column in columns), collective=self.collective)


@dataclass(eq=False)
class _Learnt:
    """From a time of a warp on: all it has acquired so far; and the same where a proxy fence follows."""

    time: int
    known: Known

    @property
    def fenced(self) -> Known:
        return {cta: np.stack((times[0], times[0])) for cta, times in self.known.items()}


def _merge(one: Known, other: Known) -> Known:
    """Both; neither is changed. `one` itself where the other has nothing new."""
    new = {
        cta: times if cta not in one else np.maximum(one[cta], times)
        for cta, times in other.items()
        if cta not in one or (times > one[cta]).any()
    }
    return {**one, **new} if new else one


def turns(cell: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of units, in parts in which no cell occurs twice: those that meet take turns in their order."""
    order = np.argsort(cell, kind="stable")
    ordered = cell[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    turn = np.empty(len(cell), np.int64)
    turn[order] = np.arange(len(cell)) - np.repeat(starts, np.diff(np.append(starts, len(cell))))
    for k in range(int(turn.max(initial=-1)) + 1):
        yield np.flatnonzero(turn == k)


class Causality:
    """Of one launch of `ctas` CTAs with `threads` threads each; `cells` are the units of memory that may be flags."""

    def __init__(self, ctas: int, threads: int, cells: int) -> None:
        self._messages: list[Known] = [{}]
        self._joined: dict[tuple[int, int], int] = {}
        self._carried = np.zeros(cells, np.int32)  # by unit: the message for who reads it
        self._fenced = np.zeros((ctas, threads), np.int32)  # by thread: the message of its last fence
        self._seen = np.zeros((ctas, threads), np.int32)  # by thread: what its atomic reads found, for a fence to come
        self._learnt: dict[int, dict[int, list[_Learnt]]] = {}
        self._cache: dict[tuple[int, int], tuple[object, Known]] = {}

    def snapshot(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, dict[int, list[_Learnt]]]]:
        """What `restore` takes to forget what is learnt later."""
        learnt = {cta: {warp: list(all_) for warp, all_ in of.items()} for cta, of in self._learnt.items()}
        return self._carried.copy(), self._fenced.copy(), self._seen.copy(), learnt

    def restore(self, saved: tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, dict[int, list[_Learnt]]]]) -> None:
        """Forget what was learnt since the snapshot, which must not be used again."""
        self._carried, self._fenced, self._seen, self._learnt = saved

    # ---- what is known ---------------------------------------------------------------------------
    def known(self, number: int, warp: int, checker: DeviceChecker) -> Known:
        """What a warp of a CTA of the batch knows of all CTAs."""
        found: list[_Learnt | None] = []
        blocks = checker.heard(number, warp)
        for cta, times in blocks.items():
            for other, entries in self._learnt.get(cta, {}).items():
                found += [_last(entries, int(times[0, other])), _last(entries, int(times[1, other]))]
        key = (int(checker.cta(number)), warp)
        state, cached = self._cache.get(key, (None, {}))
        if state != found:
            cached = {}
            for k, entry in enumerate(found):
                if entry is not None:
                    cached = _merge(cached, entry.fenced if k % 2 else entry.known)
            self._cache[key] = found, cached
        return _merge(cached, blocks)

    def covers(
        self,
        at: Units,
        other: np.ndarray,
        warp: np.ndarray,
        time: np.ndarray,
        checker: DeviceChecker,
        *,
        fenced: bool = False,
    ) -> np.ndarray:
        """Whether what a warp of CTA `other` (counted from 1) did at a time comes before each access; with `fenced`
        whether a proxy fence lies between."""
        if not len(other):
            return np.zeros(0, np.bool_)
        keys = np.stack((at.number, at.warp, other), axis=1)
        pairs, where = np.unique(keys, axis=0, return_inverse=True)
        limits = np.zeros((len(pairs), checker.warps), np.int64)
        for k, (number, mine, cta) in enumerate(pairs.tolist()):
            times = self.known(number, mine, checker).get(cta - 1)
            if times is not None:
                limits[k] = times[int(fenced)]
        return time <= limits[where.reshape(-1), warp]

    # ---- messages --------------------------------------------------------------------------------
    def overwrite(self, cell: np.ndarray) -> None:
        """An ordinary write carries no message."""
        self._carried[cell] = 0

    def fence(self, at: Units, order: MemoryOrder, checker: DeviceChecker) -> None:
        """A fence of threads; the cells of `at` mean nothing."""
        if MemoryOrder.ACQUIRE in order:
            self._acquire(at, self._seen[at.owner - 1, at.thread], checker)
        if MemoryOrder.RELEASE in order:
            self._fenced[at.owner - 1, at.thread] = self._release(at, checker)

    def update(self, at: Units, order: MemoryOrder, checker: DeviceChecker) -> None:
        """Atomic reads and writes of units, one after the other where they meet."""
        passed = self._fenced[at.owner - 1, at.thread]
        if order is MemoryOrder.RELAXED and not passed.any() and not self._carried[at.cell].any():
            return
        if MemoryOrder.RELEASE in order:
            passed = self._joins(passed, self._release(at, checker))
        for part in turns(at.cell):
            some = at.only(part)
            found = self._carried[some.cell]
            who = some.owner - 1, some.thread
            self._seen[who] = self._joins(self._seen[who], found)
            if MemoryOrder.ACQUIRE in order:
                self._acquire(some, found, checker)
            self._carried[some.cell] = self._joins(found, passed[part])

    def _release(self, at: Units, checker: DeviceChecker) -> np.ndarray:
        """Messages with all that the warps know now; what they do afterwards is later."""
        pairs, where = np.unique(np.stack((at.number, at.warp), axis=1), axis=0, return_inverse=True)
        first = len(self._messages)
        self._messages += [self.known(number, warp, checker) for number, warp in pairs.tolist()]
        checker.advance(pairs[:, 0], pairs[:, 1])
        return (first + where.reshape(-1)).astype(np.int32)

    def _acquire(self, at: Units, message: np.ndarray, checker: DeviceChecker) -> None:
        keep = message != 0
        if not keep.any():
            return
        columns = (at.number[keep], at.warp[keep], message[keep])
        for number, warp, index in np.unique(np.stack(columns, axis=1), axis=0).tolist():
            cta, told = checker.cta(number), self._messages[index]
            entries = self._learnt.setdefault(cta, {}).setdefault(warp, [])
            before = entries[-1].known if entries else {}
            now = _merge(before, {other: times for other, times in told.items() if other != cta})
            if now is not before:
                entries.append(_Learnt(checker.now(number, warp), now))
            if cta in told:
                checker.learn(number, warp, told[cta])

    def _joins(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The messages that say what both say, element by element."""
        if not other.any():
            return one
        pairs, where = np.unique(np.stack((one, other), axis=1), axis=0, return_inverse=True)
        return np.array([self._join(a, b) for a, b in pairs.tolist()], np.int32)[where.reshape(-1)]

    def _join(self, one: int, other: int) -> int:
        if one == other or not other:
            return one
        if not one:
            return other
        known = self._joined.get((one, other))
        if known is None:
            self._messages.append(_merge(self._messages[one], self._messages[other]))
            known = self._joined[one, other] = len(self._messages) - 1
        return known


def _last(entries: list[_Learnt], time: int) -> _Learnt | None:
    """The last that was learnt up to a time."""
    place = bisect_right(entries, time, key=lambda entry: entry.time)
    return entries[place - 1] if place else None
