"""Tensor memory in layout inference: what products dictate, and the fragments that meet it."""

from __future__ import annotations

from tilelang_mlir.errors import LayoutError, UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.effects import laid_out, root
from ...dialect.layout import Digit, Fragment, SharedLayout, TensorLayout
from ...dialect.layout.attrs import tensor_from_attr, tensor_to_attr
from ...dialect.location import name_of, python_location
from ...dialect.products import TENSOR_PRODUCTS
from ...dialect.tl import FRAGMENT, SHARED, TMEM, scope_of
from ..nvidia.tensor_rules import accumulator_layout, default_layout, meeting_fragment
from ..nvidia.tensor_views import base_of, is_view, layout_of
from ..operand_tiles import shared_operand
from ..walk import threads_of


def _check_halves(op: ir.Operation) -> None:
    """64 rows of each CTA of a pair have the halves of their columns below one another, so a product takes them all."""
    c = op.operands[2]
    columns, rows = ir.MemRefType(root(c).type).shape[-1], ir.MemRefType(c.type).shape[-2]
    if "pair" in op.attributes and rows == 64 and ir.MemRefType(c.type).shape[-1] != columns:
        raise LayoutError(
            "64 rows of each block of a pair in a part of an accumulator's columns", python_location(op.location),
            hint=f"the product takes all {columns} columns of it; 128 rows of each block may take a part",
        )  # fmt: skip


class TensorSide:
    """Layouts of a kernel's buffers in tensor memory: those of accumulators first, row by lane for the others."""

    def __init__(self, ops: list[ir.Operation]) -> None:
        self._layouts: dict[ir.Value, tuple[TensorLayout, ir.Operation]] = {}
        allocs = [op for op in ops if op.name == "tl.alloc" and scope_of(op.results[0]) == TMEM]
        for op in allocs:
            if "layout" in op.attributes:
                self._layouts[op.results[0]] = tensor_from_attr(op.attributes["layout"]), op
        for op in ops:
            if op.name in TENSOR_PRODUCTS:
                _check_halves(op)
                if is_view(base_of(op.operands[2])):
                    raise UnsupportedError("a product whose sums are a view of tensor memory",
                                           python_location(op.location), hint="take the buffer itself")
                self._learn(root(op.operands[2]), accumulator_layout(op.operands[2], pair="pair" in op.attributes), op)
                if scope_of(op.operands[0]) == TMEM:
                    self._learn(root(op.operands[0]), default_layout(root(op.operands[0])), op)
        for op in allocs:
            if op.results[0] not in self._layouts:
                self._layouts[op.results[0]] = default_layout(op.results[0]), op

    def _learn(self, buffer: ir.Value, layout: TensorLayout, op: ir.Operation) -> None:
        old = self._layouts.get(buffer)
        if old is not None and old[0] != layout:
            raise LayoutError(
                f"{name_of(buffer.owner.operation.location) or 'the buffer'} needs two different layouts",
                python_location(op.location),
                notes=(
                    (f"here it needs {layout}", python_location(op.location)),
                    (f"here it needs {old[0]}", python_location(old[1].location)),
                ),
            )
        self._layouts[buffer] = layout, op

    def shared_operands(self, op: ir.Operation) -> list[tuple[ir.Value, SharedLayout]]:
        """The swizzled layouts of what a product, or a copy of rows to tensor memory, reads."""
        found = [v for v in list(op.operands)[:2] if scope_of(v) == SHARED]
        return [(root(v), shared_operand(v)) for v in found]

    def meeting(self, op: ir.Operation) -> tuple[ir.Value, Fragment] | None:
        """A fragment that a copy moves to or from tensor memory, in the layout that loads and stores have; tiles in
        front of a tile are further registers of each thread."""
        for tensor, other in (tuple(op.operands), tuple(op.operands)[::-1]):
            if scope_of(tensor) != TMEM or scope_of(other) != FRAGMENT or laid_out(other) != root(other):
                continue
            shape = list(ir.MemRefType(root(other).type).shape)
            held = layout_of(tensor, lambda alloc: self._layouts[alloc][0])
            layout = meeting_fragment(held, shape[-1], threads_of(op))
            if layout is None or list(layout.shape) != shape[-2:]:
                return None
            tile = layout.with_dims((*[1] * (len(shape) - 2), *shape[-2:]), [len(shape) - 2, len(shape) - 1])
            ahead = [Digit(size, dim, 1) for dim, size in reversed(list(enumerate(shape[:-2]))) if size != 1]
            return root(other), Fragment(tuple(shape), tile.thread, (*tile.value, *ahead))
        return None

    def assign(self) -> None:
        for buffer, (layout, _) in self._layouts.items():
            buffer.owner.operation.attributes["layout"] = tensor_to_attr(layout)
