"""`order-tensor-memory`: fences of tensor memory around the synchronisation of threads.

Input: scheduled program with explicit barriers. Output: in kernels that use tensor memory, `tl.tcgen05_fence` before
each barrier and arrival of threads that have accessed it, and after each barrier and wait of threads that may.
Loads and stores of a thread, and products that it issues, are ordered with those of others only so (PTX ISA 8.7,
section 9.7.16.6). A fence costs no instruction; it holds the order in the assembler's hands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.tl import TMEM, scope_of
from .base import Pass
from .walk import launches, nested

_BEFORE = ("tl.sync_threads", "tl.mbarrier_arrive", "tl.mbarrier_state")
_AFTER = ("tl.sync_threads", "tl.mbarrier_wait", "tl.mbarrier_test")


@dataclass(frozen=True)
class OrderTensorMemory(Pass):
    """Insert the fences of tensor memory."""

    name: ClassVar[str] = "order-tensor-memory"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            if any(op.name == "tl.alloc" and scope_of(op.results[0]) == TMEM for op in nested(launch)):
                with module.context:
                    for op in [op for op in nested(launch) if not _only_loads(op)]:
                        _fence(op)


def _only_loads(op: ir.Operation) -> bool:
    """Whether an operation belongs to the role that loads: it never touches tensor memory."""
    while op.name != "tl.launch":
        parent = op.parent.operation
        if parent.name == "tl.tensor_roles":
            blocks = [block for place in (0, 2) for block in parent.regions[place].blocks]  # loads, factors
            return any(view.operation == op for block in blocks for view in block.operations)
        op = parent
    return False


def _fence(op: ir.Operation) -> None:
    with op.location:
        if op.name in _BEFORE and not _is_fence(_neighbour(op, -1), "before"):
            with ir.InsertionPoint(op):
                _create("before")
        if op.name in _AFTER and not _is_fence(_neighbour(op, 1), "after"):
            with ir.InsertionPoint.after(op):
                _create("after")


def _create(kind: str) -> None:
    ir.Operation.create("tl.tcgen05_fence", attributes={"kind": ir.StringAttr.get(kind)})


def _neighbour(op: ir.Operation, step: int) -> ir.Operation | None:
    block = [view.operation for view in op.block.operations]
    place = block.index(op) + step
    return block[place] if 0 <= place < len(block) else None


def _is_fence(op: ir.Operation | None, kind: str) -> bool:
    """Whether the program has the fence already."""
    return op is not None and op.name == "tl.tcgen05_fence" and ir.StringAttr(op.attributes["kind"]).value == kind
