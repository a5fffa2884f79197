"""Read-modify-write operations: lanes that meet at one address take turns, in lane order.

Lanes are sorted by address; round k applies the k-th lane of every address at once, so the cost is the largest number
of lanes on one address, and old values are those of a serial execution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.instruction import GLOBAL, SHARED, MemoryOrder
from tilelang_mlir.simulator.memory import CARRY, SHIFT, BadLane

if TYPE_CHECKING:
    from tilelang_mlir.simulator.lanes import Lanes

Ordering = tuple[MemoryOrder, str]
"""What an atomic operation orders, and as far as which scope."""
RELAXED: Ordering = (MemoryOrder.RELAXED, "")


def apply(
    lanes: Lanes,
    space: int,
    address: np.ndarray,
    dtype: np.dtype[Any],
    update: Callable[..., Any],
    values: tuple[Any, ...],
    ordering: Ordering,
) -> np.ndarray:
    """Apply `update(old, *values)` at each active lane's address; returns old values (C, T)."""
    index, units = _cells(lanes, space, address, dtype.itemsize, ordering)
    shape = lanes.shape
    mask = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, shape)
    flat = np.broadcast_to(index, shape)[mask]
    operands = [np.broadcast_to(np.asarray(v), shape)[mask] for v in values]
    memory = units.view(dtype)
    old = np.zeros(shape, dtype)
    old[mask] = _rounds(memory, flat, update, operands)
    return old


def reduce(
    lanes: Lanes,
    space: int,
    address: np.ndarray,
    dtype: np.dtype[Any],
    update: np.ufunc,
    value: np.ndarray,
    ordering: Ordering,
) -> None:
    """`memory = update(memory, value)` for each active lane, in lane order."""
    index, units = _cells(lanes, space, address, dtype.itemsize, ordering)
    mask = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
    update.at(units.view(dtype), np.broadcast_to(index, lanes.shape)[mask], np.broadcast_to(value, lanes.shape)[mask])


def _rounds(
    memory: np.ndarray, index: np.ndarray, update: Callable[..., Any], operands: list[np.ndarray]
) -> np.ndarray:
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    turn = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    old = np.empty(len(index), memory.dtype)
    by_turn = np.argsort(turn, kind="stable")
    bounds = np.searchsorted(turn[by_turn], np.arange(int(turn.max()) + 2))
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        chosen = order[by_turn[first:last]]
        cells = index[chosen]
        current = memory[cells]
        old[chosen] = current
        memory[cells] = update(current, *[v[chosen] for v in operands])
    return old


def _cells(
    lanes: Lanes, space: int, address: np.ndarray, size: int, ordering: Ordering
) -> tuple[np.ndarray, np.ndarray]:
    batch = lanes.batch
    try:
        if space == GLOBAL:
            index, units = batch.memory.index(address, size), batch.memory.views[size]
            if batch.checker is not None:
                batch.checker.atomic_global(lanes, address, size, *ordering)
            return index, units
        if space == SHARED:
            batch.shared.check(address, size)
            if batch.checker is not None:
                batch.checker.atomic_shared(lanes, address, size)
            return (address + batch.shared.row_start) >> SHIFT[size], batch.shared.flat[size]
    except BadLane as bad:
        raise lanes.fault(bad) from None
    raise UnsupportedError(f"no atomic operations in address space {space} ({CARRY[size].__name__})")
