"""Branches that the thread index decides together with what is the same in all threads, and whose other arm has tile
operations.

    if tx < 64 and rank == 0: A else: B    =>    if tx < 64 { if rank == 0: A else: B' } else: B

so that the threads of every arm are known. B' is B for those threads: of its branches on the thread index only the arms
that they take are left. `T.tcgen05_gemm` by a warp of one CTA of a pair, in a chain of roles, comes in this form.
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from . import build
from .clone import clone_ops
from .thread_branches import is_collective
from .thread_values import by_thread, varies
from .walk import members_of, nested, num_threads


def part_conditions(launch: ir.Operation) -> None:
    """Rewrite such branches of a kernel, inner ones first."""
    branches = [op for op in nested(launch) if op.name == "scf.if" and not op.results]
    for branch in reversed(branches):
        if any(is_collective(op) for block in branch.regions[1].blocks for op in _inside(block)):
            _part(branch, members_of(branch) or range(num_threads(launch)))


def _inside(block: ir.Block) -> list[ir.Operation]:
    return [op for view in block.operations for op in (view.operation, *nested(view.operation))]


def _part(branch: ir.Operation, mine: range) -> None:
    parts = _conjuncts(branch.operands[0])
    own = [value for value in parts if by_thread(value, mine) is not None]
    rest = [value for value in parts if value not in own]
    if not own or not rest or any(varies(value, mine, None) for value in rest):
        return
    taken = [all(each) for each in zip(*(by_thread(value, mine) or () for value in own), strict=True)]
    count, first = sum(taken), taken.index(True) if any(taken) else 0
    if not count or not all(taken[first : first + count]):
        return
    with branch.location, ir.InsertionPoint(branch):
        outer = ir.Operation.create("scf.if", [], [_all(own)], regions=2)
        inside, beside = (region.blocks.append() for region in outer.regions)
        with ir.InsertionPoint(inside):
            inner = ir.Operation.create("scf.if", [], [_all(rest)], regions=2)
            ir.Operation.create("scf.yield")
        then, other = (region.blocks.append() for region in inner.regions)
    _move(branch.regions[0].blocks[0], then)
    with ir.InsertionPoint(other):
        clone_ops([view.operation for view in branch.regions[1].blocks[0].operations], {})
    _keep_taken(other, mine[first : first + count])
    _move(branch.regions[1].blocks[0], beside)
    branch.erase()


def _conjuncts(value: ir.Value) -> list[ir.Value]:
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.andi":
        return [value]
    return [part for operand in owner.operation.operands for part in _conjuncts(operand)]


def _all(values: list[ir.Value]) -> ir.Value:
    result = values[0]
    for value in values[1:]:
        result = build.binary("andi", result, value)
    return result


def _move(source: ir.Block, target: ir.Block) -> None:
    for view in list(source.operations):
        target.append(view.operation)


def _keep_taken(block: ir.Block, threads: range) -> None:
    """Of branches on the thread index in a block, leave the arms that some threads take."""
    for op in [view.operation for view in block.operations]:
        taken = by_thread(op.operands[0], threads) if op.name == "scf.if" and not op.results else None
        arms = [arm.blocks[0] for arm in op.regions if len(arm.blocks)]
        if taken is None or (any(taken) and not all(taken)):
            for arm in arms:
                _keep_taken(arm, threads)
            continue
        kept = arms[0] if taken[0] else arms[1] if len(arms) > 1 else None
        if kept is not None:
            _keep_taken(kept, threads)
            for view in list(kept.operations)[:-1]:
                view.operation.move_before(op)
        op.erase()
