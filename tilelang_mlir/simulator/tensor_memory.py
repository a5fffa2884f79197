"""Tensor memory of simulated CTAs: 128 lanes of 512 columns of 32 bits, its allocations, and what an agent asks of it.

Products and copies run when their completion is delivered to an mbarrier, which is as late as it may be; those of one
agent run in the order in which they were issued.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.errors import SimulationError, UninitializedReadError
from tilelang_mlir.simulator.memory import BadLane
from tilelang_mlir.simulator.schedule import Diverged
from tilelang_mlir.simulator.tensor_checks import Region, TensorChecks

if TYPE_CHECKING:
    from tilelang_mlir.simulator.batch import Batch
    from tilelang_mlir.simulator.checker import Access
    from tilelang_mlir.simulator.lanes import Lanes
    from tilelang_mlir.simulator.pending import Pending

LANES, COLUMNS = 128, 512
_QUARTER = 32


@dataclass
class Allocation:
    """Columns that one `tcgen05.alloc` returned."""

    start: int
    columns: int
    site: int


@dataclass
class TensorMemory:
    """The tensor memory of the CTAs of a batch."""

    batch: Batch
    allocations: list[Allocation] = field(default_factory=list)
    relinquished: bool = False
    paired: bool | None = None  # whether the kernel's operations are those of pairs of CTAs, once one has run

    def __post_init__(self) -> None:
        shape = (self.batch.ctas, LANES, COLUMNS)
        self.words = np.full(shape, 0xFFFFFFFF, np.uint32)  # NaN, as shared memory
        self.written = np.zeros(shape, np.bool_)
        self.checks = TensorChecks(self.batch) if self.batch.checker is not None else None

    def index(self, ctas: np.ndarray, lane: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Flat indices of cells; `ctas` broadcasts with lane and column.

        Raises:
            SimulationError: a cell is in no allocation.
        """
        low, high = int(column.min()), int(column.max())
        if not any(a.start <= low and high < a.start + a.columns for a in self.allocations):
            owned = ", ".join(f"{a.start} to {a.start + a.columns - 1}" for a in self.allocations) or "none"
            raise SimulationError(
                f"an access to tensor memory columns {low} to {high}, which are not in one allocation",
                hint=f"allocated columns: {owned}",
            )
        if int(lane.min()) < 0 or int(lane.max()) >= LANES:
            raise SimulationError(f"an access to tensor memory lane {int(lane.max())}; there are {LANES}")
        return (ctas * LANES + lane) * COLUMNS + column

    def agree(self, pair: bool, what: str) -> None:
        """All operations of a kernel name the same group of CTAs; a pair needs a cluster of an even number."""
        if self.paired is not None and self.paired != pair:
            one, other = ("one CTA", "a pair of CTAs")[self.paired], ("one CTA", "a pair of CTAs")[pair]
            raise SimulationError(
                f"{what} of {other} in a kernel with tcgen05 operations of {one}",
                hint="all of a kernel have the same cta_group",
            )
        if pair and self.batch.cluster % 2:
            raise SimulationError(f"{what} of a pair of CTAs in a cluster of {self.batch.cluster}")
        self.paired = pair

    def leftovers(self) -> Allocation | None:
        """An allocation that nobody has freed."""
        return self.allocations[0] if self.allocations else None


