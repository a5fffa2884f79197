"""Printing, assertions and facts."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import TL
from ..verify import buffers, fail, structure, typed

ext = dialect("ext")


class PrintOp(TL.Operation, name="print"):
    """Prints `message` and the operands: scalars per thread, buffers element by element from one thread.

    The operands have one type. Optional attributes: `unsigned` (unit: of integers), `thread` (the one that prints).
    """

    values: Sequence[ext.Operand[Any]]
    message: Any

    @structure((0, None), attributes={
        "message": "a string", "?unsigned": "a unit attribute", "?thread": "an integer",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        for value in self.operation.operands:
            if isinstance(value.type, ir.MemRefType):
                if not buffers(self, [value]):
                    return False
            elif not isinstance(value.type, ir.IntegerType | ir.FloatType | ir.IndexType):
                return fail(self, f"prints scalars and buffers, got {value.type}")
        return True


class AssertOp(TL.Operation, name="assert"):
    """Stops the kernel with `message` in a thread whose condition is false."""

    condition: ext.Operand[Any]
    message: Any

    @structure(1, attributes={"message": "a string"})
    def verify_invariants(self) -> bool:
        return typed(self, self.operation.operands[0], "i1", "condition")


class AssumeOp(TL.Operation, name="assume"):
    """A condition the compiler may take as true."""

    condition: ext.Operand[Any]

    @structure(1)
    def verify_invariants(self) -> bool:
        return typed(self, self.operation.operands[0], "i1", "condition")
