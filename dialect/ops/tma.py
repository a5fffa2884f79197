"""Bulk copies by the tensor memory accelerator, and the fences around asynchronous accesses."""

from typing import Any

from tilelang_mlir.mlir import dialect

from ..tl import GLOBAL, SHARED, TL
from ..verify import barrier, buffers, int_operands, same_element, same_tile, structure

ext = dialect("ext")


class TmaLoadOp(TL.Operation, name="tma_load"):
    """Starts a copy of a device tile to a shared tile: `(source, target, barrier, index)`.

    The bytes complete the transactions of the barrier's element `index`; who issues the copy announces them. Out of
    bounds reads as zero.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    barrier: ext.Operand[Any]
    index: ext.Operand[Any]

    @structure(4)
    def verify_invariants(self) -> bool:
        source, target, bar, index = self.operation.operands
        if not (buffers(self, [source], (GLOBAL,)) and buffers(self, [target], (SHARED,)) and barrier(self, bar)):
            return False
        return (
            same_tile(self, source, target)
            and same_element(self, source, target, "source and target")
            and int_operands(self, [index])
        )


class TmaStoreOp(TL.Operation, name="tma_store"):
    """Starts a copy of a shared tile to a device tile as one bulk group; out of bounds is not written."""

    source: ext.Operand[Any]
    target: ext.Operand[Any]

    @structure(2)
    def verify_invariants(self) -> bool:
        source, target = self.operation.operands
        if not (buffers(self, [source], (SHARED,)) and buffers(self, [target], (GLOBAL,))):
            return False
        return same_tile(self, source, target) and same_element(self, source, target, "source and target")


class TmaWaitOp(TL.Operation, name="tma_wait"):
    """Waits until at most `pending` bulk stores of this thread still read their shared tiles."""

    pending: Any

    @structure(0, attributes={"pending": "an integer"})
    def verify_invariants(self) -> bool:
        return True


class FenceProxyOp(TL.Operation, name="fence_proxy"):
    """Orders this thread's accesses to shared memory before later asynchronous ones; after a barrier, anyone's."""
