"""Branches on the thread index: tile operations inside are for the threads that take the branch.

    if tx < 128 { parallel .. } else { copy .. }   =>   warpgroups [0] { parallel .. } warpgroups [1] { copy .. }

Where the branch parts a warpgroup the regions are of single warps.
"""

from __future__ import annotations

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ..dialect.location import python_location
from ..dialect.tl import LOCAL, VAR, scope_of
from . import build
from .thread_conditions import differs, lanes_of
from .uniformity import is_uniform
from .walk import WARP, members_of, nested, num_threads

# The arms of one branch have one number: they run side by side, and what follows them comes after all of them.
BRANCH = "tl.branch"
_HINT = "branch on whole warps of 32 threads that follow each other, or work on single elements there"


def split_branch(branch: ir.Operation, launch: ir.Operation, *, regions: bool, block_syncs: bool = False) -> None:
    """Give the tile operations of a branch on the thread index to its warps; other branches stay.

    A chain of `else if` becomes regions side by side, a branch among other operations of a region nested ones. So does
    a branch of whole warps with a barrier in it, which they alone meet at, unless `block_syncs` says that all threads
    of the block do. Without `regions` the target has none.

    Raises:
        UnsupportedError: the threads that take a branch with tile operations are no whole warps.
    """
    inside = list(nested(branch))
    meets = not block_syncs and any(op.name == "tl.sync_threads" and "id" not in op.attributes for op in inside)
    tiles = [op for op in inside if is_collective(op)]
    lanes = lanes_of(branch.operands[0], launch) if tiles or meets else None
    if lanes is None or is_uniform(branch.operands[0]):
        return
    members = members_of(branch)
    mine = members or range(num_threads(launch))
    taken = None if isinstance(lanes, str) else np.flatnonzero(lanes[mine.start : mine.stop]) + mine.start
    if taken is not None and len(taken) in (0, len(mine)):
        _decide(branch, bool(len(taken)))
        return
    x, *others = ir.DenseI32ArrayAttr(launch.attributes["threads"])
    regions = regions and others == [1, 1] and x % WARP == 0
    arms = _arms(taken, mine) if regions and taken is not None else None
    if arms is None:
        if tiles and not (taken is not None and taken[0] == mine.start and all(map(_is_single, tiles))):
            what = f"tile operations in a branch that {_named(taken)}"
            raise UnsupportedError(what, python_location(branch.location), hint=_HINT)
        return
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


def _decide(branch: ir.Operation, taken: bool) -> None:
    """All threads take the branch, or none does."""
    i1 = ir.IntegerType.get_signless(1)
    with ir.InsertionPoint(branch), branch.location:
        value = ir.IntegerAttr.get(i1, int(taken))
        branch.operands[0] = ir.Operation.create("arith.constant", [i1], attributes={"value": value}).result


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


def _arms(taken: np.ndarray, all_threads: range) -> tuple[range, range] | None:
    """The threads of both arms, where each is whole warps that follow each other."""
    then = _span(taken)
    if then is None or then.start % WARP or then.stop % WARP:
        return None
    if then.start == all_threads.start:
        return then, range(then.stop, all_threads.stop)
    return (then, range(all_threads.start, then.start)) if then.stop == all_threads.stop else None


def _span(threads: np.ndarray) -> range | None:
    """Threads that follow each other."""
    first, last = int(threads[0]), int(threads[-1])
    return range(first, last + 1) if last - first < len(threads) else None


def _named(taken: np.ndarray | None) -> str:
    if taken is None:
        return "some threads take and others do not"
    span, more = _span(taken), len(taken) - 3
    if len(taken) == 1:
        return f"thread {taken[0]} takes"
    if span is not None:
        return f"threads {span.start} to {span.stop - 1} take"
    return f"threads {', '.join(map(str, taken[:3]))}{f' and {more} others' if more > 0 else ''} take"


def check_loop(loop: ir.Operation, launch: ir.Operation) -> None:
    """Look whether all threads run a loop with tile operations equally often.

    Raises:
        UnsupportedError: its bounds follow from the thread index.
    """
    if not any(is_collective(op) and not _is_single(op) for op in nested(loop)):
        return
    if any(differs(lanes_of(bound, launch)) for bound in list(loop.operands)[:3]):
        raise UnsupportedError(
            "tile operations in a loop that some threads run more often than others",
            python_location(loop.location),
            hint="all threads share a tile: let them run the loop equally often, or work on single elements there",
        )


def _is_single(op: ir.Operation) -> bool:
    """Whether a tile operation is one of a single element, which is the first thread's."""
    if op.name == "tl.parallel":
        return all(extent == 1 for extent in ir.DenseI64ArrayAttr(op.attributes["extents"]))
    tiles = [ir.MemRefType(v.type) for v in op.operands if isinstance(v.type, ir.MemRefType)]
    return op.name in ("tl.copy", "tl.fill") and all(t.has_static_shape and set(t.shape) <= {1} for t in tiles)


def is_collective(op: ir.Operation) -> bool:
    """Whether the threads of a CTA share the operation's work."""
    if op.name in ("tl.copy", "tl.fill"):
        return not any(scope_of(v) in (LOCAL, VAR) for v in op.operands if isinstance(v.type, ir.MemRefType))
    return op.name in ("tl.parallel", "tl.gemm", "tl.gemm_sp", "tl.im2col", "tl.reduce", "tl.scan", "tl.transpose")
