"""Which kernels around tensor memory can be split into roles: one pipelined loop of loads and products."""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from ...dialect.products import TENSOR_PRODUCTS
from ...dialect.tl import SHARED, TMEM, scope_of
from .. import build
from ..pipeline_loops import producers
from ..specialize_warps.candidate import tells_threads_apart
from ..use_tensor_memory import SYNCHRONOUS
from ..walk import nested, num_threads
from .factors import Factors, find_factors
from .loads import Load, loads_with_gaps, plain_load

# Operations whose meaning depends on which threads run them.
_THREADED = (
    "tl.thread_id", "tl.sync_threads", "tl.sync_warp", "tl.sync_grid", "tl.vote", "tl.shuffle", "tl.print",
    "tl.intrinsic",
)  # fmt: skip


_PRODUCTS = ("tl.tcgen05_mma", "tl.tcgen05_scaled_mma")


@dataclass(frozen=True)
class Candidate:
    """The pipelined loop, what encloses it inside the kernel (outermost first), its loads, products and factors."""

    loop: ir.Operation
    nest: tuple[ir.Operation, ...]
    loads: tuple[Load, ...]
    products: tuple[ir.Operation, ...]
    stages: int
    factors: tuple[Factors, ...] = ()


def find_candidate(launch: ir.Operation) -> Candidate | None:
    """The loop of a kernel that can be split; None where there is none."""
    loops = [op for op in nested(launch) if op.name == "scf.for" and "tl.pipeline" in op.attributes]
    threads = num_threads(launch)
    if len(loops) != 1 or threads % 128 or threads > 512 or tells_threads_apart(launch, _THREADED):
        return None
    loop = loops[0]
    stages = ir.IntegerAttr(ir.DictAttr(loop.attributes["tl.pipeline"])["num_stages"]).value
    nest = _nest(launch, loop)
    body = [view.operation for view in loop.regions[0].blocks[0].operations]
    products = [op for op in body if op.name in _PRODUCTS]
    factors = find_factors(body, products)
    if factors is None:
        return None
    brought = [op for factor in factors for op in (factor.load, factor.order, factor.move)]
    gaps = loads_with_gaps(body, products)
    others = [*brought, *(op for load in gaps for op in load.replaced)]
    plain = [plain_load(op) for op in producers(loop) if op not in others]
    loads = [*gaps, *(load for load in plain if load is not None)]
    if stages < 1 or nest is None or not loads or None in plain:
        return None
    known = [*brought, *(op for load in loads for op in load.replaced)]
    if not products or not all(_is_simple(op, known) for op in body):
        return None
    sources = [load.source for load in loads] + [factor.load.operands[0] for factor in factors]
    needed = [v for op in (*nest, loop) for v in op.operands] + sources
    needed += [v for op in products for v in list(op.operands)[2:4]]
    if not all(_is_setup(v) for v in needed):
        return None
    written = [e.value for e in region_effects(launch) if e.kind == "write"]
    if any(root(source) in written for source in sources):
        return None
    tiles = [load.tile for load in loads]
    if any(not _feeds(load, products) for load in loads):
        return None
    if any(v not in tiles for op in products for v in list(op.operands)[:2]):
        return None
    if not _meet_behind(launch, loop, products) or not all(_starts_afresh(op, loop, nest) for op in products):
        return None
    accumulators = {root(op.operands[2]) for op in products}
    others = {root(op.operands[2]) for op in nested(launch) if op.name in TENSOR_PRODUCTS and op not in products}
    if accumulators & others or any(scope_of(op.operands[0]) == TMEM for op in products):
        return None
    return Candidate(loop, nest, tuple(loads), tuple(products), stages, tuple(factors))


def _is_setup(value: ir.Value) -> bool:
    """Whether every role can compute a value: from arguments, constants and loop variables by arithmetic alone."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return True
    op = owner.operation
    if op.name == "tl.alloc":
        return scope_of(value) in (SHARED, TMEM)
    pure = op.name.startswith("arith.") or op.name in ("tl.slice", "tl.cast", "tl.tensor")
    return pure and all(_is_setup(v) for v in op.operands)


def _nest(launch: ir.Operation, loop: ir.Operation) -> tuple[ir.Operation, ...] | None:
    found: list[ir.Operation] = []
    parent = loop.parent.operation
    while parent != launch:
        if parent.name not in ("scf.for", "scf.if") or len(parent.regions) > 1 and len(parent.regions[1].blocks):
            return None
        found.insert(0, parent)
        parent = parent.parent.operation
    return tuple(found)


def _is_simple(op: ir.Operation, known: list[ir.Operation]) -> bool:
    """Loads, products, what makes these synchronous, and arithmetic that both roles can do."""
    return (
        op in known
        or op.name in _PRODUCTS
        or SYNCHRONOUS in op.attributes
        or op.name.startswith("arith.")
        or op.name in ("tl.slice", "tl.cast", "scf.yield")
    )


def _meet_behind(launch: ir.Operation, loop: ir.Operation, products: list[ir.Operation]) -> bool:
    """Whether the threads touch the sums behind the loop only, in its block: there they wait for them, and give them
    back."""
    accumulators = {root(op.operands[2]) for op in products}
    inside = [*nested(loop)]
    block = [view.operation for view in loop.block.operations]
    behind = [inner for op in block[block.index(loop) + 1 :] for inner in (op, *nested(op))]
    touching = (
        op
        for op in nested(launch)
        if any(isinstance(v.type, ir.MemRefType) and root(v) in accumulators for v in op.operands)
    )
    return all(op in inside or op in behind for op in touching)


def _starts_afresh(product: ir.Operation, loop: ir.Operation, nest: tuple[ir.Operation, ...]) -> bool:
    """Whether a sum depends on no earlier round of the loops around, whose versions are others: where it starts from
    zero must follow from the loop's own variable, and be in every round."""
    if not any(op.name == "scf.for" for op in nest):
        return True
    lower, variable = loop.operands[0], loop.regions[0].blocks[0].arguments[0]
    known = {variable} if build.known_constant(lower) is not None else {variable, lower}
    keep = product.operands[3]
    compares = not isinstance(keep.owner, ir.Block) and keep.owner.operation.name == "arith.cmpi"
    if lower in known and not (compares and set(keep.owner.operation.operands) == known):
        return False
    return _follows(keep, known)


def _follows(value: ir.Value, known: set[ir.Value]) -> bool:
    """Whether a value is computed from known ones and constants."""
    if value in known:
        return True
    owner = value.owner
    if isinstance(owner, ir.Block) or not owner.operation.name.startswith("arith."):
        return False
    return all(_follows(v, known) for v in owner.operation.operands)


def _feeds(load: Load, products: list[ir.Operation]) -> bool:
    """Whether a loaded tile goes to products as it is."""
    known = [op for outer in load.replaced for op in (outer, *nested(outer))]
    users = [use.owner.operation for use in load.tile.uses]
    return any(op in products for op in users) and all(op in known or op in products for op in users)
