"""What an agent asks of the asynchronous hardware: mbarriers, bulk and tensor copies, warpgroup products.

Loads land when no agent can move (the longest legal delay) or at random times; stores and products when they are waited
for. Sources are read when the operation completes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.errors import BarrierError, SimulationError
from tilelang_mlir.simulator.mbarrier import MBarrier, PollPhase, WaitCluster, WaitPhase
from tilelang_mlir.simulator.memory import CARRY, SHIFT, BadLane, poison
from tilelang_mlir.simulator.pending import Pending
from tilelang_mlir.simulator.schedule import Diverged
from tilelang_mlir.simulator.tensor_memory import TensorUnit

if TYPE_CHECKING:
    from tilelang_mlir.simulator.lanes import Lanes
    from tilelang_mlir.simulator.tensor_map import TensorMap


Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Engine:
    """The asynchronous side of one agent."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._stores: list[Pending] = []
        self._store_groups: list[list[Pending]] = []
        self._cluster_phase: np.ndarray | None = None  # at this agent's arrival at the barrier of the cluster
        self._products: list[Pending] = []
        self._product_groups: list[list[Pending]] = []
        self.tensor = TensorUnit(lanes)

    def pending(self, finish: Callable[[], None], what: str) -> Pending:
        """An operation that something else completes; the kernel may not end before."""
        item = Pending(finish, what, self._lanes.site)
        self._lanes.batch.at_end.append(item)
        return item

    def fly(self, land: Callable[[], None], what: str) -> Pending:
        """An operation that completes by itself, as late as it may."""
        item = Pending(land, what, self._lanes.site)
        self._lanes.batch.flights.append(item)
        return item

    # ---- mbarriers -------------------------------------------------------------------------------
    def barrier(self, address: Any) -> MBarrier:
        """The mbarrier at a shared address, as an operation on it sees it."""
        place = self.same(address, "the address of an mbarrier")
        barrier = self._lanes.batch.mbarriers.get(place)
        if barrier is None:
            raise BarrierError(f"the mbarrier at shared address {place} is not initialised")
        checker = self._lanes.batch.checker
        if checker is not None:
            checker.use_barrier(self._lanes, barrier)
        return barrier

    def _by_cta(self, value: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
        """An operand that all active lanes of a CTA share (C), and which CTAs have active lanes (C)."""
        lanes = self._lanes
        active = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
        wide = np.broadcast_to(np.asarray(value, np.int64), lanes.shape)
        chosen = wide[np.arange(len(wide)), active.argmax(1)]
        if (active & (wide != chosen[:, None])).any():
            raise SimulationError(f"{what} differs between lanes")
        return chosen, np.logical_or.reduce(active, axis=1)

    def same(self, value: Any, what: str) -> int:
        """An operand that all active lanes share. Raises Diverged when it differs between CTAs."""
        if not isinstance(value, np.ndarray):
            return int(value)
        if value.size == 1:
            return int(value.flat[0])
        chosen, ctas = self._by_cta(value, what)
        first = chosen[ctas.argmax()]
        if (chosen[ctas] != first).any():
            raise Diverged(np.where(ctas, chosen, -1))
        return int(first)

    def lanes_per_cta(self) -> np.ndarray:
        """How many lanes are active (C)."""
        lanes = self._lanes
        if lanes.mask is None:
            return np.full(lanes.batch.ctas, lanes.count, np.int64)
        return np.broadcast_to(lanes.mask, lanes.shape).sum(1)

    def init(self, address: Any, count: Any) -> None:
        """mbarrier.init. Raises SimulationError for a misaligned address."""
        place = self.same(address, "the address of an mbarrier")
        if place % 8:
            raise BarrierError(f"the mbarrier at shared address {place} is not 8-byte aligned")
        batch = self._lanes.batch
        barrier = MBarrier(place, self.same(count, "the count of an mbarrier"), batch.ctas)
        if batch.checker is not None:
            batch.checker.initialise(self._lanes, barrier)
        batch.mbarriers[place] = barrier

    def invalidate(self, address: Any) -> None:
        del self._lanes.batch.mbarriers[self.barrier(address).address]

    def arrive(self, address: Any, size: Any = 0, arrivals: bool = True) -> np.ndarray:
        """mbarrier.arrive, .expect_tx (no arrival) and .arrive.expect_tx. Returns the phase as a state token."""
        barrier, count = self.barrier(address), self.lanes_per_cta()
        checker = self._lanes.batch.checker
        if checker is not None:
            checker.release(self._lanes, barrier)
        token = barrier.phase.copy()[:, None]
        expected = count * self.same(size, "the byte count of an mbarrier")
        barrier.arrive(count if arrivals else count * 0, expected, self._lanes.name)
        return token

    def _at_ranks(self, rank: Any, what: str) -> np.ndarray:
        """How many active lanes name each CTA (C), by its rank in their cluster."""
        lanes = self._lanes
        cluster, ctas = lanes.batch.cluster, lanes.batch.ctas
        active = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
        ranks = np.broadcast_to(np.asarray(rank, np.int64), lanes.shape)
        if (ranks[active] < 0).any() or (ranks[active] >= cluster).any():
            raise BarrierError(f"{what} at CTA {int(ranks[active].max())} of a cluster of {cluster}")
        rows = np.arange(ctas)[:, None] // cluster * cluster + ranks
        return np.bincount(rows[active], minlength=ctas)

    def arrive_remote(self, address: Any, rank: Any) -> None:
        """mbarrier.arrive at the barrier of another CTA of the cluster, given by its rank."""
        lanes, barrier = self._lanes, self.barrier(address)
        count = self._at_ranks(rank, "an arrival")
        checker = lanes.batch.checker
        if checker is not None:
            checker.release(lanes, barrier)
            checker.share(barrier, lanes.batch.cluster)
        barrier.arrive(count, count * 0, lanes.name)

    def expect_remote(self, address: Any, rank: Any, size: Any) -> None:
        """mbarrier.expect_tx at the barrier of another CTA of the cluster; relaxed: it releases nothing."""
        barrier, count = self.barrier(address), self._at_ranks(rank, "mbarrier.expect_tx")
        barrier.arrive(count * 0, count * self.same(size, "the byte count of an mbarrier"), self._lanes.name)

    def cluster_arrive(self, relaxed: bool) -> None:
        """barrier.cluster.arrive; relaxed orders no memory."""
        lanes, batch = self._lanes, self._lanes.batch
        if batch.cluster_barrier is None:
            batch.cluster_barrier = MBarrier(-1, batch.threads, batch.ctas)
        barrier = batch.cluster_barrier
        if batch.checker is not None and not relaxed:
            batch.checker.release(lanes, barrier)
            batch.checker.share(barrier, batch.cluster)
        self._cluster_phase = barrier.phase.copy()
        count = self.lanes_per_cta()
        barrier.arrive(count, count * 0, lanes.name)

    def cluster_wait(self) -> WaitCluster | None:
        """barrier.cluster.wait for the phase that this agent has arrived in."""
        barrier, phase = self._lanes.batch.cluster_barrier, self._cluster_phase
        if barrier is None or phase is None:
            raise BarrierError("barrier.cluster.wait without an arrival before it")
        self._cluster_phase = None
        wait = WaitCluster(barrier, phase, True, np.ones(len(phase), np.bool_), self._lanes)
        if wait.ready():
            wait.resume(self._lanes)
            return None
        return wait

    def arrive_after_copies(self, address: Any, counted: bool) -> None:
        """cp.async.mbarrier.arrive: arrive when the lanes' cp.async copies up to now are complete.

        `counted` (.noinc): the arrival is part of the barrier's count; otherwise it is added to the phase first.
        """
        lanes, barrier, count = self._lanes, self.barrier(address), self.lanes_per_cta()
        if not counted:
            barrier.pending += count
        copies = lanes.copies.outstanding()

        def land() -> None:
            checker = lanes.batch.checker
            for copy, mask in copies:
                landed = lanes.copies.land_part(copy, mask)
                if checker is not None and landed is not None:
                    shadow = checker.copied(lanes, copy.shared, copy.size, landed)
                    checker.land_load(shadow, barrier, generic=True)
            barrier.arrive(count, count * 0, lanes.name)

        lanes.batch.flights.append(Pending(land, "an arrival after cp.async copies", lanes.site))

    def wait(self, address: Any, state: Any, token: bool = False) -> WaitPhase | None:
        """mbarrier.try_wait of a parity or a state token, modelled as waiting without a time limit."""
        target, ctas = self._by_cta(state, "the phase of a wait")
        wait = WaitPhase(self.barrier(address), target if token else target & 1, token, ctas, self._lanes)
        if wait.ready():
            wait.resume(self._lanes)
            return None
        return wait

    def test(self, address: Any, state: Any, token: bool = False) -> WaitPhase:
        """mbarrier.test_wait: fails when nothing else can move, and under a random schedule maybe at once."""
        target, ctas = self._by_cta(state, "the phase of a wait")
        poll = PollPhase(self.barrier(address), target if token else target & 1, token, ctas, self._lanes)
        random = self._lanes.batch.random
        if random is not None and random.integers(2):
            poll.give_up()
        return poll

    # ---- bulk and tensor copies ------------------------------------------------------------------
    def issuers(self) -> tuple[np.ndarray, np.ndarray]:
        """(CTA, column) of every lane that issues a copy: each makes its own."""
        lanes = self._lanes
        mask = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
        ctas, columns = np.nonzero(mask)
        return ctas, columns

    def _pick(self, value: Any, ctas: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, np.int64), self._lanes.shape)[ctas, columns]

    def bulk_load(self, shared: Any, source: Any, barrier: Any, size: Any) -> None:
        """cp.async.bulk from global to shared memory; completes `size` bytes on the mbarrier."""
        ctas, columns = self.issuers()
        nbytes = _multiple_of_16(self.same(size, "the size of a bulk copy"))
        offset = np.arange(0, nbytes, 16)
        place = self._pick(shared, ctas, columns)[:, None] + offset
        start = self._pick(source, ctas, columns)[:, None] + offset
        self._load(ctas, columns, place, start, None, 16, self.barrier(barrier), nbytes)

    def tensor_load(
        self, shared: Any, tensor_map: TensorMap, coordinates: list[Any], barrier: Any, rank: Any = None
    ) -> None:
        """cp.async.bulk.tensor from global to shared memory; what lies outside the tensor becomes zero.

        With `rank`, of a pair of CTAs (.cta_group::2): the bytes complete at the barrier of that CTA of the pair.
        """
        ctas, columns = self.issuers()
        base = self._pick(shared, ctas, columns)
        _require_alignment(base, tensor_map)
        picked = [self._pick(c, ctas, columns) for c in coordinates]
        place, start, inside, unit = tensor_map.places(base, picked)
        told = None if rank is None else self._partners(ctas, self._pick(rank, ctas, columns))
        self._load(ctas, columns, place, start, inside, unit, self.barrier(barrier), tensor_map.nbytes, told)

    def _partners(self, ctas: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        """The CTAs of these ranks, each of the pair of one of `ctas`."""
        cluster = self._lanes.batch.cluster
        found = ctas // cluster * cluster + ranks
        if (found >> 1 != ctas >> 1).any() or cluster % 2:
            raise SimulationError(
                f"a tensor copy with cta_group::2 completes at CTA {int(ranks.max())} of a cluster of {cluster}",
                hint="it is one of the pair: the ranks differ in the last bit",
            )
        return found

    def _load(
        self,
        ctas: np.ndarray,
        columns: np.ndarray,
        place: np.ndarray,
        start: np.ndarray,
        inside: np.ndarray | None,
        unit: int,
        barrier: MBarrier,
        nbytes: int,
        told: np.ndarray | None = None,
    ) -> None:
        """A copy whose bytes complete in the same CTAs, or in those of `told`."""
        lanes, batch = self._lanes, self._lanes.batch
        try:
            batch.shared.check(place, unit)
            index = batch.memory.index(start if inside is None else _safe(start, inside, batch.memory.starts[-1]), unit)
        except BadLane as bad:
            raise lanes.fault(BadLane(bad.message, int(ctas[bad.row]), int(columns[bad.row]))) from None
        cells = (place + batch.shared.row_start[ctas]) >> SHIFT[unit]
        checker = batch.checker
        shadow = None
        if checker is not None:
            checker.use_by_copy(lanes, barrier)
            shadow = checker.engine_access(lanes, ctas, columns, place, unit)
            checker.issue_load(lanes, shadow)
            batch.shared.flat[unit][cells] = poison(unit)

        def land() -> None:
            data = batch.memory.views[unit].take(index)
            batch.shared.flat[unit][cells] = data if inside is None else np.where(inside, data, CARRY[unit](0))
            if checker is not None and shadow is not None:
                checker.land_load(shadow, barrier)
                if told is not None:
                    checker.share(barrier, batch.cluster)
            barrier.complete(ctas if told is None else told, nbytes)

        batch.flights.append(Pending(land, "an asynchronous copy into shared memory", lanes.site, lanes.name))

    def refuse_cancel(self, shared: Any, barrier: Any) -> None:
        """clusterlaunchcontrol.try_cancel: an answer of 16 zero bytes, which names no CTA, arrives at the mbarrier."""
        lanes, batch = self._lanes, self._lanes.batch
        ctas, columns = self.issuers()
        place, target = self._pick(shared, ctas, columns)[:, None], self.barrier(barrier)
        try:
            batch.shared.check(place, 16)
        except BadLane as bad:
            raise lanes.fault(BadLane(bad.message, int(ctas[bad.row]), int(columns[bad.row]))) from None
        cells, checker, shadow = (place + batch.shared.row_start[ctas]) >> SHIFT[16], batch.checker, None
        if checker is not None:
            checker.use_by_copy(lanes, target)
            shadow = checker.engine_access(lanes, ctas, columns, place, 16)
            checker.issue_load(lanes, shadow)
            batch.shared.flat[16][cells] = poison(16)

        def land() -> None:
            batch.shared.flat[16][cells] = CARRY[16](0)
            if checker is not None and shadow is not None:
                checker.land_load(shadow, target)
            target.complete(ctas, 16)

        self.fly(land, "an answer of cluster launch control")

    def bulk_store(self, target: Any, shared: Any, size: Any) -> None:
        """cp.async.bulk from shared to global memory, in the open bulk group."""
        ctas, columns = self.issuers()
        offset = np.arange(0, _multiple_of_16(self.same(size, "the size of a bulk copy")), 16)
        place = self._pick(shared, ctas, columns)[:, None] + offset
        self._store(ctas, columns, place, self._pick(target, ctas, columns)[:, None] + offset, None, 16)

    def tensor_store(self, tensor_map: TensorMap, shared: Any, coordinates: list[Any]) -> None:
        """cp.async.bulk.tensor from shared to global memory; what lies outside the tensor is not written."""
        ctas, columns = self.issuers()
        base = self._pick(shared, ctas, columns)
        _require_alignment(base, tensor_map)
        picked = [self._pick(c, ctas, columns) for c in coordinates]
        self._store(ctas, columns, *tensor_map.places(base, picked))

    def tensor_reduce(
        self, tensor_map: TensorMap, shared: Any, coordinates: list[Any], combine: Combine, dtype: np.dtype[Any]
    ) -> None:
        """cp.reduce.async.bulk.tensor: `memory = combine(memory, tile)` element by element, in any order."""
        ctas, columns = self.issuers()
        base = self._pick(shared, ctas, columns)
        _require_alignment(base, tensor_map)
        places = tensor_map.places(base, [self._pick(c, ctas, columns) for c in coordinates])
        self._store(ctas, columns, *places, combine=combine, dtype=dtype)

    def _store(
        self,
        ctas: np.ndarray,
        columns: np.ndarray,
        place: np.ndarray,
        target: np.ndarray,
        inside: np.ndarray | None,
        unit: int,
        combine: Combine | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        lanes, batch = self._lanes, self._lanes.batch
        inside = np.ones(place.shape, np.bool_) if inside is None else inside
        try:
            batch.shared.check(place, unit)
            index = batch.memory.index(_safe(target, inside, batch.memory.starts[-1]), unit)
        except BadLane as bad:
            raise lanes.fault(BadLane(bad.message, int(ctas[bad.row]), int(columns[bad.row]))) from None
        cells = (place + batch.shared.row_start[ctas]) >> SHIFT[unit]
        checker = batch.checker
        shadow = None if checker is None else checker.engine_access(lanes, ctas, columns, place, unit)
        if checker is not None and shadow is not None:
            checker.start_reading(lanes, shadow)

        def finish() -> None:
            data = batch.shared.flat[unit].take(cells)
            if combine is not None and dtype is not None:
                _combine(batch.memory.views[unit], index, data, inside, combine, dtype)
            else:
                batch.memory.views[unit][index[inside]] = data[inside]
            if checker is not None and shadow is not None:
                checker.stop_reading(shadow)

        pending = Pending(finish, "an asynchronous copy out of shared memory", lanes.site, lanes.name)
        self._stores.append(pending)
        batch.at_end.append(pending)

    def commit_stores(self) -> None:
        self._store_groups.append(self._stores)
        self._stores = []

    def wait_stores(self, pending: int) -> None:
        """cp.async.bulk.wait_group{.read}: all but the `pending` most recent groups are complete."""
        self._store_groups = _finish(self._store_groups, pending)

    # ---- warpgroup products ----------------------------------------------------------------------
    def issue_product(self, finish: Callable[[], None], reads: list[np.ndarray]) -> None:
        """A wgmma that reads 16-byte units at shared addresses (C|1, K) per entry of `reads` when it runs."""
        lanes, checker = self._lanes, self._lanes.batch.checker
        shadows = []
        for address in reads:
            try:
                lanes.batch.shared.check(address, 16)
            except BadLane as bad:
                raise lanes.fault(BadLane(bad.message, bad.row, 0)) from None
            if checker is not None:
                shadows.append(checker.product_access(lanes, address))
                checker.start_reading(lanes, shadows[-1])

        def land() -> None:
            finish()
            if checker is not None:
                for shadow in shadows:
                    checker.stop_reading(shadow)

        self._products.append(Pending(land, "a warpgroup product", lanes.site, lanes.name))

    def commit_products(self) -> None:
        self._product_groups.append(self._products)
        self._products = []

    def wait_products(self, pending: int) -> None:
        """wgmma.wait_group."""
        self._product_groups = _finish(self._product_groups, pending)


def _finish(groups: list[list[Pending]], pending: int) -> list[list[Pending]]:
    keep = max(len(groups) - pending, 0)
    for group in groups[:keep]:
        for item in group:
            item.land()
    return groups[keep:]


def _combine(
    memory: np.ndarray, index: np.ndarray, data: np.ndarray, inside: np.ndarray, combine: Combine, dtype: np.dtype[Any]
) -> None:
    """Box after box: two boxes may cover the same elements, one box covers each of its own once."""
    elements = memory.view(dtype).reshape(len(memory), -1)
    for place, values, valid in zip(index, data, inside, strict=True):
        new = np.ascontiguousarray(values).view(dtype).reshape(len(values), -1)[valid]
        elements[place[valid]] = combine(elements[place[valid]], new)


def _safe(address: np.ndarray, inside: np.ndarray, otherwise: int) -> np.ndarray:
    """Addresses whose outside units point at some valid place instead."""
    first = int(address[inside][0]) if inside.any() else (otherwise + 15) // 16 * 16
    return np.where(inside, address, first)


def _multiple_of_16(size: int) -> int:
    if size <= 0 or size % 16:
        raise SimulationError(f"the size of a bulk copy is a positive multiple of 16, got {size}")
    return size


def _require_alignment(base: np.ndarray, tensor_map: TensorMap) -> None:
    need = {0: 128, 32: 256, 64: 512, 128: 1024}[tensor_map.swizzle]
    if (base % need).any():
        raise SimulationError(
            f"a tensor copy with swizzle {tensor_map.swizzle} needs a {need}-byte aligned place in shared "
            f"memory, got address {int(base[(base % need).argmax()])}"
        )
