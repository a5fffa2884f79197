"""Launch arguments: numpy arrays become allocations of the global arena, scalars become lane values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tilelang_mlir.errors import ArgumentError
from tilelang_mlir.isa import numeric
from tilelang_mlir.simulator.memory import GlobalMemory
from tilelang_mlir.simulator.tensor_map import TensorMap
from tilelang_mlir.simulator.values import Kind

_ALIGN = 256


@dataclass
class _Range:
    """Host bytes [low, high) that some arguments cover; `offset` is the distance to the owner's start."""

    low: int
    high: int
    offset: int
    arrays: list[tuple[int, np.ndarray]]
    address: int = 0


@dataclass
class AddressTable:
    """An array argument whose elements (int64) are addresses on the host; the kernel gets those in the arena."""

    array: np.ndarray


class Arguments:
    """Values of one launch. `copy_in` uploads the arrays, `copy_out` writes them back and frees the arena.

    `others` are arrays that addresses among the arguments point into.
    """

    def __init__(
        self, kinds: Sequence[Kind], values: Sequence[Any], kernel: str, others: Sequence[np.ndarray] = ()
    ) -> None:
        if len(kinds) != len(values):
            raise ArgumentError(f"kernel {kernel} takes {len(kinds)} arguments, got {len(values)}")
        self._ranges: list[_Range] = []
        self._values: list[Any] = []
        self._maps: list[tuple[int, TensorMap]] = []
        self._tables: list[tuple[int, np.ndarray]] = []
        self._pointers = [i for i, kind in enumerate(kinds) if kind.element == "ptr" and isinstance(values[i], int)]
        arrays: list[tuple[int, np.ndarray]] = [(-1, array) for array in others]
        for index, (kind, value) in enumerate(zip(kinds, values, strict=True)):
            if isinstance(value, AddressTable):
                value = value.array.copy()
                self._tables.append((index, value))
            if isinstance(value, TensorMap):
                self._maps.append((index, value))
                self._values.append(value)
                if isinstance(value.tensor, np.ndarray):
                    arrays.append((index, value.tensor))
                continue
            if isinstance(value, np.ndarray):
                if kind.element != "ptr":
                    raise ArgumentError(f"argument {index} of kernel {kernel} is a scalar, got an array")
                arrays.append((index, value))
            self._values.append(None if isinstance(value, np.ndarray) else _scalar(kind, value))
        self._merge(arrays)

    def _merge(self, arrays: list[tuple[int, np.ndarray]]) -> None:
        """Arrays whose bytes overlap share one allocation."""
        spans = sorted(((*_bytes_of(a), index, a) for index, a in arrays), key=lambda s: (s[0], s[1]))
        for low, high, index, array in spans:
            last = self._ranges[-1] if self._ranges else None
            if last is not None and low < last.high:
                last.high = max(last.high, high)
                last.arrays.append((index, array))
            else:
                self._ranges.append(_Range(low, high, low - _owner_start(array), [(index, array)]))

    def copy_in(self, memory: GlobalMemory) -> list[Any]:
        """Upload; returns one value per argument."""
        for span in self._ranges:
            names = " and ".join(f"argument {index}" for index, _ in span.arrays if index >= 0) or "a tensor"
            span.address = memory.allocate(span.high - span.low, names, span.offset)
            memory.write(span.address, _host_bytes(span))
            for index, array in span.arrays:
                if index >= 0:
                    self._values[index] = span.address + _pointer(array) - span.low
        for index in self._pointers:
            self._values[index] = self._inside(self._values[index])
        for index, table in self._tables:
            inside = np.array([self._inside(int(place)) for place in table.reshape(-1)], np.int64)
            memory.write(self._values[index], inside.view(np.uint8))
        for index, tensor_map in self._maps:
            tensor = tensor_map.tensor
            place = self._values[index] if isinstance(tensor, np.ndarray) else self._inside(int(tensor))
            self._values[index] = replace(tensor_map, address=place)
        return self._values

    def _inside(self, place: int) -> int:
        """Where in the arena a host address lies; other numbers are what they are."""
        span = next((span for span in self._ranges if span.low <= place < span.high), None)
        return place if span is None else span.address + place - span.low

    def copy_out(self, memory: GlobalMemory) -> None:
        """Write results back into the arrays and release what `copy_in` allocated."""
        for span in self._ranges:
            if any(array.flags.writeable for _, array in span.arrays):
                _host_bytes(span)[:] = memory.read(span.address, span.high - span.low)
        self.release(memory)

    def release(self, memory: GlobalMemory) -> None:
        for span in reversed(self._ranges):
            memory.release(span.address)


def _pointer(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _bytes_of(array: np.ndarray) -> tuple[int, int]:
    low, high = np.lib.array_utils.byte_bounds(array)
    return (low, high) if array.size else (_pointer(array), _pointer(array))


def _owner_start(array: np.ndarray) -> int:
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return _bytes_of(owner)[0]


def _host_bytes(span: _Range) -> np.ndarray:
    import ctypes

    return np.ctypeslib.as_array(ctypes.cast(span.low, ctypes.POINTER(ctypes.c_uint8)), (span.high - span.low,))


def _scalar(kind: Kind, value: Any) -> Any:
    """A Python or numpy scalar in the simulator's representation: wrapped int, bool, or numpy float."""
    if kind.element == "bf16":
        return numeric.round_bf16(np.float32(value))
    if kind.is_float:
        return kind.dtype(value)
    if kind.bits == 1:
        return bool(value)
    half = 1 << kind.bits - 1
    return (int(value) + half & (1 << kind.bits) - 1) - half
