"""Tensor memory layouts: which lane holds a row of a tile, and at which column its elements start.

A buffer's last two dimensions are rows and columns; what comes before are versions, one after another along the
columns. Elements of a row follow one another in 32-bit columns, low bits first (PTX ISA 8.7, section 9.7.16.10.4);
those of an accumulator are not packed: each is in the low bits of a column of its own (section 9.7.16.10.4.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tilelang_mlir.errors import TileValueError

LANES, COLUMNS = 128, 512
COLUMN_BITS = 32
MIN_COLUMNS = 32


class LaneStep(NamedTuple):
    """Row divided by `stride`, modulo `size`, times `lane` lanes."""

    size: int
    stride: int
    lane: int


@dataclass(frozen=True)
class TensorLayout:
    """The layout of a buffer of `shape` with elements of `bits` bits.

    Of `parts` equal parts of the columns each lies 128 / `parts` lanes below the one before, at the same columns.
    `spread` elements have a column of 32 bits each. Rows beyond the lanes lie in the columns behind (a step of lane 0).
    """

    shape: tuple[int, ...]
    lanes: tuple[LaneStep, ...]
    bits: int
    parts: int = 1
    spread: bool = False

    def __post_init__(self) -> None:
        if len(self.shape) < 2:
            raise TileValueError(f"a tensor memory layout needs rows and columns, got shape {list(self.shape)}")
        top = sum((step.size - 1) * step.lane for step in self.lanes)
        if self.stacks > 1 and (self.parts > 1 or self.shape[-1] * self.pitch % COLUMN_BITS):
            raise TileValueError(f"rows of {self.shape[-1]} elements are no whole columns of 32 bits")
        if self.parts > 1 and self.shape[-1] * self.pitch % (COLUMN_BITS * self.parts):
            raise TileValueError(f"{self.shape[-1]} columns are no {self.parts} parts of whole columns of 32 bits")
        if top >= LANES // self.parts or math.prod(step.size for step in self.lanes) < self.shape[-2]:
            raise TileValueError(f"{self.shape[-2]} rows do not fit the {LANES} lanes of tensor memory")

    @property
    def pitch(self) -> int:
        """Bits from one element of a row to the next."""
        return COLUMN_BITS if self.spread else self.bits

    @property
    def version_columns(self) -> int:
        """32-bit columns of one version."""
        return -(-self.shape[-1] * self.pitch // (COLUMN_BITS * self.parts)) * self.stacks

    @property
    def columns(self) -> int:
        """32-bit columns of the whole buffer."""
        return math.prod(self.shape[:-2]) * self.version_columns

    @property
    def stacks(self) -> int:
        """How many times all lanes: the rows behind the first 128 lie in the columns behind theirs."""
        return next((step.size for step in self.lanes if not step.lane), 1)

    @property
    def is_sparse(self) -> bool:
        """Whether rows use 16 of every 32 lanes, as accumulators of 64 rows do."""
        return len(self.lanes) > 1 and self.stacks == 1

    @property
    def part_columns(self) -> int:
        """Elements of a row in one part."""
        return self.shape[-1] // self.parts

    def lane(self, row: int) -> int:
        """The lane of a row's first part."""
        return sum(row // step.stride % step.size * step.lane for step in self.lanes)

    def place(self, row: int, column: int) -> tuple[int, int, int]:
        """Lane, 32-bit column and first bit of an element of the first version."""
        part, inside = divmod(column, self.part_columns)
        bit = (inside + row // LANES * self.shape[-1]) * self.pitch
        return self.lane(row) + part * (LANES // self.parts), bit // COLUMN_BITS, bit % COLUMN_BITS

    def __str__(self) -> str:
        steps = ", ".join(f"{s.size}/{s.stride}*{s.lane}" for s in self.lanes)
        parts = f" in {self.parts} parts" if self.parts > 1 else ""
        spread = " a column each" if self.spread and self.bits < COLUMN_BITS else ""
        return f"tensor {list(self.shape)} lanes ({steps}) of {self.bits}-bit elements{spread}{parts}"


def dense(shape: Sequence[int], bits: int) -> TensorLayout:
    """Row r in lane r."""
    return TensorLayout(tuple(shape), (LaneStep(shape[-2], 1, 1),), bits)


def viewed(layout: TensorLayout, shape: Sequence[int], bits: int) -> TensorLayout | None:
    """The layout of a view of the same rows with elements of another size; None where their places are none of it."""
    same_rows = tuple(shape[:-1]) == layout.shape[:-1] and shape[-1] * bits == layout.shape[-1] * layout.bits
    if not same_rows or layout.parts > 1 or layout.pitch != layout.bits:
        return None
    return TensorLayout(tuple(shape), layout.lanes, bits)


def accumulator(shape: Sequence[int], bits: int, *, pair: bool = False) -> TensorLayout:
    """What a product, of a pair of CTAs or of one, writes (section 9.7.16.10.5): 128 rows are the lanes.

    Of 64 rows (M = 64) 16 are in each quarter of the lanes; of 64 rows of each CTA of a pair (M = 128) the right half
    of the columns is below the left one. 256 rows are two products, one beside the other.
    """
    spread = bits < COLUMN_BITS
    if shape[-2] == 2 * LANES and not pair:
        return TensorLayout(tuple(shape), (LaneStep(LANES, 1, 1), LaneStep(2, LANES, 0)), bits, 1, spread)
    if shape[-2] != 64:
        return TensorLayout(tuple(shape), (LaneStep(shape[-2], 1, 1),), bits, 1, spread)
    if pair:
        return TensorLayout(tuple(shape), (LaneStep(64, 1, 1),), bits, 2, spread)
    return TensorLayout(tuple(shape), (LaneStep(16, 1, 1), LaneStep(4, 16, 32)), bits, 1, spread)


def arena_columns(columns: int) -> int:
    """What an allocation of so many columns takes: a power of two, at least 32."""
    return max(MIN_COLUMNS, 1 << (columns - 1).bit_length())
