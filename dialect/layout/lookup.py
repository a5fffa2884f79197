"""Fragments as tables: what each thread holds, and which registers a loop's iterations find in a fragment.

Kernels ask for the same few tables again and again, of layouts that are values: each is computed once per process.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .fragment import Fragment, IntArray

_TABLES = 64  # of some 100 KB
_ANSWERS = 1024


@lru_cache(_TABLES)
def element_tables(layout: Fragment, threads: int) -> tuple[IntArray, ...]:
    """The coordinates of what `threads` threads hold, by thread and register: to be read only."""
    lanes = np.arange(threads, dtype=np.int64)[:, None] % layout.num_threads
    tables = layout.coordinates(lanes, np.arange(layout.num_values, dtype=np.int64)[None, :])
    for table in tables:
        table.flags.writeable = False
    return tables


@lru_cache(_TABLES)
def valid_elements(layout: Fragment, threads: int) -> npt.NDArray[np.bool_]:
    """Which of those lie within the shape: to be read only."""
    tables = element_tables(layout, threads)
    valid = np.logical_and.reduce([t < size for t, size in zip(tables, layout.shape, strict=True)])
    valid.flags.writeable = False
    return valid


@lru_cache(_ANSWERS)
def register_shares(layout: Fragment) -> tuple[tuple[int, ...], ...]:
    """The share of each coordinate that depends on the register, by register."""
    parts = layout.value_part(np.arange(layout.num_values, dtype=np.int64))
    return tuple(tuple(int(x) for x in part) for part in parts)


@lru_cache(_ANSWERS)
def found_registers(loop: Fragment, held: Fragment, threads: int, dims: tuple[int, ...]) -> tuple[int, ...] | None:
    """By iteration register of a loop, the register of the fragment's element at the loop's coordinates `dims`.

    None where a thread does not hold an element that its iterations within the loop's shape use, or where the register
    depends on the thread.
    """
    if loop == held and dims == tuple(range(len(loop.shape))):
        return tuple(range(loop.num_values))
    every, lanes = element_tables(loop, threads), np.arange(threads, dtype=np.int64)[:, None]
    tables = [np.broadcast_to(every[d], (threads, loop.num_values)) for d in dims]
    holds, registers = held.holds(lanes % held.num_threads, tables), held.value_of(tables)
    if loop.is_padded:  # iterations past the extents touch nothing
        valid = valid_elements(loop, threads)
        holds, registers = holds | ~valid, np.where(valid, registers, registers.max(axis=0, keepdims=True))
    if not holds.all() or (registers != registers[:1]).any():
        return None
    return tuple(int(r) for r in registers[0])
