"""Private memory: the allocas of the threads.

Registers in disguise: nearly all accesses have an address that is the same in all lanes, so an alloca is a list of
cells, one lane array per element, replaced and never copied. The first access whose address varies turns the alloca
dense.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilelang_mlir import knobs
from tilelang_mlir.errors import OutOfBoundsError, UninitializedReadError
from tilelang_mlir.simulator.memory import CARRY, poison

_LOG = logging.getLogger("tilelang_mlir")


@dataclass(frozen=True)
class Alloca:
    """Where one alloca lies: byte address in the private space, element size and count."""

    base: int
    element: int
    count: int


class _Buffer:
    """The contents of one alloca: `cells` by element (None: never written), or `dense` (element, C, T)."""

    def __init__(self, place: Alloca) -> None:
        self.place = place
        self.cells: list[np.ndarray | None] = [None] * place.count
        self.dense: np.ndarray | None = None

    def make_dense(self, shape: tuple[int, int]) -> np.ndarray:
        if self.dense is None:
            unit = self.place.element
            self.dense = np.full((self.place.count, *shape), poison(unit), CARRY[unit])
            for index, cell in enumerate(self.cells):
                if cell is not None:
                    self.dense[index] = cell
        return self.dense


class PrivateMemory:
    """The private memory of one agent: all its threads move together."""

    def __init__(self, places: list[Alloca], shape: tuple[int, int], checked: bool) -> None:
        self._bases = [p.base for p in places]
        self._buffers = [_Buffer(p) for p in places]
        self.shape = shape
        self.checked = checked

    def _buffer(self, address: int, size: int) -> _Buffer:
        slot = bisect_right(self._bases, address) - 1
        if slot >= 0:
            place = self._buffers[slot].place
            if address + size <= place.base + place.element * place.count:
                return self._buffers[slot]
        raise OutOfBoundsError(f"private access of {size} bytes at address {address} is outside every local buffer")

    def load(self, address: Any, size: int, mask: np.ndarray | None) -> np.ndarray:
        """Raw units (C, T) of `size` bytes; addresses of lanes that are not active mean nothing."""
        if not isinstance(address, np.ndarray):
            buffer = self._buffer(address, size)
            place = buffer.place
            index, rest = divmod(address - place.base, place.element)
            if rest or size % place.element:
                return self._load_part(buffer, index, rest, size)
            cells = [self._cell(buffer, index + k) for k in range(size // place.element)]
            return cells[0] if len(cells) == 1 else _join(cells, size)
        if mask is not None:
            address, mask = np.broadcast_arrays(address, mask)
            address = np.where(mask, address, address[mask][0] if mask.any() else address.flat[0])
        buffer, index = self._locate(address, size)
        dense = buffer.make_dense(self.shape)
        rows, columns = np.arange(self.shape[0])[:, None], np.arange(self.shape[1])[None, :]
        parts = [dense[index + k, rows, columns] for k in range(size // buffer.place.element)]
        return parts[0] if len(parts) == 1 else _join(parts, size)

    def store(self, address: Any, size: int, value: np.ndarray, mask: np.ndarray | None) -> None:
        """Replace raw units of `size` bytes in the active lanes."""
        if isinstance(address, np.ndarray):
            self._scatter(address, size, value, mask)
            return
        buffer = self._buffer(address, size)
        place = buffer.place
        index, rest = divmod(address - place.base, place.element)
        if rest or size % place.element:
            whole = self._cell(buffer, index, poisoned=True)
            value = _replace_part(np.broadcast_to(whole, self.shape), rest, size, value)
            size = place.element
        for k, part in enumerate(_parts(value, size, place.element)):
            if mask is not None:
                part = np.where(mask, part, self._cell(buffer, index + k, poisoned=True))
            if buffer.dense is not None:
                buffer.dense[index + k] = part
            else:
                buffer.cells[index + k] = part

    def _cell(self, buffer: _Buffer, index: int, poisoned: bool = False) -> np.ndarray:
        if buffer.dense is not None:
            return buffer.dense[index].copy()
        cell = buffer.cells[index]
        if cell is None:
            if self.checked and not poisoned:
                message = f"read of element {index} of a local buffer, which nothing has written"
                if knobs.SIM_UNINITIALIZED.get() != "warn":
                    raise UninitializedReadError(message)
                _LOG.warning("%s: its value is arbitrary", message)
            cell = np.full((1, 1), poison(buffer.place.element), CARRY[buffer.place.element])
        return cell

    def _load_part(self, buffer: _Buffer, index: int, rest: int, size: int) -> np.ndarray:
        if rest % size or rest + size > buffer.place.element:
            raise OutOfBoundsError(f"private access of {size} bytes is not aligned")
        units = np.ascontiguousarray(self._cell(buffer, index)).view(CARRY[size])
        return units[:, rest // size :: buffer.place.element // size]

    def _locate(self, address: np.ndarray, size: int) -> tuple[_Buffer, np.ndarray]:
        buffer = self._buffer(int(address.flat[0]), size)
        place = buffer.place
        offset = address - place.base
        if (offset < 0).any() or (offset > place.element * place.count - size).any() or size % place.element:
            raise OutOfBoundsError(
                f"private access of {size} bytes is outside its local buffer of "
                f"{place.element * place.count} bytes, or narrower than its elements"
            )
        if (offset % place.element).any():
            raise OutOfBoundsError(f"private access of {size} bytes is not aligned")
        return buffer, offset // place.element

    def _scatter(self, address: np.ndarray, size: int, value: np.ndarray, mask: np.ndarray | None) -> None:
        if mask is not None:
            address, mask = np.broadcast_arrays(address, mask)
            if not mask.any():
                return
            address = np.where(mask, address, address[mask][0])
        buffer, index = self._locate(address, size)
        dense = buffer.make_dense(self.shape)
        rows, columns = np.broadcast_arrays(np.arange(self.shape[0])[:, None], np.arange(self.shape[1])[None, :])
        index = np.broadcast_to(index, self.shape)
        active = slice(None) if mask is None else np.broadcast_to(mask, self.shape)
        for k, part in enumerate(_parts(value, size, buffer.place.element)):
            part = np.broadcast_to(part, self.shape)
            dense[index[active] + k, rows[active], columns[active]] = part[active]

    def state(self) -> list[np.ndarray]:
        """The contents, for comparison with later ones."""
        found: list[np.ndarray] = []
        for buffer in self._buffers:
            parts = buffer.cells if buffer.dense is None else [buffer.dense.copy()]
            found += [part for part in parts if part is not None]
        return found

    def take(self, columns: np.ndarray) -> PrivateMemory:
        """The private memory of some of the threads."""
        child = PrivateMemory([b.place for b in self._buffers], (self.shape[0], len(columns)), self.checked)
        for mine, theirs in zip(self._buffers, child._buffers, strict=True):
            theirs.cells = [c if c is None or c.shape[1] == 1 else c[:, columns] for c in mine.cells]
            theirs.dense = None if mine.dense is None else mine.dense[:, :, columns]
        return child

    def merge(self, child: PrivateMemory, columns: np.ndarray) -> None:
        """Take back what a child of `take` changed."""
        for mine, theirs in zip(self._buffers, child._buffers, strict=True):
            if (
                theirs.dense is None
                and mine.dense is None
                and all(
                    new is None or (old is not None and old is new)
                    for old, new in zip(mine.cells, theirs.cells, strict=True)
                )
            ):
                continue
            if all(c is None for c in theirs.cells) and theirs.dense is None:
                continue
            mine.make_dense(self.shape)[:, :, columns] = theirs.make_dense(child.shape)


def _join(parts: list[np.ndarray], size: int) -> np.ndarray:
    shape = np.broadcast_shapes(*[p.shape for p in parts])
    out = np.empty((*shape, len(parts)), parts[0].dtype)
    for k, part in enumerate(parts):
        out[..., k] = part
    return out.view(CARRY[size])[..., 0]


def _parts(value: np.ndarray, size: int, element: int) -> list[np.ndarray]:
    if size == element:
        return [value]
    units = np.ascontiguousarray(value)[..., None].view(CARRY[element])
    return [units[..., k] for k in range(size // element)]


def _replace_part(whole: np.ndarray, rest: int, size: int, value: np.ndarray) -> np.ndarray:
    units = np.array(whole)[..., None].view(CARRY[size])
    units[..., rest // size] = value
    return units.view(whole.dtype)[..., 0]
