"""`tl.intrinsic`: single instructions by name, and products whose end the program waits for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilelang_mlir.errors import PassError, UnsupportedError
from tilelang_mlir.isa.nvidia import barrier, bits, cluster, mbarrier, memory, tma, warp, wgmma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, targets_with

from ...dialect.location import python_location
from ...dialect.ops.intrinsic import intrinsic_name
from ...dialect.products import factors
from ..lowering.buffers import FragmentBuffer
from ..lowering.carried import is_undefined
from ..lowering.context import Context, rule
from ..lowering.fragments import write_registers
from .register_shares import check_register_shares, check_whole_warpgroups


@dataclass(frozen=True)
class Entry:
    """How an intrinsic is emitted, and what a target needs for it."""

    emit: Callable[[Context, ir.Operation], ir.Value | None]
    feature: Feature | None = None


def _integer(op: ir.Operation, name: str) -> int:
    return ir.IntegerAttr(op.attributes[name]).value


def _set_registers(ctx: Context, op: ir.Operation) -> None:
    increase = bool(_integer(op, "increase"))
    check_whole_warpgroups(op)
    if increase:
        check_register_shares(ctx, op)
    tma.set_registers(_integer(op, "count"), increase=increase)


def _named_arrive(ctx: Context, op: ir.Operation) -> None:
    barrier.arrive(_integer(op, "id"), _integer(op, "count"))


def _cluster_arrive(ctx: Context, op: ir.Operation) -> None:
    cluster.arrive(relaxed=bool(_integer(op, "relaxed")), aligned=_unconditional(op))


def _unconditional(op: ir.Operation) -> bool:
    """Whether no branch or loop of run-time length parts the threads of a warp before they reach an operation."""
    parent = op.parent
    while parent is not None and parent.name != "tl.launch":
        if parent.name in ("scf.if", "scf.while"):
            return False
        parent = parent.operation.parent
    return True


ENTRIES: dict[str, Entry] = {
    "set_registers": Entry(_set_registers, Feature.SETMAXNREG),
    "wgmma_fence": Entry(lambda ctx, op: wgmma.fence(), Feature.WGMMA),
    "wgmma_commit": Entry(lambda ctx, op: wgmma.commit(), Feature.WGMMA),
    "barrier_init_fence": Entry(lambda ctx, op: mbarrier.fence_init(), Feature.MBARRIER),
    "bulk_commit": Entry(lambda ctx, op: tma.commit(), Feature.TMA),
    "named_arrive": Entry(_named_arrive),
    "find_nth_set": Entry(lambda ctx, op: bits.find_nth_set(*(ctx.ssa(v) for v in op.operands))),
    "elect": Entry(lambda ctx, op: warp.elect(), Feature.ELECT),
    "launch_dependents": Entry(lambda ctx, op: memory.grid_dependency("launch_dependents"), Feature.PDL),
    "wait_dependencies": Entry(lambda ctx, op: memory.grid_dependency("wait"), Feature.PDL),
    "nanosleep": Entry(lambda ctx, op: memory.sleep(ctx.ssa(op.operands[0]))),
    "cluster_arrive": Entry(_cluster_arrive, Feature.CLUSTER),
    "cluster_wait": Entry(lambda ctx, op: cluster.wait(aligned=_unconditional(op)), Feature.CLUSTER),
    "cluster_rank": Entry(lambda ctx, op: cluster.rank(), Feature.CLUSTER),
}


def require_feature(ctx: Context, op: ir.Operation, feature: Feature, what: str) -> None:
    """An error at the op's Python line when the target lacks a feature."""
    if not ctx.target.supports(feature):
        raise UnsupportedError(
            f"{what} needs {feature.value}, which {ctx.target} lacks",
            python_location(op.location),
            hint=f"targets that have it: {', '.join(targets_with(feature))}",
        )


@rule("tl.intrinsic")
def lower_intrinsic(ctx: Context, op: ir.Operation) -> None:
    name = intrinsic_name(op)
    entry = ENTRIES[name]
    if entry.feature is not None:
        require_feature(ctx, op, entry.feature, name)
    value = entry.emit(ctx, op)
    if len(op.results):
        assert value is not None
        ctx.values[op.results[0]] = value


def publish_product(ctx: Context, op: ir.Operation) -> None:
    """A product of `T.wgmma_gemm` flows on under way: the next one adds to it, `wait_all` completes it."""
    target = ctx.buffers[factors(op)[2]]
    assert isinstance(target, FragmentBuffer)
    _write(ctx, target, ctx.pending_products.pop(target))
    ctx.in_flight[target] = None


def not_in_this_block(op: ir.Operation) -> UnsupportedError:
    return UnsupportedError(
        "products of a warpgroup by hand end in a wait for all of them, in the same block of the program",
        python_location(op.location),
        hint="unroll the loop around them in Python, or use T.wgmma_gemm",
    )


def wait_all(ctx: Context, op: ir.Operation) -> None:
    """`wgmma.wait_group`, through which the accumulators of all products under way flow."""
    pending = _integer(op, "pending")
    targets = [t for t in ctx.in_flight if not is_undefined(ctx.registers[t])]
    own, ctx.own_products = ctx.own_products, {}
    if any(block != op.block for block, _ in own.values()) or (own and pending):
        raise not_in_this_block(op)
    if not ctx.in_flight and not own:
        return  # products of `T.gemm`, whatever its `wg_wait`, are complete where it ends
    if not targets and not own:
        return  # the products of T.gemm have ended where they stand, whatever their `wg_wait`
    files = [
        [ctx.e.extract(ctx.registers[t][r // t.chunk], r % t.chunk) for r in range(t.layout.num_values)]
        for t in targets
    ]
    flat = [v for file in (*files, *(values for _, values in own.values())) for v in file]
    if len({str(v.type) for v in flat}) > 1:
        raise PassError("a wait for products with sums of different types", hint="wait for each of them by itself")
    values = wgmma.wait_for(flat, pending)
    for target, file in zip(targets, files, strict=True):
        _write(ctx, target, values[: len(file)])
        values = values[len(file) :]
    for (buffer, first), (_, sums) in own.items():
        for i, value in enumerate(values[: len(sums)]):
            ctx.e.store(value, ctx.e.gep(buffer.pointer, first + i, buffer.element), 4)
        values = values[len(sums) :]


def _write(ctx: Context, target: FragmentBuffer, values: list[ir.Value]) -> None:
    for start in range(0, len(values), target.chunk):
        chunk = ctx.e.pack(values[start : start + target.chunk])
        write_registers(ctx, target, range(start, start + target.chunk), chunk)
