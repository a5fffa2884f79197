"""Atomic read-modify-write."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import GLOBAL, SHARED, TL
from ..verify import buffers, enum_attr, fail, index_operands, integers, structure

ext = dialect("ext")

KINDS = ("add", "max", "min", "umax", "umin", "and", "or", "xor", "exchange", "load", "store")
ORDERS = ("relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst")


class AtomicOp(TL.Operation, name="atomic"):
    """One atomic operation on an element: `(buffer, value, index...)`, the old value as result when asked for.

    `kind` names the operation (`load` ignores the value), `order` the memory order at device scope.
    """

    buffer: ext.Operand[Any]
    value: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]
    kind: Any
    order: Any
    previous: Sequence[ext.Result[Any]]

    @structure((2, None), results=(0, 1), attributes={"kind": "a string", "order": "a string"})
    def verify_invariants(self) -> bool:
        op = self.operation
        buffer, value = list(op.operands)[:2]
        if not (enum_attr(self, "kind", KINDS) and enum_attr(self, "order", ORDERS)):
            return False
        if not buffers(self, [buffer], (GLOBAL, SHARED)):
            return False
        kind = ir.MemRefType(buffer.type)
        if value.type != kind.element_type:
            return fail(self, f"has a value of {value.type} for a buffer of {kind.element_type}")
        if len(op.operands) != 2 + kind.rank:
            return fail(self, f"expects {kind.rank} indices, got {len(op.operands) - 2}")
        if any(result.type != value.type for result in op.results):
            return fail(self, f"returns {op.results[0].type}, expected the buffer's {value.type}")
        what = ir.StringAttr(op.attributes["kind"]).value
        if what in ("umax", "umin", "and", "or", "xor") and not integers(self, value, f"kind {what!r}"):
            return False
        return index_operands(self, list(op.operands)[2:])
