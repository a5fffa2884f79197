"""Reductions and scans over tiles."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import FRAGMENT, LOCAL, SHARED, TL
from ..verify import buffers, enum_attr, fail, shape_of

ext = dialect("ext")

KINDS = ("sum", "max", "min", "umax", "umin", "abssum", "absmax", "and", "or", "xor")


class ReduceOp(TL.Operation, name="reduce"):
    """Reduces dimension `dim` of a tile into another, combined with what it held unless `clear` is true.

    The target has the source's shape without `dim`, or with size one there. `nan_propagate` (optional unit attribute)
    makes max and min return NaN when an element is NaN.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    kind: Any
    dim: Any
    clear: Any

    def verify_invariants(self) -> bool:
        op = self.operation
        source, target = op.operands
        if not (enum_attr(self, "kind", KINDS) and buffers(self, [source, target], (FRAGMENT, SHARED, LOCAL))):
            return False
        shape, dim = shape_of(source.type), op.attributes["dim"].value
        if not 0 <= dim < len(shape):
            return fail(self, f"attribute 'dim' is {dim}, expected 0 to {len(shape) - 1}")
        dropped, kept = shape[:dim] + shape[dim + 1 :], [*shape[:dim], 1, *shape[dim + 1 :]]
        got = shape_of(target.type)
        if got not in (dropped or [1], kept):
            return fail(self, f"reduces {shape} over dimension {dim} into {got}, expected {dropped or [1]} or {kept}")
        return True


class ScanOp(TL.Operation, name="scan"):
    """Inclusive scan along `dim`; `kind` is sum or max, `reverse` (boolean) starts at the end. May be in place."""

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    kind: Any
    dim: Any
    reverse: Any

    def verify_invariants(self) -> bool:
        op = self.operation
        source, target = op.operands
        if not (enum_attr(self, "kind", ("sum", "max")) and buffers(self, [source, target], (FRAGMENT, SHARED))):
            return False
        if shape_of(source.type) != shape_of(target.type):
            return fail(self, f"source and target differ in shape: {shape_of(source.type)} and {shape_of(target.type)}")
        rank, dim = len(shape_of(source.type)), op.attributes["dim"].value
        return 0 <= dim < rank or fail(self, f"attribute 'dim' is {dim}, expected 0 to {rank - 1}")


class ReducerInitOp(TL.Operation, name="reducer_init"):
    """Starts a reduction: partial values become neutral; the optional operand is combined in exactly once per element."""

    reducer: ext.Operand[Any]
    init: Sequence[ext.Operand[Any]]


class ReducerUpdateOp(TL.Operation, name="reducer_update"):
    """Combines a value into one element of a reducer: `(reducer, value, index...)`, indices of type index."""

    reducer: ext.Operand[Any]
    value: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]

    def verify_invariants(self) -> bool:
        op = self.operation
        rank = ir.MemRefType(op.operands[0].type).rank
        return len(op.operands) == 2 + rank or fail(self, f"expects {rank} indices, got {len(op.operands) - 2}")


class FinalizeReducerOp(TL.Operation, name="finalize_reducer"):
    """Combines the threads' partial values; the result goes to the target, which may be the reducer itself."""

    reducer: ext.Operand[Any]
    target: ext.Operand[Any]
