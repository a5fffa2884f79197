"""The memories of a simulated machine: flat bytes, viewed in units of 1 to 16 bytes.

Bounds and alignment are always checked. 16-byte units are carried as complex128, which numpy gathers and scatters
without touching the bits.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np

CARRY: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.complex128}
SHIFT = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4}
_GUARD = 4096
_ALIGN = 256
SHARED_BASE = 1024
"""Address of the first byte of shared memory, 1024-aligned as swizzled tiles need; 0 stays an invalid address."""


class BadLane(Exception):
    """An access of one lane outside its allocation or misaligned; `row` and `column` index the address array."""

    def __init__(self, message: str, row: int, column: int) -> None:
        super().__init__(message)
        self.message, self.row, self.column = message, row, column


def poison(size: int) -> Any:
    """One unit with all bits set: NaN in every float format."""
    return np.full(16, 0xFF, np.uint8)[:size].view(CARRY[size])[0]


class GlobalMemory:
    """One flat arena of allocations with guard bands between them; addresses are byte offsets, the first is 4096."""

    def __init__(self, capacity: int = 1 << 20) -> None:
        self.top = _GUARD
        self.starts: list[int] = [0]
        self.ends: list[int] = [0]
        self.names: list[str] = [""]
        self._raw = np.zeros(0, np.uint8)
        self.views: dict[int, np.ndarray] = {}
        self._grow(capacity)

    def _grow(self, capacity: int) -> None:
        raw = np.zeros((capacity + 31) // 16, np.complex128).view(np.uint8)
        raw[: len(self._raw)] = self._raw
        self._raw = raw
        self.views = {size: raw.view(dtype) for size, dtype in CARRY.items()}

    def allocate(self, nbytes: int, name: str = "", offset: int = 0) -> int:
        """Address of a new allocation of `nbytes`, `offset` bytes past a 256-byte boundary."""
        start = (self.top + _ALIGN - 1) // _ALIGN * _ALIGN + offset % _ALIGN
        end = start + nbytes
        if end + 2 * _GUARD > len(self._raw):
            self._grow(max(2 * len(self._raw), end + 4 * _GUARD))
        self.starts.append(start)
        self.ends.append(end)
        self.names.append(name)
        self.top = end + _GUARD
        return start

    def release(self, address: int) -> None:
        """Free the last allocation; the address must be its start (a stack, as launches nest)."""
        if address != self.starts[-1] or len(self.starts) == 1:
            raise ValueError("allocations are released last in, first out")
        self.top = self.ends[-2] + _GUARD
        for table in (self.starts, self.ends, self.names):
            table.pop()

    def write(self, address: int, data: np.ndarray) -> None:
        """Copy bytes (uint8, 1-D) in."""
        self._raw[address : address + len(data)] = data

    def read(self, address: int, nbytes: int) -> np.ndarray:
        """A view of `nbytes` bytes."""
        return self._raw[address : address + nbytes]

    def snapshot(self) -> np.ndarray:
        return self._raw[: self.top].copy()

    def restore(self, saved: np.ndarray) -> None:
        self._raw[: len(saved)] = saved

    def find(self, address: int) -> int:
        """Index of the allocation that starts at or before an address."""
        return bisect_right(self.starts, address) - 1

    def roomiest(self) -> int:
        """The start of the largest allocation: an address for lanes whose access does not happen."""
        return max(zip(self.starts, self.ends, strict=True), key=lambda span: span[1] - span[0])[0]

    def index(self, address: np.ndarray, size: int) -> np.ndarray:
        """Byte addresses -> indices into the view of `size`-byte units.

        Raises:
            BadLane: an address is outside its allocation or not a multiple of `size`.
        """
        slot = self.find(int(address.flat[0]))
        low, high = self.starts[slot], self.ends[slot]
        # Two reductions prove the common case: all lanes inside the allocation of the first, all aligned.
        if int((address - low).view(np.uint64).max()) > high - low - size:
            self._check_each(address, size)
        elif size > 1 and int(np.bitwise_or.reduce(address, axis=None)) & (size - 1):
            self._check_each(address, size)
        return address >> SHIFT[size]

    def _check_each(self, address: np.ndarray, size: int) -> None:
        starts, ends = np.array(self.starts), np.array(self.ends)
        slot = np.searchsorted(starts, address, side="right") - 1
        outside = (slot < 0) | (address + size > ends[slot])
        misaligned = (address & (size - 1)) != 0
        bad = outside | misaligned
        if not bad.any():
            return
        row, column = (int(i) for i in np.argwhere(bad)[0])
        value = int(address[row, column])
        raise BadLane(self._describe(value, size, bool(outside[row, column])), row, column)

    def misaligned(self, address: int, size: int) -> str:
        """What is wrong with the address of an access of `size` bytes."""
        slot = max(self.find(address), 0)
        name, offset = self.names[slot] or "an allocation", address - self.starts[slot]
        return f"global access of {size} bytes at byte {offset} of {name} is not {size}-byte aligned"

    def _describe(self, address: int, size: int, outside: bool) -> str:
        slot = max(self.find(address), 0)
        name = self.names[slot] or "an allocation"
        offset, length = address - self.starts[slot], self.ends[slot] - self.starts[slot]
        if not outside:
            return self.misaligned(address, size)
        nearer_next = slot + 1 < len(self.starts) and self.starts[slot + 1] - address < _GUARD // 2
        if slot == 0 and not nearer_next:
            return f"global access of {size} bytes at the invalid address {address}"
        if nearer_next:
            before = self.starts[slot + 1] - address
            return (
                f"global access of {size} bytes starts {before} bytes before {self.names[slot + 1] or 'an allocation'}"
            )
        return f"global access of {size} bytes at byte {offset} of {name}, which has {length} bytes"


class SharedMemory:
    """The shared memory of every CTA of a batch, bytes [SHARED_BASE, SHARED_BASE + size) of each row."""

    def __init__(self, ctas: int, size: int) -> None:
        self.size = size
        self.end = SHARED_BASE + size
        self.stride = (self.end + 15) // 16 * 16
        raw = np.full(ctas * self.stride, 0xFF, np.uint8).view(np.complex128)
        self.rows = {n: raw.view(dtype).reshape(ctas, self.stride // n) for n, dtype in CARRY.items()}
        self.flat = {n: raw.view(dtype) for n, dtype in CARRY.items()}
        self.row_start = (np.arange(ctas, dtype=np.int64) * self.stride)[:, None]

    def check(self, address: np.ndarray, size: int) -> None:
        """Raises BadLane unless every address is inside and a multiple of `size`."""
        offset = (address - SHARED_BASE).view(np.uint64)
        inside = self.size >= size and int(offset.max()) <= self.size - size
        if inside and not (size > 1 and int(np.bitwise_or.reduce(address, axis=None)) & (size - 1)):
            return
        bad = (address < SHARED_BASE) | (address > self.end - size) | ((address & (size - 1)) != 0)
        row, column = (int(i) for i in np.argwhere(bad)[0])
        byte = int(address[row, column]) - SHARED_BASE
        what = (
            f"is outside its {self.size} bytes" if not 0 <= byte <= self.size - size else f"is not {size}-byte aligned"
        )
        raise BadLane(f"shared access of {size} bytes at byte {byte} {what}", row, column)

    def load(self, address: np.ndarray, size: int) -> np.ndarray:
        if address.shape[0] == 1:
            return self.rows[size].take(address[0] >> SHIFT[size], axis=1)
        return self.flat[size].take((address + self.row_start) >> SHIFT[size])

    def store(self, address: np.ndarray, size: int, value: np.ndarray, mask: np.ndarray | None) -> None:
        if mask is None and address.shape[0] == 1:
            place = address[0] >> SHIFT[size]
            if len(place) < value.shape[1]:
                place = np.broadcast_to(place, (value.shape[1],))
            self.rows[size][:, place] = value
            return
        index = (address + self.row_start) >> SHIFT[size]
        if mask is None:
            shape = np.broadcast_shapes(index.shape, value.shape)
            self.flat[size][np.broadcast_to(index, shape)] = value
            return
        index, value, mask = np.broadcast_arrays(index, value, mask)
        self.flat[size][index[mask]] = value[mask]
