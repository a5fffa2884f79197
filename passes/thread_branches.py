"""Branches on the thread index: tile operations inside are for the threads that take the branch.

    if tx < 128 { parallel .. } else { copy .. }   =>   warpgroups [0] { parallel .. } warpgroups [1] { copy .. }
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ..dialect.location import python_location
from ..dialect.tl import LOCAL, VAR, scope_of
from .walk import nested, num_threads

WARPGROUP = 128
# Predicates of arith.cmpi on (thread, constant), as the bound below which they hold, or above which.
_BELOW = {2: 0, 6: 0, 3: 1, 7: 1}  # slt, ult, sle, ule
_ABOVE = {5: 0, 9: 0, 4: 1, 8: 1}  # sge, uge, sgt, ugt


def split_branch(branch: ir.Operation, launch: ir.Operation) -> None:
    """Give the tile operations of a branch on the thread index to its warpgroups; other branches stay.

    Raises:
        UnsupportedError: the threads that take a branch with tile operations are no whole warpgroups.
    """
    bound = _bound(branch.operands[0])
    y, z = list(ir.DenseI32ArrayAttr(launch.attributes["threads"]))[1:]
    if bound is None or (y, z) != (1, 1) or not any(_is_collective(op) for op in nested(branch)):
        return
    end, below = bound
    total = num_threads(launch)
    if end % WARPGROUP or total % WARPGROUP or not 0 < end < total:
        raise UnsupportedError(
            f"tile operations in a branch that threads {0 if below else end} to {end - 1 if below else total - 1} take",
            python_location(branch.location),
            hint="branch on whole warpgroups of 128 threads (T.ws), or work on single elements there",
        )
    halves = [range(end // WARPGROUP), range(end // WARPGROUP, total // WARPGROUP)]
    with ir.InsertionPoint(branch), branch.location:
        for region, groups in zip(branch.regions, halves if below else halves[::-1], strict=True):
            if not len(region.blocks):
                continue
            attributes = {"groups": ir.DenseI32ArrayAttr.get(list(groups))}
            inside = ir.Operation.create("tl.warpgroups", [], [], attributes, regions=1).regions[0].blocks.append()
            for op in list(region.blocks[0].operations):
                if op.operation.name != "scf.yield":
                    inside.append(op)
    branch.erase()


def _bound(condition: ir.Value) -> tuple[int, bool] | None:
    """`thread < end` as (end, True), `thread >= end` as (end, False); None for any other condition."""
    if isinstance(condition.owner, ir.Block) or condition.owner.operation.name != "arith.cmpi":
        return None
    op = condition.owner.operation
    thread, constant = (v.owner.operation if not isinstance(v.owner, ir.Block) else None for v in op.operands)
    if thread is None or constant is None or thread.name != "tl.thread_id" or constant.name != "arith.constant":
        return None
    if ir.IntegerAttr(thread.attributes["dim"]).value:
        return None
    predicate, number = (ir.IntegerAttr(o.attributes[n]).value for o, n in ((op, "predicate"), (constant, "value")))
    if predicate in _BELOW:
        return number + _BELOW[predicate], True
    return (number + _ABOVE[predicate], False) if predicate in _ABOVE else None


def _is_collective(op: ir.Operation) -> bool:
    """Whether the threads of a CTA share the operation's work."""
    if op.name in ("tl.copy", "tl.fill"):
        return not any(scope_of(v) in (LOCAL, VAR) for v in op.operands if isinstance(v.type, ir.MemRefType))
    return op.name in ("tl.parallel", "tl.gemm", "tl.reduce", "tl.scan", "tl.transpose")
