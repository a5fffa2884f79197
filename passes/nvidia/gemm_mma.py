"""`tl.gemm` on mma.sync.

Each warp walks its part of C in instruction tiles. Per k step the registers of A for all rows and of B for all columns
are fetched once.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import mma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, targets_with

from ...dialect.location import python_location
from ...dialect.products import extents, transposes
from ..lowering.buffers import FragmentBuffer
from ..lowering.context import Context
from ..lowering.fragments import write_registers
from ..lowering.views import tile_of
from ..small_float_products import targets_hint
from ..warp_grid import WarpGrid
from .mma_layout import MmaShape, mma_shape, operand_fragments, partition, require_whole_steps
from .mma_operands import Fetch, Operand

_KINDS = {"f16": "f16", "bf16": "bf16", "f32": "tf32", "f64": "f64", "f8E4M3FN": "e4m3", "f8E5M2": "e5m2", "i8": "s8"}
SUMS = {"f32": "f32", "f16": "f16", "i32": "s32", "f64": "f64"}
_FEATURES = {
    "bf16": Feature.MMA_BF16, "tf32": Feature.MMA_BF16, "e4m3": Feature.MMA_FP8, "e5m2": Feature.MMA_FP8,
    "f64": Feature.MMA_F64, "s8": Feature.MMA_INT8, "u8": Feature.MMA_INT8, "f16": Feature.MMA_F16,
}  # fmt: skip


def lower_gemm(ctx: Context, op: ir.Operation) -> None:
    a, b, c = list(op.operands)[:3]
    m, n, k = extents(op)
    flags = dict(zip("ab", transposes(op), strict=True))
    kinds = [operand_kind(ctx, op, v, side) for v, side in ((a, "a"), (b, "b"))]
    bits = ir.MemRefType(a.type).element_type.width
    shape = mma_shape(bits)
    require_whole_steps(op, k, shape)
    warps = ctx.num_threads // ctx.target.warp_size
    grid = partition(m, n, warps, ir.StringAttr(op.attributes["policy"]).value, shape, op)
    layouts = operand_fragments(grid, shape, k, bits, (flags["a"], flags["b"]))
    left = Operand(tile_of(ctx, a), 0 if flags["a"] else 1, bits, layouts[0], False)
    right = Operand(tile_of(ctx, b), 1 if flags["b"] else 0, bits, layouts[1], True)
    target = ctx.buffers[c]
    assert isinstance(target, FragmentBuffer)
    _multiply(ctx, op, left, right, target, grid, shape, k, kinds)


def operand_kind(ctx: Context, op: ir.Operation, value: ir.Value, side: str) -> str:
    element = str(ir.MemRefType(value.type).element_type)
    kind = _KINDS.get(element)
    if kind is None:
        raise UnsupportedError(
            f"no matrix product of {element} on {ctx.target}", python_location(op.location), hint=targets_hint(element)
        )
    if kind == "s8" and f"{side}_unsigned" in op.attributes:
        kind = "u8"
    if not ctx.target.supports(_FEATURES[kind]):
        raise UnsupportedError(
            f"a matrix product of {element} needs {_FEATURES[kind].value}, which {ctx.target} lacks",
            python_location(op.location),
            hint=f"targets that have it: {', '.join(targets_with(_FEATURES[kind]))}",
        )
    return kind


def _multiply(
    ctx: Context,
    op: ir.Operation,
    left: Operand,
    right: Operand,
    target: FragmentBuffer,
    grid: WarpGrid,
    shape: MmaShape,
    k: int,
    kinds: Sequence[str],
) -> None:
    rows, columns = grid.rows // shape.m, grid.columns // shape.n
    per_tile = 2 * shape.m // 8
    element = target.element
    sum_type = SUMS.get(str(element))
    if sum_type is None:
        raise UnsupportedError(f"no accumulation in {element}", python_location(op.location))
    sums = initial_sums(ctx, op, target, rows * columns, per_tile, op.operands[3] if len(op.operands) == 4 else None)
    fetch_a, fetch_b = Fetch(ctx, left, grid, shape), Fetch(ctx, right, grid, shape)
    for step in range(k // shape.k):
        b_registers = _operands(ctx, fetch_b.registers(step, columns), kinds[1])
        a_registers = _operands(ctx, fetch_a.registers(step, rows), kinds[0])
        for row in range(rows):
            for column in range(columns):
                tile = row * columns + column
                sums[tile] = _mma(ctx, a_registers[row], b_registers[column], sums[tile], shape, kinds, sum_type)
    flat = [v for tile in sums for v in tile]
    for start in range(0, len(flat), target.chunk):
        write_registers(ctx, target, range(start, start + target.chunk), ctx.e.pack(flat[start : start + target.chunk]))


def _operands(ctx: Context, registers: list[list[ir.Value]], kind: str) -> list[list[ir.Value]]:
    """Registers in the type that the instruction takes, converted once for all products that use them."""
    if kind != "f16":
        return registers
    pair = [ctx.e.vector_type(2, ir.F16Type.get())]
    return [[ctx.e.op("llvm.bitcast", pair, [v]).result for v in tile] for tile in registers]


def _mma(
    ctx: Context,
    a: Sequence[ir.Value],
    b: Sequence[ir.Value],
    c: Sequence[ir.Value],
    shape: MmaShape,
    kinds: Sequence[str],
    sum_type: str,
) -> list[ir.Value]:
    """The product of one instruction tile: one instruction, or several of the smaller ones that sm_75 has.

    The registers of m16n8k16 are those of two m16n8k8, one after the other along K; those of m16n8k32 (8-bit elements)
    are four m8n8k16, of which two share rows (PTX ISA, sections on the fragments of these shapes).
    """
    if ctx.target.supports(Feature.MMA_WIDE):
        return _instruction(ctx, a, b, c, (shape.m, shape.n, shape.k), kinds, sum_type)
    if sum_type != "s32":
        first = _instruction(ctx, a[:2], b[:1], c, (16, 8, 8), kinds, sum_type)
        return _instruction(ctx, a[2:], b[1:], first, (16, 8, 8), kinds, sum_type)
    out: list[ir.Value] = []
    for rows in (0, 1):
        first = _instruction(ctx, [a[rows]], b[:1], c[2 * rows : 2 * rows + 2], (8, 8, 16), kinds, sum_type)
        out += _instruction(ctx, [a[rows + 2]], b[1:], first, (8, 8, 16), kinds, sum_type)
    return out


def _instruction(
    ctx: Context,
    a: Sequence[ir.Value],
    b: Sequence[ir.Value],
    c: Sequence[ir.Value],
    sizes: tuple[int, int, int],
    kinds: Sequence[str],
    sum_type: str,
) -> list[ir.Value]:
    """One instruction; float16 sums travel as pairs."""
    if sum_type != "f16":
        return mma.emit(a, b, c, sizes, kinds[0], kinds[1], sum_type)
    pairs = [ctx.e.pack(c[i : i + 2]) for i in range(0, len(c), 2)]
    result = mma.emit(a, b, pairs, sizes, kinds[0], kinds[1], sum_type)
    return [ctx.e.extract(v, i) for v in result for i in (0, 1)]


def initial_sums(
    ctx: Context, op: ir.Operation, target: FragmentBuffer, tiles: int, per_tile: int, clear_if: ir.Value | None
) -> list[list[ir.Value]]:
    """Accumulators per instruction tile: zero, or what C holds."""
    zero = ctx.e.splat(target.element, 0 if isinstance(target.element, ir.IntegerType) else 0.0)
    if "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value:
        return [[zero] * per_tile for _ in range(tiles)]
    file = ctx.registers[target]
    sums = [
        [ctx.e.extract(file[r // target.chunk], r % target.chunk) for r in range(t * per_tile, (t + 1) * per_tile)]
        for t in range(tiles)
    ]
    if clear_if is not None:
        condition = ctx.ssa(clear_if)
        sums = [[ctx.e.pure("arith.select", v.type, [condition, zero, v]) for v in tile] for tile in sums]
    return sums
