"""Operands of `mma.sync` products: ldmatrix where rows of 16 bytes allow it, element by element otherwise.

ldmatrix needs 16-byte chunks along the contiguous dimension: the operand's K (plain) or, for 16-bit elements, its M or
N (transposed on the way).
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.isa.nvidia import ldmatrix
from tilelang_mlir.mlir import int_array, ir

from ...dialect.layout import Fragment
from ...dialect.layout.lookup import register_shares
from ...dialect.products import tile_shape
from ..lowering.buffers import FragmentBuffer, SharedBuffer, Tile, element_bits, value_type
from ..lowering.context import Context, rule
from ..lowering.index import Index
from ..lowering.memory import load_lanes, shared_pointer
from ..lowering.parallel import thread_coordinates
from ..lowering.views import tile_of
from ..warp_grid import WarpGrid
from .mma_layout import MmaShape, mma_shape


@dataclass(frozen=True)
class Operand:
    """One operand of the product: where it lies and which way it is stored.

    `k_dim` is the dimension of the tile that runs along K; `bits` the element width; `layout` its register fragment.
    """

    tile: Tile
    k_dim: int
    bits: int
    layout: Fragment
    is_b: bool


class Fetch:
    """The registers of one operand, one k step at a time."""

    def __init__(self, ctx: Context, operand: Operand, grid: WarpGrid, shape: MmaShape) -> None:
        self.ctx = ctx
        self.operand = operand
        self.shape = shape
        self.pack = max(1, 32 // operand.bits)
        digits = 1 if operand.is_b else shape.m // 8
        self.words = digits * max(1, shape.k // (4 * self.pack))  # registers per instruction tile
        size = shape.n if operand.is_b else shape.m
        self.tiles = (grid.columns if operand.is_b else grid.rows) // size
        self.steps = operand.layout.shape[operand.k_dim] // shape.k
        self.chunk_elements = 128 // operand.bits
        self.lane = None
        if isinstance(operand.tile.buffer, SharedBuffer) and self._matrix_loads():
            self.lane = self._lane_base(grid)

    def _matrix_loads(self) -> bool:
        """Whether 16-byte chunks along the contiguous dimension are whole in memory, and ldmatrix can deliver them."""
        buffer = self.operand.tile.buffer
        assert isinstance(buffer, SharedBuffer)
        along_k = self.operand.k_dim == 1
        if self.operand.bits == 64 or (self.operand.bits != 16 and not along_k):
            return False
        inner = [s for s in buffer.layout.steps if s.dim == len(buffer.layout.shape) - 1 and s.stride == 1]
        others = [s.offset for s in buffer.layout.steps if s not in inner]
        last = self.operand.tile.offsets[-1]
        whole = bool(inner) and inner[0].offset == 1 and inner[0].size % self.chunk_elements == 0
        return (
            whole
            and all(o % self.chunk_elements == 0 for o in others)
            and last.multiple_of() % self.chunk_elements == 0
        )

    # -- by ldmatrix ---------------------------------------------------------------------------------------------------
    def _lane_base(self, grid: WarpGrid) -> tuple[Index, Index]:
        """Row and column in the tile of the 8x8 matrix row whose address a lane gives, for the first tile and step."""
        ix = self.ctx.ix
        lane, low, high = self._lane_digits()
        warp = self._warp_offset(grid)
        eight = lambda x: ix.scale(x, 8)
        chunk = lambda x: ix.scale(x, self.chunk_elements)
        # A's four matrices: rows, rows + 8, then k + half; B's: k, k + half, then the next eight columns.
        first, second = (high, low) if self.operand.is_b else (low, high)
        if self.operand.k_dim == 1:  # rows of the stored tile run along M or N
            row, column = ix.add(lane, eight(first)), chunk(second)
        else:  # stored rows run along K, the matrices are transposed on the way
            row, column = ix.add(lane, eight(second)), eight(first)
        if self.operand.k_dim == 1:
            return ix.add(row, warp), column
        return row, ix.add(column, warp)

    def _lane_digits(self) -> tuple[Index, Index, Index]:
        """lane % 8, lane / 8 % 2, lane / 16."""
        ix, thread = self.ctx.ix, self.ctx.thread
        return ix.digit(thread, 1, 8), ix.digit(thread, 8, 2), ix.digit(thread, 16, 2)

    def _warp_offset(self, grid: WarpGrid) -> Index:
        ix, thread = self.ctx.ix, self.ctx.thread
        if self.operand.is_b:
            return ix.scale(ix.digit(thread, 32 * grid.m, grid.n), grid.columns)
        return ix.scale(ix.digit(thread, 32, grid.m), grid.rows)

    def registers(self, step: int, count: int) -> list[list[ir.Value]]:
        """32-bit registers (64-bit for float64) per instruction tile."""
        if self.lane is None:
            return [self._elementwise(tile, step) for tile in range(count)]
        if not self.operand.is_b:
            return [self._load_matrices(tile, step, 4) for tile in range(count)]
        out: list[list[ir.Value]] = []
        for tile in range(0, count - 1, 2):
            loaded = self._load_matrices(tile, step, 4)
            out += [loaded[:2], loaded[2:]]
        if count % 2:
            out.append(self._load_matrices(count - 1, step, 2))
        return out

    def _load_matrices(self, tile: int, step: int, count: int) -> list[ir.Value]:
        ctx, ix, operand = self.ctx, self.ctx.ix, self.operand
        assert self.lane is not None and isinstance(operand.tile.buffer, SharedBuffer)
        size = self.shape.n if operand.is_b else self.shape.m
        along, across = Index.of(step * self.shape.k), Index.of(tile * size)
        row, column = self.lane
        if operand.k_dim == 1:
            row, column = ix.add(row, across), ix.add(column, along)
        else:
            row, column = ix.add(row, along), ix.add(column, across)
        offsets = list(operand.tile.offsets)
        place = [*offsets[:-2], ix.add(offsets[-2], row), ix.add(offsets[-1], column)]
        address = shared_pointer(ctx, operand.tile.buffer, place)
        return ldmatrix.emit(address, count, operand.k_dim != 1)

    # -- element by element --------------------------------------------------------------------------------------------
    def _elementwise(self, tile: int, step: int) -> list[ir.Value]:
        """The operand's registers in the order of its fragment: tile, k step, word, element."""
        start = ((tile * self.steps) + step) * self.words
        return [self._word(start + i) for i in range(self.words)]

    def _word(self, word: int) -> ir.Value:
        ctx, operand = self.ctx, self.operand
        elements = range(word * self.pack, (word + 1) * self.pack)
        buffer = operand.tile.buffer
        if isinstance(buffer, FragmentBuffer):
            file = ctx.registers[buffer]
            if operand.bits < 64 and buffer.chunk % self.pack == 0 and buffer.chunk > 1:
                per_register = buffer.chunk // self.pack
                words = ctx.e.vector_type(per_register, ctx.e.i32)
                register = file[word // per_register]
                raw = register if register.type == words else ctx.e.pure("vector.bitcast", words, [register])
                return ctx.e.extract(raw, word % per_register)
            value = ctx.e.gather([(file[e // buffer.chunk], e % buffer.chunk) for e in elements])
        else:
            shares = register_shares(operand.layout)
            parts = thread_coordinates(ctx, operand.layout)
            with ctx.lanes(self.pack):
                inner = [
                    ctx.ix.add(p.spread(self.pack), Index.lanes(share[elements.start : elements.stop]))
                    for p, share in zip(parts, shares, strict=True)
                ]
                offsets = [o.spread(self.pack) for o in operand.tile.offsets]
                place = [*offsets[:-2], *(ctx.ix.add(o, i) for o, i in zip(offsets[-2:], inner, strict=True))]
                value = load_lanes(ctx, buffer, place)
        if operand.bits == 64:
            return value
        return self._as_word(value)

    def _as_word(self, value: ir.Value) -> ir.Value:
        e = self.ctx.e
        if not isinstance(value.type, ir.VectorType):
            return value if value.type == e.i32 else e.pure("arith.bitcast", e.i32, [value])
        return e.extract(e.pure("vector.bitcast", e.vector_type(1, e.i32), [value]), 0)


@rule("tl.load_operand")
def lower_load_operand(ctx: Context, op: ir.Operation) -> None:
    source, target = op.operands
    buffer = ctx.buffers[target]
    assert isinstance(buffer, FragmentBuffer)
    is_b = ir.StringAttr(op.attributes["side"]).value == "b"
    k_dim = ir.IntegerAttr(op.attributes["k_dim"]).value
    m, n = int_array(op.attributes["warps"])
    extent = tile_shape(target)[1 - k_dim]
    grid = WarpGrid(m, n, 0 if is_b else extent // m, extent // n if is_b else 0)
    bits = element_bits(buffer.element)
    fetch = Fetch(ctx, Operand(tile_of(ctx, source), k_dim, bits, buffer.layout, is_b), grid, mma_shape(bits))
    by_step = [fetch.registers(step, fetch.tiles) for step in range(fetch.steps)]
    words = [word for tile in range(fetch.tiles) for step in by_step for word in step[tile]]
    per_register = buffer.chunk * bits // max(bits, 32)
    kind = ctx.e.vector_type(buffer.chunk, value_type(ctx.e, buffer.element))
    ctx.registers[buffer] = [
        _as_elements(ctx, words[i : i + per_register], kind) for i in range(0, len(words), per_register)
    ]


def _as_elements(ctx: Context, words: list[ir.Value], kind: ir.Type) -> ir.Value:
    """Words as the elements of a fragment's register."""
    packed = ctx.e.pack(words)
    if packed.type in (kind, kind.element_type):
        return packed
    if len(words) == 1:
        packed = ctx.e.broadcast(packed, 1)
    return ctx.e.pure("vector.bitcast", kind, [packed])
