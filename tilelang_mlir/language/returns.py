"""`T.thread_return`: what follows runs in the threads that have not returned.

While a kernel is traced a return is a mark. When the kernel ends, the operations behind the mark in its block go, a
variable of the thread remembers that it has returned, and what follows the branches and loops around is put under
conditions:

    if tx >= n: T.thread_return()              if tx >= n: pass
    rest                              =>       else: rest
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.dialect.effects import region_effects
from tilelang_mlir.dialect.location import python_location
from tilelang_mlir.dialect.tl import SHARED, VAR, buffer_type, scope_of
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes import build
from tilelang_mlir.passes.thread_branches import is_collective
from tilelang_mlir.passes.uniformity import is_uniform
from tilelang_mlir.passes.walk import nested

_HINT = "put what follows under an if, or let all threads of the block return"
_MEETINGS = ("tl.sync_threads", "tl.sync_grid", "tl.warpgroups")
_ALLOCATIONS = ("tl.alloc", "tl.alloc_barrier", "tl.alloc_reducer")


@dataclass
class _Level:
    """An operation around a return, and the condition of the branch that it is (None for loops)."""

    op: ir.Operation
    condition: ir.Value | None


def structure(marks: list[ir.Operation], launch: ir.Operation) -> None:
    """Take the marks of a kernel that has been traced away.

    Raises:
        UnsupportedError: a return in a parallel loop, or of some threads where others go on to a barrier.
    """
    for op in marks:
        _structure(op, launch, launch.regions[0].blocks[0])


def _structure(op: ir.Operation, launch: ir.Operation, block: ir.Block) -> None:
    levels = _levels(op, launch)
    _cut(op)
    if not levels:
        op.erase()
        return
    divergent = [level.condition for level in levels if level.condition is not None and not is_uniform(level.condition)]
    rest = _following(levels[-1].op)
    if divergent or any(level.op.name == "scf.while" for level in levels):
        _check(op, levels)
    if len(levels) == 1 and levels[0].op.name == "scf.if" and not _has_else(levels[0].op, op):
        op.erase()
        _move_to_else(levels[0].op, rest)
        return
    with op.location:
        with ir.InsertionPoint.at_block_begin(block):
            truth = ir.IntegerType.get_signless(1)
            flag = ir.Operation.create("tl.alloc", [buffer_type([1], truth, VAR)]).result
            build.store(_truth(False), flag, [build.constant(0)])
        with ir.InsertionPoint(op):
            # A condition that differs between threads, so that nobody takes the variable for the same in all of them.
            build.store(divergent[0] if divergent else _truth(True), flag, [build.constant(0)])
        op.erase()
        for level in levels:
            _guard(_following(level.op), flag, after=level.op)
            if level.op.name == "scf.for":
                body = level.op.regions[0].blocks[0]
                _guard([o.operation for o in body.operations if o.operation.name != "scf.yield"], flag, start=body)
            elif level.op.name == "scf.while":
                _end_loop(level.op, flag)


def _levels(op: ir.Operation, launch: ir.Operation) -> list[_Level]:
    """What is around a return, innermost first."""
    levels: list[_Level] = []
    parent = op.parent.operation
    while parent != launch:
        if parent.name == "tl.parallel":
            raise UnsupportedError("T.thread_return in a T.Parallel loop, whose iterations belong to no certain thread",
                                   python_location(op.location), hint="put the rest of the body under an if")
        levels.append(_Level(parent, parent.operands[0] if parent.name == "scf.if" else None))
        parent = parent.parent.operation
    return levels


def _check(op: ir.Operation, levels: list[_Level]) -> None:
    """Whether those that do not return meet the others, at a barrier or in a tile operation.

    Single elements of shared memory need no barrier where the program orders its warps itself, with T.sync_warp.
    """
    rest = [inner for level in levels for other in _following(level.op) for inner in (other, *nested(other))]
    by_warps = any(inner.name == "tl.sync_warp" for inner in rest)
    for level in levels:
        for other in _following(level.op):
            for inner in (other, *nested(other)):
                shared = not (by_warps and inner.name.startswith("memref.")) and any(
                    isinstance(e.value.type, ir.MemRefType) and scope_of(e.value) == SHARED
                    for e in region_effects(inner) if not len(inner.regions)
                )
                if is_collective(inner) or shared or inner.name in _MEETINGS and "id" not in inner.attributes:
                    raise UnsupportedError(
                        "some threads return, and what follows needs all threads of the block",
                        python_location(op.location),
                        notes=(("this needs them: a barrier or a tile they share", python_location(inner.location)),),
                        hint=_HINT,
                    )


def _cut(op: ir.Operation) -> None:
    """Drop what can no longer be reached in the block of a return."""
    for other in reversed(_following(op)):
        other.erase()


def _following(op: ir.Operation) -> list[ir.Operation]:
    ops = [view.operation for view in op.block.operations]
    return [o for o in ops[ops.index(op) + 1 :] if o.name not in ("scf.yield", "scf.condition")]


def _has_else(branch: ir.Operation, op: ir.Operation) -> bool:
    return any(len(region.blocks) and region.blocks[0] != op.block for region in branch.regions)


def _move_to_else(branch: ir.Operation, rest: list[ir.Operation]) -> None:
    if not rest:
        return
    block = branch.regions[1].blocks.append()
    for op in rest:
        if op.name in _ALLOCATIONS:
            op.move_before(branch)
        else:
            block.append(op)
    with ir.InsertionPoint(block), branch.location:
        ir.Operation.create("scf.yield")


def _guard(
    rest: list[ir.Operation], flag: ir.Value, *, after: ir.Operation | None = None, start: ir.Block | None = None
) -> None:
    """Put operations under the condition that the thread has not returned."""
    for op in [op for op in rest if op.name in _ALLOCATIONS]:
        op.move_before(rest[0] if after is None else after)
    rest = [op for op in rest if op.name not in _ALLOCATIONS]
    if not rest:
        return
    with ir.InsertionPoint.at_block_begin(start) if start is not None else ir.InsertionPoint.after(after):
        block = build.branch(_going_on(flag))
    for op in rest:
        op.move_before(build.terminator(block))


def _going_on(flag: ir.Value) -> ir.Value:
    return build.binary("xori", build.load(flag, [build.constant(0)]), _truth(True))


def _end_loop(loop: ir.Operation, flag: ir.Value) -> None:
    condition = build.terminator(loop.regions[0].blocks[0])
    with ir.InsertionPoint(condition):
        condition.operands[0] = build.binary("andi", condition.operands[0], _going_on(flag))


def _truth(value: bool) -> ir.Value:
    kind = ir.IntegerType.get_signless(1)
    return ir.Operation.create("arith.constant", [kind], attributes={"value": ir.BoolAttr.get(value)}).result
