"""Which kernels are split into roles."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.effects import effects, region_effects, root
from ...dialect.ops.gemm import tile_shape_2d
from ...dialect.tl import GLOBAL, SHARED, scope_of
from ..nvidia.tma_rules import tma_obstacle
from ..nvidia.wgmma_layout import max_columns, partition
from ..pipeline_loops import producers
from ..walk import nested, num_threads

# Operations whose meaning depends on which threads run them.
_THREADED = (
    "tl.thread_id", "tl.sync_threads", "tl.sync_warp", "tl.sync_grid", "tl.vote", "tl.shuffle", "tl.alloc_barrier",
    "tl.print",
)  # fmt: skip


def candidate(launch: ir.Operation) -> tuple[ir.Operation, list[ir.Operation], int] | None:
    """The loop to split, its copies and stages."""
    body = launch.regions[0].blocks[0]
    loops = [
        op.operation
        for op in body.operations
        if op.operation.name == "scf.for" and "tl.pipeline" in op.operation.attributes
    ]
    threads = num_threads(launch)
    if len(loops) != 1 or threads % 128 or threads > 384 or any(op.name in _THREADED for op in nested(launch)):
        return None
    loop = loops[0]
    stages = ir.IntegerAttr(ir.DictAttr(loop.attributes["tl.pipeline"])["num_stages"]).value
    copies = producers(loop)
    loads = [
        op
        for op in nested(loop)
        if op.name == "tl.copy" and scope_of(op.operands[1]) == SHARED and scope_of(op.operands[0]) == GLOBAL
    ]
    if stages < 1 or not copies or len(copies) != len(loads):
        return None
    if any(tma_obstacle(*copy.operands) or "disable_tma" in copy.attributes for copy in copies):
        return None
    inputs = [*list(loop.operands)[:3], *(copy.operands[0] for copy in copies)]
    if not all(_is_setup_value(v, loop) for v in inputs):
        return None
    used = [e.value for op in nested(loop) if op not in copies for e in effects(op)]
    written = [e.value for e in region_effects(launch) if e.kind == "write"]
    if any(copy.operands[1] not in used or root(copy.operands[0]) in written for copy in copies):
        return None
    products = [op for op in nested(loop) if op.name == "tl.gemm"]
    if not products or not all("instr" in op.attributes for op in products):
        return None
    if widest(launch, threads) > max_columns(threads + 128):
        return None
    return loop, copies, stages


def widest(launch: ir.Operation, threads: int) -> int:
    """Columns of the widest instruction of a kernel's products on warpgroups."""
    products = [op for op in nested(launch) if op.name == "tl.gemm" and "instr" in op.attributes]
    tiles = [tile_shape_2d(op.operands[2]) for op in products]
    grids = [partition(*tile, threads) for tile in tiles if tile]
    return max((grid.columns for grid in grids if grid), default=0)


def _is_setup_value(value: ir.Value, loop: ir.Operation) -> bool:
    """Whether both roles can compute a value: from arguments, constants and the loop's variable by arithmetic alone."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return owner.owner.operation.name in ("tl.launch", "func.func") or owner.owner.operation == loop
    op = owner.operation
    return (is_shared_setup(op) or op.name in ("tl.tensor", "tl.slice")) and all(
        _is_setup_value(v, loop) for v in op.operands
    )


def is_shared_setup(op: ir.Operation) -> bool:
    """Shared allocations and arithmetic without effects stay in front: both roles may use them."""
    if op.name == "tl.alloc":
        return scope_of(op.results[0]) == SHARED
    return op.name.startswith("arith.") or op.name in ("tl.slice", "tl.cast")
