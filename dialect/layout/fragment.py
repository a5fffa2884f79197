"""Fragments: how a tile is spread over threads and registers.

A fragment is a pair of mixed-radix numbers. The thread index is a number with the digits `thread`, the register index
one with the digits `value`, fastest digit first; every digit adds `digit * stride` to the coordinate of one dimension,
or marks replication (dim -1): threads that differ only there hold the same elements.

    Fragment((16, 8), thread=((4, 1, 2), (8, 0, 1)), value=((2, 1, 1), (2, 0, 8)))

is the accumulator of mma.m16n8: lane t holds columns 2*(t%4) and 2*(t%4)+1 of rows t/4 and t/4+8. Sizes need be no
power of two. The digits of one dimension, sorted by stride, tile it exactly, or past its end (a padded fragment: some
threads or registers hold nothing).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tilelang_mlir.errors import TileValueError

REPLICATE = -1
IntArray = npt.NDArray[np.int64]


class Digit(NamedTuple):
    """`size` values that step the coordinate of dimension `dim` by `stride`."""

    size: int
    dim: int
    stride: int


@dataclass(frozen=True)
class Fragment:
    """A tile of `shape` over threads and registers; see the module for the meaning of the digits."""

    shape: tuple[int, ...]
    thread: tuple[Digit, ...]
    value: tuple[Digit, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "thread", tuple(Digit(*d) for d in self.thread if d[0] != 1))
        object.__setattr__(self, "value", tuple(Digit(*d) for d in self.value if d[0] != 1))
        for dim, size in enumerate(self.shape):
            self._check_dimension(dim, size)
        if any(d.dim == REPLICATE for d in self.value):
            raise TileValueError(f"registers cannot replicate: {self}")

    @cached_property
    def _hash(self) -> int:
        return hash((self.shape, self.thread, self.value))

    def __hash__(self) -> int:  # layouts are keys of tables
        return self._hash

    def _check_dimension(self, dim: int, size: int) -> None:
        reach = 1
        for digit in sorted((d for d in self.thread + self.value if d.dim == dim), key=lambda d: d.stride):
            if digit.stride != reach:
                raise TileValueError(
                    f"digits of dimension {dim} do not tile it: {digit} follows a reach of {reach} in {self}"
                )
            reach *= digit.size
        if reach < size:
            raise TileValueError(f"digits of dimension {dim} cover {reach} of {size} elements in {self}")

    @cached_property
    def num_threads(self) -> int:
        return _product(d.size for d in self.thread)

    @cached_property
    def num_values(self) -> int:
        """Registers per thread, in elements."""
        return _product(d.size for d in self.value)

    @cached_property
    def replication(self) -> int:
        """How many threads hold each element."""
        return _product(d.size for d in self.thread if d.dim == REPLICATE)

    @cached_property
    def padded_shape(self) -> tuple[int, ...]:
        """What the digits cover: at least `shape`."""
        digits = self.thread + self.value
        return tuple(_product(d.size for d in digits if d.dim == dim) for dim in range(len(self.shape)))

    @property
    def is_padded(self) -> bool:
        return self.padded_shape != self.shape

    def padded_dims(self) -> list[int]:
        return [dim for dim, size in enumerate(self.shape) if self.padded_shape[dim] != size]

    # -- the map and its inverse ---------------------------------------------------------------------------------------
    def thread_part(self, thread: IntArray | int) -> tuple[IntArray, ...]:
        """The coordinates' share that depends on the thread."""
        return self._coordinates(self.thread, thread)

    def value_part(self, value: IntArray | int) -> tuple[IntArray, ...]:
        """The coordinates' share that depends on the register."""
        return self._coordinates(self.value, value)

    def coordinates(self, thread: IntArray | int, value: IntArray | int) -> tuple[IntArray, ...]:
        """Coordinates of the element that `thread` holds in register `value` (past the shape in a padded fragment)."""
        parts = zip(self.thread_part(thread), self.value_part(value), strict=True)
        return tuple(a + b for a, b in parts)

    def _coordinates(self, digits: tuple[Digit, ...], index: IntArray | int) -> tuple[IntArray, ...]:
        index = np.asarray(index, np.int64)
        out = [np.zeros_like(index) for _ in self.shape]
        for digit in digits:
            if digit.dim != REPLICATE:
                out[digit.dim] = out[digit.dim] + index % digit.size * digit.stride
            index = index // digit.size
        return tuple(out)

    def value_of(self, coordinates: Sequence[IntArray | int]) -> IntArray:
        """The register that holds an element, in each thread that holds it."""
        return self._index(self.value, coordinates)

    def thread_of(self, coordinates: Sequence[IntArray | int]) -> IntArray:
        """The first thread that holds an element."""
        return self._index(self.thread, coordinates)

    def _index(self, digits: tuple[Digit, ...], coordinates: Sequence[IntArray | int]) -> IntArray:
        total: IntArray = np.zeros(np.broadcast_shapes(*(np.shape(c) for c in coordinates)), np.int64)
        weight = 1
        for digit in digits:
            if digit.dim != REPLICATE:
                total = total + np.asarray(coordinates[digit.dim], np.int64) // digit.stride % digit.size * weight
            weight *= digit.size
        return total

    def holds(self, thread: IntArray | int, coordinates: Sequence[IntArray | int]) -> npt.NDArray[np.bool_]:
        """Whether a thread holds an element, in one of its replicas."""
        rest, ok = np.asarray(thread, np.int64), np.asarray(True)
        for digit in self.thread:
            if digit.dim != REPLICATE:
                ok = ok & (
                    rest % digit.size == np.asarray(coordinates[digit.dim], np.int64) // digit.stride % digit.size
                )
            rest = rest // digit.size
        return ok & (rest == 0)

    # -- derived fragments ---------------------------------------------------------------------------------------------
    def project(self, dims: Sequence[int]) -> Fragment:
        """The fragment of a tensor indexed by some of the dimensions: threads of the others replicate it."""
        place = {dim: new for new, dim in enumerate(dims)}
        thread = tuple(Digit(d.size, place.get(d.dim, REPLICATE), d.stride) for d in self.thread)
        value = tuple(Digit(d.size, place[d.dim], d.stride) for d in self.value if d.dim in place)
        return Fragment(tuple(self.shape[d] for d in dims), thread, value)

    def reduce(self, dim: int, *, keep: bool = False) -> Fragment:
        """The fragment of the result of reducing one dimension: every thread that held a part holds the result."""
        if keep or len(self.shape) == 1:
            thread = tuple(Digit(d.size, REPLICATE, 1) if d.dim == dim else d for d in self.thread)
            value = tuple(d for d in self.value if d.dim != dim)
            return Fragment(tuple(1 if i == dim else s for i, s in enumerate(self.shape)), thread, value)
        return self.project([d for d in range(len(self.shape)) if d != dim])

    def with_dims(self, shape: Sequence[int], dims: Sequence[int]) -> Fragment:
        """The same fragment under a shape with other unit dimensions: dimension i becomes `dims[i]`."""
        move = dict(enumerate(dims))
        rename = lambda ds: tuple(Digit(d.size, move.get(d.dim, REPLICATE), d.stride) for d in ds)
        return Fragment(tuple(shape), rename(self.thread), rename(self.value))

    def canonical(self) -> Fragment:
        """The same map with neighbouring digits merged: equal canonical forms mean equal fragments."""
        return Fragment(self.shape, _merge(self.thread), _merge(self.value))

    def same_map(self, other: Fragment) -> bool:
        """Whether both put the same elements into the same registers of the same threads."""
        return self.canonical() == other.canonical()

    def __str__(self) -> str:
        def side(digits: tuple[Digit, ...]) -> str:
            names = [f"{d.size}" if d.dim == REPLICATE else f"{d.size}@{d.dim}*{d.stride}" for d in digits]
            return "(" + ", ".join(names) + ")"

        return f"fragment {list(self.shape)} threads {side(self.thread)} registers {side(self.value)}"


