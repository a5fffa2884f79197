"""Additions to neighbouring elements of device memory: which ones may be one instruction."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from .buffers import Buffer, GlobalBuffer, value_type
from .context import Context


def added_together(ctx: Context, op: ir.Operation, buffer: Buffer, element: ir.Type) -> int:
    """How many neighbours in device memory may be added at once, where nobody asks for the old values."""
    relaxed = ir.StringAttr(op.attributes["order"]).value == "relaxed"
    free = relaxed and not len(op.results) and isinstance(buffer, GlobalBuffer)
    return ctx.hardware.adds_together(element) if free else 1


def adds_elements(ctx: Context, body: ir.Block, count: int) -> bool:
    """Whether the trips of a loop add to neighbouring elements of device memory, and do nothing else."""
    *before, end = (view.operation for view in body.operations)
    if not before or before[-1].name != "tl.atomic" or ctx.width != 1 or count & (count - 1):
        return False
    last = before.pop()
    buffer = ctx.buffers[last.operands[0]]
    if ir.StringAttr(last.attributes["kind"]).value != "add" or len(end.operands):
        return False
    plain = all(op.name.startswith("arith.") or op.name in ("memref.load", "tl.cast") for op in before)
    return plain and added_together(ctx, last, buffer, value_type(ctx.e, buffer.element)) > 1
