"""Bulk copies that a program builds itself: a box of a tensor map, or a run of bytes."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.isa.nvidia.reductions import RUNS, run_element
from tilelang_mlir.mlir import dialect, int_array, ir

from ..tl import GLOBAL, SHARED, TL
from ..verify import barrier, buffers, element_of, enum_attr, fail, structure, typed
from .tma import EVICTIONS

ext = dialect("ext")

SWIZZLES = ("none", "32B", "64B", "128B")


class BoxLoadOp(TL.Operation, name="box_load"):
    """Starts a copy to shared memory: `(tensor, shared, barrier, index, shared index..., coordinate...)`.

    With `box` (sides in the tensor's dimension order) and `swizzle` a box of the tensor's map goes, whose first element
    has the coordinates; with `bytes` so many bytes from that element on. What arrives in shared memory are the box's
    bytes, whatever the layout of the buffer; they complete on the barrier's element `index`. Every thread that reaches
    the op starts a copy. Optional: `eviction`; with `pair` a box completes on the barrier of the first CTA of a pair.
    """

    tensor: ext.Operand[Any]
    shared: ext.Operand[Any]
    barrier_: ext.Operand[Any]
    places: Sequence[ext.Operand[Any]]

    @structure((4, None), attributes={
        "?box": "array<i64>", "?swizzle": "a string", "?bytes": "an integer", "?pair": "a unit attribute",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        tensor, shared, bar, *rest = self.operation.operands
        return _sides(self, tensor, shared) and barrier(self, bar) and _form(self, tensor, shared, rest[1:])


class BoxStoreOp(TL.Operation, name="box_store"):
    """Starts a copy from shared memory in the open bulk group: `(shared, tensor, shared index..., coordinate...)`.

    The attributes are those of `tl.box_load`; what lies outside the tensor is not written. With `reduce` (add, min,
    max, inc, dec, and, or, xor) bytes are elements (`unsigned` or not) that those of the tensor are combined with.
    """

    shared: ext.Operand[Any]
    tensor: ext.Operand[Any]
    places: Sequence[ext.Operand[Any]]

    @structure((2, None), attributes={"?box": "array<i64>", "?swizzle": "a string", "?bytes": "an integer",
                             "?reduce": "a string", "?unsigned": "a unit attribute"})  # fmt: skip
    def verify_invariants(self) -> bool:
        shared, tensor, *rest = self.operation.operands
        if not enum_attr(self, "reduce", tuple(RUNS), optional=True):
            return False
        if "reduce" in self.operation.attributes and not _sums(self, shared, tensor):
            return False
        return _sides(self, tensor, shared) and _form(self, tensor, shared, rest)


def _sums(op: ir.OpView, shared: ir.Value, tensor: ir.Value) -> bool:
    kinds = [str(element_of(v)) for v in (shared, tensor)]
    kind, element = reduction_of(op.operation)
    if "bytes" not in op.operation.attributes or kinds[0] != kinds[1] or not element:
        return fail(op, f"has no {kind} of elements of {kinds[0]} and {kinds[1]}; {kind} is of {', '.join(RUNS[kind])}")
    return True


def reduction_of(op: ir.Operation) -> tuple[str, str]:
    """Kind and elements of a `tl.box_store` with `reduce`, as the instruction names them; no element if it has none."""
    kind, unsigned = ir.StringAttr(op.attributes["reduce"]).value, "unsigned" in op.attributes
    return kind, run_element(kind, str(element_of(op.operands[1])), unsigned=unsigned)


def _sides(op: ir.OpView, tensor: ir.Value, shared: ir.Value) -> bool:
    return buffers(op, [tensor], (GLOBAL,), "tensor") and buffers(op, [shared], (SHARED,), "tile")


def _form(op: ir.OpView, tensor: ir.Value, shared: ir.Value, places: list[ir.Value]) -> bool:
    attributes = op.operation.attributes
    if ("box" in attributes) == ("bytes" in attributes):
        return fail(op, "copies either a box or bytes")
    ranks = [ir.MemRefType(v.type).rank for v in (shared, tensor)]
    if len(places) != sum(ranks):
        return fail(op, f"has {len(places)} places for buffers of rank {ranks[0]} and {ranks[1]}")
    if not all(typed(op, v, "i32", "a place") for v in places):
        return False
    if "pair" in attributes and "bytes" in attributes:
        return fail(op, "copies a box where it completes in the first CTA of a pair")
    if "bytes" in attributes:
        count = ir.IntegerAttr(attributes["bytes"]).value
        return (count > 0 and count % 16 == 0) or fail(op, f"copies {count} bytes, expected a multiple of 16")
    swizzle = ir.StringAttr(attributes["swizzle"]).value if "swizzle" in attributes else ""
    if swizzle not in SWIZZLES:
        return fail(op, f"attribute 'swizzle' is {swizzle!r}, expected one of {', '.join(SWIZZLES)}")
    box = int_array(attributes["box"])
    if len(box) != ranks[1] or min(box) < 1 or max(box) > 256:
        return fail(op, f"copies a box of {box} of a tensor of rank {ranks[1]}, expected sides from 1 to 256")
    row = box[-1] * element_of(tensor).width // 8
    span = int(swizzle.removesuffix("B")) if swizzle != "none" else row
    if row % 16 or row > span:
        return fail(op, f"copies rows of {row} bytes, expected multiples of 16, at most the swizzle's span")
    if "eviction" in attributes and ir.StringAttr(attributes["eviction"]).value not in EVICTIONS:
        return fail(op, f"attribute 'eviction' is none of {', '.join(EVICTIONS)}")
    return True
