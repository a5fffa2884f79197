"""Cluster launch control."""

from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import SHARED, TL
from ..verify import barrier, buffers, enum_attr, fail, int_operands, structure, typed

ext = dialect("ext")


class ClcTryCancelOp(TL.Operation, name="clc_try_cancel"):
    """Asks for the work of a CTA that has not started: `(answer, barrier, index)`.

    16 bytes of answer arrive in a shared tile, as transaction bytes of the barrier. One thread asks. With `multicast`
    they arrive so in every CTA of the cluster.
    """

    answer: ext.Operand[Any]
    barrier: ext.Operand[Any]
    index: ext.Operand[Any]

    @structure(3, attributes={"?multicast": "a unit attribute"})
    def verify_invariants(self) -> bool:
        answer, bar, index = self.operation.operands
        if not (_answer(self, answer) and int_operands(self, [index])):
            return False
        return barrier(self, bar)


class ClcQueryOp(TL.Operation, name="clc_query"):
    """Reads an answer: `field` is_canceled (1 when there is a CTA to take over), or its x, y, z. The result is i32.

    What is read may be overwritten by a later answer: the read is fenced against it.
    """

    answer: ext.Operand[Any]
    field: Any
    result: ext.Result[Any]

    @structure(1, results=1, attributes={"field": "a string"})
    def verify_invariants(self) -> bool:
        op = self.operation
        if not (_answer(self, op.operands[0]) and enum_attr(self, "field", ("is_canceled", "x", "y", "z"))):
            return False
        return typed(self, op.results[0], "i32", "result")


def _answer(op: ir.OpView, value: ir.Value) -> bool:
    if not buffers(op, [value], (SHARED,)):
        return False
    kind = ir.MemRefType(value.type)
    size = kind.element_type.width // 8
    for extent in kind.shape:
        size *= extent
    return size == 16 or fail(op, f"the answer takes 16 bytes, got a tile of {size}")
