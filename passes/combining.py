"""What reductions and scans do with two numbers."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

# The operations of floats and of integers by kind.
_OPERATIONS = {
    "sum": ("arith.addf", "arith.addi"), "max": ("arith.maxnumf", "arith.maxsi"),
    "min": ("arith.minnumf", "arith.minsi"), "umax": ("arith.maxnumf", "arith.maxui"),
    "umin": ("arith.minnumf", "arith.minui"), "and": ("", "arith.andi"), "or": ("", "arith.ori"),
    "xor": ("", "arith.xori"),
}  # fmt: skip


def operation(kind: str, element: ir.Type) -> str:
    """The operation on two elements; those of absolute values are given."""
    return _OPERATIONS[kind.removeprefix("abs")][isinstance(element, ir.IntegerType)]


def combine(kind: str, a: ir.Value, b: ir.Value) -> ir.Value:
    """One step on scalars."""
    return ir.Operation.create(operation(kind, a.type), [a.type], [a, b]).result
