"""Which kernels are split into roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import effects, region_effects, root
from ...dialect.products import PRODUCTS, factors, tile_shape_2d
from ...dialect.tl import GLOBAL, SHARED, scope_of
from ..nvidia.loads import LOADS, load_obstacle, loads, sources
from ..nvidia.wgmma_layout import max_columns, partition
from ..pipeline_loops import producers
from ..walk import nested, num_threads
from .rings import ends_of_use

# Operations whose meaning depends on which threads run them.
_THREADED = (
    "tl.thread_id", "tl.sync_threads", "tl.sync_warp", "tl.sync_grid", "tl.vote", "tl.shuffle", "tl.alloc_barrier",
    "tl.print", "tl.warpgroups", "tl.intrinsic",
)  # fmt: skip
# Intrinsics about the kernels before and behind this one; the first has to be over before either role starts.
WAIT_DEPENDENCIES = "wait_dependencies"
_DEPENDENCIES = (WAIT_DEPENDENCIES, "launch_dependents")


@dataclass(frozen=True)
class Candidate:
    """A kernel's pipelined loop, the loops and branches around it (outermost first), its copies and its stages."""

    loop: ir.Operation
    path: list[ir.Operation]
    copies: list[ir.Operation]
    stages: int


def candidate(launch: ir.Operation) -> Candidate | None:
    """What to split, or None for a kernel that keeps its form."""
    loops = [op for op in nested(launch) if op.name == "scf.for" and "tl.pipeline" in op.attributes]
    threads = num_threads(launch)
    if len(loops) != 1 or threads % 128 or threads > 384 or tells_threads_apart(launch, _THREADED):
        return None
    loop, path = loops[0], _path(loops[0])
    stages = ir.IntegerAttr(ir.DictAttr(loop.attributes["tl.pipeline"])["num_stages"]).value
    copies = producers(loop, LOADS)
    if path is None or stages < 1 or not copies or len(copies) != len(loads(loop)):
        return None
    if any(load_obstacle(copy) for copy in copies):
        return None
    written = [e.value for e in region_effects(launch) if e.kind == "write"]
    inputs = [v for op in (*path, loop) for v in list(op.operands)[:3]] + [v for c in copies for v in sources(c)]
    if not all(is_setup_value(v, (*path, loop), written) for v in inputs):
        return None
    used = [e.value for op in nested(loop) if op not in copies for e in effects(op)]
    changed = {_tensor(v) for v in written}
    if any(copy.operands[1] not in used or _tensor(copy.operands[0]) in changed for copy in copies):
        return None
    if not all(_stays_described(copy.operands[0], launch, written) for copy in copies):
        return None
    products = [op for op in nested(loop) if op.name in PRODUCTS]
    if not products or not all("instr" in op.attributes for op in products):
        return None
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    if widest(launch, threads) > max_columns(threads + 128) or None in ends_of_use(body):
        return None  # products that go on under the next iteration read tiles that would be given back
    return Candidate(loop, path, copies, stages)


def described(launch: ir.Operation) -> list[ir.Operation]:
    """What makes views that both roles can compute, and their tensor maps, in order: all warps do, before they part."""
    operations = [op.operation for op in launch.regions[0].blocks[0].operations]
    written = [e.value for e in region_effects(launch) if e.kind == "write"]
    makers = [op for op in operations if op.name == "tl.make_descriptor"]
    makers = [op for op in makers if _stays_described(op.operands[0], launch, written)]
    needed: set[ir.Operation] = set()
    waiting = [*makers, *(maker.operands[0].owner.operation for maker in makers)]
    while waiting:
        op = waiting.pop()
        if op not in needed:
            needed.add(op)
            waiting += [v.owner.operation for v in op.operands if not isinstance(v.owner, ir.Block)]
    return [op for op in operations if op in needed]


def _stays_described(device: ir.Value, launch: ir.Operation, written: Sequence[ir.Value]) -> bool:
    """Whether the view that a tile is taken from, if it is one, is made once, from what both roles can compute."""
    view = root(device).owner
    if isinstance(view, ir.Block) or view.operation.name != "tl.view":
        return True
    return view.operation.parent.operation == launch and all(
        is_setup_value(v, (), written) for v in list(view.operation.operands)[1:]
    )


def _tensor(value: ir.Value) -> ir.Value:
    """The tensor behind a tile, through views that the kernel makes of it."""
    value = root(value)
    while not isinstance(value.owner, ir.Block) and value.owner.operation.name == "tl.view":
        value = root(value.owner.operation.operands[0])
    return value


def tells_threads_apart(launch: ir.Operation, names: Sequence[str]) -> bool:
    """Whether a kernel has operations whose meaning depends on which threads run them, by `names`. What it says at its
    top level about the kernels before and behind it is none."""
    about_kernels = lambda op: is_intrinsic(op, *_DEPENDENCIES) and op.parent.operation == launch
    return any(op.name in names and not about_kernels(op) for op in nested(launch))


def is_intrinsic(op: ir.Operation, *names: str) -> bool:
    """Whether an operation is one of these intrinsics."""
    return op.name == "tl.intrinsic" and ir.StringAttr(op.attributes["name"]).value in names


def _path(loop: ir.Operation) -> list[ir.Operation] | None:
    """The loops and branches around a loop, outermost first; None when it is in anything else."""
    path: list[ir.Operation] = []
    op = loop.parent.operation
    while op.name in ("scf.for", "scf.if"):
        path.insert(0, op)
        op = op.parent.operation
    return path if op.name == "tl.launch" else None


def widest(launch: ir.Operation, threads: int) -> int:
    """Columns of the widest instruction of a kernel's products on warpgroups."""
    products = [op for op in nested(launch) if op.name in PRODUCTS and "instr" in op.attributes]
    tiles = [tile_shape_2d(factors(op)[2]) for op in products]
    grids = [partition(*tile, threads) for tile in tiles if tile]
    return max((grid.columns for grid in grids if grid), default=0)


def is_setup_value(value: ir.Value, around: Sequence[ir.Operation], written: Sequence[ir.Value]) -> bool:
    """Whether both roles can compute a value: from arguments, constants, the variables of the loops around and elements
    of tensors that the kernel does not write, by arithmetic alone."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return owner.owner.operation.name in ("tl.launch", "func.func") or owner.owner.operation in around
    op = owner.operation
    read = op.name == "memref.load" and scope_of(op.operands[0]) == GLOBAL and root(op.operands[0]) not in written
    if op.name == "tl.alloc" and scope_of(value) == GLOBAL:
        return True  # a workspace, which kernels before this one have filled
    return (read or is_shared_setup(op) or op.name in ("tl.tensor", "tl.slice", "tl.view")) and all(
        is_setup_value(v, around, written) for v in op.operands
    )


def is_shared_setup(op: ir.Operation) -> bool:
    """Shared allocations and arithmetic without effects stay in front: both roles may use them."""
    if op.name == "tl.alloc":
        return scope_of(op.results[0]) == SHARED
    return op.name.startswith("arith.") or op.name in ("tl.slice", "tl.cast")
