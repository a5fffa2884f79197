"""Regions of some warpgroups (`T.ws`) or warps: a branch on the thread; inside, the CTA has those threads only."""

from __future__ import annotations

from tilelang_mlir.errors import PassError, UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from ..lowering.carried import flatten, forget_inner, unflatten, written_fragments
from ..lowering.context import Context, rule
from ..thread_branches import BRANCH
from ..walk import WARPGROUP, launch_of, members_of, nested, num_threads, span_of

BARRIERS = 16  # named barriers of a CTA; 0 is for all of its threads


@rule("tl.warpgroups")
def lower_warpgroups(ctx: Context, op: ir.Operation) -> None:
    """Regions of different warpgroups that follow each other become the arms of one branch: none waits for another."""
    if ctx.target.warp_size * 4 != WARPGROUP and BRANCH not in op.attributes:
        raise UnsupportedError(
            f"T.ws counts warpgroups of 128 threads, which {ctx.target} does not have",
            python_location(op.location), hint="targets whose warps have 32 threads do: sm_*, gfx1100, gfx1201",
        )  # fmt: skip
    regions = next((chain for chain in _chains(op) if chain[0] == op), [])  # else it was lowered with one before it
    for region in regions:
        members = members_of(region)
        if ctx.threads[1:] != (1, 1) or members.stop > num_threads(launch_of(op)):
            raise PassError(
                f"{span_of(members)} do not exist in a CTA of {'x'.join(str(t) for t in ctx.threads)} threads",
                python_location(region.location),
                hint="T.ws(i) needs a one-dimensional block of at least (i + 1) * 128 threads",
            )
    if regions:
        _lower_arms(ctx, regions, set(members_of(op.parent.operation) or range(ctx.threads[0])))


def _chains(op: ir.Operation) -> list[list[ir.Operation]]:
    """The regions of the block, those together that have nothing but arithmetic between them and disjoint groups."""
    chains: list[list[ir.Operation]] = []
    open_ = False
    for other in op.block.operations:
        if other.operation.name != op.name:
            open_ = open_ and other.operation.name.startswith("arith.")
            continue
        taken = {t for region in chains[-1] for t in members_of(region)} if open_ else set[int]()
        if not open_ or taken & set(members_of(other.operation)):
            chains.append([])
        chains[-1].append(other.operation)
        open_ = True
    return chains


def _lower_arms(ctx: Context, regions: list[ir.Operation], left: set[int]) -> None:
    """One arm per region; the last needs no test when its threads are all that are left."""
    op, *rest = regions
    members = members_of(op)
    if set(members) == left:
        _lower_region(ctx, op)
        return
    carried = list(dict.fromkeys(f for region in regions for f in written_fragments(ctx, region)))
    before = {f: list(ctx.registers[f]) for f in carried}
    index, first = ctx.e.value(ctx.ix.scalar(ctx.thread)), members.start - members_of(op.parent.operation).start
    mine = ctx.e.compare("ult", ctx.e.binary("subi", index, first) if first else index, len(members))
    branch = ctx.e.op("scf.if", [v.type for v in flatten(ctx, carried)], [mine], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        _lower_region(ctx, op)
        ctx.e.end_region(flatten(ctx, carried))
    if rest or carried:
        with ctx.e.scope(branch.regions[1].blocks.append()):
            ctx.registers.update({f: list(v) for f, v in before.items()})
            if rest:
                _lower_arms(ctx, rest, left - set(members))
            ctx.e.end_region(flatten(ctx, carried))
    unflatten(ctx, carried, list(branch.results))


def _lower_region(ctx: Context, op: ir.Operation) -> None:
    """Lower with the region's threads as the whole CTA."""
    members = members_of(op)
    first, count = members.start - members_of(op.parent.operation).start, len(members)
    before, outer = (ctx.threads, ctx.thread, ctx.barrier_id), set(ctx.registers)
    index = ctx.e.value(ctx.ix.scalar(ctx.thread))
    mine = ctx.e.value(ctx.e.binary("subi", index, first) if first else index)
    ctx.barrier_id = _barrier_of(ctx, op, members)
    ctx.threads, ctx.thread = (count, 1, 1), ctx.ix.uniform(mine, lo=0, hi=count - 1)
    try:
        ctx.lower_block(op.regions[0].blocks[0])
        forget_inner(ctx, outer)
    finally:
        ctx.threads, ctx.thread, ctx.barrier_id = before


def _barrier_of(ctx: Context, op: ir.Operation, members: range) -> int:
    """A named barrier for the region's threads, counted down from the last: the program's own count up."""
    launch = launch_of(op)
    regions = [members_of(o) for o in nested(launch) if o.name == op.name]
    number = BARRIERS - 1 - list(dict.fromkeys(regions)).index(members)
    taken = {ir.IntegerAttr(o.attributes["id"]).value for o in nested(launch) if "id" in o.attributes}
    while number in taken:
        number -= len(set(regions))
    if number < 1:
        raise PassError("the kernel names more barriers than the 16 of a CTA", python_location(op.location))
    return number
