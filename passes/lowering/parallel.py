"""`tl.parallel`: iterations spread over threads and registers, several per operation.

Each thread runs the iterations its layout gives it, `width` at a time: an index becomes the thread's part plus one
constant per lane, element arithmetic becomes vector arithmetic. A branch is taken by all lanes together where its
condition is the same for them, as that on the row is for neighbours in a row; bodies with other control flow run one
iteration at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from tilelang_mlir.errors import PassError
from tilelang_mlir.mlir import int_array, ir

from ...dialect.effects import root
from ...dialect.layout import REPLICATE, Digit, Fragment
from ...dialect.layout.attrs import from_attr
from ...dialect.layout.lookup import element_tables, register_shares, valid_elements
from ...dialect.location import python_location
from .buffers import FragmentBuffer, element_bits, register_chunk
from .carried import written_fragments
from .context import Context, rule
from .index import Index
from .lanes import lanes_agree, lanes_meet
from .lanewise import is_lanewise
from .rolled import is_rolled, rolled


@rule("tl.parallel")
def lower_parallel(ctx: Context, op: ir.Operation) -> None:
    if "layout" not in op.attributes:
        raise PassError("a parallel loop without a layout reached lowering", python_location(op.location))
    layout = from_attr(op.attributes["layout"])
    assert isinstance(layout, Fragment)
    guard = replica_guard(ctx, layout)
    _enter(ctx, op.regions[0].blocks[0], layout)
    if guard is not None and not written_fragments(ctx, op):
        # Replicas would only repeat the loads, and race with the stores of the one that acts.
        branch = ctx.e.op("scf.if", [], [guard], regions=2)
        with ctx.e.scope(branch.regions[0].blocks.append()):
            _lower_chunks(ctx, op, layout, None)
            ctx.e.end_region()
    else:
        _lower_chunks(ctx, op, layout, guard)
    _leave(ctx)


def _lower_chunks(ctx: Context, op: ir.Operation, layout: Fragment, guard: ir.Value | None) -> None:
    """The thread's iterations, `width` at a time."""
    body = _Body(op.regions[0].blocks[0])
    width = _vector_width(ctx, body.block, layout)
    thread_part = thread_coordinates(ctx, layout)
    extents = _extents(ctx, op)
    if is_rolled(ctx, op, layout.num_values // width):
        with ctx.lanes(width), rolled(ctx, layout, thread_part, width) as indices:
            _lower_chunk(ctx, body, indices, _inside(ctx, layout, indices, extents), guard)
        return
    for start in range(0, layout.num_values, width):
        ctx.chunk_start = start
        with ctx.lanes(width):
            indices = _iteration(ctx, layout, thread_part, start, width)
            _lower_chunk(ctx, body, indices, _inside(ctx, layout, indices, extents), guard)


class _Body:
    """The body of a loop, looked at once for all chunks: its variables, and what it computes."""

    def __init__(self, block: ir.Block) -> None:
        self.block = block
        self.variables = list(block.arguments)
        self.results = _results(block)


def _results(block: ir.Block) -> list[ir.Value]:
    inside = [op.operation for op in block.operations]
    found: list[ir.Value] = [result for op in inside for result in op.results]
    return found + [value for op in inside for region in op.regions for inner in region for value in _results(inner)]


def _lower_chunk(
    ctx: Context, body: _Body, indices: list[Index], inside: ir.Value | bool, guard: ir.Value | None
) -> None:
    if inside is False:
        return
    ctx.values.update(zip(body.variables, indices, strict=True))
    for result in body.results:  # of the previous chunk
        ctx.values.pop(result, None)
    with ctx.guarded(inside if inside is not True else None, guard):
        ctx.lower_block(body.block)


def _enter(ctx: Context, body: ir.Block, layout: Fragment) -> None:
    """Tables of the iteration variables over threads and registers, for the fragments' accesses."""
    if ctx.iteration_tables:
        raise PassError("nested parallel loops reached lowering")
    ctx.iteration_tables = dict(zip(body.arguments, element_tables(layout, ctx.num_threads), strict=True))
    ctx.register_tables = {}
    ctx.iteration_layout = layout
    ctx.iteration_valid = valid_elements(layout, ctx.num_threads) if layout.is_padded else None


def _leave(ctx: Context) -> None:
    ctx.iteration_tables, ctx.register_tables, ctx.iteration_valid, ctx.chunk_start = {}, {}, None, 0
    ctx.iteration_layout = None


def thread_coordinates(ctx: Context, layout: Fragment) -> list[Index]:
    """The share of each coordinate that depends on the thread."""
    return list(ctx.e.once(("thread coordinates", layout, ctx.thread), lambda: _thread_coordinates(ctx, layout)))


def _thread_coordinates(ctx: Context, layout: Fragment) -> list[Index]:
    parts = [Index.of(0) for _ in layout.shape]
    for digit, value in thread_digits(ctx, layout):
        if digit.dim != REPLICATE:
            parts[digit.dim] = ctx.ix.add(parts[digit.dim], ctx.ix.scale(value, digit.stride))
    return parts


def thread_digits(ctx: Context, layout: Fragment) -> list[tuple[Digit, Index]]:
    """The digits of the thread index with their run-time values."""
    return ctx.e.once(("thread digits", layout, ctx.thread), lambda: _thread_digits(ctx, layout))


def _thread_digits(ctx: Context, layout: Fragment) -> list[tuple[Digit, Index]]:
    out: list[tuple[Digit, Index]] = []
    weight = 1
    for digit in layout.thread:
        out.append((digit, ctx.ix.digit(ctx.thread, weight, digit.size)))
        weight *= digit.size
    return out


def replica_guard(ctx: Context, layout: Fragment) -> ir.Value | None:
    """True in one of the threads that run the same iteration; None when only one does."""
    guard: ir.Value | None = None
    for digit, value in thread_digits(ctx, layout):
        if digit.dim == REPLICATE:
            guard = ctx.e.both(guard, ctx.e.compare("eq", ctx.ix.scalar(value), 0))
    if ctx.num_threads > layout.num_threads:
        guard = ctx.e.both(guard, ctx.e.compare("ult", ctx.ix.scalar(ctx.thread), layout.num_threads))
    return guard


def _iteration(ctx: Context, layout: Fragment, thread_part: list[Index], start: int, width: int) -> list[Index]:
    return [
        ctx.ix.add(part, Index(None, share[start : start + width], 0, 0, 0, 0))
        for part, share in zip(thread_part, register_shares(layout), strict=True)
    ]


def _extents(ctx: Context, op: ir.Operation) -> list[int | ir.Value]:
    dynamic = iter(op.operands)
    extents = int_array(op.attributes["extents"])
    return [ctx.ssa(next(dynamic)) if e == -1 else e for e in extents]


def _inside(
    ctx: Context, layout: Fragment, indices: list[Index], extents: list[int | ir.Value]
) -> ir.Value | bool:
    """Whether the iterations are within the extents: True or False when known, else a predicate of the whole chunk."""
    predicate: ir.Value | None = None
    for dim, (index, extent) in enumerate(zip(indices, extents, strict=True)):
        if isinstance(extent, int) and dim not in layout.padded_dims():
            continue
        top, bottom = index.maximum(), index.minimum()
        if isinstance(extent, int) and top is not None and top < extent:
            continue
        if isinstance(extent, int) and bottom is not None and bottom >= extent:
            return False
        predicate = ctx.e.both(predicate, ctx.e.compare("slt", ctx.ix.scalar(index), extent))
    return True if predicate is None else predicate


# -- how many iterations at a time -------------------------------------------------------------------------------------
def _vector_width(ctx: Context, body: ir.Block, layout: Fragment) -> int:
    inside = list(_straight(body))
    if not all(is_lanewise(op) or op.name == "scf.if" for op in inside):
        return 1
    bits = max((element_bits(_element(op)) for op in inside if op.name.startswith("memref.")), default=32)
    width = register_chunk(layout, bits)
    if layout.is_padded or -1 in _static_extents(body):
        width = _within_edges(layout, width, tuple(_static_extents(body)))
    conditions = [op.operands[0] for op in inside if op.name == "scf.if"]
    while width > 1 and not all(lanes_agree(ctx, condition, inside, width) for condition in conditions):
        width = next(w for w in range(width - 1, 0, -1) if width % w == 0)
    return 1 if width > 1 and lanes_meet(ctx, inside, width) else width


def _straight(block: ir.Block) -> Iterator[ir.Operation]:
    """The operations of a block and, behind each branch, of its arms."""
    for view in block.operations:
        op = view.operation
        if op.name != "scf.yield":
            yield op
        if op.name == "scf.if":
            for region in op.regions:
                for arm in region.blocks:
                    yield from _straight(arm)


def _static_extents(body: ir.Block) -> list[int]:
    return int_array(body.owner.operation.attributes["extents"])


@functools.lru_cache(256)
def _within_edges(layout: Fragment, width: int, extents: tuple[int, ...]) -> int:
    """Shrink the width until no chunk straddles the edge of a padded or dynamic dimension in any thread."""
    tables = element_tables(layout, layout.num_threads)
    # A dynamic edge may lie anywhere: there the lanes of a chunk must have equal coordinates.
    sides = [tables[d] if extents[d] == -1 else tables[d] < extents[d] for d in range(len(extents))]
    while width > 1:
        chunks = [np.broadcast_to(s, (layout.num_threads, layout.num_values)).reshape(-1, width) for s in sides]
        if all((chunk == chunk[:, :1]).all() for chunk in chunks):
            return width
        width = next(w for w in range(width - 1, 0, -1) if width % w == 0)
    return 1


def _element(op: ir.Operation) -> ir.Type:
    return ir.MemRefType(op.operands[0 if op.name == "memref.load" else 1].type).element_type


def fragment_of(ctx: Context, value: ir.Value) -> FragmentBuffer | None:
    """The fragment behind a value, if it is one."""
    found = ctx.buffers.get(root(value))
    return found if isinstance(found, FragmentBuffer) else None