def _merge(digits: tuple[Digit, ...]) -> tuple[Digit, ...]:
    out: list[Digit] = []
    for digit in digits:
        last = out[-1] if out else None
        both_replicate = last is not None and last.dim == digit.dim == REPLICATE
        if last and last.dim == digit.dim and (both_replicate or last.stride * last.size == digit.stride):
            out[-1] = Digit(last.size * digit.size, last.dim, last.stride if not both_replicate else 1)
        else:
            out.append(digit if digit.dim != REPLICATE else Digit(digit.size, REPLICATE, 1))
    return tuple(out)


def reshaped(fragment: Fragment, shape: Sequence[int]) -> Fragment:
    """The same map under another shape of as many elements, in row-major order.

    Raises:
        TileValueError: a digit straddles an edge of the other shape, or the fragment is padded where dimensions change.
    """
    shape = tuple(shape)
    old, new = ([(d, s) for d, s in enumerate(sizes) if s != 1] for sizes in (fragment.shape, shape))
    if [s for _, s in old] == [s for _, s in new]:  # unit dimensions come and go
        move = {a: b for (a, _), (b, _) in zip(old, new, strict=True)}
        rename = lambda ds: tuple(Digit(d.size, move.get(d.dim, REPLICATE), d.stride) for d in ds)
        return Fragment(shape, rename(fragment.thread), tuple(d for d in rename(fragment.value) if d.dim != REPLICATE))
    if _product(shape) != _product(fragment.shape) or fragment.is_padded:
        raise TileValueError(f"{fragment} has no view of shape {list(shape)}")
    split = lambda ds: tuple(part for d in ds for part in _resplit(d, fragment.shape, shape))
    return Fragment(shape, split(fragment.thread), split(fragment.value))


