"""`tl.tcgen05_mma`: one instruction per k step, issued by one thread; and what announces that they are complete.

The descriptors of shared operands follow from their swizzled layouts as those of warpgroup products do (see
`gemm_wgmma`): along K a k step moves 32 bytes inside a swizzled row, then to the next panel; along M or N it moves as
many rows down as the instruction is deep.
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import cluster, tcgen05, tcgen05_mma, tcgen05_sparse
from tilelang_mlir.isa.nvidia import tcgen05_descriptors as descriptors
from tilelang_mlir.mlir import ir

from ...dialect.layout.tensor import LANES
from ...dialect.location import python_location
from ...dialect.products import packed_operands, transposes
from ...dialect.tl import TMEM, scope_of
from ..lowering.buffers import SharedBuffer, element_bits
from ..lowering.context import Context, rule
from ..lowering.memory import shared_pointer
from ..lowering.views import tile_of
from .reach import one_thread
from .roles import barrier_pointer
from .tensor_memory import tensor_address
from .tensor_rules import Product, becomes_padded, product_obstacle, product_of

_SCALE_BYTES = 4  # scale factors of a row in one column


@rule("tl.tcgen05_mma", "tl.tcgen05_scaled_mma", "tl.tcgen05_sparse_mma")
def lower_tcgen05_mma(ctx: Context, op: ir.Operation) -> None:
    obstacle = product_obstacle(op, ctx.target)
    if obstacle:
        raise UnsupportedError(f"tcgen05.mma has no product with {obstacle}", python_location(op.location))
    if any(becomes_padded(op)):
        kinds = dict.fromkeys(filter(None, packed_operands(op)))
        raise UnsupportedError(
            f"tcgen05.mma takes {' and '.join(kinds)} elements in tiles with gaps",
            python_location(op.location), hint="T.gemm and T.gemm_blockscaled bring them into that form",
        )  # fmt: skip
    a, b, c, keep, *scales = op.operands
    product = product_of(op)
    metadata = tensor_address(ctx, scales.pop(), op) if product.shape.sparse else None
    flags, pair = transposes(op), "pair" in op.attributes
    accumulate = ctx.ssa(keep)
    with one_thread(ctx, op):
        d = tensor_address(ctx, c, op)
        left = _operand(ctx, a, product, not flags[0], op)
        if product.stacks > 1:
            right = _operand(ctx, b, product, flags[1], op)
            _emit_stacks(ctx, op, product, (d, left, right))
            return
        right = _operand(ctx, b, product, flags[1], op, times=2 if product.shape.sparse else 1)
        factors = _Scales(ctx, op, scales) if scales else None
        for step in range(product.steps):
            adds = accumulate if step == 0 else ctx.e.constant(ctx.e.i1, 1)
            operands = d, left[step], right[step]
            if metadata is not None:
                word = ctx.e.constant(ctx.e.i32, descriptors.instruction(product.shape))
                place = ctx.e.value(ctx.e.add(metadata, tcgen05_sparse.GROUP * step))
                tcgen05_mma.emit_sparse(*operands, word, adds, place, product.shape.kind)
                continue
            if factors is None:
                word = ctx.e.constant(ctx.e.i32, descriptors.instruction(product.shape))
                tcgen05_mma.emit(*operands, word, adds, product.shape.kind, pair=pair)
                continue
            word, places = factors.step(product, step)
            tcgen05_mma.emit_scaled(*operands, word, adds, places, product.shape.kind, factors.block, pair=pair)


def _emit_stacks(
    ctx: Context, op: ir.Operation, product: Product, operands: tuple[ir.Value, list[ir.Value], list[ir.Value]]
) -> None:
    """Rows 128 at a time: A's lie behind one another in each panel or, along M, in the panels behind."""
    d, left, right = operands
    value, (rows, columns) = op.operands[0], list(ir.MemRefType(op.operands[2].type).shape)[-2:]
    _, span, panel = _panels(ctx, value)
    bits = ir.MemRefType(value.type).element_type.width
    ahead = LANES * bits // 8 // span * panel if transposes(op)[0] else LANES * span
    word = ctx.e.constant(ctx.e.i32, descriptors.instruction(product.shape))
    for stack in range(rows // LANES):
        place = ctx.e.value(ctx.e.add(d, stack * columns))
        for step, (a, b) in enumerate(zip(left, right, strict=True)):
            adds = ctx.ssa(op.operands[3]) if step == 0 else ctx.e.constant(ctx.e.i1, 1)
            tcgen05_mma.emit(place, _ahead(ctx, a, stack * ahead), b, word, adds, product.shape.kind)


@rule("tl.tcgen05_commit")
def lower_tcgen05_commit(ctx: Context, op: ir.Operation) -> None:
    pointer = barrier_pointer(ctx, op.operands[0], op.operands[1])
    with one_thread(ctx, op):
        if "pair" in op.attributes:
            both = ctx.e.binary("shli", ctx.e.constant(ctx.e.i32, 3), first_of_pair(ctx))
            tcgen05.commit_pair(pointer, ctx.e.pure("arith.trunci", ir.IntegerType.get_signless(16), [both]))
        else:
            tcgen05.commit(pointer)


def first_of_pair(ctx: Context) -> ir.Value:
    """The rank of the even CTA of this CTA's pair (i32)."""
    return ctx.e.binary("andi", cluster.rank(), ctx.e.constant(ctx.e.i32, -2))


@rule("tl.tcgen05_cp")
def lower_tcgen05_cp(ctx: Context, op: ir.Operation) -> None:
    if "by_rows" in op.attributes:
        _copy_rows(ctx, op)
        return
    source = tile_of(ctx, op.operands[0])
    assert isinstance(source.buffer, SharedBuffer)
    size = 1
    for extent in source.sizes:
        size *= extent
    blocks = size * element_bits(source.buffer.element) // 8 // 512
    pointer = shared_pointer(ctx, source.buffer, source.offsets)
    with one_thread(ctx, op):
        address = ctx.e.pure("llvm.ptrtoint", ctx.e.i32, [pointer])
        first = _word(ctx, address, 16, 128, 16)
        place = tensor_address(ctx, op.operands[1], op)
        for block in range(blocks):
            there = ctx.e.value(ctx.e.add(place, 4 * block))
            tcgen05.copy_scales(there, _ahead(ctx, first, 512 * block), pair="pair" in op.attributes)


def _copy_rows(ctx: Context, op: ir.Operation) -> None:
    """32 bytes of every row at a time: the shared tile lies as the operand of a product along K does."""
    source, target = op.operands
    kind = ir.MemRefType(source.type)
    with one_thread(ctx, op):
        words = _along_k(ctx, source, kind.shape[-1] * kind.element_type.width // 8 // descriptors.STEP_BYTES)
        place = tensor_address(ctx, target, op)
        for step, word in enumerate(words):
            tcgen05.copy_rows(ctx.e.value(ctx.e.add(place, descriptors.STEP_BYTES // 4 * step)), word)


class _Scales:
    """Where the scale factors of each k step lie: a column has those of four blocks along k."""

    def __init__(self, ctx: Context, op: ir.Operation, scales: list[ir.Value]) -> None:
        self.ctx = ctx
        self.places = [tensor_address(ctx, value, op) for value in scales]
        self.first = list(ir.DenseI64ArrayAttr(op.attributes["scale_bytes"]))
        self.blocks = list(ir.DenseI64ArrayAttr(op.attributes["scale_blocks"]))
        self.block = 16 if self.blocks[0] == 16 else 32  # elements of a factor, as the instruction counts

    def step(self, product: Product, step: int) -> tuple[ir.Value, tuple[ir.Value, ir.Value]]:
        """The instruction descriptor and the addresses of both factors."""
        shape = product.shape
        k = step * descriptors.depth(shape.kind)
        parts = [first + k // block for first, block in zip(self.first, self.blocks, strict=True)]
        widths = [-(-rows // 128) * 4 for rows in (128, shape.n)]  # as copies of 128 factors put them
        e = self.ctx.e
        a_id, b_id = (part % _SCALE_BYTES for part in parts)
        scale = "ue4m3" if self.block == 16 else "ue8m0"
        word = descriptors.instruction(shape, scale=scale, a_id=a_id, b_id=b_id)
        moved = [
            e.value(e.add(place, part // _SCALE_BYTES * width))
            for place, part, width in zip(self.places, parts, widths, strict=True)
        ]
        return e.constant(e.i32, word), (moved[0], moved[1])


def _operand(
    ctx: Context, value: ir.Value, product: Product, along_k: bool, op: ir.Operation, times: int = 1
) -> list[ir.Value]:
    """The operand of each k step: an i32 address in tensor memory, or an i64 descriptor. A step is `times` 32 bytes."""
    if scope_of(value) == TMEM:
        start = tensor_address(ctx, value, op)
        return [ctx.e.value(ctx.e.add(start, 8 * step)) for step in range(product.steps)]
    if along_k:
        return _along_k(ctx, value, product.steps, times)
    address, span, panel = _panels(ctx, value)
    word = _word(ctx, address, panel, 8 * span, span)
    moves = [step * times * descriptors.depth(product.shape.kind) * span for step in range(product.steps)]
    return [_ahead(ctx, word, move) for move in moves]


def _along_k(ctx: Context, value: ir.Value, steps: int, times: int = 1) -> list[ir.Value]:
    """Descriptors of a shared tile, `times` 32 bytes of every row apart."""
    address, span, panel = _panels(ctx, value)
    word = _word(ctx, address, 16, 8 * span, span)
    starts = [step * descriptors.STEP_BYTES * times for step in range(steps)]
    return [_ahead(ctx, word, start // span * panel + start % span) for start in starts]


def _panels(ctx: Context, value: ir.Value) -> tuple[ir.Value, int, int]:
    """The address of a swizzled tile, the bytes of its swizzled rows and those from one panel of them to the next."""
    tile = tile_of(ctx, value)
    buffer = tile.buffer
    assert isinstance(buffer, SharedBuffer)
    span = buffer.layout.swizzle.span_bytes
    address = ctx.e.pure("llvm.ptrtoint", ctx.e.i32, [shared_pointer(ctx, buffer, tile.offsets)])
    return address, span, buffer.layout.shape[-2] * span


def _word(ctx: Context, address: ir.Value, leading: int, stride: int, span: int) -> ir.Value:
    """A descriptor as i64."""
    e = ctx.e
    low = e.binary("ori", e.binary("andi", e.binary("shrui", address, 4), 0x3FFF), descriptors.low_word(leading))
    wide = e.pure("arith.extui", e.i64, [low])
    high = descriptors.high_word(stride, span) << 32
    return e.binary("ori", wide, e.constant(e.i64, high - (1 << 64) if high >> 63 else high))


def _ahead(ctx: Context, word: ir.Value, move: int) -> ir.Value:
    return ctx.e.value(ctx.e.add(word, move >> 4), ctx.e.i64)
