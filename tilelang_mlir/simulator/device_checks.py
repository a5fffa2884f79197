"""The checks of device memory: what the checker's clocks say to the shadow of the launch, and learn from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tilelang_mlir.errors import Location
from tilelang_mlir.isa.instruction import MemoryOrder
from tilelang_mlir.simulator.checker import Checker

if TYPE_CHECKING:
    from tilelang_mlir.simulator.batch import Batch
    from tilelang_mlir.simulator.lanes import Lanes
    from tilelang_mlir.simulator.ownership import Contest, Ownership

_WIDE = ("", "sys", "gpu", "device", "agent")  # scopes of fences and atomics that reach other CTAs: PTX's and LLVM's


class DeviceChecker(Checker):
    """The checker of kernels whose device memory is looked at, too; without `owners` it is not.

    With `waits_for_lds` barriers tell of shared memory only, but where the warp has waited for its accesses to device
    memory in front of them (`DEVICE_DONE`). The column of fences of device memory says up to when it has.
    """

    def __init__(
        self,
        batch: Batch,
        locate: Callable[[int], Location | None],
        owners: Ownership | None,
        unit: int = 4,
        copied_into: bool = True,
        waits_for_lds: bool = False,
    ) -> None:
        super().__init__(batch, locate, unit, copied_into)
        self._waits_for_lds = waits_for_lds
        self._owners = owners

    # ---- order -----------------------------------------------------------------------------------
    def meet_grid(self, lanes: Lanes) -> None:
        """A barrier of all CTAs: one in each, and order between them in global memory."""
        self.join([lanes], [])
        if self._owners is not None:
            self._owners.forget()

    def fence(self, lanes: Lanes, scope: str, order: MemoryOrder = MemoryOrder.BOTH) -> None:
        """Fences of the device order nothing by themselves: they need a flag, which the shadow follows."""
        super().fence(lanes, scope)
        if scope in _WIDE and self._owners is not None:
            self._owners.fence(lanes, order, self)

    @property
    def each(self) -> bool:
        """Whether each CTA has clocks of its own."""
        return self._rows > 1

    def time(self, row: np.ndarray, warp: np.ndarray) -> np.ndarray:
        return self._clock[row, warp, warp]

    def epoch(self, row: np.ndarray, warp: np.ndarray) -> np.ndarray:
        return self._epoch[row, warp]

    def known(self, row: np.ndarray, warp: np.ndarray, other: np.ndarray, *, fenced: bool = False) -> np.ndarray:
        """Up to which time of another warp of its CTA a warp knows; with `fenced` what a fence of device memory
        follows."""
        behind = other + 2 * (self._engine + 1)
        if fenced:
            return self._clock[row, warp, behind]
        if self._waits_for_lds:
            behind = np.where(other == warp, other, behind)  # a warp's own accesses come one after the other
            return self._clock[row, warp, behind]
        return self._clock[row, warp, other]

    @property
    def warps(self) -> int:
        return self._engine

    def cta(self, number: int) -> int:
        """The linear index of a CTA of the batch."""
        return int(self._batch.ids[number])

    def heard(self, number: int, warp: int) -> dict[int, np.ndarray]:
        """What a warp of a CTA knows of its own CTA and of the others of its cluster, from clocks: by CTA, (2, warps),
        up to which time of each warp, and up to which a fence of device memory follows."""
        cluster, slots = self._batch.cluster, self._engine + 1
        clock = self._clock[number if self._rows > 1 else 0, warp]
        found: dict[int, np.ndarray] = {}
        for rank in range(cluster):
            other = number // cluster * cluster + rank
            start = 0 if other == number else self._width * (1 + rank)
            planes = (start, start if self._waits_for_lds else start + 2 * slots)  # a release waits for accesses
            found[self.cta(other)] = np.stack([clock[first : first + self._engine] for first in planes])
        return found

    def now(self, number: int, warp: int) -> int:
        """The time of a warp of a CTA."""
        return int(self._clock[number if self._rows > 1 else 0, warp, warp])

    def advance(self, numbers: np.ndarray, warps: np.ndarray) -> None:
        """What these warps of CTAs do from now on is later."""
        rows = numbers if self._rows > 1 else numbers * 0
        time = self.time(rows, warps) + 1
        self._clock[rows, warps, warps] = time

    def learn(self, number: int, warp: int, times: np.ndarray) -> None:
        """A warp has been told (2, warps) of its own CTA."""
        columns = np.arange(self._engine)
        places = np.stack((columns, columns + 2 * (self._engine + 1)))
        if (times <= self._clock[number if self._rows > 1 else 0, warp, places]).all():
            return
        if self._rows == 1 and self._batch.ctas > 1:
            self._each_cta()
        row = number if self._rows > 1 else 0
        self._clock[row, warp, places] = np.maximum(self._clock[row, warp, places], times)

    def copy_global(
        self, lanes: Lanes, ctas: np.ndarray, columns: np.ndarray, address: np.ndarray, size: int, kind: str
    ) -> tuple[Contest | None, Callable[[], None]]:
        """A bulk copy from ("load") or to ("store", "update") device memory; see `Ownership.copy`."""
        if self._owners is None:
            return None, lambda: None
        return self._owners.copy(lanes, ctas, columns, address, size, self, kind)

    def read_global(self, lanes: Lanes, address: np.ndarray, size: int) -> None:
        self._profile(lanes, "global", address, size, None)
        if self._owners is not None:
            self._owners.read(lanes, address, size, self)

    def read_source(self, lanes: Lanes, address: np.ndarray, size: int) -> None:
        """What a cp.async reads."""
        if self._owners is not None:
            self._owners.read(lanes, address, size, self)

    def write_global(self, lanes: Lanes, address: np.ndarray, size: int) -> Contest | None:
        self._profile(lanes, "global", address, size, None)
        return None if self._owners is None else self._owners.write(lanes, address, size, self)

    def atomic_global(self, lanes: Lanes, address: np.ndarray, size: int, order: MemoryOrder, scope: str) -> None:
        self._profile(lanes, "global", address, size, None)
        if self._owners is not None:
            self._owners.atomic(lanes, address, size, order if scope in _WIDE else MemoryOrder.RELAXED, self)
