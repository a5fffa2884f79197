"""Shared-memory layouts: where an element of a tile lies.

A layout is a mixed-radix map from coordinates to an element offset, followed by an optional XOR swizzle of the bits of
that offset. The hardware patterns (32, 64 and 128 bytes) put a tile into column panels one swizzle span wide, row-major
inside, and exchange 16-byte chunks within eight rows (PTX ISA, "Shared Memory Matrix Layout", swizzling modes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tilelang_mlir.errors import TileValueError

IntArray = npt.NDArray[np.int64]


class Step(NamedTuple):
    """Coordinate `dim` divided by `stride`, modulo `size`, times `offset` elements."""

    size: int
    dim: int
    stride: int
    offset: int


class Swizzle(NamedTuple):
    """`offset ^ ((offset >> shift) & (2**bits - 1) << base)`, on element offsets."""

    bits: int = 0
    base: int = 0
    shift: int = 0

    def apply(self, offset: IntArray | int) -> IntArray | int:
        if not self.bits:
            return offset
        return offset ^ ((offset >> self.shift) & (((1 << self.bits) - 1) << self.base))

    @property
    def period(self) -> int:
        """The pattern repeats after this many elements; a tile's start must be a multiple of it."""
        return 1 << (self.bits + self.base + self.shift) if self.bits else 1

    @property
    def span_bytes(self) -> int:
        """Bytes of a row of the hardware's pattern: 32, 64 or 128; 0 without a swizzle."""
        return 16 << self.bits if self.bits else 0


