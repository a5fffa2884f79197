"""`tl.load_matrix`, `tl.store_matrix`, `tl.warp_mma`: matrix instructions on registers that the program holds."""

from __future__ import annotations

from tilelang_mlir.errors import PassError
from tilelang_mlir.isa.nvidia import ldmatrix, mma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ...dialect.location import python_location
from ..lowering.buffers import SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.memory import shared_pointer
from .intrinsics import require_feature

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
    shape: tuple[int, int, int] = tuple(ir.DenseI32ArrayAttr(op.attributes["shape"]))  # type: ignore[assignment]
    for kind in (a_kind, b_kind):
        require_feature(ctx, op, mma.feature_of(kind), f"mma.sync of {kind}")
    if shape[2] >= _WIDE.get(mma.bits_of(a_kind), shape[2] + 1):
        require_feature(ctx, op, Feature.MMA_WIDE, f"mma.sync m{shape[0]}n{shape[1]}k{shape[2]}")
    a, b, _ = ir.DenseI32ArrayAttr(op.attributes["segments"])
    values = [ctx.ssa(v) for v in op.operands]
    results = mma.emit(values[:a], values[a : a + b], values[a + b :], shape, a_kind, b_kind, c_kind)
    for result, value in zip(op.results, results, strict=True):
        ctx.values[result] = value