class TensorUnit:
    """Tensor memory as one agent sees it. Products and copies of the agent that are not complete are in `queue`."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self.queue: list[Pending] = []
        self._commits: list[Pending] = []
        self._announced: np.ndarray | None = None  # clocks of what this agent's commits have completed

    @property
    def memory(self) -> TensorMemory:
        return self._lanes.batch.tensor

    # ---- allocation ------------------------------------------------------------------------------
    def _one_warp(self, what: str) -> None:
        """Only one warp of each CTA may come here, the same in all CTAs."""
        active = np.asarray(self._lanes.active().any(2))
        if (active != active[:1]).any() or not active.any():
            raise Diverged
        if int(active[0].sum()) != 1:
            raise SimulationError(f"{what} is executed by {int(active[0].sum())} warps", hint="one warp executes it")

    def allocate(self, slot: Any, columns: Any, pair: bool = False) -> None:
        """tcgen05.alloc. Raises SimulationError where the hardware would fail or wait for ever."""
        self._one_warp("tcgen05.alloc")
        memory, lanes = self.memory, self._lanes
        memory.agree(pair, "tcgen05.alloc")
        count = lanes.engine.same(columns, "the columns of tcgen05.alloc")
        if count & (count - 1) or not 32 <= count <= COLUMNS:
            raise SimulationError(f"tcgen05.alloc of {count} columns: a power of two from 32 to {COLUMNS}")
        if memory.relinquished:
            raise SimulationError("tcgen05.alloc after tcgen05.relinquish_alloc_permit")
        start = 0
        for taken in sorted(memory.allocations, key=lambda a: a.start):
            if start + count <= taken.start:
                break
            start = taken.start + taken.columns
        if start + count > COLUMNS:
            raise SimulationError(f"tcgen05.alloc of {count} columns waits for ever: {COLUMNS - start} are free")
        memory.allocations.append(Allocation(start, count, lanes.site))
        first = lanes.active().reshape(lanes.active().shape[0], -1)[0].argmax()
        row = np.array([int(np.nonzero(lanes.slots == first)[0][0])])
        place = np.broadcast_to(np.asarray(slot, np.int64), lanes.shape)[:, row]
        lanes.write_rows(np.ascontiguousarray(place), 4, row, np.full((lanes.batch.ctas, 1), start, np.uint32))

    def release(self, address: Any, columns: Any, pair: bool = False) -> None:
        """tcgen05.dealloc."""
        self._one_warp("tcgen05.dealloc")
        memory, same = self.memory, self._lanes.engine.same
        memory.agree(pair, "tcgen05.dealloc")
        start, count = same(address, "the address of tcgen05.dealloc"), same(columns, "the columns of tcgen05.dealloc")
        found = [a for a in memory.allocations if (a.start, a.columns) == (start, count)]
        if not found:
            raise SimulationError(f"tcgen05.dealloc of {count} columns at {start}, which tcgen05.alloc did not return")
        if memory.checks is not None:
            memory.checks.free(self._lanes, start, count)
        memory.allocations.remove(found[0])
        memory.written[:, :, start : start + count] = False

    def relinquish(self, pair: bool = False) -> None:
        self.memory.agree(pair, "tcgen05.relinquish_alloc_permit")
        self.memory.relinquished = True

    # ---- loads and stores of warps ---------------------------------------------------------------
    def _cells(self, address: Any, lane: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flat indices (C, W, 32, R) and active warps (C, W) of an access with offsets (32, R)."""
        lanes = self._lanes
        base = np.broadcast_to(np.asarray(lanes.warps(address), np.int64), (lanes.batch.ctas, len(lanes.warp_ids), 32))
        active = np.broadcast_to(np.asarray(lanes.active().any(2)), base.shape[:2])
        base = np.where(active[..., None], base, base[active][0])
        if (base != base[..., :1]).any():
            raise SimulationError("the address of a tensor memory access differs inside a warp")
        first = base[..., 0]
        there = (first >> 16)[..., None, None] + lane
        quarter = (lanes.warp_ids % 4)[:, None, None]
        wrong = (there // _QUARTER != quarter) & active[..., None, None]
        if wrong.any():
            row, warp = (int(i) for i in np.argwhere(wrong)[0][:2])
            raise SimulationError(
                f"warp {int(lanes.warp_ids[warp])} accesses tensor memory lane {int(there[row, warp].max())}",
                hint=f"a warp reaches the 32 lanes of its quarter, from lane {32 * int(quarter[warp, 0, 0])}",
            )
        place = (first & 0xFFFF)[..., None, None] + column
        ctas = np.arange(lanes.batch.ctas)[:, None, None, None]
        return self.memory.index(ctas, np.where(active[..., None, None], there, 0), place), active

    def _regions(self, cells: np.ndarray, active: np.ndarray) -> Region:
        flat = cells.reshape(*cells.shape[:2], -1)
        row, warp = np.nonzero(active)
        return Region.of(flat[row, warp], self._lanes.warp_ids[warp], row)

    def load(self, address: Any, lane: np.ndarray, column: np.ndarray) -> np.ndarray:
        """32-bit words (C, W, 32, R)."""
        cells, active = self._cells(address, lane, column)
        memory = self.memory
        if memory.checks is not None:
            memory.checks.read(self._lanes, self._regions(cells, active))
            self.require_written(cells[active])
        return memory.words.reshape(-1).take(cells)

    def store(self, address: Any, lane: np.ndarray, column: np.ndarray, words: list[np.ndarray]) -> None:
        """`words` has an array (C|1, W, 32) per register."""
        cells, active = self._cells(address, lane, column)
        memory = self.memory
        if memory.checks is not None:
            memory.checks.write(self._lanes, self._regions(cells, active))
        values = np.stack([np.broadcast_to(w, cells.shape[:3]) for w in words], axis=-1)
        memory.words.reshape(-1)[cells[active]] = values[active]
        memory.written.reshape(-1)[cells[active]] = True

    def require_written(self, cells: np.ndarray) -> None:
        """Raise UninitializedReadError unless something has written all of these cells."""
        missing = ~self.memory.written.reshape(-1).take(cells)
        if missing.any():
            cell = int(cells[missing][0])
            raise UninitializedReadError(
                f"a read of tensor memory lane {cell // COLUMNS % LANES}, column {cell % COLUMNS}, which nothing has "
                f"written",
                hint="the first product of a sum starts from zero: clear_accum=True",
            )

    # ---- products and copies ---------------------------------------------------------------------
    def issue(self, what: str, pair: bool = False) -> Issue:
        self.memory.agree(pair, what)
        return Issue(self._lanes, what, pair)

    def commit(self, barrier: Any, pair: bool = False, ranks: Any = None) -> None:
        """tcgen05.commit: one arrival on an mbarrier when everything that was issued is complete.

        With `ranks`, at the barrier of each CTA of the cluster whose bit is set.
        """
        lanes = self._lanes
        issue = self.issue("tcgen05.commit", pair)  # one thread
        target, batch = lanes.engine.barrier(barrier), lanes.batch
        if batch.checker is not None:
            batch.checker.use_by_copy(lanes, target)
        self.queue = [item for item in self.queue if not item.done]
        queue = list(self.queue)  # those of earlier commits too: they are complete as well then
        self._commits = [item for item in self._commits if not item.done]
        earlier = list(self._commits)
        arrivals = lanes.engine.lanes_per_cta() if ranks is None else issue.members(ranks)
        known = None if batch.checker is None else batch.checker.knowledge(lanes)

        def land() -> None:
            for item in (*earlier, *queue):  # arrivals come in the order of their commits
                item.land()
            if batch.checker is not None and known is not None:
                self._announced = batch.checker.complete_products(target, known, self._announced)
                if ranks is not None:
                    batch.checker.share(target)
            target.arrive(arrivals, arrivals * 0, f"{lanes.name} (tcgen05.commit)")

        self._commits.append(lanes.engine.fly(land, "a tensor memory product"))

    def fence(self, kind: str) -> None:
        if self.memory.checks is not None:
            self.memory.checks.fence(self._lanes, kind)


class Issue:
    """A tensor operation as the thread that issues it describes it; it takes place in `ctas`.

    These are the CTAs with such a thread, or both CTAs of each pair, that of even rank first.
    """

    def __init__(self, lanes: Lanes, what: str, pair: bool = False) -> None:
        self._lanes, self._what, self._pair = lanes, what, pair
        self._actors, self._columns = lanes.engine.issuers()
        who = self._actors >> 1 if pair else self._actors  # the CTAs of a cluster are neighbours
        if len(np.unique(who)) != len(who):
            count, of = np.bincount(who).max(), "pair of CTAs" if pair else "CTA"
            raise SimulationError(f"{what} is issued by {count} threads of a {of}", hint="one elected thread issues it")
        self.ctas = self._actors
        if pair:
            self.ctas = (who[:, None] * 2 + np.arange(2)).reshape(-1)
            self._actors, self._columns = np.repeat(self._actors, 2), np.repeat(self._columns, 2)
        self._memory = lanes.batch.tensor
        self._shadows: list[Access] = []
        self._reads: list[Region] = []
        self._writes: list[Region] = []

    def refuse(self, what: str) -> None:
        raise SimulationError(f"there is no {what}")

    def pick(self, value: Any) -> np.ndarray:
        """An operand of the issuing threads, for each of `ctas`."""
        return np.broadcast_to(np.asarray(value), self._lanes.shape)[self._actors, self._columns]

    def members(self, ranks: Any) -> np.ndarray:
        """How many times each CTA of the batch is in the issuing threads' masks of ranks (C)."""
        batch = self._lanes.batch
        first = slice(None, None, 2) if self._pair else slice(None)
        mask, actors = self.pick(ranks)[first].astype(np.int64) & 0xFFFF, self._actors[first]
        if (mask >> batch.cluster).any() or not mask.all():
            self.refuse(f"{self._what} to the CTAs {int(mask[0]):#x} of a cluster of {batch.cluster}")
        chosen = mask[:, None] >> np.arange(batch.cluster) & 1
        rows = actors[:, None] // batch.cluster * batch.cluster + np.arange(batch.cluster)
        return np.bincount(rows.reshape(-1), chosen.reshape(-1), batch.ctas).astype(np.int64)

    def same(self, value: Any, what: str) -> int:
        found = self.pick(value)
        if (found != found[0]).any():
            raise SimulationError(f"{what} differs between CTAs")
        return int(found[0]) & 0xFFFFFFFF

    def descriptor(self, value: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Start, leading offset and stride in bytes, swizzle mode of a shared memory descriptor (9.7.16.4.1)."""
        word = self.pick(value).astype(np.int64)
        if (word >> 46 & 7 != 1).any():
            self.refuse("shared memory descriptor whose bits 46 to 48 are not 1")
        modes = np.unique(word >> 61 & 7)
        if len(modes) > 1 or int(modes[0]) not in (0, 2, 4, 6):
            self.refuse(f"tcgen05 operation with swizzle mode {', '.join(str(m) for m in modes)}")
        start, leading, stride = ((word >> shift & 0x3FFF) << 4 for shift in (0, 16, 32))
        return start, leading, stride, int(modes[0])

    def column(self, address: Any) -> np.ndarray:
        """The column of an address whose lane is 0 (n)."""
        value = self.pick(address).astype(np.int64)
        if (value >> 16).any():
            self.refuse(f"{self._what} at tensor memory lane {int(value.max()) >> 16}")
        return value & 0xFFFF

    def shared(self, place: np.ndarray, size: int = 16) -> Callable[[], np.ndarray]:
        """Announces a read of units (n, ...) of shared memory; returns what reads them (n, ..., size) bytes."""
        lanes = self._lanes
        flat = place.reshape(len(self.ctas), -1)
        shared, checker = lanes.batch.shared, lanes.batch.checker
        try:
            shared.check(flat, size)
        except BadLane as bad:
            raise lanes.fault(BadLane(bad.message, int(self.ctas[bad.row]), int(self._columns[0]))) from None
        if checker is not None:
            into = self.ctas if self._pair else None
            shadow = checker.engine_access(lanes, self._actors, self._columns, flat, size, into)
            checker.start_reading(lanes, shadow)
            self._shadows.append(shadow)
        cells = (flat + shared.row_start[self.ctas]) // size
        return lambda: shared.flat[size].take(cells).view(np.uint8).reshape(*place.shape, size)

    def _region(self, cells: np.ndarray) -> Region:
        warp = self._lanes.warp[self._columns]
        return Region.of(cells.reshape(len(self.ctas), -1), warp, self._actors)

    def source(self, lane: np.ndarray, column: np.ndarray, quarters: bool = False) -> Callable[[], np.ndarray]:
        """Announces a read of tensor memory (n, ...); with `quarters`, of the same in every 32 lanes."""
        ctas = self.ctas.reshape(-1, *[1] * lane.ndim)
        cells = self._memory.index(ctas, lane, column)
        everything = cells
        if quarters:
            everything = np.concatenate([cells + q * _QUARTER * COLUMNS for q in range(4)], axis=1)
        self._reads.append(self._region(everything))
        unit = self._lanes.engine.tensor

        def read() -> np.ndarray:
            if self._memory.checks is not None:
                unit.require_written(everything)
            return self._memory.words.reshape(-1).take(cells)

        return read

    def accumulator(
        self, lane: np.ndarray, column: np.ndarray
    ) -> tuple[Callable[[], np.ndarray], Callable[[np.ndarray], None]]:
        """Announces a read and a write of tensor memory; returns what does each."""
        ctas = self.ctas.reshape(-1, *[1] * lane.ndim)
        cells = self._memory.index(ctas, lane, column)
        self._writes.append(self._region(cells))
        self._target = cells
        return lambda: self._memory.words.reshape(-1).take(cells), self._writer(cells)

    def target(self, lane: np.ndarray, column: np.ndarray) -> Callable[[np.ndarray], None]:
        """Announces a write of tensor memory."""
        return self.accumulator(lane, column)[1]

    def accumulates(self, keep: np.ndarray) -> None:
        """The sum starts from what the accumulator holds in these CTAs: it must have been written when it runs."""
        self._kept = self._target[keep]

    def require_accumulator(self) -> None:
        if self._memory.checks is not None and self._kept.size:
            self._lanes.engine.tensor.require_written(self._kept)

    def _writer(self, cells: np.ndarray) -> Callable[[np.ndarray], None]:
        def write(words: np.ndarray) -> None:
            self._memory.words.reshape(-1)[cells] = words.reshape(cells.shape)
            self._memory.written.reshape(-1)[cells] = True

        return write

    def start(self, finish: Callable[[], None]) -> None:
        """Queue the operation: it runs before what this agent commits to an mbarrier next is complete."""
        lanes, checks, checker = self._lanes, self._memory.checks, self._lanes.batch.checker
        if checks is not None:
            checks.start(lanes, self._reads, self._writes)

        def run() -> None:
            finish()
            if checker is not None:
                for shadow in self._shadows:
                    checker.finish_reading(shadow)
            if checks is not None:
                checks.finish(self._reads, self._writes)

        lanes.engine.tensor.queue.append(lanes.engine.pending(run, self._what))