@dataclass(frozen=True)
class SharedLayout:
    """The layout of a tile of `shape`: `steps` in any order, then `swizzle`."""

    shape: tuple[int, ...]
    steps: tuple[Step, ...]
    swizzle: Swizzle = Swizzle()

    def __post_init__(self) -> None:
        for dim, size in enumerate(self.shape):
            reach = 1
            for step in sorted((s for s in self.steps if s.dim == dim and s.size > 1), key=lambda s: s.stride):
                if step.stride != reach:
                    raise TileValueError(f"steps of dimension {dim} do not tile it: {step} after a reach of {reach}")
                reach *= step.size
            if reach < size:
                raise TileValueError(f"steps of dimension {dim} cover {reach} of {size} elements")

    @cached_property
    def size(self) -> int:
        """Elements the tile takes, padding included."""
        end = 1 + sum((step.size - 1) * step.offset for step in self.steps)
        return -(-end // self.swizzle.period) * self.swizzle.period if self.swizzle.bits else end

    def offset(self, coordinates: Sequence[IntArray | int]) -> IntArray | int:
        """Element offset of a coordinate."""
        total: IntArray | int = 0
        for step in self.steps:
            total = total + coordinates[step.dim] // step.stride % step.size * step.offset
        return self.swizzle.apply(total)

    def is_injective(self) -> bool:
        """Whether no two elements share a place (by enumeration)."""
        grid = np.indices(self.shape).reshape(len(self.shape), -1)
        return len(np.unique(self.offset(list(grid)))) == grid.shape[1]

    def same_map(self, other: SharedLayout) -> bool:
        """Whether every element has the same place in both."""
        return (self.shape, _merged(self.steps), self.swizzle) == (other.shape, _merged(other.steps), other.swizzle)

    def __str__(self) -> str:
        steps = ", ".join(f"{s.size}@{s.dim}/{s.stride}*{s.offset}" for s in self.steps)
        return f"shared {list(self.shape)} ({steps})" + (f" swizzle {tuple(self.swizzle)}" if self.swizzle.bits else "")


def viewed(layout: SharedLayout, shape: Sequence[int], bits: int, view_bits: int) -> SharedLayout:
    """The layout of the same bytes as a tile of another shape and element width: what a view of a tile has.

    Element n of the view, counted row-major, has the bytes of the source's elements from n * view_bits / bits on.

    Raises:
        TileValueError: elements of the view are not contiguous in the source, or a step straddles an edge of the shape.
    """
    linear: list[tuple[int, int, int]] = []  # size, stride of the row-major number, offset; in bits
    for step in layout.steps:
        inner = math.prod(layout.shape[step.dim + 1 :])
        linear.append((step.size, step.stride * inner * bits, step.offset * bits))
    if sum((size - 1) * stride for size, stride, _ in linear) + bits != math.prod(layout.shape) * bits:
        raise TileValueError(f"{layout} is padded and has no view of shape {list(shape)}")
    if view_bits < bits:
        linear.append((bits // view_bits, view_bits, view_bits))
    steps: list[Step] = []
    for size, stride, offset in sorted(linear, key=lambda s: s[1]):
        if stride < view_bits:  # elements of the source inside one of the view
            whole = view_bits // stride
            if stride != offset or size % whole:
                raise TileValueError(f"elements of {view_bits} bits are not contiguous in {layout}")
            size, stride, offset = size // whole, view_bits, view_bits
        if offset % view_bits and size > 1:
            raise TileValueError(f"elements of {view_bits} bits are not aligned in {layout}")
        steps += _split(size, stride // view_bits, offset // view_bits, tuple(shape))
    fewer = (view_bits.bit_length() - bits.bit_length()) if layout.swizzle.bits else 0
    swizzle = layout.swizzle._replace(base=layout.swizzle.base - fewer) if layout.swizzle.bits else layout.swizzle
    if swizzle.bits and swizzle.base < 0:
        raise TileValueError(f"{layout} has no view with elements of {view_bits} bits")
    return SharedLayout(tuple(shape), tuple(_merged(steps)), swizzle)


def _merged(steps: Sequence[Step]) -> list[Step]:
    """The same map in the fewest steps, by dimension and stride: neighbours that go on where the other ends are one."""
    merged: list[Step] = []
    for step in sorted((s for s in steps if s.size > 1), key=lambda s: (-s.dim, s.stride)):
        last = merged[-1] if merged else None
        if last and last.dim == step.dim and last.offset * last.size == step.offset:
            merged[-1] = last._replace(size=last.size * step.size)
        else:
            merged.append(step)
    return merged


def _split(size: int, at: int, offset: int, shape: tuple[int, ...]) -> list[Step]:
    """A step of the row-major number of elements as steps of the dimensions."""
    parts: list[Step] = []
    while size > 1:
        dim = next(d for d in range(len(shape)) if shape[d] > 1 and math.prod(shape[d + 1 :]) <= at)
        inner = math.prod(shape[dim + 1 :])
        here = min(size, inner * shape[dim] // at)
        if at % inner or inner * shape[dim] % at or size % here:
            raise TileValueError(f"a step of {size} at {at} straddles an edge of {list(shape)}")
        parts.append(Step(here, dim, at // inner, offset))
        size, at, offset = size // here, at * here, offset * here
    return parts


def row_major(shape: Sequence[int], *, pad: int = 0) -> SharedLayout:
    """Rows one after another, each `pad` elements longer than its content."""
    steps: list[Step] = []
    offset = 1
    for dim in reversed(range(len(shape))):
        steps.append(Step(shape[dim], dim, 1, offset))
        offset *= shape[dim]
        if dim == len(shape) - 1:
            offset += pad
    return SharedLayout(tuple(shape), tuple(steps))


def swizzled(shape: Sequence[int], element_bits: int, span_bytes: int) -> SharedLayout:
    """The hardware pattern of 32, 64 or 128 bytes for a tile of whole panels and whole groups of eight rows."""
    rows, columns = shape[-2], shape[-1]
    span = span_bytes * 8 // element_bits
    if span_bytes not in (32, 64, 128) or columns % span or rows % 8:
        raise TileValueError(
            f"a {span_bytes}-byte swizzle needs columns in multiples of {span} and rows of 8, got {list(shape)}"
        )
    panel = Step(columns // span, len(shape) - 1, span, rows * span)
    lead: list[Step] = []
    offset = rows * columns
    for dim in reversed(range(len(shape) - 2)):
        lead.append(Step(shape[dim], dim, 1, offset))
        offset *= shape[dim]
    steps = (Step(span, len(shape) - 1, 1, 1), Step(rows, len(shape) - 2, 1, span), panel, *lead)
    chunk = 128 // element_bits
    base = chunk.bit_length() - 1
    bits = (span_bytes // 16).bit_length() - 1
    # 128 B: chunk ^= row % 8; 64 B: chunk ^= row / 2 % 4; 32 B: chunk ^= row / 4 % 2. The XOR source: 128-byte rows.
    return SharedLayout(
        tuple(shape), tuple(s for s in steps if s.size > 1 or s.dim >= len(shape) - 2), Swizzle(bits, base, 3)
    )


def swizzle_span(shape: Sequence[int], element_bits: int) -> int:
    """The widest hardware span a tile admits, in bytes; 0 when none."""
    for span_bytes in (128, 64, 32):
        span = span_bytes * 8 // element_bits
        if shape[-1] % span == 0 and shape[-2] % 8 == 0:
            return span_bytes
    return 0
