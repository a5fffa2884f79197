"""Metadata of sparse products: the words that lanes give to mma.sp and wgmma.sp.

`isa/nvidia/mma_sparse` says which part of the tile a lane's word describes. Rows of the tile are read whole, as far as
the product goes; a transposed tile element by element.
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ..lowering.buffers import SharedBuffer, element_bits
from ..lowering.context import Context
from ..lowering.index import Index
from ..lowering.memory import load_lanes
from ..lowering.views import tile_of


class Metadata:
    """The words of metadata of a lane; `first` is the first row of its warp."""

    def __init__(self, ctx: Context, value: ir.Value, bits: int, first: Index, *, transposed: bool) -> None:
        self.ctx, self.bits, self.transposed = ctx, bits, transposed
        self.tile = tile_of(ctx, value)
        assert isinstance(self.tile.buffer, SharedBuffer)
        self.element = element_bits(self.tile.buffer.element)
        ix = ctx.ix
        lane = ix.remainder(ctx.thread, 32)
        self.row = ix.add(first, ix.divide(lane, 4))
        self.low, self.half = ix.remainder(lane, 2), ix.digit(lane, 2, 2)

    def words(self, ahead: int, steps: int) -> list[ir.Value]:
        """The words for the 16 rows that start `ahead` rows further, one per step of the instruction."""
        ix, e = self.ctx.ix, self.ctx.e
        row = ix.add(self.row, Index.of(ahead))
        if self.bits == 8:  # 64 bits a row and step, of which the lane has one half
            parts = self._row(ix.add(row, ix.scale(self.low, 8)), 2 * steps)
            second = e.compare("ne", ix.scalar(self.half), 0)
            return [e.pure("arith.select", e.i32, [second, parts[i + 1], parts[i]]) for i in range(0, 2 * steps, 2)]
        shift = e.value(e.mul(ix.scalar(self.low), 16))
        rows = [self._row(ix.add(row, Index.of(8 * i)), steps) for i in (0, 1)]
        lower, upper = ([e.binary("andi", e.binary("shrui", v, shift), 0xFFFF) for v in part] for part in rows)
        return [e.binary("ori", a, e.binary("shli", b, 16)) for a, b in zip(lower, upper, strict=True)]

    def _row(self, row: Index, count: int) -> list[ir.Value]:
        """The first `count` words of a row, the first element in the lowest bits."""
        e, per = self.ctx.e, 32 // self.element
        if self.transposed:
            return [self._gathered(row, word * per, per) for word in range(count)]
        values = self._load(row, 0, count * per)
        if count * per == 1:
            return [values]
        words = e.pure("vector.bitcast", e.vector_type(count, e.i32), [values]) if per > 1 else values
        return [e.extract(words, i) for i in range(count)]

    def _gathered(self, row: Index, first: int, count: int) -> ir.Value:
        """Elements that lie apart, as one word."""
        e = self.ctx.e
        total = e.constant(e.i32, 0)
        for piece in range(count):
            value = self._load(row, first + piece, 1)
            value = value if value.type == e.i32 else e.pure("arith.extui", e.i32, [value])
            total = e.value(e.binary("ori", total, e.binary("shli", value, self.element * piece)))
        return total

    def _load(self, row: Index, first: int, count: int) -> ir.Value:
        """Neighbours of a row."""
        ix, offsets = self.ctx.ix, self.tile.offsets
        column = Index.lanes(range(first, first + count))
        places = (column, row) if self.transposed else (row, column)
        place = [*offsets[:-2], *(ix.add(offset, p) for offset, p in zip(offsets[-2:], places, strict=True))]
        with self.ctx.lanes(count):
            spread = [p.spread(count) for p in place]
            return load_lanes(self.ctx, self.tile.memory, spread)
