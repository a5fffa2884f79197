"""Parallel loops that are guarded as a whole by a bound on one of their variables end at that bound.

    parallel (i, j) in 32x64 { if i < 16 { body } }   =>   parallel (i, j) in 16x64 { body }

Layouts then follow from the elements that are touched, and not from those that are not.
"""

from __future__ import annotations

from tilelang_mlir.mlir import int_array, ir


def shrink_loop(loop: ir.Operation) -> None:
    """Take the guard into the extents where it is the loop's whole body; other loops stay."""
    if "layout" in loop.attributes:
        return
    block = loop.regions[0].blocks[0]
    guards = [op.operation for op in block.operations if op.operation.name == "scf.if"]
    beside = [op.operation for op in block.operations if op.operation.name != "scf.if"]
    if len(guards) != 1 or not all(op.name.startswith("arith.") for op in beside):
        return
    guard = guards[0]
    if len(guard.regions[1].blocks):
        return
    bound = _bound(guard.operands[0], list(block.arguments))
    extents = int_array(loop.attributes["extents"])
    if bound is None or not 0 < bound[1] < extents[bound[0]]:
        return
    extents[bound[0]] = bound[1]
    loop.attributes["extents"] = ir.DenseI64ArrayAttr.get(extents)
    for op in list(guard.regions[0].blocks[0].operations):
        if op.operation.name != "scf.yield":
            op.operation.move_before(guard)
    guard.erase()


def _bound(condition: ir.Value, variables: list[ir.Value]) -> tuple[int, int] | None:
    """`variable < constant` as the variable's number and the constant."""
    if isinstance(condition.owner, ir.Block) or condition.owner.operation.name != "arith.cmpi":
        return None
    op = condition.owner.operation
    left, right = op.operands
    if left not in variables or isinstance(right.owner, ir.Block):
        return None
    constant = right.owner.operation
    if constant.name != "arith.constant" or ir.IntegerAttr(op.attributes["predicate"]).value not in (2, 6):
        return None
    return variables.index(left), ir.IntegerAttr(constant.attributes["value"]).value
