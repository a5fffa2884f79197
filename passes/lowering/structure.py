"""Control flow, element accesses and private state of the thread program.

Registers are SSA values, so loops and branches carry those of the fragments that are written inside them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Sequence

from tilelang_mlir.errors import PassError
from tilelang_mlir.mlir import ADVANCE, ir

from ...dialect.effects import root
from ...dialect.layout import Fragment
from ...dialect.layout.attrs import from_attr
from ...dialect.location import python_location
from ...dialect.tl import TMEM, scope_of
from .buffers import (
    FragmentBuffer,
    GlobalBuffer,
    Memory,
    PrivateBuffer,
    element_bits,
    register_chunk,
    storage_type,
    value_type,
)
from .carried import accesses, flatten, forget_inner, unflatten, written_fragments
from .context import Context, rule
from .fragments import MOST_CANDIDATES, in_parallel, load_fragment, store_fragment
from .index import Index
from .lanewise import independent, is_lanewise
from .memory import load_lanes, store_lanes
from .neighbours import adds_elements
from .views import reshape_buffer

UNROLL_LIMIT = 1024
UNROLLED_OPS = 4096  # of a loop that is unrolled for its accesses to fragments alone


# -- loops -------------------------------------------------------------------------------------------------------------
@rule("scf.for")
def lower_for(ctx: Context, op: ir.Operation) -> None:
    bounds = [ctx.index(v) for v in list(op.operands)[:3]]
    constant = all(b.is_constant for b in bounds)
    body = op.regions[0].blocks[0]
    trips = range(*(b.constants[0] for b in bounds)) if constant else None
    unroll = op.attributes["tl.unroll"] if "tl.unroll" in op.attributes else None
    wants_unroll = unroll is not None or "tl.vectorize" in op.attributes
    if unroll is not None and isinstance(unroll, ir.IntegerAttr) and trips is not None:  # by a factor: LLVM does it
        wants_unroll = unroll.value >= len(trips)
    if trips is not None and "tl.vectorize" in op.attributes and _vectorizes(ctx, op, trips):
        with ctx.lanes(len(trips)):
            ctx.values[body.arguments[0]] = Index.lanes(trips)
            ctx.lower_block(body)
        return
    if trips is not None and "tl.vectorize" in op.attributes and adds_elements(ctx, body, len(trips)):
        _add_together(ctx, body, trips)
        return
    if trips is not None and (
        wants_unroll and len(trips) <= UNROLL_LIMIT or _indexes_fragment(ctx, body, small=_is_small(body, len(trips)))
    ):
        _unroll(ctx, body, trips)
        return
    lower_serial(ctx, op, bounds)


def _vectorizes(ctx: Context, op: ir.Operation, trips: range) -> bool:
    """Whether the loop's iterations can be the lanes of vectors: plain element work on memory, up to 16 bytes each."""
    if ctx.width != 1 or not 1 < len(trips) <= 16:
        return False
    body = op.regions[0].blocks[0]
    touches = [ctx.buffers.get(root(e.tile)) for e in accesses(ctx, op)]
    lanewise = all(is_lanewise(inner.operation) for inner in body.operations if inner.operation.name != "scf.yield")
    return lanewise and not any(isinstance(b, FragmentBuffer) for b in touches) and independent(body, trips)


def _unroll(ctx: Context, body: ir.Block, trips: range) -> None:
    for trip in trips:
        ctx.values[body.arguments[0]] = Index.of(trip, 1)
        _forget(ctx, body)
        ctx.lower_block(body)


def _add_together(ctx: Context, body: ir.Block, trips: range) -> None:
    """Additions to neighbours in device memory as one: what is added trip by trip, which may be registers, then all."""
    *before, last, _ = (view.operation for view in body.operations)
    values: list[ir.Value] = []
    for trip in trips:
        ctx.values[body.arguments[0]] = Index.of(trip, 1)
        _forget(ctx, body)
        for op in before:
            ctx.lower(op)
        values.append(ctx.ssa(last.operands[1]))
    _forget(ctx, body)
    with ctx.lanes(len(trips)):
        ctx.values[body.arguments[0]] = Index.lanes(trips)
        for op in before:
            if op.name.startswith("arith.") and isinstance(op.results[0].type, ir.IndexType | ir.IntegerType):
                ctx.lower(op)
        ctx.values[last.operands[1]] = ctx.e.pack(values)
        ctx.lower(last)


