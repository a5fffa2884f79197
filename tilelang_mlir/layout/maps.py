"""`Layout` and `Fragment`: functions of the indices of a tile, kept as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tilelang_mlir.dialect import layout as values
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.layout.recover import (
    IntArray,
    checked_shape,
    components,
    evaluate,
    fragment_of,
    index_arrays,
    ranks,
    replica_offsets,
    row_major_index,
    shared_layout_of,
)
from tilelang_mlir.mlir import ir

_TABULATED = 1 << 20  # elements up to which a table is made at once; layouts of whole tensors are rarely looked at


class _Map:
    """A function of the indices of a shape, as one table per component of its result."""

    def __init__(self, shape: Sequence[int], tabulate: Callable[[], Sequence[IntArray]]) -> None:
        self.shape = checked_shape(shape)
        self._tabulate = tabulate

    @cached_property
    def tables(self) -> tuple[IntArray, ...]:
        return tuple(self._tabulate())

    def get_input_shape(self) -> tuple[int, ...]:
        return self.shape

    def get_output_shape(self) -> tuple[int, ...]:
        """Per component, one more than the greatest value."""
        return tuple(int(t.max()) + 1 for t in self.tables)

    def map_forward_index(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Where an element goes.

        Raises:
            TileValueError: the indices are not inside the shape.
        """
        if len(indices) != len(self.shape) or not all(0 <= i < n for i, n in zip(indices, self.shape, strict=True)):
            raise TileValueError(f"index {tuple(indices)} is outside of shape {self.shape}")
        return tuple(int(t[tuple(indices)]) for t in self.tables)


class Layout(_Map):
    """A map of the elements of a tile to places in memory: `forward_fn(*indices)` gives one index or a tuple of them.

    A tuple is taken as indices into an array of the smallest shape that holds them all, row-major.
    """

    def __init__(self, shape: Sequence[int], forward_fn: Callable[..., Any]) -> None:
        super().__init__(shape, lambda: evaluate(self.shape, forward_fn))
        if math.prod(self.shape) <= _TABULATED:
            _ = self.tables  # a wrong function is reported where it stands

    @classmethod
    def of(cls, value: values.SharedLayout) -> Layout:
        """A layout from the compiler's form."""
        made = cls(value.shape, lambda *indices: value.offset(indices))
        made.__dict__["layout"] = value
        return made

    def __call__(self, *indices: int) -> tuple[int, ...]:
        return self.map_forward_index(indices)

    @property
    def index(self) -> tuple[IntArray, ...]:
        """The components of the result for all elements."""
        return self.tables

    def get_forward_vars(self) -> list[str]:
        """Names of the indices, in the order in which the function takes them."""
        return [f"i{dim}" for dim in range(len(self.shape))]

    def get_linearized_forward_index(self) -> IntArray:
        """The place of every element in memory, counted in elements."""
        total = np.zeros(self.shape, np.int64)
        for size, table in zip(self.get_output_shape(), self.tables, strict=True):
            total = total * size + table
        return total

    @cached_property
    def layout(self) -> values.SharedLayout:
        """The compiler's form.

        Raises:
            TileValueError: two elements share a place, or the map is not of the form the compiler knows.
        """
        return shared_layout_of(self.get_linearized_forward_index())

    def to_attr(self) -> ir.Attribute:
        """The `#tl.smem` attribute; needs a current MLIR context with the dialect loaded."""
        from tilelang_mlir.dialect.layout.attrs import to_attr

        return to_attr(self.layout)

    def inverse(self) -> Layout:
        """The layout from places to indices.

        Raises:
            TileValueError: the map is not one-to-one onto its output shape.
        """
        shape = self.get_output_shape()
        place = np.ravel_multi_index(tuple(t.reshape(-1) for t in self.tables), shape)
        if len(np.unique(place)) != place.size or place.size != math.prod(shape):
            raise TileValueError("the layout has no inverse: its places are shared or have gaps")
        order = np.argsort(place)
        tables = [index.reshape(-1)[order].reshape(shape) for index in np.indices(self.shape)]
        return _layout(shape, tables)

    def repeat(self, dim: int, factor: int) -> Layout:
        """`factor` copies along dimension `dim`, one after another in memory (a new leading component)."""
        tile = [factor if d == dim else 1 for d in range(len(self.shape))]
        shape = [n * t for n, t in zip(self.shape, tile, strict=True)]
        lead = np.indices(shape)[dim] // self.shape[dim]
        return _layout(shape, [lead, *(np.tile(t, tile) for t in self.tables)])

    def expand(self, leading_shape: int | Sequence[int]) -> Layout:
        """The same layout for every index of new leading dimensions, which stay as they are.

        Raises:
            TileTypeError, TileValueError: the dimensions are no positive integers.
        """
        leading = (leading_shape,) if isinstance(leading_shape, int) else leading_shape
        if not isinstance(leading, list | tuple):
            raise TileTypeError(f"the leading dimensions must be integers, got {leading!r}")
        if not leading:
            return self
        shape = (*checked_shape(leading), *self.shape)
        lead = list(np.indices(shape)[: len(leading)])
        return _layout(shape, [*lead, *(np.broadcast_to(t, shape) for t in self.tables)])

    def reshape(self, shape: Sequence[int]) -> Layout:
        """The same elements in row-major order under another shape."""
        if math.prod(checked_shape(shape)) != math.prod(self.shape):
            raise TileValueError(f"cannot reshape a layout of {self.shape} to {tuple(shape)}")
        return _layout(shape, [t.reshape(tuple(shape)) for t in self.tables])

    def is_equal(self, other: Layout) -> bool:
        """Whether both put all elements into the same places."""
        if self.shape != other.shape:
            return False
        return np.array_equal(self.get_linearized_forward_index(), other.get_linearized_forward_index())

    def __repr__(self) -> str:
        return f"Layout({self.shape} -> {self.get_output_shape()})"


