"""Counters of checked runs: instructions, bank conflicts, coalescing.

Memory requests are measured on the first CTA of every batch. Patterns repeat from iteration to iteration, so the cost
of a pattern is computed once. Sources: CUDA C++ Best Practices Guide, "Shared Memory and Memory Banks" (32 banks of 4
bytes; an access of 8 or 16 bytes per lane runs as two or four groups of lanes) and "Coalesced Access to Global Memory"
(32-byte sectors).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.simulator.report import AccessReport, SimulationReport

if TYPE_CHECKING:
    from tilelang_mlir.simulator.codegen import Kernel
    from tilelang_mlir.simulator.lanes import Lanes

_BANKS = 32
_SECTOR = 32


class Profile:
    """Accumulates over the batches of a launch."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}
        self._sites: dict[tuple[int, str], list[int]] = {}
        self._patterns: dict[tuple[bytes, int, str], tuple[int, int, int]] = {}

    def snapshot(self) -> tuple[dict[int, int], dict[tuple[int, str], list[int]]]:
        """What `restore` takes to forget later counts."""
        return dict(self._blocks), {key: list(record) for key, record in self._sites.items()}

    def restore(self, saved: tuple[dict[int, int], dict[tuple[int, str], list[int]]]) -> None:
        """Forget what was counted since the snapshot, which must not be used again."""
        self._blocks, self._sites = saved

    def count(self, block: int, lanes: Lanes) -> None:
        """One execution of a basic block by the active warps."""
        weight = lanes.weight if lanes.mask is None else _active_warps(lanes)
        self._blocks[block] = self._blocks.get(block, 0) + weight

    def access(self, lanes: Lanes, space: str, address: np.ndarray, size: int, columns: np.ndarray | None) -> None:
        """One access instruction; `address` is (C|1, K), of the lanes in `columns` (None: all)."""
        first = address[0]
        warps = lanes.warp if columns is None else lanes.warp[columns]
        if lanes.mask is not None and columns is None:
            keep = np.broadcast_to(lanes.mask[:1], (1, lanes.count))[0]
            if not keep.any():
                return
            first, warps = np.broadcast_to(first, (lanes.count,))[keep], warps[keep]
        elif first.shape != warps.shape:
            first = np.broadcast_to(first, warps.shape)
        base = int(first[0]) & ~127
        key = ((first - base).tobytes(), size, space)
        cost = self._patterns.get(key)
        if cost is None:
            cost = self._patterns[key] = _cost(first, warps, size, space)
        record = self._sites.setdefault((lanes.site, space), [0, 0, 0])
        for index in range(3):
            record[index] += cost[index]

    def fill(self, report: SimulationReport, code: Kernel) -> None:
        """Write what was counted into a report: instructions by name, accesses by Python line."""
        for block, weight in self._blocks.items():
            for name, times in code.histograms[block].items():
                report.instructions[name] += times * weight
        lines: dict[Any, AccessReport] = {}
        for (site, space), (requests, cost, ideal) in self._sites.items():
            where = code.locate(site)
            line = lines.setdefault((where and (where.file, where.line), space), AccessReport(where, space))
            line.requests += requests
            line.cost += cost
            line.ideal += ideal
        report.accesses = list(lines.values())


def _active_warps(lanes: Lanes) -> int:
    active = np.asarray(lanes.active().any(2))
    return int(active.sum()) * (lanes.batch.ctas // len(active))


def _cost(address: np.ndarray, warps: np.ndarray, size: int, space: str) -> tuple[int, int, int]:
    """(requests, cost, ideal) of one access of several warps."""
    requests = cost = ideal = 0
    for warp in np.unique(warps):
        lanes = address[warps == warp]
        requests += 1
        if space == "global":
            parts = lanes[:, None] + np.arange(0, size, min(size, _SECTOR))
            cost += len(np.unique(parts // _SECTOR))
            ideal += max(-(-len(np.unique(lanes)) * size // _SECTOR), 1)
        else:
            group = max(32 * 4 // max(size, 4), 1)
            for start in range(0, len(lanes), group):
                cost += _wavefronts(lanes[start : start + group], size)
                ideal += 1
    return requests, cost, ideal


def _wavefronts(address: np.ndarray, size: int) -> int:
    """The most distinct words that one bank must deliver."""
    words = np.unique((address[:, None] + np.arange(0, size, 4)) >> 2 if size > 4 else address >> 2)
    return int(np.bincount(words % _BANKS, minlength=_BANKS).max())
