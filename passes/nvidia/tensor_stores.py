"""Results in tensor memory or registers to device memory, through small swizzled tiles and bulk stores."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import swizzle_span, swizzled
from ...dialect.layout.attrs import to_attr
from ...dialect.tl import FRAGMENT, SHARED, TMEM, buffer_type, scope_of
from .. import build
from .tma_rules import tma_obstacle

PART_BYTES = 128  # of a row: one span of the widest swizzle


def store_by_tma(op: ir.Operation, split: ir.Operation) -> None:
    """Rewrite a copy to device memory; `split` is in front of what the staging tiles are allocated."""
    source, target = op.operands
    if scope_of(source) not in (TMEM, FRAGMENT) or "disable_tma" in op.attributes or root(source).owner is None:
        return
    element = ir.MemRefType(target.type).element_type
    shape = list(ir.MemRefType(source.type).shape)
    if any(s != 1 for s in shape[:-2]) or element.width < 8:
        return
    rows, columns = shape[-2:]
    part = min(columns, PART_BYTES * 8 // element.width) if scope_of(source) == TMEM else columns
    span = swizzle_span((rows, part), element.width)
    if columns % part or not span:
        return
    count = min(2, columns // part)
    layout = {"layout": to_attr(swizzled((rows, part), element.width, span))}
    kind = buffer_type([count, rows, part], element, SHARED)
    with ir.InsertionPoint(split), op.location:
        staging = ir.Operation.create("tl.alloc", [kind], attributes=layout).result
    with ir.InsertionPoint(op), op.location:
        piece = build.columns_of(target, 0, part)
        if tma_obstacle(piece, staging):
            if piece != target:
                piece.owner.operation.erase()
            staging.owner.operation.erase()
            return
        attributes = build.attributes_of(op)
        for number, start in enumerate(range(0, columns, part)):
            tile = build.slice_of(staging, [build.constant(number % count), *[build.constant(0)] * 2], [1, rows, part])
            if number >= count:
                _wait(count - 1)
                build.sync_threads()
            ir.Operation.create("tl.copy", [], [build.columns_of(source, start, part), tile], attributes)
            stored = piece if start == 0 else build.columns_of(target, start, part)
            ir.Operation.create("tl.tma_store", [], [tile, stored])
        _wait(0)
    op.erase()


def _wait(pending: int) -> None:
    ir.Operation.create("tl.tma_wait", attributes={"pending": ir.IntegerAttr.get(build.i32(), pending)})
