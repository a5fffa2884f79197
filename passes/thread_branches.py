"""Branches on the thread index: tile operations inside are for the threads that take the branch.

    if tx < 128 { parallel .. } else { copy .. }   =>   warpgroups [0] { parallel .. } warpgroups [1] { copy .. }

Where the branch parts a warpgroup the regions are of single warps.
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import int_array, ir

from ..dialect.location import python_location
from ..dialect.tl import LOCAL, VAR, scope_of
from . import build
from .walk import WARP, members_of, nested, num_threads

# The arms of one branch have one number: they run side by side, and what follows them comes after all of them.
BRANCH = "tl.branch"
# Predicates of arith.cmpi on (thread, constant), as the bound below which they hold, or above which.
_BELOW = {2: 0, 6: 0, 3: 1, 7: 1}  # slt, ult, sle, ule
_ABOVE = {5: 0, 9: 0, 4: 1, 8: 1}  # sge, uge, sgt, ugt


def split_branch(branch: ir.Operation, launch: ir.Operation, *, block_syncs: bool = False) -> None:
    """Give the tile operations of a branch on the thread index to its warps; other branches stay.

    A chain of `else if` becomes regions side by side, a branch among other operations of a region nested ones. So does
    a branch of whole warps with a barrier in it, which they alone meet at, unless `block_syncs` says that all threads
    of the block do.

    Raises:
        UnsupportedError: the threads that take a branch with tile operations are no whole warps.
    """
    taken = _threads(branch.operands[0], num_threads(launch))
    y, z = int_array(launch.attributes["threads"])[1:]
    tiles = any(is_collective(op) for op in nested(branch))
    meets = not block_syncs and any(op.name == "tl.sync_threads" and "id" not in op.attributes for op in nested(branch))
    if taken is None or (y, z) != (1, 1) or not (tiles or meets):
        return
    members = members_of(branch)
    mine = members or range(num_threads(launch))
    arms = _arms(taken, mine) if num_threads(launch) % WARP == 0 else None
    if arms is None:
        if not tiles:
            return
        here = range(max(taken.start, mine.start), min(taken.stop, mine.stop))
        raise UnsupportedError(
            f"tile operations in a branch that threads {here.start} to {here.stop - 1} take"
            if len(here)
            else "tile operations in a branch that no thread takes",
            python_location(branch.location),
            hint="branch on whole warps of 32 threads that follow each other, or work on single elements there",
        )
    for op in [op for op in nested(branch) if op.name == "tl.thread_id" and members_of(op) == members]:
        op.move_before(branch)  # in a region it would count from the region's first thread
    around = branch.parent.operation
    if not _fills(around, branch):
        _build_arms(branch, arms, branch, _next_number(launch))
        branch.erase()
        return
    for op in list(branch.block.operations):
        if op.operation != branch:
            op.operation.move_before(around)
    number = around.attributes[BRANCH] if BRANCH in around.attributes else _next_number(launch)
    _build_arms(branch, arms, around, number)
    branch.erase()
    around.erase()


def _fills(around: ir.Operation, branch: ir.Operation) -> bool:
    """Whether a region holds nothing but the branch, as with `else if`: its arms take the region's place then.

    Beside other operations the arms are nested, for all threads of the region run those.
    """
    alone = (o == branch or o.operation.name.startswith("arith.") for o in branch.block.operations)
    return around.name == "tl.warpgroups" and all(alone)


def _build_arms(branch: ir.Operation, arms: tuple[range, range], place: ir.Operation, number: ir.Attribute) -> None:
    """Move the branch's regions into those of their threads, in front of `place`."""
    with ir.InsertionPoint(place), branch.location:
        for region, mine in zip(branch.regions, arms, strict=True):
            if not len(region.blocks) or not len(mine):
                continue
            block = build.thread_region(mine)
            block.owner.operation.attributes[BRANCH] = number
            for op in list(region.blocks[0].operations):
                if op.operation.name != "scf.yield":
                    block.append(op)


def _next_number(launch: ir.Operation) -> ir.Attribute:
    numbers = [ir.IntegerAttr(op.attributes[BRANCH]).value for op in nested(launch) if BRANCH in op.attributes]
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(32), max(numbers, default=-1) + 1)


def _arms(taken: range, all_threads: range) -> tuple[range, range] | None:
    """The threads of both arms, where each is whole warps that follow each other."""
    then = range(max(taken.start, all_threads.start), min(taken.stop, all_threads.stop))
    if not len(then) or then.start % WARP or then.stop % WARP:
        return None
    if then.start == all_threads.start:
        return then, range(then.stop, all_threads.stop)
    return (then, range(all_threads.start, then.start)) if then.stop == all_threads.stop else None


def _threads(condition: ir.Value, total: int) -> range | None:
    """The threads for which a condition holds; None where it is no range that comparisons with constants give."""
    if isinstance(condition.owner, ir.Block):
        return None
    op = condition.owner.operation
    if op.name == "arith.andi":
        a, b = (_threads(v, total) for v in op.operands)
        return None if a is None or b is None else range(max(a.start, b.start), min(a.stop, b.stop))
    if op.name != "arith.cmpi":
        return None
    thread, constant = (v.owner.operation if not isinstance(v.owner, ir.Block) else None for v in op.operands)
    if thread is None or constant is None or thread.name != "tl.thread_id" or constant.name != "arith.constant":
        return None
    if ir.IntegerAttr(thread.attributes["dim"]).value:
        return None
    predicate, number = (ir.IntegerAttr(o.attributes[n]).value for o, n in ((op, "predicate"), (constant, "value")))
    number += members_of(thread).start
    if predicate in _BELOW:
        return range(0, min(total, number + _BELOW[predicate]))
    return range(number + _ABOVE[predicate], total) if predicate in _ABOVE else None


def is_collective(op: ir.Operation) -> bool:
    """Whether the threads of a CTA share the operation's work."""
    if op.name in ("tl.copy", "tl.fill"):
        return not any(scope_of(v) in (LOCAL, VAR) for v in op.operands if isinstance(v.type, ir.MemRefType))
    return op.name in ("tl.parallel", "tl.gemm", "tl.gemm_sp", "tl.im2col", "tl.reduce", "tl.scan", "tl.transpose")
