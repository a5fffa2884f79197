"""Running kernels: batches of CTAs, retries, errors with locations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tilelang_mlir.errors import (
    AccumulatorError,
    ResourceError,
    SimulationError,
    TileError,
    TileValueError,
    UnsupportedError,
)
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator.arguments import Arguments
from tilelang_mlir.simulator.batch import Batch, Dim3
from tilelang_mlir.simulator.codegen import Kernel
from tilelang_mlir.simulator.engine_checks import EngineChecker
from tilelang_mlir.simulator.lanes import ALL_THREADS, Lanes
from tilelang_mlir.simulator.locations import iteration_text
from tilelang_mlir.simulator.memory import GlobalMemory
from tilelang_mlir.simulator.ownership import Ownership
from tilelang_mlir.simulator.profile import Profile
from tilelang_mlir.simulator.report import SimulationReport
from tilelang_mlir.simulator.schedule import Diverged, GridBarrier, Start, run
from tilelang_mlir.simulator.values import size_of

_LANES = 32768  # lanes per batch: beyond this the arrays leave the cache
_MAX_SPLITS = 4  # times a batch is split into groups before its CTAs run alone
_SHARED_TOTAL = 64 << 20  # bytes of shared memory of a batch


class Program:
    """The kernels of a module at level 4. Code is generated once per kernel and mode and kept."""

    def __init__(self, module: ir.Module) -> None:
        self._functions: dict[str, ir.Operation] = {}
        self._shared: dict[str, int] = {}
        self._module = module
        self._kernels: dict[tuple[str, bool], Kernel] = {}
        self._static_shared = 0
        self._collect(module.operation)

    def _collect(self, parent: ir.Operation) -> None:
        for region in parent.regions:
            for block in region:
                for view in block.operations:
                    op = view.operation
                    if op.name == "llvm.func" and len(op.regions[0].blocks):
                        self._functions[ir.StringAttr(op.attributes["sym_name"]).value] = op
                    elif op.name == "llvm.mlir.global":
                        self._place_shared(op)
                    elif op.name in ("gpu.module", "builtin.module"):
                        self._collect(op)

    def _place_shared(self, op: ir.Operation) -> None:
        """Static shared arrays lie one after the other; dynamic ones (of no size) start after them."""
        if "addr_space" not in op.attributes or int(ir.IntegerAttr(op.attributes["addr_space"]).value) != 3:
            return
        size = size_of(str(ir.TypeAttr(op.attributes["global_type"]).value))
        self._shared[ir.StringAttr(op.attributes["sym_name"]).value] = self._static_shared if size else -1
        self._static_shared += (size + 1023) // 1024 * 1024

    @property
    def kernels(self) -> list[str]:
        """Names of the kernels, in order."""
        return list(self._functions)

    def kernel(self, name: str, checked: bool = True) -> Kernel:
        """The generated code of a kernel."""
        if name not in self._functions:
            raise TileValueError(
                f"the module has no kernel {name}", hint=f"it has {', '.join(self._functions) or 'none'}"
            )
        if "tl.entry" in self._functions[name].attributes:
            raise UnsupportedError(f"the simulator does not run device code of other languages: {name}")
        key = (name, checked)
        if key not in self._kernels:
            shared = {symbol: self._static_shared if at < 0 else at for symbol, at in self._shared.items()}
            with self._module.context:
                self._kernels[key] = Kernel(self._functions[name], shared, checked)
        return self._kernels[key]

    def launch(
        self,
        kernel: str,
        grid: Dim3,
        args: Sequence[Any],
        *,
        checked: bool = True,
        seed: int = 0,
        shared_bytes: int | None = None,
        memory: GlobalMemory | None = None,
        batch_ctas: int | None = None,
        others: Sequence[np.ndarray] = (),
    ) -> SimulationReport:
        """Run one kernel on `grid` CTAs.

        Args:
            kernel: name of the `llvm.func`.
            grid: CTAs along x, y, z.
            args: numpy arrays for pointers (their memory is copied in and back; overlapping arrays share memory), or
                addresses in `memory`; Python or numpy scalars otherwise.
            checked: find races, uninitialised reads and misuse of barriers, and fill the report's counters.
            seed: 0 runs agents in order and lets asynchronous work land as late as it may; others choose at random.
            shared_bytes: dynamic shared memory (default: the kernel's `tl.shared_bytes`).
            memory: the arena that integer pointer arguments refer to, kept between launches.
            batch_ctas: CTAs that run together (default: by the number of threads).
            others: arrays that addresses among the arguments (numbers, and elements of an `AddressTable`) point into.

        Raises:
            SimulationError: or a subclass, for what a GPU gives no meaning to; with locations.
            ArgumentError: the arguments do not match the kernel's.
        """
        code = self.kernel(kernel, checked)
        arena = memory if memory is not None else GlobalMemory()
        dynamic = code.shared_bytes if shared_bytes is None else shared_bytes
        arguments = Arguments(code.argument_kinds, args, kernel, others)
        launch = _Launch(code, arena, grid, self._static_shared + dynamic, checked, seed)
        values = arguments.copy_in(arena)
        started = time.perf_counter()
        try:
            launch.run_all(values, batch_ctas)
            launch.report.seconds = time.perf_counter() - started
        finally:
            arguments.copy_out(arena)
        return launch.report


class _Launch:
    """One launch in progress."""

    def __init__(
        self, code: Kernel, memory: GlobalMemory, grid: Dim3, shared_bytes: int, checked: bool, seed: int
    ) -> None:
        self.code, self.memory, self.grid, self.shared_bytes = code, memory, grid, shared_bytes
        self.checked, self.seed = checked, seed
        self.total = grid[0] * grid[1] * grid[2]
        self.cluster = code.cluster[0] * code.cluster[1] * code.cluster[2]
        self.report = SimulationReport(code.name, self.total)
        self.profile = Profile() if checked else None
        self.owners: Ownership | None = None
        self.work: list[tuple[np.ndarray, int]] = []  # CTAs that have not started, the next ones last
        self.threads = code.block[0] * code.block[1] * code.block[2]
        if self.threads > 1024:
            raise ResourceError(f"kernel {code.name} has {self.threads} threads per CTA; the limit is 1024")

    def run_all(self, values: list[Any], batch_ctas: int | None) -> None:
        cluster, order = self.cluster, self._by_cluster()
        size = batch_ctas or max(1, min(_LANES // self.threads, _SHARED_TOTAL // max(self.shared_bytes, 1)))
        size = self.total if self.code.cooperative else size
        if self.checked:
            of = self.code.accesses
            written, read, plain = (self._allocations(values, which) for which in (of.writes, of.reads, of.plain))
            known = (self.total, self.threads) if self.code.ordered or cluster > 1 else None
            if written:
                self.owners = Ownership(self.memory, self.code.global_unit, written, read, plain, known)
        if self.code.takes_over:  # half of them start later, or never
            size = min(size, (self.total // cluster + 1) // 2 * cluster)
        size = max(size // cluster, 1) * cluster
        work = self.work = [(order[first : first + size], 0) for first in range(0, self.total, size)][::-1]
        waiting = self.code.spinning or self.code.cooperative  # for other CTAs
        start = self._snapshot() if waiting and not self.code.takes_over else None
        with np.errstate(all="ignore"):
            while work:
                ids, depth = work.pop()
                restore = self._snapshot() if len(ids) > cluster and self.code.may_split else None
                try:
                    self._run_batches(values, [ids])
                except Diverged as split:
                    if start is not None:  # they may wait for one another: side by side, each on its own
                        start()
                        self._run_apart(values, order)
                        break
                    if restore is None:
                        raise _parted_cluster() from None
                    restore()
                    keys = split.groups if depth < _MAX_SPLITS else None
                    work.extend((group, depth + 1) for group in _groups(ids, keys, cluster))
        if self.profile is not None:
            self.profile.fill(self.report, self.code)

    def _run_apart(self, values: list[Any], order: np.ndarray) -> None:
        """Run every CTA, or cluster, as a batch of its own, side by side."""
        try:
            self._run_batches(values, [order[i : i + self.cluster] for i in range(0, self.total, self.cluster)])
        except Diverged:
            raise _parted_cluster() from None

    def _take_over(self) -> int | None:
        """Remove the cluster that would start next; its first CTA."""
        while self.work:
            ids, depth = self.work.pop()
            if len(ids) > self.cluster:
                self.work.append((ids[self.cluster :], depth))
            if len(ids):
                return int(ids[0])
        return None

    def _allocations(self, values: list[Any], arguments: frozenset[int] | None) -> set[int]:
        """The allocations that arguments lie in; None: those of all arguments."""
        chosen = values if arguments is None else [values[i] for i in arguments]
        places = [getattr(v, "address", v) for v in chosen]
        return {self.memory.find(int(place)) for place in places if isinstance(place, int | np.integer)} - {0}

    def _by_cluster(self) -> np.ndarray:
        """The CTAs by linear index, those of a cluster next to each other (PTX ISA 8.7, section 10.10, %clusterid)."""
        dims = self.code.cluster
        if self.cluster == 1:
            return np.arange(self.total)
        if any(size % part for size, part in zip(self.grid, dims, strict=True)):
            raise SimulationError(f"a grid of {list(self.grid)} CTAs is no whole number of clusters of {list(dims)}")
        z, y, x = np.meshgrid(*(np.arange(size) for size in reversed(self.grid)), indexing="ij")
        counts = [size // part for size, part in zip(self.grid, dims, strict=True)]
        which = (z // dims[2] * counts[1] + y // dims[1]) * counts[0] + x // dims[0]
        rank = (z % dims[2] * dims[1] + y % dims[1]) * dims[0] + x % dims[0]
        return np.argsort((which * self.cluster + rank).reshape(-1), kind="stable")

    def _snapshot(self) -> Callable[[], None]:
        """Returns what undoes everything that happens from now on."""
        memory = self.memory.snapshot()
        owners = None if self.owners is None else self.owners.snapshot()
        profile = None if self.profile is None else self.profile.snapshot()
        work = list(self.work)

        def restore() -> None:
            self.memory.restore(memory)
            self.work[:] = work
            if owners is not None:
                owners()
            if self.profile is not None and profile is not None:
                self.profile.restore(profile)

        return restore

    def _start(self, values: list[Any], ids: np.ndarray) -> Start:
        """A batch of CTAs, and the agent that runs it."""
        batch = Batch(self.memory, self.shared_bytes, self.code.block, self.grid, ids, self.code.warp_size)
        batch.random = np.random.default_rng(self.seed) if self.seed else None
        batch.profile = self.profile
        batch.cluster = self.cluster
        batch.take_over = self._take_over
        if self.checked:
            batch.checker = EngineChecker(
                batch, self.code.locate, self.owners, self.code.shared_unit, self.code.copied_into,
                self.code.waits_for_lds,
            )
        lanes = Lanes.all_threads(batch, self.code.allocas, self.checked)
        return Start(batch, self.code.start(lanes, *values), lanes)

    def _run_batches(self, values: list[Any], groups: list[np.ndarray]) -> None:
        """Run groups of CTAs side by side, each in lock step."""
        starts = [self._start(values, ids) for ids in groups]
        meeting = GridBarrier(self.total)
        for start in starts:
            start.batch.grid_barrier = meeting
        try:
            run(starts, self.code.locate_agent)
        except Diverged:
            for start in starts:
                start.batch.printed.clear()
            raise
        except TileError as error:
            self._explain(error)
            raise
        except Exception as error:
            where, *_ = self.code.locate_error(error)
            raise SimulationError(f"the simulator failed: {type(error).__name__}: {error}", where) from error
        finally:
            for start in starts:
                self.report.printed.extend(start.batch.printed)
                print("".join(start.batch.printed), end="")
        self.report.batches += len(starts)

    def _explain(self, error: TileError) -> None:
        """Add the location, the threads that ran there, and the iteration values of the loops around it."""
        where, iterations, role = self.code.locate_error(error)
        started = self.code.locate(error.started) if isinstance(error, SimulationError) else None
        error.location = error.location or where or started
        if isinstance(error, AccumulatorError) and error.site:
            error.notes = (*error.notes, ("the product", self.code.locate(error.site)))
        role = "" if role == ALL_THREADS else role
        parts = [part for part in (role, iteration_text(iterations)) if part]
        if parts:
            error.notes = (*error.notes, (", ".join(parts), None))


def _parted_cluster() -> SimulationError:
    return SimulationError(
        "the CTAs of a cluster go different ways where they wait",
        hint="the simulator moves the CTAs of a cluster together: let all of them wait",
    )


def _groups(ids: np.ndarray, keys: np.ndarray | None, cluster: int) -> list[np.ndarray]:
    """CTAs with equal keys together, the first to run last (as on a stack); clusters stay whole."""
    if keys is None or (cluster > 1 and (keys.reshape(-1, cluster) != keys[::cluster, None]).any()):
        return [ids[i : i + cluster] for i in reversed(range(0, len(ids), cluster))]
    return [ids[keys == key] for key in np.unique(keys)[::-1]]


def simulate(
    module: ir.Module,
    kernel: str,
    grid: Dim3,
    args: Sequence[Any],
    *,
    checked: bool = True,
    seed: int = 0,
    shared_bytes: int | None = None,
) -> SimulationReport:
    """Run one kernel of a level 4 module once. See `Program.launch`."""
    return Program(module).launch(kernel, grid, args, checked=checked, seed=seed, shared_bytes=shared_bytes)
