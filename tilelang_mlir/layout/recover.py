"""From functions to the compiler's layouts: tables of a function's values, and the digits behind the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tilelang_mlir.dialect import layout as values
from tilelang_mlir.errors import TileTypeError, TileValueError

IntArray = npt.NDArray[np.int64]


class NoDigits(TileValueError):
    """A map that is one-to-one, but not one of digits, which is what the compiler can place elements by."""


def checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    sizes: tuple[Any, ...] = tuple(shape)
    if not sizes or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise TileTypeError(f"a layout needs a shape of positive integers, got {sizes}")
    return sizes


def evaluate(shape: Sequence[int], function: Callable[..., Any]) -> list[IntArray]:
    return components(function(*np.indices(checked_shape(shape))), tuple(shape))


def index_arrays(shape: Sequence[int]) -> list[IntArray]:
    return [index.astype(np.int64) for index in np.indices(tuple(shape))]


def components(result: Any, shape: tuple[int, ...]) -> list[IntArray]:
    parts = result if isinstance(result, tuple | list) else (result,)
    return [np.broadcast_to(np.asarray(part), shape).astype(np.int64) for part in parts]


def row_major_index(tables: Sequence[IntArray]) -> IntArray:
    total = np.zeros_like(tables[0])
    for table in tables:
        total = total * (int(table.max()) + 1) + table
    return total


def ranks(thread: IntArray) -> IntArray:
    """For each element the number of those before it, in row-major order, that the same thread holds."""
    flat = thread.reshape(-1)
    order = np.argsort(flat, kind="stable")
    _, starts, counts = np.unique(flat[order], return_index=True, return_counts=True)
    rank = np.empty(flat.size, np.int64)
    rank[order] = np.arange(flat.size) - np.repeat(starts, counts)
    return rank.reshape(thread.shape)


def shared_layout_of(table: IntArray) -> values.SharedLayout:
    """Recover steps and swizzle: undo each possible XOR (which is its own inverse) and look for a mixed-radix map."""
    if len(np.unique(table)) != table.size:
        raise TileValueError("the layout puts two elements into one place")
    for swizzle in _swizzles(int(table.max())):
        plain = np.asarray(swizzle.apply(table))
        steps = _steps(plain)
        if steps is None:
            continue
        layout = values.SharedLayout(table.shape, steps, swizzle)
        if (np.asarray(layout.offset(index_arrays(table.shape))) == table).all():
            return layout
    raise NoDigits(
        "the layout is no mixed-radix map of its indices followed by an exchange of bits",
        hint="a shared tile's layout is a sum of digits of the indices with an optional `^ (offset >> shift)`",
    )


def _swizzles(last: int) -> Iterator[values.Swizzle]:
    yield values.Swizzle()
    width = last.bit_length()
    for bits in range(1, min(width, 5)):
        for base in range(width - bits):
            for shift in range(bits, width - base):
                yield values.Swizzle(bits, base, shift)


def _steps(table: IntArray) -> tuple[values.Step, ...] | None:
    """The steps that the walks along each dimension suggest; the caller checks them."""
    if table.reshape(-1)[0] != 0:
        return None
    steps: list[values.Step] = []
    for dim, size in enumerate(table.shape):
        walk = np.moveaxis(table, dim, 0).reshape(size, -1)[:, 0]
        stride = 1
        while stride < size:
            offset, count = int(walk[stride]), 1
            while count * stride < size and walk[count * stride] == count * offset:
                count += 1
            if offset < 1 or count < 2:
                return None
            steps.append(values.Step(count, dim, stride, offset))
            stride *= count
    return tuple(steps)


def fragment_of(shape: tuple[int, ...], thread: IntArray, index: IntArray) -> values.Fragment:
    """The fragment that puts each element where the tables say.

    Args:
        thread: [replicas, *shape], the threads that hold an element.
        index: [*shape], its register there.

    Raises:
        TileValueError: two elements share a register. NoDigits: the tables are no digits of the coordinates.
    """
    replicas, size = len(thread), int(thread.max()) + 1
    places = np.unique((thread * (int(index.max()) + 1) + index).reshape(-1))
    if len(places) != thread.size or thread.min() < 0 or index.min() < 0:
        raise TileValueError("the layout puts two elements into one register of a thread, or into a negative one")
    try:
        table = thread if replicas > 1 else thread[0]
        layout = values.from_table(shape, table, index, threads=size, replicate=replicas)
    except TileValueError as error:
        raise NoDigits(error.message) from None
    grid = index_arrays(shape)
    if layout.replication != replicas or not all(layout.holds(t, grid).all() for t in thread):
        raise NoDigits(
            f"the threads of the fragment's {replicas} replicas do not form a grid, or some threads hold nothing"
        )
    return layout


def replica_offsets(value: values.Fragment) -> list[int]:
    """What to add to an element's first thread to reach each of its holders."""
    offsets, weight = [0], 1
    for digit in value.thread:
        if digit.dim == values.REPLICATE:
            offsets = [o + k * weight for k in range(digit.size) for o in offsets]
        weight *= digit.size
    return offsets
