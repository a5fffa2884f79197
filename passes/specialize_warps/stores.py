"""Copies to device memory as bulk stores."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import swizzle_span, swizzled
from ...dialect.layout.attrs import to_attr
from ...dialect.tl import FRAGMENT, GLOBAL, SHARED, buffer_type, scope_of
from .. import build
from ..nvidia.tma_rules import tma_obstacle


def store_by_tma(op: ir.Operation) -> None:
    """A copy to device memory as one bulk store, from a staging tile when it starts in registers."""
    source, target = op.operands
    if scope_of(target) != GLOBAL or scope_of(source) not in (FRAGMENT, SHARED) or "disable_tma" in op.attributes:
        return
    with ir.InsertionPoint(op), op.location:
        if scope_of(source) == FRAGMENT:
            staged = _staging_tile(source, target)
            if staged is None:
                return
            attrs = build.attributes_of(op)
            if tma_obstacle(target, staged):
                staged.owner.operation.erase()
                return
            ir.Operation.create("tl.copy", [], [source, staged], attrs)
            source = staged
        elif root(source) != source or tma_obstacle(target, source):
            return
        ir.Operation.create("tl.tma_store", [], [source, target])
        ir.Operation.create("tl.tma_wait", attributes={"pending": ir.IntegerAttr.get(build.i32(), 0)})
    op.erase()


def _staging_tile(source: ir.Value, target: ir.Value) -> ir.Value | None:
    """A shared tile of the fragment's shape in the widest swizzle, in the device element type."""
    if root(source) != source:
        return None
    shape = list(ir.MemRefType(source.type).shape)
    element = ir.MemRefType(target.type).element_type
    if len(shape) != 2 or element.width < 8:
        return None
    span = swizzle_span(shape, element.width)
    if not span:
        return None
    layout = to_attr(swizzled(shape, element.width, span))
    return ir.Operation.create("tl.alloc", [buffer_type(shape, element, SHARED)], attributes={"layout": layout}).result