def _forget(ctx: Context, body: ir.Block) -> None:
    """Drop the values of an earlier trip, so that nothing of it is taken for this one's."""
    for op in body.operations:
        for result in op.operation.results:
            ctx.values.pop(result, None)
        ctx.register_tables.pop(op.operation, None)
        for region in op.operation.regions:
            for block in region.blocks:
                _forget(ctx, block)


def _is_small(body: ir.Block, trips: int) -> bool:
    """Whether unrolling keeps the code short."""
    count = 0

    def visit(op: ir.Operation) -> ir.WalkResult:
        nonlocal count
        count += 32 if op.operation.name in ("tl.gemm", "tl.gemm_sp", "tl.copy") else 1
        return ADVANCE

    body.owner.operation.walk(visit)
    return count * trips <= UNROLLED_OPS


def _indexes_fragment(ctx: Context, body: ir.Block, *, small: bool) -> bool:
    """Whether the loop's variable takes part in an index into a fragment outside of parallel loops' own variables.

    In a long loop that counts only where the register could not be selected at run time."""
    induction = body.arguments[0]
    for effect in accesses(ctx, body.owner.operation):
        buffer = ctx.buffers.get(root(effect.tile))
        if effect.op.name not in ("memref.load", "memref.store") or not isinstance(buffer, FragmentBuffer):
            continue
        first = 1 if effect.op.name == "memref.load" else 2
        dims = [d for d, v in enumerate(list(effect.op.operands)[first:]) if _reaches(v, induction)]
        if dims and (small or not _selectable(buffer, dims)):
            return True
    return False


def _selectable(buffer: FragmentBuffer, dims: Sequence[int]) -> bool:
    """Whether every thread holds all of the dimensions, and they are few registers."""
    if any(digit.dim in dims for digit in buffer.layout.thread):
        return False
    return math.prod(d.size for d in buffer.layout.value if d.dim in dims) <= MOST_CANDIDATES


def _reaches(value: ir.Value, variable: ir.Value) -> bool:
    if value == variable:
        return True
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name in ("memref.load", "tl.alloc", "tl.slice"):
        return False
    return any(_reaches(v, variable) for v in owner.operation.operands)


def lower_serial(ctx: Context, op: ir.Operation, bounds: Sequence[Index]) -> None:
    """A run-time loop that carries the registers written inside."""
    lower, upper, step = bounds
    carried, outer = written_fragments(ctx, op), set(ctx.registers)
    initial = flatten(ctx, carried)
    operands = [ctx.e.value(ctx.ix.scalar(b), op.operands[0].type) for b in bounds]
    loop = ctx.e.op("scf.for", [v.type for v in initial], [*operands, *initial], regions=1)
    if "tl.unroll" in op.attributes and isinstance(op.attributes["tl.unroll"], ir.IntegerAttr):
        loop.attributes["tl.unroll"] = op.attributes["tl.unroll"]
    body = op.regions[0].blocks[0]
    names = [body.arguments[0].location, *[op.location] * len(initial)]
    block = loop.regions[0].blocks.append(operands[0].type, *(v.type for v in initial), arg_locs=names)
    with ctx.e.scope(block):
        unflatten(ctx, carried, list(block.arguments)[1:])
        ctx.values[body.arguments[0]] = _induction(ctx, block.arguments[0], lower, upper, step)
        ctx.lower_block(body)
        ctx.e.end_region(flatten(ctx, carried))
    ctx.hardware.arrange_loop(op, block)
    forget_inner(ctx, outer)
    unflatten(ctx, carried, list(loop.results))


