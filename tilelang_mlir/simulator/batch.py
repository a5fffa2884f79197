"""The CTAs that run together, in lock step."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir.isa.instruction import WARP
from tilelang_mlir.simulator.async_copy import CopyQueue
from tilelang_mlir.simulator.device_maps import DeviceMaps
from tilelang_mlir.simulator.mbarrier import MBarrier
from tilelang_mlir.simulator.memory import GlobalMemory, SharedMemory
from tilelang_mlir.simulator.pending import Pending
from tilelang_mlir.simulator.schedule import GridBarrier, WaitBarrier
from tilelang_mlir.simulator.tensor_memory import TensorMemory

if TYPE_CHECKING:
    from tilelang_mlir.simulator.engine_checks import EngineChecker
    from tilelang_mlir.simulator.lanes import Lanes
    from tilelang_mlir.simulator.profile import Profile

Dim3 = tuple[int, int, int]


class Batch:
    """The CTAs that run together, by linear index: their memories, barriers and asynchronous operations.

    `warp_size` is how many threads run in lock step on the machine.
    """

    def __init__(
        self,
        memory: GlobalMemory,
        shared_bytes: int,
        block: Dim3,
        grid: Dim3,
        ids: np.ndarray,
        warp_size: int = WARP,
    ) -> None:
        self.memory, self.block, self.grid, self.ids, self.ctas = memory, block, grid, ids, len(ids)
        self.warp_size = warp_size
        ctas = self.ctas
        self.threads = block[0] * block[1] * block[2]
        self.shared = SharedMemory(ctas, shared_bytes)
        self.barriers: dict[int, WaitBarrier] = {}
        self.mbarriers: dict[int, MBarrier] = {}
        self.cluster = 1  # CTAs of a cluster: neighbours among the ids, in the order of their ranks
        self.cluster_barrier: MBarrier | None = None
        self.flights: list[Pending] = []
        self.at_end: list[Pending] = []
        self.copy_queues: list[CopyQueue] = []  # of all agents
        self.checker: EngineChecker | None = None
        self.random: np.random.Generator | None = None
        self.printed: list[str] = []
        self.roles: dict[int, str] = {}  # of warps that run in agents of their own
        self.profile: Profile | None = None
        self.grid_barrier = GridBarrier(len(ids))
        self.take_over: Callable[[], int | None] = lambda: None  # the first CTA of a cluster that now does not start

    @cached_property
    def tensor(self) -> TensorMemory:
        """Tensor memory, made when a kernel first uses it."""
        return TensorMemory(self)

    @cached_property
    def device_maps(self) -> DeviceMaps:
        """The tensor maps that the kernel makes, when it makes one."""
        return DeviceMaps()

    def cancel(self) -> tuple[int, int, int, int]:
        """Cancel a cluster that has not started: one, and the coordinates of its first CTA; zeros without one."""
        first = self.take_over()
        if first is None:
            return 0, 0, 0, 0
        columns, rows, _ = self.grid
        return 1, first % columns, first // columns % rows, first // (columns * rows)

    def count(self, block: int, lanes: Lanes) -> None:
        """Count one execution of a basic block (checked mode)."""
        if self.profile is not None:
            self.profile.count(block, lanes)

    def land_next(self) -> bool:
        """Let one asynchronous operation complete: the oldest, or any one of them under a random schedule."""
        if not self.flights:
            return False
        slot = 0 if self.random is None else int(self.random.integers(len(self.flights)))
        self.flights.pop(slot).land()
        return True

    def land_all(self) -> None:
        """Complete everything, as the end of the kernel does.

        Raises:
            RaceError: in checked mode, something still reads or writes shared memory, which the CTA gives back.
        """
        left = [p for p in (*self.flights, *self.at_end) if not p.done]
        left += [copy for queue in self.copy_queues for copy in queue.unfinished()]
        if left and self.checker is not None:
            raise self.checker.unfinished(left[0])
        if "tensor" in vars(self) and self.checker is not None and (lost := self.tensor.leftovers()) is not None:
            raise self.checker.leaked(lost.columns, lost.site)
        for pending in left:
            pending.land()
