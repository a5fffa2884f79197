"""Warp roles and mbarriers: which threads run what, and how they wait for each other."""

from __future__ import annotations

from tilelang_mlir.isa.nvidia import barrier, cluster, mbarrier, tma
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Feature

from ..lowering.context import Context, rule
from ..lowering.index import Index
from ..walk import launch_of, nested
from .intrinsics import require_feature
from .wgmma_layout import WARPGROUP

CONSUMER_BARRIER = 1  # the named barrier that the consumers use for their own synchronisation
WARPGROUP_BARRIER = 2  # those of the first, second and third warpgroup
TURN_BARRIERS = 5  # those on which they wait for their turn


def in_warpgroup(ctx: Context) -> Index:
    """The thread's index in its warpgroup."""
    return ctx.ix.remainder(ctx.thread, WARPGROUP)


def warpgroup(ctx: Context) -> Index:
    """The number of the thread's warpgroup among all consumers."""
    mine = ctx.ix.divide(ctx.thread, WARPGROUP)
    return ctx.ix.add(ctx.ix.scale(ctx.group, ctx.num_threads // WARPGROUP), mine)


def warpgroup_barrier(ctx: Context) -> int | ir.Value:
    """The named barrier of the thread's warpgroup."""
    return ctx.ix.scalar(ctx.ix.add(warpgroup(ctx), Index.of(WARPGROUP_BARRIER)))


@rule("tl.alloc_barrier")
def lower_alloc_barrier(ctx: Context, op: ir.Operation) -> None:
    """One thread initialises the barriers; behind the last ones all threads and the asynchronous engine see them.

    Where the CTAs of a cluster arrive at one another's barriers, all threads of the cluster do.
    """
    require_feature(ctx, op, Feature.MBARRIER, "an mbarrier")
    start = ctx.e.gep(ctx.hardware_arena(), ir.IntegerAttr(op.attributes["tl.offset"]).value, ctx.e.i8)
    ctx.barriers[op.results[0]] = start
    siblings = [other.operation for other in op.block.operations]
    following = siblings[siblings.index(op) + 1 :][:1]
    more = bool(following) and following[0].name == op.name
    first = ctx.e.compare("eq", ctx.ix.scalar(ctx.thread), 0)
    branch = ctx.e.op("scf.if", [], [first], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        for position, count in enumerate(ir.DenseI64ArrayAttr(op.attributes["counts"])):
            mbarrier.init(ctx.e.gep(start, 8 * position, ctx.e.i8), count)
        if not more:
            mbarrier.fence_init()
        ctx.e.end_region()
    if more:
        return
    if is_shared_by_cluster(launch_of(op)):
        cluster.arrive()
        cluster.wait()
    else:
        ctx.hardware.barrier(ctx)


def is_shared_by_cluster(launch: ir.Operation) -> bool:
    """Whether CTAs of a cluster use one another's barriers, which must be initialised before any of them does: they are
    allocated for that, or a copy to several CTAs completes at them."""
    return "cluster" in launch.attributes and any(
        op.name == "tl.alloc_barrier" and "cluster" in op.attributes
        or op.name == "tl.tma_load" and "multicast" in op.attributes
        for op in nested(launch)
    )


def barrier_pointer(ctx: Context, array: ir.Value, index: ir.Value) -> ir.Value:
    """Address of one element of a barrier array."""
    place = ctx.ix.scale(ctx.index(index).lane(0), 8)
    return ctx.e.gep(ctx.barriers[array], ctx.ix.scalar(place), ctx.e.i8)


@rule("tl.mbarrier_wait")
def lower_wait(ctx: Context, op: ir.Operation) -> None:
    """Try until the phase is complete: each try may suspend the thread for a while."""
    _wait(ctx, barrier_pointer(ctx, op.operands[0], op.operands[1]), ctx.ssa(op.operands[2]))


@rule("tl.mbarrier_meet")
def lower_meet(ctx: Context, op: ir.Operation) -> None:
    """The arrival says which phase it is in."""
    pointer = barrier_pointer(ctx, op.operands[0], op.operands[1])
    _wait(ctx, pointer, mbarrier.arrive(pointer))


@rule("tl.mbarrier_state")
def lower_state(ctx: Context, op: ir.Operation) -> None:
    ctx.values[op.results[0]] = mbarrier.arrive(barrier_pointer(ctx, op.operands[0], op.operands[1]))


@rule("tl.mbarrier_test")
def lower_test(ctx: Context, op: ir.Operation) -> None:
    pointer = barrier_pointer(ctx, op.operands[0], op.operands[1])
    ctx.values[op.results[0]] = mbarrier.test_wait(pointer, ctx.ssa(op.operands[2]))


def _wait(ctx: Context, pointer: ir.Value, phase: ir.Value) -> None:
    loop = ctx.e.op("scf.while", [], [], regions=2)
    with ctx.e.scope(loop.regions[0].blocks.append()):
        done = mbarrier.wait(pointer, phase)
        again = ctx.e.pure("arith.xori", ctx.e.i1, [done, ctx.e.constant(ctx.e.i1, 1)])
        ctx.e.op("scf.condition", [], [again])
    with ctx.e.scope(loop.regions[1].blocks.append()):
        ctx.e.end_region()


@rule("tl.mbarrier_expect")
def lower_expect(ctx: Context, op: ir.Operation) -> None:
    """Every thread that reaches it announces the bytes."""
    mbarrier.expect_tx(barrier_pointer(ctx, op.operands[0], op.operands[1]), ctx.ssa(op.operands[2]))


@rule("tl.mbarrier_arrive")
def lower_arrive(ctx: Context, op: ir.Operation) -> None:
    """Every thread arrives; with `per_warp` one lane of each warp, which gives a tile back that has been read, with
    `copies` when its copies are complete."""
    pointer = barrier_pointer(ctx, op.operands[0], op.operands[1])
    remote = len(op.operands) == 3
    if remote:
        require_feature(ctx, op, Feature.CLUSTER, "an arrival at another CTA's barrier")
    if remote and "per_warp" not in op.attributes:
        cluster.arrive_remote(pointer, ctx.ssa(op.operands[2]))
        return
    if "copies" in op.attributes:
        mbarrier.arrive_after_copies(pointer)
        return
    if "expect" in op.attributes:
        mbarrier.arrive_expect_tx(pointer, ir.IntegerAttr(op.attributes["expect"]).value)
        return
    if "per_warp" not in op.attributes:
        mbarrier.arrive(pointer)
        return
    lane = ctx.ix.remainder(ctx.thread, ctx.target.warp_size)
    branch = ctx.e.op("scf.if", [], [ctx.e.compare("eq", ctx.ix.scalar(lane), 0)], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        if remote:
            cluster.arrive_remote(pointer, ctx.ssa(op.operands[2]), wide=False)
        else:
            mbarrier.arrive(pointer)
        ctx.e.end_region()


@rule("tl.specialize")
def lower_specialize(ctx: Context, op: ir.Operation) -> None:
    consumers = ir.IntegerAttr(op.attributes["consumers"]).value
    groups = ir.IntegerAttr(op.attributes["groups"]).value if "groups" in op.attributes else 1
    total = consumers * groups
    registers = int_array(op.attributes["registers"]) if "registers" in op.attributes else []
    producer, consumer = (region.blocks[0] for region in op.regions)
    branch = ctx.e.op("scf.if", [], [ctx.e.compare("ult", ctx.ix.scalar(ctx.thread), total)], regions=2)
    if groups > 1 or any(inner.name in ("tl.staged_store", "tl.turn") for inner in nested(op)):
        branch.attributes["tl.warpgroups"] = ir.UnitAttr.get()  # they meet at barriers of their own
    with ctx.e.scope(branch.regions[0].blocks.append()):
        if registers:
            tma.set_registers(registers[1], increase=True)
        lower_consumers(ctx, consumer, consumers, groups)
        ctx.e.end_region()
    with ctx.e.scope(branch.regions[1].blocks.append()):
        if registers:
            tma.set_registers(registers[0], increase=False)
        elected = ctx.e.op("scf.if", [], [ctx.e.compare("eq", ctx.ix.scalar(ctx.thread), total)], regions=2)
        with ctx.e.scope(elected.regions[0].blocks.append()):
            ctx.lower_block(producer)
            ctx.e.end_region()
        ctx.e.end_region()


def lower_consumers(ctx: Context, block: ir.Block, consumers: int, groups: int = 1) -> None:
    """Lower with the consumers, or one group of them, as the whole CTA."""
    before = ctx.threads, ctx.thread, ctx.barrier_id, ctx.consumers, ctx.group
    thread = ctx.thread
    if groups > 1:
        group, inside = ctx.ix.divide(thread, consumers), ctx.ix.remainder(thread, consumers)
        assert group.base is not None
        ctx.group, thread = ctx.ix.uniform(group.base, lo=0, hi=groups - 1), inside
        ctx.values[block.arguments[0]] = ctx.group
    assert thread.base is not None
    ctx.threads, ctx.consumers = (consumers, 1, 1), consumers * groups
    ctx.thread = ctx.ix.uniform(thread.base, lo=0, hi=consumers - 1)
    ctx.barrier_id = CONSUMER_BARRIER
    if groups > 1:
        ctx.barrier_id = ctx.e.value(warpgroup_barrier(ctx))
    ctx.lower_block(block)
    ctx.threads, ctx.thread, ctx.barrier_id, ctx.consumers, ctx.group = before


@rule("tl.turn")
def lower_turn(ctx: Context, op: ir.Operation) -> None:
    """A warpgroup waits on its own barrier, where the one before it arrives."""
    action = ir.StringAttr(op.attributes["action"]).value
    own = ctx.ix.scalar(warpgroup(ctx))
    last = ctx.e.compare("eq", own, ctx.consumers // WARPGROUP - 1)
    first = ctx.e.value(TURN_BARRIERS)
    if action == "take":
        barrier.emit(ctx.e.value(ctx.e.add(own, TURN_BARRIERS)), 2 * WARPGROUP)
    elif action == "pass":
        following = ctx.e.value(ctx.e.add(own, TURN_BARRIERS + 1))
        barrier.arrive(ctx.e.pure("arith.select", ctx.e.i32, [last, first, following]), 2 * WARPGROUP)
    else:
        branch = ctx.e.op("scf.if", [], [last], regions=2)
        with ctx.e.scope(branch.regions[0].blocks.append()):
            barrier.arrive(first, 2 * WARPGROUP)
            ctx.e.end_region()