def recast(fragment: Fragment, shape: Sequence[int], bits: int, view_bits: int) -> Fragment:
    """The same registers as elements of `view_bits` instead of `bits`, in row-major order of another shape.

    Raises:
        TileValueError: elements of the view are not neighbouring registers of one thread, or as `reshaped`.
    """
    if bits == view_bits:
        return reshaped(fragment, shape)
    flat = reshaped(fragment, (_product(fragment.shape),)).canonical()
    value = list(flat.value)
    if view_bits < bits:
        ratio = bits // view_bits
        scaled = lambda d: Digit(d.size, d.dim, d.stride * ratio)
        value = [Digit(ratio, 0, 1), *map(scaled, value)]
    else:
        ratio = view_bits // bits
        scaled = lambda d: Digit(d.size, d.dim, d.stride if d.dim == REPLICATE else d.stride // ratio)
        first = value[0] if value else Digit(1, 0, 1)
        if first.stride != 1 or first.size % ratio:
            raise TileValueError(f"elements of {view_bits} bits are no neighbouring registers of {fragment}")
        value = [Digit(first.size // ratio, 0, 1), *map(scaled, value[1:])]
    thread = tuple(d if d.dim == REPLICATE else scaled(d) for d in flat.thread)
    elements = _product(fragment.shape) * bits // view_bits
    return reshaped(Fragment((elements,), thread, tuple(value)), shape)


def _resplit(digit: Digit, old: tuple[int, ...], new: tuple[int, ...]) -> list[Digit]:
    """A digit of one shape as digits of another, fastest first."""
    if digit.dim == REPLICATE:
        return [digit]
    at, left, parts = digit.stride * _product(old[digit.dim + 1 :]), digit.size, list[Digit]()
    while left > 1:
        dim = next(d for d in range(len(new)) if new[d] > 1 and _product(new[d + 1 :]) <= at)
        inner = _product(new[dim + 1 :])
        size = min(left, inner * new[dim] // at)
        if at % inner or inner * new[dim] % at or left % size:
            raise TileValueError(f"the digit {digit} of {list(old)} straddles an edge of {list(new)}")
        parts.append(Digit(size, dim, at // inner))
        at, left = at * size, left // size
    return parts


def replicated(shape: Sequence[int], threads: int) -> Fragment:
    """Every thread holds the whole tile, row-major in its registers."""
    value: list[Digit] = []
    for dim in reversed(range(len(shape))):
        value.append(Digit(shape[dim], dim, 1))
    return Fragment(tuple(shape), (Digit(threads, REPLICATE, 1),), tuple(value))


def from_table(
    shape: Sequence[int], thread: IntArray, value: IntArray, *, threads: int, replicate: int = 1
) -> Fragment:
    """Recover the digits of a map given as tables.

    `thread` and `value` have the tile's shape, or one more leading axis of `replicate` replicas for `thread`.

    Raises:
        TileValueError: the map is no mixed-radix map, or two elements share a register of a thread.
    """
    table = thread.reshape(replicate, *shape) if replicate > 1 else thread.reshape(1, *shape)
    digits: list[tuple[int, Digit]] = []
    registers: list[tuple[int, Digit]] = []
    for dim, size in enumerate(shape):
        walk = lambda t, d=dim: np.moveaxis(t, d, 0).reshape(t.shape[d], -1)[:, 0]
        steps_t, steps_v = walk(table[0]), walk(value.reshape(shape))
        for digit, weight_t, weight_v in _digits_of(steps_t, steps_v, dim, size):
            (digits if weight_t else registers).append((weight_t or weight_v, digit))
    if replicate > 1:
        first = table.reshape(replicate, -1)[:, 0]
        digits.append((int(first[1] - first[0]), Digit(replicate, REPLICATE, 1)))
    result = Fragment(tuple(shape), _by_weight(digits, threads), _by_weight(registers, None))
    grid = list(np.indices(tuple(shape)).reshape(len(shape), -1))
    same_thread = np.array_equal(result.thread_of(grid), table[0].reshape(-1))
    if not same_thread or not np.array_equal(result.value_of(grid), value.reshape(-1)):
        raise TileValueError("the layout function is no mixed-radix map of the coordinates to (thread, register)")
    return result


def _digits_of(thread: IntArray, value: IntArray, dim: int, size: int) -> list[tuple[Digit, int, int]]:
    """Split one dimension into runs in which either the thread or the register advances by a constant."""
    out: list[tuple[Digit, int, int]] = []
    stride = 1
    while stride < size:
        step_t, step_v = int(thread[stride] - thread[0]), int(value[stride] - value[0])
        if (step_t == 0) == (step_v == 0):
            raise TileValueError("the layout function moves thread and register at once, or neither")
        count = 1
        while (count + 1) * stride <= size:
            ahead = count * stride
            if thread[ahead] - thread[0] != count * step_t or value[ahead] - value[0] != count * step_v:
                break
            count += 1
        out.append((Digit(count, dim, stride), step_t, step_v))
        stride *= count
    return out


def _by_weight(digits: list[tuple[int, Digit]], total: int | None) -> tuple[Digit, ...]:
    """Digits in the order of their weights; gaps in a thread number are replication."""
    out: list[Digit] = []
    reach = 1
    for weight, digit in sorted(digits, key=lambda pair: pair[0]):
        if weight % reach or weight < reach:
            raise TileValueError("the layout function's digits overlap")
        if weight > reach:
            if total is None:
                raise TileValueError("the layout function leaves registers unused")
            out.append(Digit(weight // reach, REPLICATE, 1))
        out.append(digit)
        reach = weight * digit.size
    if total is not None and total > reach:
        if total % reach:
            raise TileValueError(f"the layout covers {reach} threads, which does not divide {total}")
        out.append(Digit(total // reach, REPLICATE, 1))
    return tuple(out)


def _product(values: Iterable[int]) -> int:
    total = 1
    for value in values:
        total *= value
    return total
