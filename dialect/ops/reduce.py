"""Reductions and scans over tiles."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import FRAGMENT, LOCAL, SHARED, TL
from ..verify import (
    buffers,
    element_of,
    enum_attr,
    fail,
    index_operands,
    integers,
    same_class,
    same_element,
    same_tile,
    shape_of,
    structure,
    typed,
)

ext = dialect("ext")

KINDS = ("sum", "max", "min", "umax", "umin", "abssum", "absmax", "and", "or", "xor")
INTEGER_KINDS = ("umax", "umin", "and", "or", "xor")


class ReduceOp(TL.Operation, name="reduce"):
    """Reduces dimension `dim` of a tile into another, combined with what it held unless `clear` is true.

    The target has the source's shape without `dim`, or with size one there. Where its elements are wider, those of the
    source are extended before they are combined. Optional unit attributes: `nan_propagate` (max and min return NaN when
    an element is NaN), `unsigned` (integer elements convert as unsigned).
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    kind: Any
    dim: Any
    clear: Any

    @structure(2, attributes={
        "kind": "a string", "dim": "an integer", "clear": "a boolean", "?nan_propagate": "a unit attribute",
        "?unsigned": "a unit attribute",
    })  # fmt: skip
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
        kind = ir.StringAttr(op.attributes["kind"]).value
        if kind in INTEGER_KINDS and not integers(self, source, f"kind {kind!r}"):
            return False
        return same_class(self, [source, target], "source and target")


class OutgrowsOp(TL.Operation, name="outgrows"):
    """Whether an element of the tile that a warp holds exceeds its row's reference by more than `margin`.

    Operands are the tile and the reference.

    The tile is a fragment of float32 in two dimensions whose rows lie within warps, the reference has one element per
    row. All lanes of a warp get the same result (i1), warps differ. NaN exceeds nothing.
    """

    tile: ext.Operand[Any]
    reference: ext.Operand[Any]
    margin: Any
    result: ext.Result[Any]

    @structure(2, results=1, attributes={"margin": "a float"})
    def verify_invariants(self) -> bool:
        op = self.operation
        tile, reference = op.operands
        if not buffers(self, [tile, reference], (FRAGMENT,)):
            return False
        shape, rows = shape_of(tile.type), shape_of(reference.type)
        if len(shape) != 2 or rows != shape[:1]:
            return fail(self, f"compares a tile of {shape} with a reference of {rows}, expected one per row")
        if any(str(element_of(v)) != "f32" for v in (tile, reference)):
            return fail(self, f"compares {element_of(tile)} with {element_of(reference)}, expected f32")
        return typed(self, op.results[0], "i1", "the result")


class ScanOp(TL.Operation, name="scan"):
    """Inclusive scan along `dim`; `kind` is sum, max or umax (of unsigned integers).

    `reverse` (boolean) starts at the end. May be in place.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    kind: Any
    dim: Any
    reverse: Any

    @structure(2, attributes={"kind": "a string", "dim": "an integer", "reverse": "a boolean"})
    def verify_invariants(self) -> bool:
        op = self.operation
        source, target = op.operands
        kinds = ("sum", "max", "umax")
        if not (enum_attr(self, "kind", kinds) and buffers(self, [source, target], (FRAGMENT, SHARED))):
            return False
        kind = ir.StringAttr(op.attributes["kind"]).value
        if kind in INTEGER_KINDS and not integers(self, source, f"kind {kind!r}"):
            return False
        if shape_of(source.type) != shape_of(target.type):
            return fail(self, f"source and target differ in shape: {shape_of(source.type)} and {shape_of(target.type)}")
        if not same_element(self, source, target, "source and target"):
            return False
        rank, dim = len(shape_of(source.type)), op.attributes["dim"].value
        return 0 <= dim < rank or fail(self, f"attribute 'dim' is {dim}, expected 0 to {rank - 1}")


class ReducerInitOp(TL.Operation, name="reducer_init"):
    """Starts a reduction.

    Partial values become neutral; the optional operand is combined in exactly once per element.
    """

    reducer: ext.Operand[Any]
    init: Sequence[ext.Operand[Any]]

    @structure((1, 2))
    def verify_invariants(self) -> bool:
        reducer, *init = self.operation.operands
        return is_reducer(self, reducer) and all(_element(self, reducer, value, "initial value") for value in init)


class ReducerUpdateOp(TL.Operation, name="reducer_update"):
    """Combines a value into one element of a reducer: `(reducer, value, index...)`, indices of type index."""

    reducer: ext.Operand[Any]
    value: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]

    @structure((2, None))
    def verify_invariants(self) -> bool:
        reducer, value, *indices = self.operation.operands
        if not (is_reducer(self, reducer) and _element(self, reducer, value, "value")):
            return False
        rank = ir.MemRefType(reducer.type).rank
        if len(indices) != rank:
            return fail(self, f"expects {rank} indices, got {len(indices)}")
        return index_operands(self, indices)


class FinalizeReducerOp(TL.Operation, name="finalize_reducer"):
    """Combines the threads' partial values; the result goes to the target, which may be the reducer itself."""

    reducer: ext.Operand[Any]
    target: ext.Operand[Any]

    @structure(2)
    def verify_invariants(self) -> bool:
        reducer, target = self.operation.operands
        if not (is_reducer(self, reducer) and buffers(self, [target], first=1)):
            return False
        what = "reducer and target"
        return same_tile(self, reducer, target, what) and same_element(self, reducer, target, what)


def is_reducer(op: ir.OpView, value: ir.Value) -> bool:
    """The value is the result of a tl.alloc_reducer."""
    made = isinstance(value, ir.OpResult) and value.owner.operation.name == "tl.alloc_reducer"
    return made or fail(op, "operand #0 must come from tl.alloc_reducer")


def _element(op: ir.OpView, reducer: ir.Value, value: ir.Value, what: str) -> bool:
    element = element_of(reducer)
    return value.type == element or fail(op, f"has {what} of type {value.type} for a reducer of {element}")
