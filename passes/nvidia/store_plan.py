"""How a fragment is stored through small buffers: which fragments can be, and in which pieces.

A warpgroup holds blocks of 64 rows in the accumulator layout of its products. A piece is as many columns of a block as
fill rows of 128 bytes, then 64, 32 and 16 for what is left; each is one box of a tensor map, swizzled by its width.

Transposed, the 64 rows of a block are columns of the tile in device memory, 128 bytes of 16-bit elements, and a piece
is up to 64 columns of the block, which become rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import Fragment, SharedLayout, row_major, swizzled
from ...dialect.layout.attrs import from_attr
from ...dialect.tl import FRAGMENT, scope_of
from ...dialect.verify import shape_of
from ..walk import threads_of
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
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of its box."""
        return (self.width, ROWS) if self.transposed else (ROWS, self.width)

    @property
    def span(self) -> int:
        """Bytes of a row of the box."""
        return self.shape[1] * self.bits // 8

    @property
    def swizzle(self) -> str:
        return f"{self.span}B" if self.span > 16 else "none"

    @property
    def layout(self) -> SharedLayout:
        """In its staging buffer."""
        return swizzled(self.shape, self.bits, self.span) if self.span > 16 else row_major(self.shape)


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
        box[row_dim(target)], box[-1] = piece.shape
        return tuple(box)


def row_dim(target: ir.Value) -> int:
    """The dimension of the tensor along which the tile's rows lie."""
    return next(d for d, size in enumerate(shape_of(target.type)) if size != 1)


def store_obstacle(source: ir.Value, target: ir.Value, threads: int, *, transposed: bool = False) -> str:
    """Why a fragment, or its transpose, cannot be stored through staging buffers, or an empty string."""
    if scope_of(source) != FRAGMENT or root(source) != source:
        return "the source is no whole fragment"
    sizes, shape = shape_of(target.type), shape_of(source.type)
    stored = shape[::-1] if transposed else shape
    if len(shape) != 2 or [s for s in sizes if s != 1] != stored or sizes[-1] != stored[-1]:
        return f"a tile of {sizes} from a fragment of {shape}"
    element = ir.MemRefType(target.type).element_type
    if element.width not in ((16,) if transposed else (16, 32)):
        return f"elements of {element}"
    grid = partition(shape[0], shape[1], threads)
    layout = from_attr(source.owner.operation.attributes["layout"])
    if grid is None or not isinstance(layout, Fragment) or not layout.same_map(accumulator(grid)):
        return "the fragment is not laid out as the accumulator of a warpgroup product"
    return tensor_obstacle(target)


def store_plan(source: ir.Value, target: ir.Value, threads: int, *, transposed: bool = False) -> StorePlan:
    """The plan of a store that `store_obstacle` finds nothing against."""
    rows, columns = shape_of(source.type)
    grid = partition(rows, columns, threads)
    assert grid is not None
    bits = ir.MemRefType(target.type).element_type.width
    if transposed:
        starts = range(0, grid.columns, ROWS)
        return StorePlan(grid, tuple(Piece(s, min(ROWS, grid.columns - s), bits, True) for s in starts))
    pieces: list[Piece] = []
    start = 0
    while start < grid.columns:
        span = next(s for s in _SPANS if s * 8 // bits <= grid.columns - start)
        pieces.append(Piece(start, span * 8 // bits, bits))
        start += span * 8 // bits
    return StorePlan(grid, tuple(pieces))


def staged_plan(op: ir.Operation) -> StorePlan:
    """The plan of a `tl.staged_store`."""
    source, _, target = op.operands
    return store_plan(source, target, threads_of(op), transposed="transposed" in op.attributes)
