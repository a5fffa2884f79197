"""Bulk and tensor copies of an agent. PTX ISA 8.7, sections 9.7.9.25.4 and 9.7.9.25.5.

Loads land when no agent can move (the longest legal delay) or at random times; stores when they are waited for. Sources
are read when the operation completes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.errors import SimulationError
from tilelang_mlir.simulator.device_maps import MapAccess
from tilelang_mlir.simulator.mbarrier import MBarrier
from tilelang_mlir.simulator.memory import CARRY, SHIFT, BadLane, poison
from tilelang_mlir.simulator.operands import Operands, finish
from tilelang_mlir.simulator.pending import Pending
from tilelang_mlir.simulator.tensor_map import TensorMap

if TYPE_CHECKING:
    from tilelang_mlir.simulator.checker import Access
    from tilelang_mlir.simulator.lanes import Lanes
    from tilelang_mlir.simulator.ownership import Contest


Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]
Map = Any  # a `TensorMap`, or the addresses of some in device memory
Boxes = tuple[np.ndarray, np.ndarray, np.ndarray, int]  # as `TensorMap.places` gives them


class BulkCopies(Operands):
    """The copies of one agent."""

    def __init__(self, lanes: Lanes) -> None:
        super().__init__(lanes)
        self.maps = MapAccess(lanes)
        self._stores: list[Pending] = []
        self._store_groups: list[list[Pending]] = []
        self._writes: list[Callable[[], None]] = []  # what to call when those stores are complete
        self._write_groups: list[list[Callable[[], None]]] = []

    def _through(self, tensor_map: Map, start: Callable[[TensorMap], None]) -> bool:
        """Start copies through the maps that a kernel has made: those of each map together."""
        if isinstance(tensor_map, TensorMap):
            return False
        batch = self._lanes.batch
        for found, address, mask in self.maps.described(tensor_map):
            flights, others = len(batch.flights), len(batch.at_end)
            with self.among(mask):
                start(found)
            self.maps.used(address, [*batch.flights[flights:], *batch.at_end[others:]])
        return True

    def bulk_load(self, shared: Any, source: Any, barrier: Any, size: Any) -> None:
        """cp.async.bulk from global to shared memory; completes `size` bytes on the mbarrier."""
        ctas, columns = self.issuers()
        nbytes = _multiple_of_16(self.same(size, "the size of a bulk copy"))
        offset = np.arange(0, nbytes, 16)
        place = self._pick(shared, ctas, columns)[:, None] + offset
        start = self._pick(source, ctas, columns)[:, None] + offset
        self._load(ctas, columns, place, start, None, 16, self.barrier(barrier), nbytes)

    def tensor_load(
        self,
        shared: Any,
        tensor_map: Map,
        coordinates: list[Any],
        barrier: Any,
        *,
        ranks: Any = None,
        at: Any = None,
    ) -> None:
        """cp.async.bulk.tensor from global to shared memory; what lies outside the tensor becomes zero.

        `ranks` (.multicast::cluster): a bit per CTA of the cluster that gets the box, at the same place, with its bytes
        completed on the barrier at the same place. `at`, of a pair of CTAs (.cta_group::2): the bytes complete at the
        barrier of that CTA of the pair.
        """
        for place, mask in (sides := self.sides(barrier)):
            with self.among(mask):
                self.tensor_load(shared, tensor_map, coordinates, place, ranks=ranks, at=at)
        if sides:
            return
        if self._through(tensor_map, lambda m: self.tensor_load(shared, m, coordinates, barrier, ranks=ranks, at=at)):
            return
        ctas, columns = self.issuers()
        base = self._pick(shared, ctas, columns)
        _require_alignment(base, tensor_map)
        picked = [self._pick(c, ctas, columns) for c in coordinates]
        target, every = self.barrier(barrier), np.arange(len(ctas))
        told = None if at is None else self._partners(ctas, self._pick(at, ctas, columns))
        parts = [(every, None)] if ranks is None else self._ranked(ctas, self._pick(ranks, ctas, columns) & 0xFFFF)
        place, start, inside, unit = tensor_map.places(base, picked)
        for some, into in parts:
            boxes = place[some], start[some], inside[some]
            self._load(ctas[some], columns[some], *boxes, unit, target, tensor_map.nbytes, into=into, told=told)

    def tensor_gather(self, shared: Any, tensor_map: Map, places: list[Any], barrier: Any) -> None:
        """cp.async.bulk.tensor with tile::gather4: a column and four rows; rows outside become zero."""
        if self._through(tensor_map, lambda m: self.tensor_gather(shared, m, places, barrier)):
            return
        ctas, columns = self.issuers()
        picked = [self._pick(c, ctas, columns) for c in places]
        boxes: Boxes = tensor_map.rows(self._rows_at(shared, tensor_map, ctas, columns), picked[0], picked[1:])
        self._load(ctas, columns, *boxes, self.barrier(barrier), tensor_map.nbytes * len(picked[1:]))

    def tensor_scatter(self, tensor_map: Map, shared: Any, places: list[Any]) -> None:
        """cp.async.bulk.tensor with tile::scatter4: a column and four rows; rows outside are not written."""
        if self._through(tensor_map, lambda m: self.tensor_scatter(m, shared, places)):
            return
        ctas, columns = self.issuers()
        picked = [self._pick(c, ctas, columns) for c in places]
        boxes: Boxes = tensor_map.rows(self._rows_at(shared, tensor_map, ctas, columns), picked[0], picked[1:])
        self._store(ctas, columns, *boxes)

    def _rows_at(self, shared: Any, tensor_map: Map, ctas: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Shared addresses of gathered rows: four of them are half of what a swizzle repeats after."""
        base, need = self._pick(shared, ctas, columns), max(4 * tensor_map.swizzle, 128)
        if (base % need).any():
            raise SimulationError(
                f"gathered rows with swizzle {tensor_map.swizzle} need a {need}-byte aligned place in shared memory, "
                f"got address {int(base[(base % need).argmax()])}"
            )
        return base

    def _ranked(self, ctas: np.ndarray, masks: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """By rank in the masks: which copies go there, and into which CTAs."""
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        for rank in range(int(masks.max(initial=0)).bit_length()):
            some = np.nonzero(masks >> rank & 1)[0]
            if len(some):
                parts.append((some, self._others(ctas[some], np.full(len(some), rank), "a copy into")))
        return parts

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
        *,
        into: np.ndarray | None = None,
        told: np.ndarray | None = None,
    ) -> None:
        """A copy into the memory of the issuing CTAs, or of `into`; its bytes complete there, or in the CTAs `told`."""
        lanes, batch = self._lanes, self._lanes.batch
        owners = ctas if into is None else into
        try:
            batch.shared.check(place, unit)
            index = batch.memory.index(start if inside is None else _safe(start, inside, batch.memory.roomiest()), unit)
        except BadLane as bad:
            raise lanes.fault(BadLane(bad.message, int(ctas[bad.row]), int(columns[bad.row]))) from None
        cells = (place + batch.shared.row_start[owners]) >> SHIFT[unit]
        shadow = self._into(ctas, columns, place, unit, barrier, cells, into)
        if batch.checker is not None:
            self._outside(ctas, columns, start, inside, unit, "load")

        def land() -> None:
            data = batch.memory.views[unit].take(index)
            batch.shared.flat[unit][cells] = data if inside is None else np.where(inside, data, CARRY[unit](0))
            if batch.checker is not None and shadow is not None:
                batch.checker.land_load(shadow, barrier)
                if told is not None:
                    batch.checker.share(barrier)
            barrier.complete(owners if told is None else told, nbytes)

        batch.flights.append(Pending(land, "an asynchronous copy into shared memory", lanes.site, lanes.name))

    def _into(
        self,
        ctas: np.ndarray,
        columns: np.ndarray,
        place: np.ndarray,
        unit: int,
        barrier: MBarrier,
        cells: np.ndarray,
        into: np.ndarray | None,
    ) -> Access | None:
        """The start of a copy into shared memory, of this CTA or others (checked): nobody may touch it from now on."""
        lanes, batch, checker = self._lanes, self._lanes.batch, self._lanes.batch.checker
        if checker is None:
            return None
        checker.use_by_copy(lanes, barrier)
        shadow = checker.engine_access(lanes, ctas, columns, place, unit, into)
        if into is not None:
            checker.use_remotely(lanes, barrier, ctas, into)
        checker.issue_load(lanes, shadow)
        batch.shared.flat[unit][cells] = poison(unit)
        return shadow

    def _outside(
        self,
        ctas: np.ndarray,
        columns: np.ndarray,
        address: np.ndarray,
        inside: np.ndarray | None,
        unit: int,
        kind: str,
    ) -> tuple[Contest | None, Callable[[], None]]:
        """Device memory at addresses (K, U) is read or written by copies (checked). Returns what to call when a write
        is complete, and what to write with where another CTA has written."""
        lanes, checker = self._lanes, self._lanes.batch.checker
        assert checker is not None
        if inside is None or inside.all():
            return checker.copy_global(lanes, ctas, columns, address, unit, kind)
        copies, _ = np.nonzero(inside)
        return checker.copy_global(lanes, ctas[copies], columns[copies], address[inside][:, None], unit, kind)

    def shared_copy(self, target: Any, source: Any, barrier: Any, size: Any, rank: Any) -> None:
        """cp.async.bulk from shared memory to that of another CTA of the cluster; completes on the barrier there."""
        lanes, batch, checker = self._lanes, self._lanes.batch, self._lanes.batch.checker
        ctas, columns = self.issuers()
        nbytes, mbarrier = _multiple_of_16(self.same(size, "the size of a bulk copy")), self.barrier(barrier)
        offset = np.arange(0, nbytes, 16)
        place, start = (self._pick(x, ctas, columns)[:, None] + offset for x in (target, source))
        into = self._others(ctas, self._pick(rank, ctas, columns), "a copy into")
        try:
            batch.shared.check(place, 16)
            batch.shared.check(start, 16)
        except BadLane as bad:
            raise lanes.fault(BadLane(bad.message, int(ctas[bad.row]), int(columns[bad.row]))) from None
        here, there = (
            (where + batch.shared.row_start[rows]) >> SHIFT[16] for where, rows in ((start, ctas), (place, into))
        )
        shadow = self._into(ctas, columns, place, 16, mbarrier, there, into)
        read = None if checker is None else checker.engine_access(lanes, ctas, columns, start, 16, ctas)
        if checker is not None and read is not None:
            checker.start_reading(lanes, read)

        def land() -> None:
            batch.shared.flat[16][there] = batch.shared.flat[16].take(here)
            if checker is not None and read is not None and shadow is not None:
                checker.end_reading(read)
                checker.land_load(shadow, mbarrier)
            mbarrier.complete(into, nbytes)

        batch.flights.append(Pending(land, "a copy to another CTA of the cluster", lanes.site, lanes.name))

    def store_remote(self, address: Any, rank: Any, size: int, value: np.ndarray) -> None:
        """st.shared::cluster of `size` bytes per lane, to the shared memory of CTAs given by their ranks."""
        lanes, batch = self._lanes, self._lanes.batch
        active = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
        ctas, columns = np.nonzero(active)
        where, ranks = (np.broadcast_to(np.asarray(x, np.int64), lanes.shape)[active] for x in (address, rank))
        into = self._others(ctas, ranks, "a store to")
        place = where[:, None]
        try:
            batch.shared.check(place, size)
        except BadLane as bad:
            raise lanes.fault(BadLane(bad.message, int(ctas[bad.row]), int(columns[bad.row]))) from None
        if batch.checker is not None:
            batch.checker.store_remote(lanes, ctas, columns, place, size, into)
        units = batch.shared.flat[size]
        stored = np.broadcast_to(value, lanes.shape)[active].astype(f"u{size}").view(units.dtype)
        units[((place + batch.shared.row_start[into]) >> SHIFT[size])[:, 0]] = stored

    def try_cancel(self, shared: Any, barrier: Any, everywhere: bool = False) -> None:
        """clusterlaunchcontrol.try_cancel: an answer of 16 bytes, which may name a CTA, arrives at the mbarrier.

        With `everywhere`, in the shared memory and at the mbarrier of every CTA of the cluster.
        """
        lanes, batch = self._lanes, self._lanes.batch
        ctas, columns = self.issuers()
        place, target, into = self._pick(shared, ctas, columns)[:, None], self.barrier(barrier), None
        answers = np.array([batch.cancel() for _ in ctas], np.uint32)
        if everywhere:
            into = (ctas[:, None] // batch.cluster * batch.cluster + np.arange(batch.cluster)).reshape(-1)
            ctas, columns, place, answers = (
                np.repeat(x, batch.cluster, axis=0) for x in (ctas, columns, place, answers)
            )
        owners = ctas if into is None else into
        try:
            batch.shared.check(place, 16)
        except BadLane as bad:
            raise lanes.fault(BadLane(bad.message, int(ctas[bad.row]), int(columns[bad.row]))) from None
        cells, checker = (place + batch.shared.row_start[owners]) >> SHIFT[16], batch.checker
        shadow = self._into(ctas, columns, place, 16, target, cells, into)
        known = None if checker is None else checker.knowledge(lanes)

        def land() -> None:
            batch.shared.flat[16][cells] = answers.view(CARRY[16])
            if checker is not None and shadow is not None and known is not None:
                checker.land_load(shadow, target)
                checker.hand_over(target, known)
                if everywhere:
                    checker.share(target)
            target.complete(owners, 16)

        self.fly(land, "an answer of cluster launch control")

    def bulk_prefetch(self, source: Any, size: Any) -> None:
        """cp.async.bulk.prefetch: what it reads must exist."""
        ctas, columns = self.issuers()
        offset = np.arange(0, _multiple_of_16(self.same(size, "the size of a bulk copy")), 16)
        self._require_memory(ctas, columns, self._pick(source, ctas, columns)[:, None] + offset, 16)

    def tensor_prefetch(self, tensor_map: Map, coordinates: list[Any]) -> None:
        """cp.async.bulk.prefetch.tensor: what of the box is inside the tensor must exist."""
        if self._through(tensor_map, lambda m: self.tensor_prefetch(m, coordinates)):
            return
        ctas, columns = self.issuers()
        picked = [self._pick(c, ctas, columns) for c in coordinates]
        _, start, inside, unit = tensor_map.places(np.zeros(len(ctas), np.int64), picked)
        self._require_memory(ctas, columns, _safe(start, inside, self._lanes.batch.memory.roomiest()), unit)

    def _require_memory(self, ctas: np.ndarray, columns: np.ndarray, address: np.ndarray, unit: int) -> None:
        try:
            self._lanes.batch.memory.index(address, unit)
        except BadLane as bad:
            raise self._lanes.fault(BadLane(bad.message, int(ctas[bad.row]), int(columns[bad.row]))) from None

    def bulk_store(self, target: Any, shared: Any, size: Any) -> None:
        """cp.async.bulk from shared to global memory, in the open bulk group."""
        ctas, columns = self.issuers()
        offset = np.arange(0, _multiple_of_16(self.same(size, "the size of a bulk copy")), 16)
        place = self._pick(shared, ctas, columns)[:, None] + offset
        self._store(ctas, columns, place, self._pick(target, ctas, columns)[:, None] + offset, None, 16)

    def bulk_reduce(self, target: Any, shared: Any, size: Any, combine: Combine, dtype: Any) -> None:
        """cp.reduce.async.bulk: `memory = combine(memory, bytes)` element by element, in any order."""
        ctas, columns = self.issuers()
        offset = np.arange(0, _multiple_of_16(size), 16)
        place = self._pick(shared, ctas, columns)[:, None] + offset
        to = self._pick(target, ctas, columns)[:, None] + offset
        self._store(ctas, columns, place, to, None, 16, combine=combine, dtype=np.dtype(dtype))

    def tensor_store(self, tensor_map: Map, shared: Any, coordinates: list[Any]) -> None:
        """cp.async.bulk.tensor from shared to global memory; what lies outside the tensor is not written."""
        if self._through(tensor_map, lambda m: self.tensor_store(m, shared, coordinates)):
            return
        ctas, columns = self.issuers()
        base = self._pick(shared, ctas, columns)
        _require_alignment(base, tensor_map)
        picked = [self._pick(c, ctas, columns) for c in coordinates]
        self._store(ctas, columns, *tensor_map.places(base, picked))

    def tensor_reduce(
        self, tensor_map: Map, shared: Any, coordinates: list[Any], combine: Combine, dtype: np.dtype[Any]
    ) -> None:
        """cp.reduce.async.bulk.tensor: `memory = combine(memory, tile)` element by element, in any order."""
        if self._through(tensor_map, lambda m: self.tensor_reduce(m, shared, coordinates, combine, dtype)):
            return
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
            index = batch.memory.index(_safe(target, inside, batch.memory.roomiest()), unit)
        except BadLane as bad:
            raise lanes.fault(BadLane(bad.message, int(ctas[bad.row]), int(columns[bad.row]))) from None
        cells = (place + batch.shared.row_start[ctas]) >> SHIFT[unit]
        checker = batch.checker
        shadow = None if checker is None else checker.engine_access(lanes, ctas, columns, place, unit)
        contest: Contest | None = None
        if checker is not None and shadow is not None:
            checker.start_reading(lanes, shadow)
            kind = "store" if combine is None else "update"
            contest, written = self._outside(ctas, columns, target, inside, unit, kind)
            self._writes.append(written)

        def finish() -> None:
            data = batch.shared.flat[unit].take(cells)
            if combine is not None and dtype is not None:
                _combine(batch.memory.views[unit], index, data, inside, combine, dtype)
            elif contest is not None:
                contest.store(batch.memory.views[unit], index[inside], data[inside])
            else:
                batch.memory.views[unit][index[inside]] = data[inside]
            if checker is not None and shadow is not None:
                checker.stop_reading(shadow)

        pending = Pending(finish, "an asynchronous copy out of shared memory", lanes.site, lanes.name)
        self._stores.append(pending)
        batch.at_end.append(pending)

    def commit_stores(self) -> None:
        self._store_groups.append(self._stores)
        self._write_groups.append(self._writes)
        self._stores, self._writes = [], []

    def wait_stores(self, pending: int, read: bool) -> None:
        """cp.async.bulk.wait_group{.read}: all but the `pending` most recent groups are complete, or with `read` have
        read their source: then what they write may be read by nobody yet."""
        self._store_groups = finish(self._store_groups, pending)
        if not read:
            count = max(len(self._write_groups) - pending, 0)
            for complete in (c for group in self._write_groups[:count] for c in group):
                complete()
            del self._write_groups[:count]


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


def _require_alignment(base: np.ndarray, tensor_map: Map) -> None:
    need = {0: 128, 32: 256, 64: 512, 128: 1024}[tensor_map.swizzle]
    if (base % need).any():
        raise SimulationError(
            f"a tensor copy with swizzle {tensor_map.swizzle} needs a {need}-byte aligned place in shared "
            f"memory, got address {int(base[(base % need).argmax()])}"
        )
