"""`tl.gemm {instr = "wgmma"}`: one piece of assembly per product, complete when it ends unless the op says otherwise.

Descriptors (see `isa/nvidia/wgmma`) follow from the tiles' swizzled layouts. Along K, a row is one swizzle span: a k
step moves 32 bytes inside it and to the next panel after the span; eight rows are the stride offset. Along M or N, a
panel is one span wide: a k step moves 16 rows down, the next panel is the leading offset.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.errors import PassError
from tilelang_mlir.isa.nvidia import wgmma, wgmma_product
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from ...dialect.products import extents, factors, transposes
from ..lowering.buffers import FragmentBuffer, SharedBuffer, element_bits
from ..lowering.context import Context, rule
from ..lowering.fragments import write_registers
from ..lowering.index import Index
from ..lowering.memory import shared_pointer
from ..lowering.views import tile_of
from .intrinsics import wait_all
from .kept_operands import is_kept, made_anew
from .sparse_metadata import Metadata
from .wgmma_layout import ROWS, WARPGROUP, has_half_sums, partition, product_kinds, step_depth


def lower_gemm_wgmma(ctx: Context, op: ir.Operation) -> None:
    a, b, c = factors(op)
    m, n, k = extents(op)
    grid = partition(m, n, ctx.num_threads)
    target = ctx.buffers[c]
    assert grid is not None and isinstance(target, FragmentBuffer)
    flags = transposes(op)
    bits = ir.MemRefType(a.type).element_type.width
    steps = k // step_depth(op)
    sparse = op.name == "tl.gemm_sp"
    deep = 64 if sparse else 32
    group = ctx.ix.divide(ctx.thread, WARPGROUP)
    along_m, along_n = ctx.ix.remainder(group, grid.m), ctx.ix.divide(group, grid.m)
    right = _descriptor(ctx, b, ctx.ix.scale(along_n, grid.columns), steps, 1, bits, along_k=flags[1], deep=deep)
    buffer = ctx.buffers.get(a)
    if isinstance(buffer, FragmentBuffer):
        left: wgmma_product.Descriptor | Sequence[Sequence[ir.Value]] = _register_operand(ctx, op, buffer, bits)
    else:
        left = _descriptor(
            ctx, a, ctx.ix.scale(along_m, grid.rows), steps, grid.rows // ROWS, bits, along_k=not flags[0]
        )
    clear: bool | ir.Value = "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value
    if len(op.operands) > 3 + (op.name == "tl.gemm_sp"):
        clear = ctx.e.pure("arith.extui", ctx.e.i32, [ctx.ssa(list(op.operands)[-1])])
    file = ctx.registers[target]
    count = target.layout.num_values
    half = has_half_sums(op)
    sums: list[ir.Value] = []
    if clear is not True:
        sums = _pairs(ctx, target) if half else [
            ctx.e.extract(file[r // target.chunk], r % target.chunk) for r in range(count)
        ]  # fmt: skip
    kinds = product_kinds(op)
    assert kinds is not None
    blocks = grid.rows // ROWS
    codes = _metadata(ctx, op, ctx.ix.scale(along_m, grid.rows), blocks, steps) if sparse else []
    wait = None if {"asynchronous", "wgmma"} & set(op.attributes) else 0
    if "pending" in op.attributes:
        wait = ir.IntegerAttr(op.attributes["pending"]).value
    results = wgmma_product.product(
        sums, left, right, grid.columns, kinds, clear=clear, blocks=blocks, wait=wait, metadata=codes, half=half
    )
    if wait is None:
        ctx.pending_products[target] = results
    else:
        _complete(ctx, target, results)
    if wait:
        ctx.unfinished.add(target)


def _pairs(ctx: Context, target: FragmentBuffer) -> list[ir.Value]:
    """The registers of float16 sums, two in each."""
    file, chunk = ctx.registers[target], target.chunk
    if chunk == 2:
        return list(file)
    places = [[(file[r // chunk], r % chunk) for r in (i, i + 1)] for i in range(0, target.layout.num_values, 2)]
    return [ctx.e.gather(pair) for pair in places]


def _complete(ctx: Context, target: FragmentBuffer, results: list[ir.Value]) -> None:
    if isinstance(results[0].type, ir.VectorType):
        for start in range(0, target.layout.num_values, target.chunk):
            registers = range(start, start + target.chunk)
            found = [(results[r // 2], r % 2) for r in registers]
            value = results[start // 2] if target.chunk == 2 else ctx.e.gather(found)
            write_registers(ctx, target, registers, value)
        return
    for start in range(0, len(results), target.chunk):
        write_registers(
            ctx, target, range(start, start + target.chunk), ctx.e.pack(results[start : start + target.chunk])
        )


@rule("tl.wait_products")
def lower_wait_products(ctx: Context, op: ir.Operation) -> None:
    """The accumulators flow through the wait, so that no use can be moved above it."""
    if not len(op.operands):
        wait_all(ctx, op)
        return
    target = ctx.buffers[op.operands[0]]
    assert isinstance(target, FragmentBuffer)
    under_way = target in ctx.pending_products or target in ctx.unfinished or target in ctx.in_flight
    if not under_way:
        raise PassError("a wait for a product that is not under way", python_location(op.location))
    values = ctx.pending_products.pop(target, None) or ctx.registers[target]
    _complete(ctx, target, wgmma.wait_for(values, ir.IntegerAttr(op.attributes["pending"]).value))


def _descriptor(
    ctx: Context, value: ir.Value, offset: Index, steps: int, blocks: int, bits: int, *, along_k: bool, deep: int = 32
) -> wgmma_product.Descriptor:
    """The descriptor of a warpgroup's part of a shared tile; `offset` is its first row of M or N, `deep` the bytes of a
    step along K."""
    tile = tile_of(ctx, value)
    buffer = tile.buffer
    assert isinstance(buffer, SharedBuffer)
    rows = buffer.layout.shape[-2]
    span = buffer.layout.swizzle.span_bytes  # bytes of a swizzled row
    panel = rows * span  # bytes of a column panel
    start = shared_pointer(ctx, buffer, tile.offsets)
    address = ctx.e.pure("llvm.ptrtoint", ctx.e.i32, [start])
    if along_k:
        first = ctx.ix.scalar(ctx.ix.scale(offset, span))
        leading, stride = 16, 8 * span
        moves = [step * deep // span * panel + step * deep % span for step in range(steps)]
        ahead = [block * ROWS * span for block in range(blocks)]
    else:
        first = ctx.ix.scalar(_panel_offset(ctx, offset, panel, span // 2))
        leading, stride = panel, 8 * span
        moves = [step * deep // 2 * span for step in range(steps)]
        ahead = [block * ROWS // (span // 2) * panel for block in range(blocks)]
    low = ctx.e.binary("andi", ctx.e.binary("shrui", ctx.e.value(ctx.e.add(address, first)), 4), 0x3FFF)
    low = ctx.e.binary("ori", low, leading >> 4 << 16)
    units = lambda values: tuple(v >> 4 for v in values)
    high = wgmma_product.high_word(stride, span)
    assert element_bits(buffer.element) == bits
    return wgmma_product.Descriptor(low, high, units(moves), units(ahead), transposed=not along_k)


def _metadata(ctx: Context, op: ir.Operation, offset: Index, blocks: int, steps: int) -> list[ir.Value]:
    """The lane's word per block of 64 rows and step; a warp has 16 rows, which lie as those of mma.sp."""
    warp = ctx.ix.digit(ctx.thread, 32, 4)
    bits = ir.MemRefType(op.operands[0].type).element_type.width
    transposed = ir.BoolAttr(op.attributes["transpose_e"]).value
    metadata = Metadata(ctx, op.operands[1], bits, ctx.ix.add(offset, ctx.ix.scale(warp, 16)), transposed=transposed)
    return [word for block in range(blocks) for word in metadata.words(ROWS * block, steps)]


def _panel_offset(ctx: Context, offset: Index, panel: int, width: int) -> Index:
    """Bytes to the panel, `width` elements wide, that starts at element `offset` of M or N."""
    return ctx.ix.scale(ctx.ix.divide(offset, width), panel)


def _register_operand(ctx: Context, op: ir.Operation, buffer: FragmentBuffer, bits: int) -> list[list[ir.Value]]:
    """Four words per block and k step."""
    pack = 32 // bits
    file = ctx.registers[buffer]
    words: list[ir.Value] = []
    for start in range(0, buffer.layout.num_values, pack):
        value = ctx.e.gather([(file[e // buffer.chunk], e % buffer.chunk) for e in range(start, start + pack)])
        if pack == 1:
            words.append(ctx.e.pure("arith.bitcast", ctx.e.i32, [value]))
            continue
        words.append(ctx.e.extract(ctx.e.pure("vector.bitcast", ctx.e.vector_type(1, ctx.e.i32), [value]), 0))
    if is_kept(op, factors(op)[0]):
        words = made_anew(ctx, words)
    return [words[i : i + 4] for i in range(0, len(words), 4)]
