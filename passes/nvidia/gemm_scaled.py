"""`tl.mma_scaled` on block-scaled mma.sync: the operands of `tl.gemm`, and a word of factors per row and lane.

Bytes of two 4-bit floats are fetched as 8-bit elements: an instruction takes 32 bytes along k either way. Beside an
operand of another width they are spread, one element in the middle of each byte, after they were read; so are 6-bit
floats, four in three bytes, to the lowest bits of each byte.
"""

from __future__ import annotations

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import mma_scaled
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from ...dialect.products import elements_of, extents, packed_operands, transposes
from ..lowering.buffers import FragmentBuffer, SharedBuffer, Tile
from ..lowering.context import Context
from ..lowering.fragments import write_registers
from ..lowering.index import Index
from ..lowering.memory import load_lanes
from ..lowering.parallel import thread_coordinates
from ..lowering.views import tile_of
from ..warp_grid import WarpGrid
from .gemm_mma import initial_sums
from .mma_layout import mma_shape, operand_fragments, partition
from .mma_operands import Fetch, Operand

_KINDS = {"f8E4M3FN": "e4m3", "f8E5M2": "e5m2"}
_BITS = 8
_PER_WORD = 4  # factors in a word


def form_of(op: ir.Operation) -> mma_scaled.Form:
    """The instruction of a `tl.mma_scaled`. Raises UnsupportedError where there is none."""
    packed, scaled = packed_operands(op), op.name != "tl.gemm"
    if scaled and packed == ("e2m1", "e2m1"):
        blocks = list(ir.DenseI64ArrayAttr(op.attributes["scale_blocks"]))
        if blocks[0] != blocks[1] or blocks[0] not in (16, 32):
            raise UnsupportedError(
                f"4-bit operands with factors of {blocks[0]} and {blocks[1]} elements",
                python_location(op.location),
                hint="16 or 32 for both",
            )
        return mma_scaled.Form("mxf4nvf4" if blocks[0] == 16 else "mxf4", "e2m1", "e2m1", blocks[0])
    kinds = [
        kind or _KINDS.get(str(ir.MemRefType(v.type).element_type))
        for v, kind in zip(list(op.operands)[:2], packed, strict=True)
    ]
    if kinds[0] is None or kinds[1] is None:
        raise UnsupportedError(
            f"a {'block-scaled ' if scaled else ''}product of these dtypes", python_location(op.location)
        )
    return mma_scaled.Form("mxf8f6f4" if scaled else "f8f6f4", kinds[0], kinds[1], 32)


