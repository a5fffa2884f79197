"""Finding operations before they are changed: a walk that erases what it stands on crashes the process."""

from __future__ import annotations

from tilelang_mlir.mlir import ir


def named(root: ir.Operation, name: str) -> list[ir.Operation]:
    """The operations of that name inside an operation, in the order of a walk."""
    found: list[ir.Operation] = []

    def look(op: ir.Operation) -> ir.WalkResult:
        if op.name == name:
            found.append(op)
        return ir.WalkResult.ADVANCE

    root.walk(look)
    return found
