"""How a fragment is stored through small buffers: which fragments can be, and in which pieces.

A warpgroup holds blocks of 64 rows in the accumulator layout of its products. A piece is as many columns of a block as
fill rows of 128 bytes, then 64, 32 and 16 for what is left; each is one box of a tensor map, swizzled by its width.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import Fragment, SharedLayout, row_major, swizzled
from ...dialect.layout.attrs import from_attr
from ...dialect.tl import FRAGMENT, scope_of
from ...dialect.verify import shape_of
from .tma_rules import tensor_obstacle
from .wgmma_layout import ROWS, GroupGrid, accumulator, partition

BUFFER_BYTES = ROWS * 128  # of one staging buffer
_SPANS = (128, 64, 32, 16)  # bytes of a piece's rows


@dataclass(frozen=True)
class Piece:
    """Columns [start, start + width) of a warpgroup's part, `bits` each."""

    start: int
    width: int
    bits: int

    @property
    def span(self) -> int:
        return self.width * self.bits // 8

    @property
    def swizzle(self) -> str:
        return f"{self.span}B" if self.span > 16 else "none"

    @property
    def layout(self) -> SharedLayout:
        """In its staging buffer."""
        shape = (ROWS, self.width)
        return swizzled(shape, self.bits, self.span) if self.span > 16 else row_major(shape)


@dataclass(frozen=True)
class StorePlan:
    """Which part of the tile each warpgroup holds, and the pieces of every block of 64 rows."""

    grid: GroupGrid
    pieces: tuple[Piece, ...]

    @property
    def blocks(self) -> int:
        return self.grid.rows // ROWS

    def box(self, target: ir.Value, piece: Piece) -> tuple[int, ...]:
        """The piece in the tensor's dimension order."""
        box = [1] * len(shape_of(target.type))
        box[row_dim(target)], box[-1] = ROWS, piece.width
        return tuple(box)


def row_dim(target: ir.Value) -> int:
    """The dimension of the tensor along which the tile's rows lie."""
    return next(d for d, size in enumerate(shape_of(target.type)) if size != 1)


def store_obstacle(source: ir.Value, target: ir.Value, threads: int) -> str:
    """Why a fragment cannot be stored through staging buffers, or an empty string."""
    if scope_of(source) != FRAGMENT or root(source) != source:
        return "the source is no whole fragment"
    sizes, shape = shape_of(target.type), shape_of(source.type)
    if len(shape) != 2 or [s for s in sizes if s != 1] != shape or sizes[-1] != shape[-1]:
        return f"a tile of {sizes} from a fragment of {shape}"
    element = ir.MemRefType(target.type).element_type
    if element.width not in (16, 32):
        return f"elements of {element}"
    grid = partition(shape[0], shape[1], threads)
    layout = from_attr(source.owner.operation.attributes["layout"])
    if grid is None or not isinstance(layout, Fragment) or not layout.same_map(accumulator(grid)):
        return "the fragment is not laid out as the accumulator of a warpgroup product"
    return tensor_obstacle(target)


def store_plan(source: ir.Value, target: ir.Value, threads: int) -> StorePlan:
    """The plan of a store that `store_obstacle` finds nothing against."""
    rows, columns = shape_of(source.type)
    grid = partition(rows, columns, threads)
    assert grid is not None
    bits = ir.MemRefType(target.type).element_type.width
    pieces: list[Piece] = []
    start = 0
    while start < grid.columns:
        span = next(s for s in _SPANS if s * 8 // bits <= grid.columns - start)
        pieces.append(Piece(start, span * 8 // bits, bits))
        start += span * 8 // bits
    return StorePlan(grid, tuple(pieces))
