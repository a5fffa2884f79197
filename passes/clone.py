"""Copies of operations with values replaced."""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from .walk import nested


def clone_ops(ops: Sequence[ir.Operation], replaced: dict[ir.Value, ir.Value]) -> list[ir.Operation]:
    """Copies of operations at the insertion point, with values replaced and their own results following."""
    copies: list[ir.Operation] = []
    for op in ops:
        copy = op.clone().operation
        for inner in [copy, *nested(copy)]:
            for position, operand in enumerate(inner.operands):
                if operand in replaced:
                    inner.operands[position] = replaced[operand]
        replaced.update(zip(op.results, copy.results, strict=True))
        copies.append(copy)
    return copies
