"""`tl.load_matrix`, `tl.store_matrix`, `tl.warp_mma`: matrix instructions on registers that the program holds."""

from __future__ import annotations

from tilelang_mlir.errors import PassError, UnsupportedError
from tilelang_mlir.isa.nvidia import ldmatrix, mma, mma_quad, mma_sparse, wgmma, wgmma_single
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Feature

from ...dialect.location import python_location
from ...dialect.ops.matrix import starts_from_zero
from ..lowering.buffers import PrivateBuffer, SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.memory import shared_pointer
from .intrinsics import not_in_this_block, require_feature

_WIDE = {8: 32, 16: 16, 32: 8}  # k of instructions that only newer machines have, by bits of an element


def _address(ctx: Context, op: ir.Operation, places: list[ir.Value]) -> ir.Value:
    if ctx.width != 1:
        raise PassError("matrix instructions run one iteration at a time", python_location(op.location))
    buffer = ctx.buffers[op.operands[0]]
    assert isinstance(buffer, SharedBuffer)
    return shared_pointer(ctx, buffer, [ctx.index(v) for v in places])


@rule("tl.load_matrix")
def lower_load_matrix(ctx: Context, op: ir.Operation) -> None:
    require_feature(ctx, op, Feature.LDMATRIX, "T.ptx_ldmatrix")
    transpose = ir.BoolAttr(op.attributes["transpose"]).value
    words = ldmatrix.emit(_address(ctx, op, list(op.operands)[1:]), len(op.results), transpose)
    for result, word in zip(op.results, words, strict=True):
        ctx.values[result] = word


@rule("tl.store_matrix")
def lower_store_matrix(ctx: Context, op: ir.Operation) -> None:
    require_feature(ctx, op, Feature.STMATRIX, "T.ptx_stmatrix")
    count = ir.IntegerAttr(op.attributes["count"]).value
    operands = list(op.operands)
    words = [ctx.ssa(v) for v in operands[-count:]]
    transpose = ir.BoolAttr(op.attributes["transpose"]).value
    ldmatrix.store(_address(ctx, op, operands[1:-count]), words, transpose)


@rule("tl.warp_mma")
def lower_warp_mma(ctx: Context, op: ir.Operation) -> None:
    a_kind, b_kind, c_kind = (ir.StringAttr(op.attributes[name]).value for name in "abc")
    m, n, k = int_array(op.attributes["shape"])
    shape = m, n, k
    for kind in (a_kind, b_kind):
        require_feature(ctx, op, mma.feature_of(kind), f"mma.sync of {kind}")
    if not {"layouts", "selector"} & set(op.attributes) and shape[2] >= _WIDE.get(mma.bits_of(a_kind), shape[2] + 1):
        require_feature(ctx, op, Feature.MMA_WIDE, f"mma.sync m{shape[0]}n{shape[1]}k{shape[2]}")
    a, b, _ = int_array(op.attributes["segments"])
    values = [ctx.ssa(v) for v in op.operands]
    if "selector" in op.attributes:
        require_feature(ctx, op, Feature.MMA_WIDE, "a sparse product")
        results = mma_sparse.emit(
            values[:a], values[a : a + b], values[a + b : -1], values[-1], a_kind, b_kind, c_kind,
            ir.IntegerAttr(op.attributes["selector"]).value, ordered=ctx.target.supports(Feature.MBARRIER),
        )  # fmt: skip
    elif "layouts" in op.attributes:
        first, second = ir.StringAttr(op.attributes["layouts"]).value.split(".")
        results = mma_quad.emit(values[:a], values[a : a + b], values[a + b :], (first, second), c_kind)
    else:
        results = mma.emit(values[:a], values[a : a + b], values[a + b :], shape, a_kind, b_kind, c_kind)
    for result, value in zip(op.results, results, strict=True):
        ctx.values[result] = value


@rule("tl.warpgroup_mma")
def lower_warpgroup_mma(ctx: Context, op: ir.Operation) -> None:
    """The sums stay values until the wait: an array in memory would be read too early."""
    require_feature(ctx, op, Feature.WGMMA, "a product of a warpgroup")
    sums, index, *values = op.operands
    n = ir.IntegerAttr(op.attributes["n"]).value
    kinds = ir.StringAttr(op.attributes["a"]).value, ir.StringAttr(op.attributes["b"]).value
    buffer, first = ctx.buffers[sums], ctx.ix.scalar(ctx.index(index))
    assert isinstance(buffer, PrivateBuffer)
    if not isinstance(first, int) or not wgmma.allows(kinds[0], n):
        what = f"{n} columns of {kinds[0]}" if isinstance(first, int) else "sums at a run-time place"
        raise UnsupportedError(
            f"no product of a warpgroup has {what}", python_location(op.location),
            hint="n is a multiple of 8 up to 256; give the place of the sums as a Python integer",
        )  # fmt: skip
    words = [ctx.ssa(v) for v in values]
    turned = "transpose_a" in op.attributes, "transpose_b" in op.attributes
    signs = "negate_a" in op.attributes, "negate_b" in op.attributes
    form = wgmma_single.Form(n, kinds, turned, signs)
    started = ctx.own_products.get((buffer, first))
    if started is not None and started[0] != op.block:
        raise not_in_this_block(op)
    start = started[1] if started is not None else _own_sums(ctx, op, buffer, first, n // 2)
    results = wgmma_single.emit(start, words[:-3], words[-3:-1], words[-1], form)
    ctx.own_products[buffer, first] = op.block, results


def _own_sums(
    ctx: Context, op: ir.Operation, buffer: PrivateBuffer, first: int, count: int
) -> list[ir.Value]:
    """What the array holds; nothing where none of it is used, since a fence is behind the last write already."""
    if starts_from_zero(op):
        return [ctx.e.op("llvm.mlir.undef", [buffer.element]).result] * count
    start = ctx.e.gep(buffer.pointer, first, buffer.element)
    return [ctx.e.load(ctx.e.gep(start, i, buffer.element), buffer.element, 4) for i in range(count)]
