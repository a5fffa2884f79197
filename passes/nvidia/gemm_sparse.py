"""`tl.gemm_sp` on mma.sp: the walk of `gemm_mma`, with two steps of B and a word of metadata per step of A. On
warpgroups it is a product as any (`gemm_wgmma`)."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import mma_sparse
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ...dialect.location import python_location
from ...dialect.products import extents
from ..lowering.buffers import FragmentBuffer
from ..lowering.context import Context, rule
from ..lowering.fragments import write_registers
from ..lowering.views import tile_of
from .gemm_mma import SUMS, initial_sums, operand_kind
from .hardware import lower_on_warpgroups
from .intrinsics import require_feature
from .mma_layout import mma_shape, operand_fragments, partition, require_whole_steps, sparse_shape
from .mma_operands import Fetch, Operand
from .sparse_metadata import Metadata


@rule("tl.gemm_sp")
def lower_gemm_sp(ctx: Context, op: ir.Operation) -> None:
    if "instr" in op.attributes:
        lower_on_warpgroups(ctx, op)
        return
    require_feature(ctx, op, Feature.MMA_WIDE, "a sparse product")
    a, e, b, c, *clear = op.operands
    m, n, k = extents(op)
    flags = {x: ir.BoolAttr(op.attributes[f"transpose_{x}"]).value for x in "aeb"}
    kinds = [operand_kind(ctx, op, v, side) for v, side in ((a, "a"), (b, "b"))]
    bits = ir.MemRefType(a.type).element_type.width
    shape = mma_shape(bits)
    require_whole_steps(op, k, sparse_shape(shape))
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
    warp = ctx.ix.digit(ctx.thread, 32, grid.m)
    metadata = Metadata(ctx, e, bits, ctx.ix.scale(warp, grid.rows), transposed=flags["e"])
    words = [metadata.words(16 * row, k // (2 * shape.k)) for row in range(rows)]
    for step in range(k // (2 * shape.k)):
        first, second = right.registers(2 * step, columns), right.registers(2 * step + 1, columns)
        for row, registers in enumerate(left.registers(step, rows)):
            word = words[row][step]
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