def lower_scaled(ctx: Context, op: ir.Operation) -> None:
    """A `tl.mma_scaled`, or a `tl.gemm` of packed operands, which has no factors."""
    a, b, c, *others = op.operands
    scales = others if op.name != "tl.gemm" else []
    clear = others[0] if others and not scales else None
    flags, packed = transposes(op), packed_operands(op)
    form, shape = form_of(op), mma_shape(_BITS)
    if packed[0] and flags[0] or packed[1] and not flags[1]:
        raise UnsupportedError(
            "packed operands whose elements are not neighbours along K", python_location(op.location),
            hint="A is [M, K] and B is [N, K] with transpose_B=True",
        )  # fmt: skip
    m, n, k = extents(op)
    k = elements_of(k, packed[1])
    if k % form.depth:
        raise UnsupportedError(f"K = {k} is no multiple of {form.depth}", python_location(op.location))
    warps = ctx.num_threads // ctx.target.warp_size
    grid = partition(m, n, warps, ir.StringAttr(op.attributes["policy"]).value, shape, op)
    k_dims = 0 if flags[0] else 1, 1 if flags[1] else 0
    left, right = (
        _fetch(ctx, tile_of(ctx, value), k_dims[side], bool(side), grid, packed[side] if form.elements == 4 else "")
        for side, value in enumerate((a, b))
    )
    target = ctx.buffers[c]
    assert isinstance(target, FragmentBuffer)
    rows, columns = grid.rows // shape.m, grid.columns // shape.n
    sums = initial_sums(ctx, op, target, rows * columns, 4, clear)
    factors = [_Factors(ctx, op, side, value, grid, form) for side, value in enumerate(scales)]
    for step in range(k // form.depth):
        b_registers, a_registers = right.registers(step, columns), left.registers(step, rows)
        words = [side.words(step, count) for side, count in zip(factors, (rows, columns), strict=False)]
        first = (words[0][1], words[1][1]) if words else (0, 0)
        for row in range(rows):
            for column in range(columns):
                tile = row * columns + column
                scale = (words[0][0][row], words[1][0][column]) if words else None
                sums[tile] = mma_scaled.emit(a_registers[row], b_registers[column], sums[tile], scale, form, first)
    flat = [v for tile in sums for v in tile]
    for start in range(0, len(flat), target.chunk):
        write_registers(ctx, target, range(start, start + target.chunk), ctx.e.pack(flat[start : start + target.chunk]))


def _fetch(ctx: Context, tile: Tile, k_dim: int, is_b: bool, grid: WarpGrid, spread: str) -> Fetch:
    """What reads an operand; `spread` is the format of one that is bytes which share elements, to be spread."""
    bits = 2 * _BITS if spread == "e2m1" else _BITS  # a register's four elements are two bytes
    shape, k = mma_shape(bits), tile.sizes[-2:][k_dim]
    if spread and spread != "e2m1":
        k = elements_of(k, spread)
    layout = operand_fragments(grid, shape, k, bits, (k_dim == 0, k_dim == 1))[is_b]
    kind = Fetch if not spread else _Spread if spread == "e2m1" else _SpreadSixes
    return kind(ctx, Operand(tile, k_dim, bits, layout, is_b), grid, shape)


class _Spread(Fetch):
    """A packed operand beside one of 8 bits: a lane reads two bytes, and their four elements go to the middle of a
    register's bytes (PTX ISA 9.7.14.5.14, .kind::mxf8f6f4 of .e2m1)."""

    def _matrix_loads(self) -> bool:
        return False

    def _as_word(self, value: ir.Value) -> ir.Value:
        e = self.ctx.e
        half = e.pure("vector.bitcast", e.vector_type(1, ir.IntegerType.get_signless(16)), [value])
        word = e.pure("arith.extui", e.i32, [e.extract(half, 0)])
        for distance, kept in ((8, 0x00FF00FF), (4, 0x0F0F0F0F)):
            both = e.binary("ori", word, e.binary("shli", word, distance))
            word = e.binary("andi", both, kept)
        return e.binary("shli", word, mma_scaled.PADDING)


class _SpreadSixes(Fetch):
    """An operand of 6-bit floats: the three bytes of four neighbours along k become the bytes of a register."""

    def _matrix_loads(self) -> bool:
        return False

    def _word(self, word: int) -> ir.Value:
        ctx, ix, operand = self.ctx, self.ctx.ix, self.operand
        first = operand.layout.value_part(np.asarray([word * self.pack], np.int64))
        place = [ix.add(p, Index.lanes(c)) for p, c in zip(thread_coordinates(ctx, operand.layout), first, strict=True)]
        place[operand.k_dim] = ix.scale(ix.divide(place[operand.k_dim], 4), 3)
        offsets = list(operand.tile.offsets)
        place = [*offsets[:-2], *(ix.add(o, i) for o, i in zip(offsets[-2:], place, strict=True))]
        buffer = operand.tile.buffer
        assert not isinstance(buffer, FragmentBuffer)
        with ctx.lanes(3):
            *outer, inner = [i.spread(3) for i in place]
            value = load_lanes(ctx, buffer, [*outer, ix.add(inner, Index.lanes(range(3)))])
        return self._as_word(value)

    def _as_word(self, value: ir.Value) -> ir.Value:
        e = self.ctx.e
        low, middle, high = (e.pure("arith.extui", e.i32, [e.extract(value, i)]) for i in range(3))
        whole = e.binary("ori", e.binary("ori", low, e.binary("shli", middle, 8)), e.binary("shli", high, 16))
        parts = [e.binary("andi", e.binary("shli", whole, 2 * i) if i else whole, 63 << 8 * i) for i in range(4)]
        return e.binary("ori", e.binary("ori", parts[0], parts[1]), e.binary("ori", parts[2], parts[3]))


class _Factors:
    """The words of factors of one operand: row r of the shared tile has those of row r of A (column r of B)."""

    def __init__(
        self, ctx: Context, op: ir.Operation, side: int, value: ir.Value, grid: WarpGrid, form: mma_scaled.Form
    ) -> None:
        self.ctx, self.form, self.size = ctx, form, (8 if side else 16)
        self.first = list(ir.DenseI64ArrayAttr(op.attributes["scale_bytes"]))[side]
        self.block = list(ir.DenseI64ArrayAttr(op.attributes["scale_blocks"]))[side]
        self.tile = tile_of(ctx, value)
        self.row = self._lane_row(grid, side)
        self._loaded: dict[int, list[ir.Value]] = {}
        if self.first % form.factors:
            raise UnsupportedError("a first factor inside an instruction's factors", python_location(op.location))

    def _lane_row(self, grid: WarpGrid, side: int) -> Index:
        """The row whose factors a lane gives, in the warp's first instruction tile."""
        ix, thread = self.ctx.ix, self.ctx.thread
        group, odd = ix.remainder(thread, 32), ix.remainder(thread, 2)
        part = ix.digit(thread, 32 * grid.m, grid.n) if side else ix.digit(thread, 32, grid.m)
        lane = ix.divide(group, 4)
        row = ix.add(ix.scale(part, grid.columns if side else grid.rows), lane)
        return row if side else ix.add(row, ix.scale(odd, 8))

    def words(self, step: int, count: int) -> tuple[list[ir.Value], int]:
        """The lane's word for each instruction tile, and the first byte that counts."""
        part = self.first + step * self.form.depth // self.block
        column = part // _PER_WORD
        if column not in self._loaded:
            self._loaded[column] = [self._load(tile, column) for tile in range(count)]
        return self._loaded[column], part % _PER_WORD

    def _load(self, tile: int, column: int) -> ir.Value:
        ix, buffer = self.ctx.ix, self.tile.buffer
        assert isinstance(buffer, SharedBuffer)
        *lead, row, start = self.tile.offsets
        place = ix.add(row, ix.add(self.row, Index.of(tile * self.size)))
        return load_lanes(self.ctx, buffer, [*lead, place, ix.add(start, Index.of(column))])
