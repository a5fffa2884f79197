"""`tl.gemm_sp` on mma.sp: the walk of `gemm_mma`, with two steps of B and a word of metadata per step of A."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import mma_sparse
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ...dialect.location import python_location
from ...dialect.ops.gemm import tile_shape_2d
from ..lowering.buffers import FragmentBuffer, SharedBuffer, element_bits
from ..lowering.context import Context, rule
from ..lowering.fragments import write_registers
from ..lowering.index import Index
from ..lowering.memory import load_lanes
from ..lowering.views import tile_of
from ..warp_grid import WarpGrid
from .gemm_mma import SUMS, initial_sums, operand_kind
from .intrinsics import require_feature
from .mma_layout import mma_shape, operand_fragments, partition
from .mma_operands import Fetch, Operand


@rule("tl.gemm_sp")
def lower_gemm_sp(ctx: Context, op: ir.Operation) -> None:
    require_feature(ctx, op, Feature.MMA_WIDE, "a sparse product")
    a, e, b, c, *clear = op.operands
    m, n = tile_shape_2d(c)  # type: ignore[misc]
    flags = {x: ir.BoolAttr(op.attributes[f"transpose_{x}"]).value for x in "aeb"}
    kinds = [operand_kind(ctx, op, v, side) for v, side in ((a, "a"), (b, "b"))]
    bits = ir.MemRefType(a.type).element_type.width
    shape = mma_shape(bits)
    k = tile_shape_2d(b)[1 if flags["b"] else 0]  # type: ignore[index]
    if bits > 32 or k % (2 * shape.k):
        raise UnsupportedError(
            f"a sparse product of K = {k}, no multiple of {2 * shape.k}",
            python_location(op.location), hint="use a larger block_K",
        )  # fmt: skip
    grid = partition(m, n, ctx.num_threads // 32, ir.StringAttr(op.attributes["policy"]).value, shape, op)
    stored, _ = operand_fragments(grid, shape, k // 2, bits, (flags["a"], flags["b"]))
    _, whole = operand_fragments(grid, shape, k, bits, (flags["a"], flags["b"]))
    left = Fetch(ctx, Operand(tile_of(ctx, a), 0 if flags["a"] else 1, bits, stored, False), grid, shape)
    right = Fetch(ctx, Operand(tile_of(ctx, b), 1 if flags["b"] else 0, bits, whole, True), grid, shape)
    target = ctx.buffers[c]
    assert isinstance(target, FragmentBuffer)
    sum_type = SUMS.get(str(target.element))
    if sum_type is None:
        raise UnsupportedError(f"no accumulation in {target.element}", python_location(op.location))
    rows, columns = grid.rows // shape.m, grid.columns // shape.n
    sums = initial_sums(ctx, op, target, rows * columns, 4, clear[0] if clear else None)
    metadata = Metadata(ctx, e, bits, grid, transposed=flags["e"])
    for step in range(k // (2 * shape.k)):
        first, second = right.registers(2 * step, columns), right.registers(2 * step + 1, columns)
        for row, registers in enumerate(left.registers(step, rows)):
            word = metadata.word(row, step)
            for column in range(columns):
                operands = registers, [*first[column], *second[column]], word
                sums[row * columns + column] = _multiply(ctx, operands, sums[row * columns + column], kinds, sum_type)
    flat = [v for tile in sums for v in tile]
    for start in range(0, len(flat), target.chunk):
        write_registers(ctx, target, range(start, start + target.chunk), ctx.e.pack(flat[start : start + target.chunk]))


def _multiply(
    ctx: Context,
    operands: tuple[list[ir.Value], list[ir.Value], ir.Value],
    sums: list[ir.Value],
    kinds: list[str],
    sum_type: str,
) -> list[ir.Value]:
    """One instruction; float16 sums travel as pairs."""
    a, b, word = operands
    ordered = ctx.target.supports(Feature.MBARRIER)  # older machines have the plain form only
    if sum_type != "f16":
        return mma_sparse.emit(a, b, sums, word, kinds[0], kinds[1], sum_type, ordered=ordered)
    pair = ctx.e.vector_type(1, ctx.e.i32)
    pairs = [ctx.e.pack(sums[i : i + 2]) for i in range(0, len(sums), 2)]
    packed = [ctx.e.extract(ctx.e.pure("vector.bitcast", pair, [v]), 0) for v in pairs]
    results = mma_sparse.emit(a, b, packed, word, kinds[0], kinds[1], sum_type, ordered=ordered)
    halves = ctx.e.vector_type(2, ir.F16Type.get())
    wide = [ctx.e.pure("vector.bitcast", halves, [ctx.e.broadcast(v, 1)]) for v in results]
    return [ctx.e.extract(v, i) for v in wide for i in (0, 1)]


class Metadata:
    """The words of metadata of a lane: see `isa/nvidia/mma_sparse` for which part of the tile they are."""

    def __init__(self, ctx: Context, value: ir.Value, bits: int, grid: WarpGrid, *, transposed: bool) -> None:
        self.ctx, self.bits, self.transposed = ctx, bits, transposed
        self.tile = tile_of(ctx, value)
        assert isinstance(self.tile.buffer, SharedBuffer)
        self.element = element_bits(self.tile.buffer.element)
        lane, ix = ctx.ix.remainder(ctx.thread, 32), ctx.ix
        assert lane is not None
        warp = ix.remainder(ix.divide(ctx.thread, 32), grid.m)  # type: ignore[arg-type]
        quad, low = ix.divide(lane, 4), ix.remainder(lane, 2)
        half = ix.remainder(ix.divide(lane, 2), 2)  # type: ignore[arg-type]
        assert warp is not None and quad is not None and low is not None and half is not None
        self.row = ix.add(ix.scale(warp, grid.rows), quad)
        self.low, self.half = low, half

    def word(self, tile: int, step: int) -> ir.Value:
        """The word for a tile of 16 rows and one step of the instruction."""
        ix, e = self.ctx.ix, self.ctx.e
        row = ix.add(self.row, Index.of(16 * tile))
        if self.bits == 8:  # 64 bits a row and step, of which the lane has one half
            return self._bits(ix.add(row, ix.scale(self.low, 8)), 64 * step, self.half, 32)
        lower = self._bits(row, 32 * step, self.low, 16)
        upper = self._bits(ix.add(row, Index.of(8)), 32 * step, self.low, 16)
        return e.binary("ori", lower, e.binary("shli", upper, 16))  # type: ignore[return-value]

    def _bits(self, row: Index, start: int, part: Index, width: int) -> ir.Value:
        """Bits [start + part * width, + width) of a row, in the low bits of an i32."""
        ix, e = self.ctx.ix, self.ctx.e
        if self.element > width:  # the part lies within an element
            value = self._load(row, Index.of(start // self.element))
            return e.binary("andi", e.binary("shrui", value, e.value(e.mul(ix.scalar(part), width))), (1 << width) - 1)
        total: ir.Value | None = None
        per = width // self.element
        for piece in range(per):
            column = ix.add(ix.scale(part, per), Index.of(start // self.element + piece))
            value = self._load(row, column)
            value = e.binary("shli", value, self.element * piece) if piece else value
            total = value if total is None else e.binary("ori", total, value)
        assert total is not None
        return total

    def _load(self, row: Index, column: Index) -> ir.Value:
        """An element of the metadata, extended with zeros."""
        ix, e, offsets = self.ctx.ix, self.ctx.e, self.tile.offsets
        first, second = (column, row) if self.transposed else (row, column)
        place = [*offsets[:-2], ix.add(offsets[-2], first), ix.add(offsets[-1], second)]
        with self.ctx.lanes(1):
            value = load_lanes(self.ctx, self.tile.buffer, place)  # type: ignore[arg-type]
        return value if value.type == e.i32 else e.pure("arith.extui", e.i32, [value])