class Fragment(_Map):
    """A map of the elements of a tile to (thread, register).

    Either `forward_fn(*indices)` gives both, or `forward_thread_fn` and `forward_index_fn` give one each; without the
    latter the elements of a thread take its registers in row-major order. With `replicate` above one, the function of
    the thread takes the replica's number as one more argument. `layout` is the compiler's form.

    Raises:
        TileTypeError: neither or both kinds of functions are given.
    """

    def __init__(
        self,
        shape: Sequence[int],
        forward_fn: Callable[..., Any] | None = None,
        forward_thread_fn: Callable[..., Any] | None = None,
        replicate: int = 1,
        forward_index_fn: Callable[..., Any] | None = None,
    ) -> None:
        if (forward_fn is None) == (forward_thread_fn is None) or (forward_thread_fn is None and forward_index_fn):
            raise TileTypeError("a Fragment needs forward_fn, or forward_thread_fn and forward_index_fn")
        full = (*checked_shape(shape), replicate)
        grid = tuple(np.indices(full)) if replicate > 1 else tuple(np.indices(full)[:-1])
        if forward_fn is not None:
            thread, *index = components(forward_fn(*grid), full)
        else:
            assert forward_thread_fn is not None
            (thread,) = components(forward_thread_fn(*grid), full)
            if forward_index_fn is None:
                index = [ranks(thread.reshape(*shape, replicate)[..., 0])[..., None]]
            else:
                index = components(forward_index_fn(*grid[: len(shape)]), full)
        self._fill(shape, np.moveaxis(thread, -1, 0), row_major_index([t[..., 0] for t in index]))

    def _fill(self, shape: Sequence[int], thread: IntArray, index: IntArray) -> None:
        """`thread` has a leading axis of replicas."""
        super().__init__(shape, lambda: (index,))
        self.thread = thread

    @cached_property
    def layout(self) -> values.Fragment:
        """The compiler's form.

        Raises:
            TileValueError: two elements share a register, or the map is no mixed-radix map.
        """
        return fragment_of(self.shape, self.thread, self.tables[0])

    @classmethod
    def of(cls, value: values.Fragment) -> Fragment:
        """A fragment from the compiler's form."""
        made = cls.__new__(cls)
        grid = index_arrays(value.shape)
        threads = np.stack([value.thread_of(grid) + replica for replica in replica_offsets(value)])
        made._fill(value.shape, threads, value.value_of(grid))
        made.__dict__["layout"] = value
        return made

    @classmethod
    def _made(cls, shape: Sequence[int], thread: IntArray, index: IntArray) -> Fragment:
        made = cls.__new__(cls)
        made._fill(shape, thread, index)
        return made

    def index_table(self) -> IntArray:
        """The register of every element."""
        return self.tables[0]

    def get_thread_size(self) -> int:
        """Threads that take part."""
        return int(self.thread.max()) + 1

    @property
    def replicas(self) -> int:
        """How many threads hold each element."""
        return len(self.thread)

    def map_forward_thread(self, indices: Sequence[int]) -> tuple[int, ...]:
        """The threads that hold an element, one per replica."""
        self.map_forward_index(indices)
        return tuple(int(t[tuple(indices)]) for t in self.thread)

    def to_attr(self) -> ir.Attribute:
        """The `#tl.fragment` attribute; needs a current MLIR context with the dialect loaded."""
        from tilelang_mlir.dialect.layout.attrs import to_attr

        return to_attr(self.layout)

    def repeat(self, repeats: Sequence[int], repeat_on_thread: bool = False, lower_dim_first: bool = True) -> Fragment:
        """`repeats[d]` copies along each dimension: in further registers, or with `repeat_on_thread` in more threads.

        Copies are numbered along the last dimension first, or with `lower_dim_first` false along the first.
        """
        shape = [n * r for n, r in zip(self.shape, repeats, strict=True)]
        copies = [index // n for index, n in zip(np.indices(shape), self.shape, strict=True)]
        order = range(len(shape)) if lower_dim_first else reversed(range(len(shape)))
        number = np.zeros(shape, np.int64)
        for dim in order:
            number = number * repeats[dim] + copies[dim]
        thread = np.tile(self.thread, (1, *repeats))
        index = np.tile(self.tables[0], tuple(repeats))
        if repeat_on_thread:
            return Fragment._made(shape, thread + number * self.get_thread_size(), index)
        return Fragment._made(shape, thread, index + number * self.get_output_shape()[0])

    def replicate(self, count: int) -> Fragment:
        """The same elements in `count` groups of threads."""
        size = self.get_thread_size()
        threads = np.concatenate([self.thread + copy * size for copy in range(count)])
        return Fragment._made(self.shape, threads, self.tables[0])

    def condense_rep_var(self) -> Fragment:
        """The fragment itself: replicas are always in their shortest form."""
        return self

    def is_equal(self, other: Fragment) -> bool:
        """Whether both put all elements into the same registers of the same threads."""
        if self.shape != other.shape or self.thread.shape != other.thread.shape:
            return False
        mine, others = (np.sort(fragment.thread, axis=0) for fragment in (self, other))
        return np.array_equal(mine, others) and np.array_equal(self.tables[0], other.tables[0])

    def __repr__(self) -> str:
        return f"Fragment({self.layout})"


def _layout(shape: Sequence[int], tables: Sequence[IntArray]) -> Layout:
    return Layout(shape, lambda *indices: tuple(tables))