def _induction(ctx: Context, value: ir.Value, lower: Index, upper: Index, step: Index) -> Index:
    lo, top = lower.minimum(), upper.maximum()
    stride = step.constants[0] if step.is_constant else 1
    divisor = stride if lower.is_constant and lower.constants[0] % stride == 0 else 1
    hi = None if top is None else top - 1
    if hi is not None and lower.is_constant and upper.is_constant and step.is_constant:
        hi = max(lower.constants[0], lower.constants[0] + (hi - lower.constants[0]) // stride * stride)
    return ctx.ix.uniform(value, lo=lo, hi=hi, divisor=divisor)


@rule("scf.while")
def lower_while(ctx: Context, op: ir.Operation) -> None:
    carried = written_fragments(ctx, op)
    initial = flatten(ctx, carried)
    kinds = [v.type for v in initial]
    loop = ctx.e.op("scf.while", kinds, initial, regions=2)
    before, after = loop.regions[0].blocks.append(*kinds), loop.regions[1].blocks.append(*kinds)
    with ctx.e.scope(before):
        unflatten(ctx, carried, list(before.arguments))
        source = op.regions[0].blocks[0]
        for inner in list(source.operations)[:-1]:
            ctx.lower(inner.operation)
        condition = ctx.ssa(list(source.operations)[-1].operation.operands[0])
        ctx.e.op("scf.condition", [], [condition, *flatten(ctx, carried)])
    with ctx.e.scope(after):
        unflatten(ctx, carried, list(after.arguments))
        ctx.lower_block(op.regions[1].blocks[0])
        ctx.e.end_region(flatten(ctx, carried))
    unflatten(ctx, carried, list(loop.results))


@rule("scf.if")
def lower_if(ctx: Context, op: ir.Operation) -> None:
    condition = ctx.ssa(op.operands[0])
    if isinstance(condition.type, ir.VectorType):
        raise PassError("a branch on a condition that differs between lanes", python_location(op.location))
    lower_branches(ctx, condition, [r.blocks[0] if len(r.blocks) else None for r in op.regions], op)


def lower_branches(ctx: Context, condition: ir.Value, blocks: Sequence[ir.Block | None], op: ir.Operation) -> None:
    """Both arms of a branch; registers written in either are results."""
    carried, outer = written_fragments(ctx, op), set(ctx.registers)
    before = {f: list(ctx.registers[f]) for f in carried}
    branch = ctx.e.op("scf.if", [v.type for v in flatten(ctx, carried)], [condition], regions=2)
    for region, block in zip(branch.regions, blocks, strict=True):
        if block is None and not carried:
            continue
        with ctx.e.scope(region.blocks.append()):
            ctx.registers.update({f: list(v) for f, v in before.items()})
            if block is not None:
                with _known_bound(ctx, op if region == branch.regions[0] else None):
                    ctx.lower_block(block)
            ctx.e.end_region(flatten(ctx, carried))
        forget_inner(ctx, outer)
    unflatten(ctx, carried, list(branch.results))


@contextlib.contextmanager
def _known_bound(ctx: Context, op: ir.Operation | None) -> Generator[None]:
    """Inside `if a < b` with a constant b, a's upper bound is known: guards on it need not be tested again."""
    owner = op.operands[0].owner if op is not None and op.name == "scf.if" else None
    if owner is None or isinstance(owner, ir.Block) or owner.operation.name != "arith.cmpi":
        yield
        return
    compare = owner.operation
    left, right = (ctx.values.get(v) for v in compare.operands)
    signed_less = ir.IntegerAttr(compare.attributes["predicate"]).value == 2
    if not (
        signed_less and isinstance(left, Index) and isinstance(right, Index) and right.is_constant and left.width == 1
    ):
        yield
        return
    top = right.constants[0] - 1 - left.constants[0]
    bound = top if left.hi is None else min(top, left.hi)
    ctx.values[compare.operands[0]] = left._replace(hi=bound)
    try:
        yield
    finally:
        ctx.values[compare.operands[0]] = left


def scattered_indices(ctx: Context, values: Sequence[ir.Value]) -> list[list[Index]] | None:
    """The indices lane by lane, where some differ between lanes by no known constants; None where none does."""
    found = [ctx.get(v) for v in values]
    if all(isinstance(f, Index) or not isinstance(f.type, ir.VectorType) for f in found):
        return None
    lanes: list[list[Index]] = []
    for lane in range(ctx.width):
        lanes.append([
            f.spread(ctx.width).lane(lane) if isinstance(f, Index)
            else ctx.ix.uniform(ctx.e.extract(f, lane) if isinstance(f.type, ir.VectorType) else f)
            for f in found
        ])  # fmt: skip
    return lanes


# -- elements ----------------------------------------------------------------------------------------------------------
@rule("memref.load")
def lower_load(ctx: Context, op: ir.Operation) -> None:
    buffer = ctx.buffers[op.operands[0]]
    if isinstance(buffer, FragmentBuffer):
        ctx.values[op.results[0]] = load_fragment(ctx, buffer, op)
        return
    if (scattered := scattered_indices(ctx, list(op.operands)[1:])) is not None:
        with ctx.lanes(1):
            ctx.values[op.results[0]] = ctx.e.pack([load_lanes(ctx, buffer, indices) for indices in scattered])
        return
    ctx.values[op.results[0]] = load_lanes(ctx, buffer, _indices(ctx, buffer, list(op.operands)[1:]))


def _indices(ctx: Context, buffer: Memory, values: Sequence[ir.Value]) -> list[Index]:
    return [ctx.index(v) if isinstance(buffer, GlobalBuffer) else ctx.narrow_index(v) for v in values]


@rule("memref.store")
def lower_store(ctx: Context, op: ir.Operation) -> None:
    buffer = ctx.buffers[op.operands[1]]
    if isinstance(buffer, FragmentBuffer):
        store_fragment(ctx, buffer, op)
        return
    passing = in_parallel(root(op.operands[1]))
    if (scattered := scattered_indices(ctx, list(op.operands)[2:])) is not None:
        value = ctx.ssa(op.operands[0], varying=True)
        with ctx.lanes(1):
            for lane, indices in enumerate(scattered):
                store_lanes(ctx, buffer, indices, ctx.e.extract(value, lane), passing=passing)
        return
    indices = _indices(ctx, buffer, list(op.operands)[2:])
    varying = not all(i.is_uniform for i in indices)
    value = ctx.ssa(op.operands[0], varying=varying)
    if not varying:
        indices = [i.lane(0) for i in indices]
        if isinstance(value.type, ir.VectorType):  # every lane writes one place: the last wins
            value = ctx.e.extract(value, ctx.width - 1)
    store_lanes(ctx, buffer, indices, value, passing=passing)


# -- allocations -------------------------------------------------------------------------------------------------------
@rule("tl.alloc")
def lower_alloc(ctx: Context, op: ir.Operation) -> None:
    result = op.results[0]
    if result in ctx.buffers or result in ctx.tensors:
        return  # shared tiles and workspaces were placed before
    scope, kind = scope_of(result), ir.MemRefType(result.type)
    if scope == "fragment":
        allocate_fragment(ctx, op)
        return
    if scope not in ("local", "var"):
        raise PassError(f"a buffer in scope {scope!r} has no place in the thread program", python_location(op.location))
    shape = tuple(kind.shape)
    stored = storage_type(ctx.e, kind.element_type)
    count = 1
    for size in shape:
        count *= size
    with ir.InsertionPoint.at_block_begin(ctx.e.entry):
        length = ctx.e.op(
            "arith.constant", [ctx.e.i32], attributes={"value": ir.IntegerAttr.get(ctx.e.i32, count)}
        ).result
        attrs = {"elem_type": ir.TypeAttr.get(stored), "alignment": ir.IntegerAttr.get(ctx.e.i64, 16)}
        pointer = ctx.e.op("llvm.alloca", [ctx.e.private_ptr], [length], attrs).result
    buffer = ctx.buffers[result] = PrivateBuffer(pointer, kind.element_type, shape)
    if "init" in op.attributes:
        _initialise(ctx, buffer, op.attributes["init"])


def _initialise(ctx: Context, buffer: PrivateBuffer, init: ir.Attribute) -> None:
    value = init.value if not isinstance(init, ir.BoolAttr) else int(init.value)
    constant = ctx.e.constant(value_type(ctx.e, buffer.element), value)
    with ctx.lanes(1):
        store_lanes(ctx, buffer, [Index.of(0) for _ in buffer.shape], constant)


def allocate_fragment(ctx: Context, op: ir.Operation) -> None:
    """Registers start undefined; the first write gives them values."""
    result = op.results[0]
    element = ir.MemRefType(result.type).element_type
    if "layout" not in op.attributes:
        raise PassError("a fragment without a layout reached lowering", python_location(op.location))
    layout = from_attr(op.attributes["layout"])
    assert isinstance(layout, Fragment)
    # Registers of products under way may not be moved, so they are never gathered in vectors.
    apart = "scalars" in op.attributes or any("wgmma" in use.owner.operation.attributes for use in result.uses)
    alone = 2 if isinstance(element, ir.F16Type) else 1  # float16 sums are two in a register
    buffer = FragmentBuffer(element, layout, alone if apart else register_chunk(layout, element_bits(element)))
    kind = value_type(ctx.e, element)
    if buffer.chunk > 1:
        kind = ctx.e.vector_type(buffer.chunk, kind)
    ctx.buffers[result] = buffer
    ctx.registers[buffer] = [ctx.e.pure("llvm.mlir.undef", kind, [])] * buffer.count


@rule("tl.reshape")
def lower_reshape(ctx: Context, op: ir.Operation) -> None:
    if scope_of(op.results[0]) == TMEM:
        return  # its accesses look through it
    ctx.buffers[op.results[0]] = reshape_buffer(ctx, op)


@rule("tl.slice", "tl.assume")
def lower_nothing(ctx: Context, op: ir.Operation) -> None:
    """Slices are read by the tile operations that use them; assumptions have been used."""
