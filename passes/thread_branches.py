"""Branches on the thread index: tile operations inside are for the threads that take the branch.

    if tx < 128 { parallel .. } else { copy .. }   =>   warpgroups [0] { parallel .. } warpgroups [1] { copy .. }
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ..dialect.location import python_location
from ..dialect.tl import LOCAL, VAR, scope_of
from . import build
from .walk import groups_of, nested, num_threads

WARPGROUP = 128
# Predicates of arith.cmpi on (thread, constant), as the bound below which they hold, or above which.
_BELOW = {2: 0, 6: 0, 3: 1, 7: 1}  # slt, ult, sle, ule
_ABOVE = {5: 0, 9: 0, 4: 1, 8: 1}  # sge, uge, sgt, ugt


def split_branches(launch: ir.Operation) -> None:
    """Give the tile operations of branches on the thread index to their warpgroups; other branches stay.

    A chain of `else if` becomes regions side by side; what has no tile operations stays a branch of any threads.

    Raises:
        UnsupportedError: the threads that take a branch with tile operations are no whole warpgroups.
    """
    # Splitting erases branches, also nested ones: the walk starts anew after each.
    while any(_split(op, launch) for op in nested(launch) if op.name == "scf.if"):
        pass


def _split(branch: ir.Operation, launch: ir.Operation) -> bool:
    """Whether the branch was one to split."""
    taken = _threads(branch.operands[0], num_threads(launch))
    y, z = list(ir.DenseI32ArrayAttr(launch.attributes["threads"]))[1:]
    if taken is None or (y, z) != (1, 1) or not any(is_collective(op) for op in nested(branch)):
        return False
    around = branch.parent.operation
    inside = around.name == "tl.warpgroups"
    groups = groups_of(branch) if inside else ()
    everyone = range(groups[0] * WARPGROUP, (groups[-1] + 1) * WARPGROUP) if inside else range(num_threads(launch))
    if inside and not all(o == branch or o.operation.name.startswith(_PURE) for o in branch.block.operations):
        raise _refused(branch, taken)
    point = around if inside else branch
    for op in list(branch.block.operations) if inside else []:
        if op.operation != branch:
            op.operation.move_before(around)
    with ir.InsertionPoint(point), branch.location:
        thread = build.thread_of(launch.regions[0].blocks[0])
        _place(_arms(branch, everyone, point), thread, num_threads(launch) % WARPGROUP == 0)
    branch.erase()
    if inside:
        around.erase()
    return True


_PURE = ("arith.", "tl.thread_id")


@dataclass(frozen=True)
class _Arm:
    """What some threads run."""

    threads: range
    ops: list[ir.Operation]
    where: ir.Operation  # the branch it is an arm of

    def own_ops(self) -> list[ir.Operation]:
        """What moves with the arm; the thread's index stays outside."""
        return [op for op in self.ops if op.name != "tl.thread_id"]


def _arms(branch: ir.Operation, everyone: range, point: ir.Operation) -> list[_Arm]:
    """The arms of a chain of branches; arithmetic between the branches moves in front of `point`."""
    taken = _threads(branch.operands[0], everyone.stop)
    assert taken is not None
    then = range(max(taken.start, everyone.start), min(taken.stop, everyone.stop))
    if not len(then):
        then, rest = range(0), everyone
    elif then.start == everyone.start:
        rest = range(then.stop, everyone.stop)
    elif then.stop == everyone.stop:
        rest = range(everyone.start, then.start)
    elif any(len(list(block.operations)) > 1 for block in branch.regions[1]):
        raise _refused(branch, taken)  # the others are no range
    else:
        rest = range(0)
    arms: list[_Arm] = []
    for region, mine in zip(branch.regions, (then, rest), strict=True):
        ops = [op.operation for block in region for op in block.operations if op.operation.name != "scf.yield"]
        inner = [op for op in ops if not op.name.startswith(_PURE)]
        is_chain = len(inner) == 1 and inner[0].name == "scf.if" and _threads(inner[0].operands[0], 1) is not None
        if is_chain and len(mine):
            for op in ops[: ops.index(inner[0])]:
                op.move_before(point)
            arms += _arms(inner[0], mine, point)
        elif ops and len(mine):
            arms.append(_Arm(mine, ops, branch))
    return arms


def _place(arms: list[_Arm], thread: ir.Value, whole: bool) -> None:
    """A region for the arms of each warpgroup: tile operations need all of its threads, the rest gets a condition."""
    for arm in arms:
        is_shared = any(is_collective(inner) for op in arm.ops for inner in [op, *nested(op)])
        if is_shared and not (whole and arm.threads.start % WARPGROUP == arm.threads.stop % WARPGROUP == 0):
            raise _refused(arm.where, arm.threads)
    for own in [o for arm in arms for op in arm.ops for o in [op, *nested(op)] if o.name == "tl.thread_id"]:
        own.move_before(arms[0].where)  # in a region it would count the region's threads
    while arms:
        together = [arms.pop(0)]
        groups = _groups(together[0].threads)
        while more := [arm for arm in arms if set(_groups(arm.threads)) & set(groups)]:
            arms = [arm for arm in arms if arm not in more]
            together += more
            spans = [_groups(arm.threads) for arm in together]
            groups = range(min(span.start for span in spans), max(span.stop for span in spans))
        attributes = {"groups": ir.DenseI32ArrayAttr.get(list(groups))}
        region = ir.Operation.create("tl.warpgroups", [], [], attributes, regions=1).regions[0].blocks.append()
        if len(together) == 1 and len(together[0].threads) == WARPGROUP * len(groups):
            for op in together[0].own_ops():
                region.append(op)
            continue
        with ir.InsertionPoint(region):
            blocks = build.thread_branches(thread, [arm.threads for arm in together])
        for arm, block in zip(together, blocks, strict=True):
            for op in arm.own_ops():
                op.move_before(build.terminator(block))


def _groups(threads: range) -> range:
    """The warpgroups that threads belong to."""
    return range(threads.start // WARPGROUP, -(-threads.stop // WARPGROUP))


def _refused(branch: ir.Operation, taken: range) -> UnsupportedError:
    return UnsupportedError(
        f"tile operations in a branch that threads {taken.start} to {taken.stop - 1} take",
        python_location(branch.location),
        hint="branch on whole warpgroups of 128 threads (T.ws), or work on single elements there",
    )


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
    if predicate in _BELOW:
        return range(0, min(total, number + _BELOW[predicate]))
    return range(number + _ABOVE[predicate], total) if predicate in _ABOVE else None


def is_collective(op: ir.Operation) -> bool:
    """Whether the threads of a CTA share the operation's work."""
    if op.name in ("tl.copy", "tl.fill"):
        return not any(scope_of(v) in (LOCAL, VAR) for v in op.operands if isinstance(v.type, ir.MemRefType))
    return op.name in ("tl.parallel", "tl.gemm", "tl.reduce", "tl.scan", "tl.transpose")
