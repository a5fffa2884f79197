"""Sets of accesses that all count, where the last does not stand for them: atomic updates, reads by several CTAs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir.simulator.causality import Units, turns

if TYPE_CHECKING:
    from tilelang_mlir.simulator.causality import Causality
    from tilelang_mlir.simulator.device_checks import DeviceChecker

Members = dict[tuple[int, int], int]
"""By CTA (counted from 1) and warp: the time of its last access."""


class AccessSets:
    """Interned sets: a unit of memory holds the number of its set, 0 the empty one. Units that are accessed alike have
    one set."""

    def __init__(self) -> None:
        self._sets: list[Members] = [{}]
        self._added: dict[tuple[int, int, int, int], int] = {}

    def add(self, column: np.ndarray, at: Units, time: np.ndarray) -> None:
        """Add accesses at times of their warps to the sets in the column of units."""
        _, first = np.unique(np.stack((at.cell, at.owner, at.warp), axis=1), axis=0, return_index=True)
        first.sort()
        some, when = at.only(first), time[first]
        for part in turns(some.cell):
            one = some.only(part)
            keys = np.stack((column[one.cell], one.owner, one.warp, when[part]), axis=1)
            rows, where = np.unique(keys, axis=0, return_inverse=True)
            column[one.cell] = np.array([self._with(*row) for row in rows.tolist()], np.int32)[where.reshape(-1)]

    def _with(self, index: int, cta: int, warp: int, time: int) -> int:
        if self._sets[index].get((cta, warp)) == time:
            return index
        known = self._added.get((index, cta, warp, time))
        if known is None:
            self._sets.append({**self._sets[index], (cta, warp): time})
            known = self._added[index, cta, warp, time] = len(self._sets) - 1
        return known

    def unordered(
        self,
        index: np.ndarray,
        at: Units,
        checker: DeviceChecker,
        order: Causality | None,
    ) -> np.ndarray:
        """For each access a CTA (counted from 1) in the set of its unit with an access that does not come before it;
        0: all do."""
        result = np.zeros(len(index), np.int64)
        keys = np.stack((index, at.owner, at.warp), axis=1)
        _, first, where = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        for k, i in enumerate(first.tolist()):
            for (cta, warp), time in self._sets[int(index[i])].items():
                one, other, when = at.only(np.array([i])), np.array([warp]), np.array([time])
                if cta == at.owner[i]:
                    before = when <= checker.known(one.row, one.warp, other)
                else:
                    before = when < 0 if order is None else order.covers(one, np.array([cta]), other, when, checker)
                if not before[0]:
                    result[where.reshape(-1) == k] = cta
                    break
        return result
