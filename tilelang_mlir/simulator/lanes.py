"""Lanes: the threads of every CTA of a batch, moving in lock step, and what instructions may ask of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tilelang_mlir.errors import OutOfBoundsError, SimulationError, UnsupportedError
from tilelang_mlir.isa.instruction import GLOBAL, PRIVATE, SHARED, MemoryOrder
from tilelang_mlir.simulator import atomics
from tilelang_mlir.simulator.async_copy import CopyQueue
from tilelang_mlir.simulator.atomics import RELAXED, Ordering
from tilelang_mlir.simulator.batch import Batch, Dim3
from tilelang_mlir.simulator.engine import Engine
from tilelang_mlir.simulator.memory import BadLane
from tilelang_mlir.simulator.private import Alloca, PrivateMemory
from tilelang_mlir.simulator.schedule import Agent, Diverged, Fork, WaitBarrier, WaitGrid

ALL_THREADS = "all threads"  # the name of the agent that has not parted


class Lanes:
    """One agent: some threads (columns) of every CTA (rows). Implements `isa.Machine`."""

    def __init__(
        self, batch: Batch, threads: np.ndarray, columns: np.ndarray, name: str, private: PrivateMemory
    ) -> None:
        self.batch, self.name, self.private, self.columns = batch, name, private, columns
        self.threads = threads
        self.count = len(threads)
        self.shape = (batch.ctas, self.count)
        self.role = ""
        self.mask: np.ndarray | None = None
        self.site = 0
        self.warp_size = batch.warp_size
        self.warp = threads // self.warp_size
        self.warp_ids = np.unique(self.warp)
        self.laneid = (threads % self.warp_size).astype(np.int32)[None, :]
        self.slots = np.searchsorted(self.warp_ids, self.warp) * self.warp_size + threads % self.warp_size
        self.whole = self.count == len(self.warp_ids) * self.warp_size
        self.weight = len(self.warp_ids) * batch.ctas
        self.copies = CopyQueue(self)
        batch.copy_queues.append(self.copies)
        self.engine = Engine(self)
        self._special: dict[str, np.ndarray] = {}
        self._first_columns: dict[int, np.ndarray] = {}

    @classmethod
    def all_threads(cls, batch: Batch, allocas: list[Alloca], checked: bool) -> Lanes:
        threads = np.arange(batch.threads)
        private = PrivateMemory(allocas, (batch.ctas, batch.threads), checked)
        return cls(batch, threads, threads, ALL_THREADS, private)

    def subset(self, columns: np.ndarray, role: str) -> Lanes:
        """The agent of some of the columns; without a `role` of its own it has that of this agent."""
        threads = self.threads[columns]
        first, last = int(threads[0]), int(threads[-1])
        span = f"thread {first}" if first == last else f"threads {first} to {last}"
        role = role or self.role
        child = Lanes(self.batch, threads, columns, f"{role}, {span}" if role else span, self.private.take(columns))
        child.role = role
        self.batch.roles.update((int(warp), child.name) for warp in child.warp_ids)
        return child

    def special(self, name: str) -> np.ndarray:
        """A special register: tid.x, ntid.y, ctaid.z, nctaid.x, laneid, warpid, as int32."""
        if name not in self._special:
            self._special[name] = self._read_special(name)
        return self._special[name]

    def _read_special(self, name: str) -> np.ndarray:
        register, _, axis = name.partition(".")
        dim = "xyz".index(axis) if axis else 0
        batch = self.batch
        if register == "cluster_ctarank":
            return (np.arange(batch.ctas) % batch.cluster).astype(np.int32)[:, None]
        if register == "laneid":
            return self.laneid
        if register == "warpid":
            return self.warp.astype(np.int32)[None, :]
        if register in ("ntid", "nctaid"):
            return np.full((1, 1), (batch.block if register == "ntid" else batch.grid)[dim], np.int32)
        extents = batch.block if register == "tid" else batch.grid
        if register not in ("tid", "ctaid"):
            raise UnsupportedError(f"the simulator has no special register {name}")
        if extents[dim] == 1:
            return np.zeros((1, 1), np.int32)
        linear = self.threads if register == "tid" else batch.ids
        stride = int(np.prod(extents[:dim], dtype=np.int64))
        value = (linear // stride % extents[dim]).astype(np.int32)
        return value[None, :] if register == "tid" else value[:, None]

    # ---- memory ----------------------------------------------------------------------------------------------------
    def _address(self, address: Any) -> np.ndarray:
        """An int64 array; under a mask inactive lanes get the address of an active one."""
        if not isinstance(address, np.ndarray):
            return np.full((1, 1), address, np.int64)
        mask = self.mask
        if mask is None or address.size == 1:
            return address
        row, column = divmod(int(mask.argmax()), mask.shape[1])
        first = address[row if address.shape[0] > 1 else 0, column if address.shape[1] > 1 else 0]
        return np.where(mask, address, first)

    def fault(self, bad: BadLane) -> OutOfBoundsError:
        """The user's error for a bad lane of an address array of this agent."""
        return OutOfBoundsError(f"{bad.message}, by {self.who(bad.row, bad.column)}")

    def who(self, row: int, column: int) -> str:
        """Names the thread of a lane."""
        thread, cta = int(self.threads[column]), int(self.batch.ids[row])
        grid, block = self.batch.grid, self.batch.block
        text = f"thread {thread}" if block[1] == block[2] == 1 else f"thread ({_unravel(thread, block)})"
        place = f"{cta}" if grid[1] == grid[2] == 1 else f"({_unravel(cta, grid)})"
        return f"{text} (warp {thread // self.warp_size}) of CTA {place}"

    def aligned_global(self, address: Any, size: int) -> Any:
        """The address of an access that is done in parts: a multiple of its whole size all the same."""
        where = self._address(address)
        wrong = np.asarray((where & (size - 1)) != 0)
        if self.mask is not None:
            wrong = wrong & self.mask
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            where = np.broadcast_to(where, wrong.shape)
            raise self.fault(BadLane(self.batch.memory.misaligned(int(where[row, column]), size), row, column))
        return address

    def load_global(self, address: Any, size: int) -> np.ndarray:
        where = self._address(address)
        try:
            index = self.batch.memory.index(where, size)
        except BadLane as bad:
            raise self.fault(bad) from None
        if self.batch.checker is not None:
            self.batch.checker.read_global(self, where, size)
        return self.batch.memory.views[size].take(index)

    def store_global(self, address: Any, size: int, value: np.ndarray) -> None:
        where = self._address(address)
        try:
            index = self.batch.memory.index(where, size)
        except BadLane as bad:
            raise self.fault(bad) from None
        checker = self.batch.checker
        contest = None if checker is None else checker.write_global(self, where, size)
        shape = np.broadcast_shapes(index.shape, value.shape)
        index, value = np.broadcast_to(index, shape), np.broadcast_to(value, shape)
        if self.mask is not None:
            mask = np.broadcast_to(self.mask, np.broadcast_shapes(shape, self.mask.shape))
            index, value = np.broadcast_to(index, mask.shape)[mask], np.broadcast_to(value, mask.shape)[mask]
        if contest is not None:
            contest.store(self.batch.memory.views[size], index, value)
        else:
            self.batch.memory.views[size][index] = value

    def load_shared(self, address: Any, size: int) -> np.ndarray:
        where = self._address(address)
        try:
            self.batch.shared.check(where, size)
        except BadLane as bad:
            raise self.fault(bad) from None
        if self.batch.checker is not None:
            self.batch.checker.read_shared(self, where, size)
        return self.batch.shared.load(where, size)

    def store_shared(self, address: Any, size: int, value: np.ndarray) -> None:
        where = self._address(address)
        try:
            self.batch.shared.check(where, size)
        except BadLane as bad:
            raise self.fault(bad) from None
        shared, checker = self.batch.shared, self.batch.checker
        contested = checker is not None and checker.write_shared(self, where, size)
        shared.store(where, size, value, self.mask)
        if checker is not None and contested and self._lost(shared.load(where, size), value, size):
            raise checker.collision(self)

    def _lost(self, kept: np.ndarray, value: np.ndarray, size: int) -> bool:
        """Whether memory now differs from what some active lane wrote (compared as bytes: NaN equals itself)."""
        pair = [np.ascontiguousarray(np.broadcast_to(x, self.shape))[..., None].view(np.uint8) for x in (kept, value)]
        differ = (pair[0] != pair[1]).any(2)
        return bool((differ if self.mask is None else differ & self.mask).any())

    def load_private(self, address: Any, size: int) -> np.ndarray:
        """Raw units of the lanes' own memory."""
        return self.private.load(address, size, self.mask)

    def store_private(self, address: Any, size: int, value: np.ndarray) -> None:
        """Raw units into the active lanes' own memory."""
        self.private.store(address, size, value, self.mask)

    def load(self, space: int, address: Any, size: int) -> np.ndarray:
        """Raw units of 1 to 16 bytes, shape (C|1, T|1)."""
        if space == GLOBAL:
            return self.load_global(address, size)
        if space == SHARED:
            return self.load_shared(address, size)
        if space == PRIVATE:
            return self.load_private(address, size)
        raise UnsupportedError(f"the simulator has no address space {space}")

    def store(self, space: int, address: Any, size: int, value: np.ndarray) -> None:
        if space == GLOBAL:
            self.store_global(address, size, value)
        elif space == SHARED:
            self.store_shared(address, size, value)
        elif space == PRIVATE:
            self.store_private(address, size, value)
        else:
            raise UnsupportedError(f"the simulator has no address space {space}")

    def atomic(
        self,
        space: int,
        address: Any,
        dtype: np.dtype[Any],
        update: Callable[..., Any],
        *values: Any,
        ordering: Ordering = RELAXED,
    ) -> np.ndarray:
        """Read-modify-write, lanes in order; `update(old, *values)` gives the new value. Returns the old values."""
        return atomics.apply(self, space, self._address(address), np.dtype(dtype), update, values, ordering)

    def reduce(
        self,
        space: int,
        address: Any,
        dtype: np.dtype[Any],
        update: np.ufunc,
        value: np.ndarray,
        ordering: Ordering = RELAXED,
    ) -> None:
        """An atomic whose old value nobody reads: lanes are applied in order by the ufunc's own loop."""
        atomics.reduce(self, space, self._address(address), np.dtype(dtype), update, value, ordering)

    def read_rows(self, address: np.ndarray, size: int, rows: np.ndarray) -> np.ndarray:
        """Shared memory at addresses (C|1, K) given by the lanes in columns `rows` (K), for use by other lanes."""
        address, _ = self._active_rows(address, rows)
        try:
            self.batch.shared.check(address, size)
        except BadLane as bad:
            raise self.fault(BadLane(bad.message, bad.row, int(rows[bad.column]))) from None
        if self.batch.checker is not None:
            self.batch.checker.read_shared(self, address, size, rows)
        return self.batch.shared.load(address, size)

    def write_rows(self, address: np.ndarray, size: int, rows: np.ndarray, value: np.ndarray) -> None:
        """The store that corresponds to `read_rows`."""
        address, active = self._active_rows(address, rows)
        try:
            self.batch.shared.check(address, size)
        except BadLane as bad:
            raise self.fault(BadLane(bad.message, bad.row, int(rows[bad.column]))) from None
        if self.batch.checker is not None:
            self.batch.checker.write_shared(self, address, size, rows)
        self.batch.shared.store(address, size, value, active)

    def _active_rows(self, address: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Addresses with those of inactive lanes replaced by an active one's, and which are active (None: all)."""
        if self.mask is None:
            return address, None
        active = np.broadcast_to(self.mask, self.shape)[:, rows]
        wide = np.broadcast_to(address, active.shape)
        return np.where(active, wide, wide[active][0]), active

    # ---- warps -----------------------------------------------------------------------------------------------------
    def warps(self, value: Any) -> np.ndarray:
        """A scalar operand as (C|1, warps, lanes); lanes that do not exist are zero."""
        value = value if isinstance(value, np.ndarray) else np.asarray(value).reshape(1, 1)
        full = value if value.shape[1] == self.count else np.broadcast_to(value, (value.shape[0], self.count))
        if self.whole:
            return full.reshape(value.shape[0], -1, self.warp_size)
        padded = np.zeros((value.shape[0], len(self.warp_ids) * self.warp_size), value.dtype)
        padded[:, self.slots] = full
        return padded.reshape(value.shape[0], -1, self.warp_size)

    def first_columns(self, count: int) -> np.ndarray:
        """The columns of the first `count` lanes of each warp, in order; always the same object."""
        if count not in self._first_columns:
            self._first_columns[count] = self.warps(np.arange(self.count)[None, :])[0, :, :count].reshape(-1)
        return self._first_columns[count]

    def unwarp(self, value: np.ndarray) -> np.ndarray:
        """The inverse of `warps`: (C|1, warps, lanes) -> (C|1, T)."""
        flat = value.reshape(value.shape[0], -1)
        return flat if self.whole else flat[:, self.slots]

    def active(self) -> np.ndarray:
        """Which lanes run, as (C|1, warps, lanes) bool."""
        return self.warps(np.ones((1, 1), np.bool_) if self.mask is None else self.mask)

    def require_whole_warps(self, what: str) -> None:
        """Raises SimulationError when a lane of a warp is missing at an instruction that all 32 must execute."""
        if self.mask is not None or not self.whole:
            self._require(what, np.ones((1, 1), np.bool_))

    def require_warps(self, what: str) -> None:
        """Raises SimulationError when one of the threads of a warp is missing at an instruction that all must execute:
        the last warp may have fewer threads than the others."""
        if self.mask is not None or not self.whole:
            self._require(what, self.existing())

    def existing(self) -> np.ndarray:
        """Which lanes of this agent's warps are threads of the CTA, as (warps, lanes) bool."""
        return self.warp_ids[:, None] * self.warp_size + np.arange(self.warp_size) < self.batch.threads

    def _require(self, what: str, lanes: np.ndarray) -> None:
        active = self.active()
        partial = active.any(2) & (active != lanes).any(2)
        if partial.any():
            row, warp = (int(i) for i in np.argwhere(partial)[0])
            raise SimulationError(
                f"{what} is reached by {int(active[row, warp].sum())} of {self.warp_size} lanes of warp "
                f"{int(self.warp_ids[warp])}",
                hint="all lanes of a warp must execute it together",
            )

    def sync_warp(self, members: Any) -> None:
        """bar.warp.sync: orders the memory accesses of the lanes of a warp."""
        if self.batch.checker is not None:
            self.batch.checker.sync_warp(self)

    def fence(self, scope: str, order: MemoryOrder = MemoryOrder.BOTH) -> None:
        if self.batch.checker is not None:
            self.batch.checker.fence(self, scope, order)

    # ---- asynchronous copies and barriers ----------------------------------------------------------------------------
    def copy_async(self, shared: Any, source: Any, size: int, valid: Any) -> None:
        """Start a copy of `size` bytes from global to shared memory, of which only the first `valid` are read."""
        self.copies.issue(self._address(shared), source, size, valid)

    def commit_async(self) -> None:
        self.copies.commit()

    def wait_async(self, pending: int) -> None:
        self.copies.wait(pending)

    def barrier(self, number: Any = 0, threads: int | None = None, wait: bool = True) -> WaitBarrier | None:
        """Arrive at a barrier of `threads` threads (None: all of the CTA). Returns what to wait for, or None.

        Raises:
            SimulationError: threads that move together name different barriers, and do not all meet at them here.
        """
        numbers = np.unique(number)
        if len(numbers) > 1:
            self._meet_apart(np.broadcast_to(number, self.shape), numbers, threads, wait)
            return None
        number = int(numbers[0])
        pending = self._arrive(number, threads, wait, None)
        return pending if wait and not pending.done else None

    def _meet_apart(self, named: np.ndarray, numbers: np.ndarray, threads: int | None, wait: bool) -> None:
        """Meet at several barriers at once: all their threads are here. The checker takes them for one."""
        whole = self.mask is None or bool(np.broadcast_to(self.mask, self.shape).all())
        if not wait or not whole or any(((named == n).sum(1) != threads).any() for n in numbers):
            raise SimulationError("the number of a barrier differs between threads, which do not all meet here")
        if self.batch.checker is not None:
            self.batch.checker.join([self], [])

    def grid_barrier(self) -> WaitGrid | None:
        """All threads of all CTAs meet. Returns what to wait for, or None.

        Raises:
            Diverged: some CTAs of the batch are elsewhere.
        """
        here = np.broadcast_to(np.bool_(True) if self.mask is None else self.mask, self.shape)
        if self.count != self.batch.threads or (here.any(1) != here.all(1)).any():
            raise SimulationError(
                "the grid barrier is reached by a part of the threads of a CTA",
                hint="every thread of every CTA must come to it equally often",
            )
        if not here.all():
            raise Diverged(np.logical_or.reduce(here, axis=1))
        return self.batch.grid_barrier.arrive(self)

    def barrier_reduce(self, number: int, threads: int | None, kind: str, predicate: Any) -> WaitBarrier:
        """Wait at a barrier and combine a predicate of its threads: "popc", "and" or "or". Has the result when done."""
        true = np.broadcast_to(np.asarray(predicate), self.shape) != 0
        votes = (true if self.mask is None else true & self.mask).sum(1)
        return self._arrive(number, threads, True, (kind, votes))

    def _arrive(self, number: int, threads: int | None, wait: bool, vote: tuple[str, np.ndarray] | None) -> WaitBarrier:
        batch = self.batch
        expected = batch.threads if threads is None else int(threads)
        self._require_converged(number, expected)
        if self.count == expected and wait:
            if batch.checker is not None:
                batch.checker.join([self], [])
            kind, votes = vote or ("", None)
            return WaitBarrier(number, expected, expected, True, kind, votes)
        if self.mask is not None and not self.mask.all():
            raise Diverged(np.logical_or.reduce(np.broadcast_to(self.mask, self.shape), axis=1))
        pending = batch.barriers.setdefault(number, WaitBarrier(number, expected))
        if pending.expected != expected:
            raise SimulationError(
                f"barrier {number} is used with {expected} threads here and with {pending.expected} elsewhere"
            )
        if vote is not None or pending.kind:
            pending.vote(*(vote or ("sync", np.zeros(batch.ctas, np.int64))))
        (pending.waiters if wait else pending.arrivers).append(self)
        pending.arrived += self.count
        if pending.arrived > expected:
            raise SimulationError(f"barrier {number}: {pending.arrived} threads arrived where {expected} are expected")
        if pending.arrived == expected:
            del batch.barriers[number]
            pending.done = True
            if batch.checker is not None:
                batch.checker.join(pending.waiters, pending.arrivers)
        return pending

    def _require_converged(self, number: int, expected: int) -> None:
        if expected % self.warp_size and expected != self.batch.threads:
            raise SimulationError(
                f"barrier {number} expects {expected} threads, which is not a multiple of {self.warp_size}"
            )
        if self.mask is None and (self.whole or self.count == self.batch.threads):
            return
        mask = np.broadcast_to(np.bool_(True) if self.mask is None else self.mask, self.shape)
        partial = mask.any(1) != mask.all(1)
        if partial.any() or not (self.whole or self.count == self.batch.threads):
            row = int(partial.argmax())
            raise SimulationError(
                f"barrier {number} is reached by {int(mask[row].sum())} of {self.batch.threads} threads of "
                f"CTA {self.batch.ids[row]} (divergent)",
                hint="move the barrier out of the branch or loop that depends on the thread",
            )

    def fork(
        self,
        condition: np.ndarray,
        yes: Callable[..., Agent],
        no: Callable[..., Agent] | None,
        roles: tuple[str, str] = ("", ""),
        part: int = 0,
    ) -> Fork:
        """Agents for the two sides of a branch whose body blocks; `roles` name what they do, for messages.

        The first side is one agent, or with `part` one for each so many threads, which then move on their own.

        Raises:
            Diverged: the condition differs between CTAs.
        """
        full = np.broadcast_to(condition, (condition.shape[0], self.count))
        if (full != full[:1]).any():
            raise Diverged(np.unique(full, axis=0, return_inverse=True)[1])
        if self.mask is not None and not self.mask.all():
            raise SimulationError("a branch that waits is reached by a part of the threads (divergent)")
        children: list[tuple[Agent, Lanes]] = []
        for side, body, role in ((full[0], yes, roles[0]), (~full[0], no, roles[1])):
            if body is not None:
                every = np.nonzero(side)[0]
                pieces = range(0, len(every), part) if part and body is yes else (0,)
                for start in pieces:
                    columns = every[start : start + part] if part and body is yes else every
                    lanes = self.subset(columns, role)
                    children.append((body(lanes, _taker(columns)), lanes))
        return Fork(children)


def _taker(columns: np.ndarray) -> Callable[[Any], Any]:
    def take(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(take(x) for x in value)
        if isinstance(value, np.ndarray) and value.ndim >= 2 and value.shape[1] > 1:
            return value[:, columns]
        return value

    return take


def _unravel(linear: int, extents: Dim3) -> str:
    return f"{linear % extents[0]}, {linear // extents[0] % extents[1]}, {linear // (extents[0] * extents[1])}"
