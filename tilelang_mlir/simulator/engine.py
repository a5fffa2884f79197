"""What an agent asks of the asynchronous hardware: mbarriers, bulk and tensor copies, warpgroup products.

Products and stores complete when they are waited for, loads as late as they may (`bulk_copies`). Sources are read when
the operation completes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.errors import BarrierError
from tilelang_mlir.simulator.bulk_copies import BulkCopies
from tilelang_mlir.simulator.mbarrier import MBarrier, PollPhase, WaitCluster, WaitPhase, WaitSeveral
from tilelang_mlir.simulator.memory import BadLane
from tilelang_mlir.simulator.operands import finish
from tilelang_mlir.simulator.pending import Pending
from tilelang_mlir.simulator.tensor_memory import TensorUnit

if TYPE_CHECKING:
    from tilelang_mlir.simulator.lanes import Lanes


class Engine(BulkCopies):
    """The asynchronous side of one agent."""

    def __init__(self, lanes: Lanes) -> None:
        super().__init__(lanes)
        self._cluster_phase: np.ndarray | None = None  # at this agent's arrival at the barrier of the cluster
        self._products: list[Pending] = []
        self._product_groups: list[list[Pending]] = []
        self._arrivals: list[Pending] = []  # of cp.async copies, not complete
        self.tensor = TensorUnit(lanes)

    # ---- mbarriers -------------------------------------------------------------------------------
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
        if sides := self.sides(address):
            token = np.zeros(self._lanes.shape, np.int64)
            for place, mask in sides:
                with self.among(mask):
                    token = np.where(mask, self.arrive(place, size, arrivals), token)
            return token
        barrier, count = self.barrier(address), self.lanes_per_cta()
        checker = self._lanes.batch.checker
        if checker is not None:
            checker.release(self._lanes, barrier)
        token = barrier.phase.copy()[:, None]
        expected = count * self.same(size, "the byte count of an mbarrier")
        barrier.arrive(count if arrivals else count * 0, expected, self._lanes.name)
        return token

    def arrive_remote(self, address: Any, rank: Any, size: Any = 0) -> None:
        """mbarrier.arrive{.expect_tx} at the barrier of another CTA of the cluster, given by its rank."""
        lanes, barrier = self._lanes, self.barrier(address)
        rows, columns = self.issuers()
        targets = self._others(rows, self._pick(rank, rows, columns), "an arrival at")
        if lanes.batch.checker is not None:
            lanes.batch.checker.release_remote(lanes, barrier, rows, targets)
        count = np.bincount(targets, minlength=lanes.batch.ctas)
        barrier.arrive(count, count * self.same(size, "the byte count of an mbarrier"), lanes.name)

    def expect_remote(self, address: Any, rank: Any, size: Any) -> None:
        """mbarrier.expect_tx at the barrier of another CTA of the cluster; relaxed: it releases nothing."""
        barrier, (rows, columns) = self.barrier(address), self.issuers()
        targets = self._others(rows, self._pick(rank, rows, columns), "mbarrier.expect_tx at")
        count = np.bincount(targets, minlength=self._lanes.batch.ctas)
        barrier.arrive(count * 0, count * self.same(size, "the byte count of an mbarrier"), self._lanes.name)

    def cluster_arrive(self, relaxed: bool) -> None:
        """barrier.cluster.arrive; relaxed orders no memory."""
        lanes, batch = self._lanes, self._lanes.batch
        if batch.cluster_barrier is None:
            batch.cluster_barrier = MBarrier(-1, batch.threads, batch.ctas)
        barrier = batch.cluster_barrier
        if batch.checker is not None and not relaxed:
            batch.checker.release(lanes, barrier)
            batch.checker.share(barrier)
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
        earlier = self._arrivals = [item for item in self._arrivals if not item.done]

        def land() -> None:
            for item in earlier:  # their copies are complete as well
                item.land()
            checker = lanes.batch.checker
            for copy, mask in copies:
                landed = lanes.copies.land_part(copy, mask)
                if checker is not None and landed is not None:
                    shadow = checker.copied(lanes, copy.shared, copy.size, landed)
                    checker.land_load(shadow, barrier, generic=True)
            barrier.arrive(count, count * 0, lanes.name)

        arrival = Pending(land, "an arrival after cp.async copies", lanes.site)
        self._arrivals = [*earlier, arrival]
        lanes.batch.flights.append(arrival)

    def wait(self, address: Any, state: Any, token: bool = False) -> WaitPhase | WaitSeveral | None:
        """mbarrier.try_wait of a parity or a state token, modelled as waiting without a time limit."""
        if sides := self.sides(address):
            late: list[tuple[WaitPhase | WaitSeveral, np.ndarray]] = []
            for place, mask in sides:
                with self.among(mask):
                    part = self.wait(place, state, token)
                if part is not None:
                    late.append((part, mask))
            return WaitSeveral(late) if late else None
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
        self._product_groups = finish(self._product_groups, pending)
