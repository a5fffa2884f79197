"""`tl.mma_scaled` on MFMA with block scales: the operands of `tl.gemm`, and a word of factors per row and lane.

Lane l gives the factor of row l % size and block l / size of an instruction. What blocks share a word of four factors
is loaded once; a shift by the lane's block brings its factor to where the instruction's byte selector, which is the
same for all lanes, looks for it.
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.amd import mfma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, targets_with

from ...dialect.location import python_location
from ..lowering.buffers import SharedBuffer
from ..lowering.context import Context
from ..lowering.index import Index
from ..lowering.memory import load_lanes
from ..lowering.parallel import thread_coordinates
from ..lowering.views import tile_of
from .gemm import Fetch, Place, Sums, run_steps
from .product import Operand, Product, operand, plan_scaled

_PER_WORD = 4  # factors in a word


def lower_scaled(ctx: Context, op: ir.Operation) -> None:
    a, b, c, *scales = op.operands
    product = plan_scaled(op, ctx.num_threads, ctx.target)
    form = product.core.form
    assert isinstance(form, mfma.Form)
    sums = Sums(ctx, op, product, c)
    left = Fetch(ctx, tile_of(ctx, a), product, product.a)
    right = Fetch(ctx, tile_of(ctx, b), product, product.b)
    factors = [_Factors(ctx, op, value, product, which)
               for value, which in zip(scales, (product.a, product.b), strict=True)]  # fmt: skip

    for step in range(product.steps):  # all words first: they are few, and nothing waits for them later
        for factor, which in zip(factors, (product.a, product.b), strict=True):
            for tile in range(product.tiles(which.side)):
                factor.of(tile, step)

    def multiply(a: ir.Value, b: ir.Value, c: ir.Value, place: Place) -> ir.Value:
        """The instruction gets B's columns as its rows."""
        step, row, column = place
        (a_word, a_byte), (b_word, b_byte) = factors[0].of(row, step), factors[1].of(column, step)
        return mfma.emit_scaled(form.m, b, a, c, (form.b, form.a), (b_word, a_word), (b_byte, a_byte))

    run_steps(ctx, product, left, right, sums, multiply)
    sums.write()


class _Factors:
    """The factors of one operand: row r of the shared tile has those of row r of A (column r of B)."""

    def __init__(self, ctx: Context, op: ir.Operation, value: ir.Value, product: Product, which: Operand) -> None:
        self.ctx, self.op, self.product, self.which = ctx, op, product, which
        self.first = list(ir.DenseI64ArrayAttr(op.attributes["scale_bytes"]))[which.side]
        self.block = list(ir.DenseI64ArrayAttr(op.attributes["scale_blocks"]))[which.side] // mfma.SCALE_BLOCK
        self._check(list(ir.DenseI64ArrayAttr(op.attributes["scale_blocks"]))[which.side])
        self.tile = tile_of(ctx, value)
        self.layout = operand(product, which)
        self.row = thread_coordinates(ctx, self.layout)[1 - which.k_dim]
        self._words: dict[tuple[int, int], ir.Value] = {}

    def of(self, tile: int, step: int) -> tuple[ir.Value, int]:
        """The lane's word for an instruction tile and step, and the byte of it that counts."""
        groups = self.product.core.groups
        base = self.first + step * groups // self.block
        spread = (groups - 1) // self.block  # between the factors of the first and the last lanes
        if base % _PER_WORD + spread >= _PER_WORD:
            raise UnsupportedError("a first factor inside an instruction's factors", python_location(self.op.location))
        key = tile, base // _PER_WORD
        if key not in self._words:
            word = self._load(*key)
            if spread:
                amount = self.ctx.e.value(self.ctx.ix.scalar(self.ctx.ix.scale(self._lane_block(), 8)))
                word = self.ctx.e.binary("shrui", word, amount)
            self._words[key] = word
        return self._words[key], base % _PER_WORD

    def _check(self, block: int) -> None:
        if block % mfma.SCALE_BLOCK:
            having = [*targets_with(Feature.MMA_SCALED), *targets_with(Feature.TCGEN05)]
            raise UnsupportedError(
                f"factors of {block} elements of type float8_e4m3, which {self.ctx.target} lacks",
                python_location(self.op.location),
                hint=f"targets that have them: {', '.join(having)}; here factors of 32 and more are powers of two",
            )
        if self.block & (self.block - 1):
            raise UnsupportedError(
                f"a factor of {block} elements", python_location(self.op.location), hint="a power of two, 32 or more"
            )

    def _lane_block(self) -> Index:
        """How many factors the lane's block of the instruction is past that of the first lanes."""
        ix, core = self.ctx.ix, self.product.core
        return ix.divide(ix.digit(self.ctx.thread, core.size, core.groups), self.block)

    def _load(self, tile: int, column: int) -> ir.Value:
        ix, buffer = self.ctx.ix, self.tile.buffer
        assert isinstance(buffer, SharedBuffer)
        *lead, row, start = self.tile.offsets
        stored = self.product.stored(self.which)
        first = self.layout.value_part(tile * stored.steps * stored.width)[1 - self.which.k_dim]
        place = ix.add(row, ix.add(self.row, Index.of(int(first))))
        return load_lanes(self.ctx, buffer, [*lead, place, ix.add(start, Index.of(column))])
