"""Calls of device functions that are no part of the program, and the addresses they take."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import GLOBAL, LOCAL, SHARED, TL
from ..verify import buffers, enum_attr, fail, structure, typed

ext = dialect("ext")


class AddressOp(TL.Operation, name="address"):
    """The generic address (i64) of an element, `(buffer, index...)`, for a call that accesses it in some way.

    `access` is r, w or rw: what the call does with the buffer counts as done here.
    """

    buffer: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]
    address: ext.Result[Any]

    @structure((1, None), results=1, attributes={"access": "a string"})
    def verify_invariants(self) -> bool:
        buffer, *rest = self.operation.operands
        if not (buffers(self, [buffer], (GLOBAL, SHARED, LOCAL)) and enum_attr(self, "access", ("r", "w", "rw"))):
            return False
        rank = ir.MemRefType(buffer.type).rank
        if len(rest) != rank:
            return fail(self, f"has {len(rest)} indices for a buffer of rank {rank}")
        good = all(typed(self, value, "i32", "an index") for value in rest)
        return good and typed(self, self.operation.results[0], "i64", "the address")


class CallExternOp(TL.Operation, name="call_extern"):
    """Calls a device function of the sources that come with the program: `"tl.call_extern"(%a, %x) {name = "f", ...}`.

    Every argument is an i64, an address or the bits of a scalar; `types` has the dtype of each, with a `*` after those
    of addresses. `result` is the dtype of the result, empty without one; the result is an i64 too.
    """

    arguments_: Sequence[ext.Operand[Any]]
    results_: Sequence[ext.Result[Any]]

    @structure((0, None), results=(0, 1), attributes={"name": "a string", "result": "a string"})
    def verify_invariants(self) -> bool:
        op = self.operation
        types = op.attributes["types"] if "types" in op.attributes else None
        if not isinstance(types, ir.ArrayAttr) or len(types) != len(op.operands):
            return fail(self, f"requires attribute 'types' with {len(op.operands)} strings")
        if bool(len(op.results)) != bool(ir.StringAttr(op.attributes["result"]).value):
            return fail(self, "attribute 'result' says whether there is a result")
        return all(typed(self, v, "i64", "an argument or result") for v in (*op.operands, *op.results))
