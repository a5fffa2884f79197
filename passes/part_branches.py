"""Branches on the thread index that are no range of threads beside the rest of them, as branches that are.

    if tx < 64 and first {X} else {Y}      =>  if tx < 64 { if first {X} else {Y} } else {Y}
    if 32 <= tx and tx < 64 {X} else {Y}   =>  if 32 <= tx { if tx < 64 {X} else {Y} } else {Y}

Y is there twice, for different threads, and most of it is for none of one side: that is where a chain of `elif` for
other threads goes. Where threads of both sides would share work in Y, the branch stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.mlir import int_array, ir

from . import build
from .clone import clone_ops
from .thread_branches import is_collective
from .thread_values import Sizes, by_thread, varies
from .walk import members_of, nested, num_threads

# What every thread does for itself.
_OWN = ("tl.thread_id", "tl.slice", "tl.reshape", "tl.cast", "tl.mbarrier_wait", "tl.mbarrier_arrive", "tl.facts")
_MEETING = ("tl.sync_threads", "tl.mbarrier_wait")  # warps whose threads wait go one way: the simulator moves them so
_LESS, _NOT_LESS = 2, 5  # predicates of arith.cmpi, signed


def part_branches(launch: ir.Operation) -> None:
    """Bring the branches of a kernel of one dimension of threads into this form."""
    x, y, z = int_array(launch.attributes["threads"])
    if (y, z) == (1, 1) and _part_block(launch.regions[0].blocks[0], launch, (x, y, z)):
        _drop_idle(launch.regions[0].blocks[0], range(num_threads(launch)))


def _part_block(block: ir.Block, launch: ir.Operation, sizes: Sizes) -> bool:
    found = False
    for op in [view.operation for view in block.operations]:
        while op.name == "scf.if" and not op.results and (parted := _part(op, launch, sizes)) is not None:
            op, found = parted, True
        if op.name != "tl.parallel":
            for region in op.regions:
                for inner in region.blocks:
                    found |= _part_block(inner, launch, sizes)
    return found


def _drop_idle(block: ir.Block, threads: Sequence[int]) -> None:
    """Replace branches of which none of some threads take one arm by the other."""
    for op in [view.operation for view in block.operations]:
        reach = _arms(op, threads) if op.name == "scf.if" else [threads] * len(op.regions)
        if op.name in ("tl.parallel", "tl.warpgroups"):
            continue
        for there, region in zip(reach, op.regions, strict=True):
            for inner in region.blocks if len(there) else ():
                _drop_idle(inner, there)
        if op.name == "scf.if" and not op.results and not all(map(len, reach)):
            for inner in op.regions[0 if len(reach[0]) else 1].blocks:
                for moved in [view.operation for view in inner.operations if view.operation.name != "scf.yield"]:
                    moved.move_before(op)
            op.erase()


def _part(branch: ir.Operation, launch: ir.Operation, sizes: Sizes) -> ir.Operation | None:
    """The outer one of the two branches in the place of one; None where it stays."""
    if not any(is_collective(op) or op.name in _MEETING for op in nested(branch)):
        return None
    members = members_of(branch)
    mine = members or range(num_threads(launch))
    leaves = _leaves(branch.operands[0])
    columns = [by_thread(leaf, mine) for leaf in leaves]
    fixed = [leaf for leaf, column in zip(leaves, columns, strict=True) if column is not None]
    others = [leaf for leaf in leaves if leaf not in fixed]
    known = [column for column in columns if column is not None]
    taken = [all(each) for each in zip(*known, strict=True)]
    if not fixed or all(taken) or not any(taken):
        return None
    chosen = [thread for thread, takes in zip(mine, taken, strict=True) if takes]
    if not others:
        return _cut(branch, mine, chosen)
    if any(varies(leaf, mine, None if members else sizes) for leaf in others):
        return None
    if _reached(branch, chosen) & _reached(branch, [thread for thread in mine if thread not in set(chosen)]):
        return None
    with ir.InsertionPoint(branch), branch.location:
        return _nest(branch, _all(fixed), others)


def _cut(branch: ir.Operation, mine: range, chosen: list[int]) -> ir.Operation | None:
    """A range of threads in the middle, as those from its first on and of them those up to its last."""
    first, end = chosen[0], chosen[-1] + 1
    inside = first > mine.start and end < mine.stop and len(chosen) == end - first
    if not inside or not len(branch.regions[1].blocks):
        return None
    if _reached(branch, range(mine.start, first)) & _reached(branch, range(end, mine.stop)):
        return None
    with ir.InsertionPoint(branch), branch.location:
        i32 = ir.IntegerType.get_signless(32)
        dim = {"dim": ir.IntegerAttr.get(i32, 0)}
        number = ir.Operation.create("tl.thread_id", [i32], attributes=dim).result
        start, stop = (build.constant(thread - mine.start) for thread in (first, end))
        from_first, to_last = build.compare(_NOT_LESS, number, start), build.compare(_LESS, number, stop)
        return _nest(branch, from_first, [to_last])


def _nest(branch: ir.Operation, condition: ir.Value, others: list[ir.Value]) -> ir.Operation:
    """`if condition { if others {X} else {Y} } else {Y}` in the place of a branch, at the insertion point."""
    has_else = len(branch.regions[1].blocks) > 0
    outer = ir.Operation.create("scf.if", [], [condition], regions=2)
    with ir.InsertionPoint(outer.regions[0].blocks.append()):
        inner = ir.Operation.create("scf.if", [], [_all(others)], regions=2)
        ir.Operation.create("scf.yield")
    _move(branch.regions[0].blocks[0], inner.regions[0].blocks.append())
    if has_else:
        rest = branch.regions[1].blocks[0]
        with ir.InsertionPoint(inner.regions[1].blocks.append()):
            clone_ops([op.operation for op in rest.operations], {})
        _move(rest, outer.regions[1].blocks.append())
    branch.erase()
    return outer


def _move(block: ir.Block, target: ir.Block) -> None:
    for op in list(block.operations):
        target.append(op)


def _leaves(condition: ir.Value) -> list[ir.Value]:
    """The conditions that all have to hold."""
    if isinstance(condition.owner, ir.Block) or condition.owner.operation.name != "arith.andi":
        return [condition]
    return [leaf for side in condition.owner.operation.operands for leaf in _leaves(side)]


def _all(conditions: list[ir.Value]) -> ir.Value:
    whole = conditions[0]
    for condition in conditions[1:]:
        whole = build.binary("andi", whole, condition)
    return whole


def _is_shared(op: ir.Operation) -> bool:
    """Whether threads share an operation: its work, or that one of them does it for all."""
    return op.name.startswith("tl.") and op.name not in _OWN


def _reached(branch: ir.Operation, threads: Sequence[int]) -> set[ir.Operation]:
    """The operations that threads share in the other arm of a branch, and that some of these threads come to."""
    found: set[ir.Operation] = set()
    for block in branch.regions[1].blocks:
        _collect(block, threads, found)
    return found


def _collect(block: ir.Block, threads: Sequence[int], found: set[ir.Operation]) -> None:
    for op in [view.operation for view in block.operations]:
        if _is_shared(op):
            found.add(op)
            continue
        reach = _arms(op, threads) if op.name == "scf.if" else [threads] * len(op.regions)
        for there, region in zip(reach, op.regions, strict=True):
            for inner in region.blocks if len(there) else ():
                _collect(inner, there, found)


def _arms(branch: ir.Operation, threads: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """The threads that may take each arm of a branch."""
    columns = [by_thread(leaf, threads) for leaf in _leaves(branch.operands[0])]
    known = [column for column in columns if column is not None]
    then = [t for t, *each in zip(threads, *known, strict=True) if all(each)]
    return then, threads if len(known) < len(columns) else [t for t in threads if t not in then]
