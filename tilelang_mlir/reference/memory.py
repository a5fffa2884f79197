"""Buffers and tiles of the reference evaluator.

A buffer is one numpy array of its shape. A private buffer (scope `local` or `var`) has leading lane dimensions: size
one while every thread holds the same contents, the number of threads (or the shape of a parallel loop) after that.
On-chip buffers remember which bytes were written; per byte, so that views under another element type share it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tilelang_mlir.errors import OutOfBoundsError, UninitializedReadError, UnsupportedError
from tilelang_mlir.reference.types import Array, Value, is_sub_byte

PRIVATE = frozenset(("local", "var"))


@dataclass(eq=False)
class Buffer:
    """`data` has shape `lead` + the buffer's shape; `written` one more dimension, of bytes, or is None (always
    written).

    `safe` is what lies outside the buffer. `name` is for messages. A reducer has a `kind` and, once started, `partial`
    values in a type wide enough to accumulate in.
    """

    data: Array
    scope: str
    name: str = ""
    written: Array | None = None
    lead: tuple[int, ...] = ()
    safe: Value | None = None
    views: list[Buffer] = field(default_factory=list)
    kind: str = ""
    partial: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape[len(self.lead) :]

    @property
    def private(self) -> bool:
        return self.scope in PRIVATE

    def outside(self) -> Value:
        """The value of an element outside the buffer."""
        return self.safe if self.safe is not None else np.zeros((), self.data.dtype)[()]

    def spread(self, lead: tuple[int, ...]) -> None:
        """Give every lane its own contents."""
        if self.lead == lead:
            return
        if self.views:
            raise UnsupportedError(f"per-thread contents of {self.name!r}, of which there is a reshaped view")
        self.data = np.broadcast_to(self.data, lead + self.shape).copy()
        if self.written is not None:
            self.written = np.broadcast_to(self.written, self.data.shape + self.written.shape[-1:]).copy()
        self.lead = lead

    def require_written(self, where: tuple[Any, ...], mask: Array | None = None) -> None:
        """Raise unless all bytes selected by an index were written.

        Raises:
            UninitializedReadError: some were not.
        """
        if self.written is None:
            return
        known = self.written[where]
        if known.all():
            return
        bad = ~known.all(axis=-1)
        if mask is not None:
            bad = bad & mask
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0]) if bad.ndim else ()
            what = f"{int(np.sum(bad))} of {bad.size} elements" if bad.size > 1 else "an element"
            place = f", the first at {list(first)} of what is read" if first else ""
            raise UninitializedReadError(f"reads {what} of {self.describe()} that nothing has written{place}")

    def mark(self, where: tuple[Any, ...]) -> None:
        if self.written is not None:
            self.written[where] = True

    def describe(self) -> str:
        size = "x".join(str(s) for s in self.shape)
        return f"{self.scope} buffer {self.name or '?'} [{size}x{self.data.dtype}]"


def allocate(shape: Sequence[int], dtype: np.dtype, scope: str, name: str, lead: tuple[int, ...] = ()) -> Buffer:
    """A buffer with poisoned contents; on-chip ones track what is written."""
    full = (*lead, *shape)
    data = np.empty(full, dtype)
    # Any other byte would make an invalid numpy bool.
    data.reshape(-1).view(np.uint8).fill(1 if dtype.kind == "b" else 0x7B)
    written = None if scope == "global" else np.zeros((*full, dtype.itemsize), bool)
    return Buffer(data, scope, name, written, lead)


def reshape(source: Buffer, shape: Sequence[int], dtype: np.dtype) -> Buffer:
    """The same memory under another shape or element type."""
    if dtype != source.data.dtype and (is_sub_byte(dtype) or is_sub_byte(source.data.dtype)):
        raise UnsupportedError(
            f"reinterprets {source.describe()} as {dtype}: elements below a byte are not packed here"
        )
    if not source.data.flags.c_contiguous:
        raise UnsupportedError(f"reshapes {source.describe()}, whose rows are not contiguous")
    full = (*source.lead, *shape)
    count = math.prod(source.data.shape) * source.data.dtype.itemsize
    if -1 not in full and math.prod(full) * dtype.itemsize != count:
        raise OutOfBoundsError(f"reshapes {count} bytes of {source.describe()} to {list(shape)} of {dtype}")
    data = source.data.reshape(-1).view(dtype).reshape(full)
    written = None if source.written is None else source.written.reshape(*data.shape, dtype.itemsize)
    view = Buffer(data, source.scope, source.name, written, source.lead)
    source.views.append(view)
    view.views.append(source)
    return view


@dataclass(frozen=True)
class Pointer:
    """An address, and the array it is known to point into."""

    address: int
    owner: Array | None = None


@dataclass
class Tile:
    """A rectangular region of a buffer, possibly reaching past its edges. Offsets and sizes are per dimension."""

    buffer: Buffer
    offsets: tuple[Any, ...]  # integers, or arrays over the threads
    sizes: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        return self.buffer.data.dtype

    def _inside(self) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """The part within the buffer: slices of the buffer and of the tile."""
        inner, outer = [], []
        for offset, size, extent in zip(self.offsets, self.sizes, self.buffer.shape, strict=True):
            low, high = max(offset, 0), min(offset + size, extent)
            high = max(low, high)
            inner.append(slice(low, high))
            outer.append(slice(low - offset, high - offset))
        return tuple(inner), tuple(outer)

    def read(self, lane: int = 0) -> Array:
        """The tile's elements; outside the buffer the safe value. Do not write into the result."""
        inner, outer = self._inside()
        where = (lane, *inner) if self.buffer.lead else inner
        self.buffer.require_written(where)
        part = self.buffer.data[where]
        if part.shape == self.sizes:
            return part
        result = np.full(self.sizes, self.buffer.outside(), self.dtype)
        result[outer] = part
        return result

    def write(self, values: Array | Value, lane: int | None = None) -> None:
        """Store elements of the buffer's dtype; those outside are dropped. `lane` None writes all lanes."""
        inner, outer = self._inside()
        where = ((slice(None) if lane is None else lane), *inner) if self.buffer.lead else inner
        values = np.broadcast_to(values, self.sizes)
        self.buffer.data[where] = values[outer]
        self.buffer.mark(where)


def whole(value: Buffer | Tile) -> Tile:
    """A buffer as the tile that covers it."""
    if isinstance(value, Tile):
        return value
    return Tile(value, (0,) * len(value.shape), value.shape)
