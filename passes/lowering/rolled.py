"""Parallel loops whose threads run many long iterations: a loop of the thread instead of a copy of the body for each.

Fragments need the copies, since registers have no index at run time. Where none is touched, a body of hundreds of
operations (random numbers, say) for a hundred iterations would take minutes to compile, and no cache would hold it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import numpy as np

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import REPLICATE, Fragment
from .. import build
from .buffers import FragmentBuffer
from .carried import accesses, forget_inner
from .context import Context
from .index import Index

# Operations of all copies of a body. It decides what is assembled, not what is computed: up to it a thread's code has
# no loop, and LLVM can combine accesses; beyond it compilation takes longer than such a kernel gains. Bodies of tiles
# stay far below, those with random numbers (hundreds of operations) far above. No measured figure is behind it.
COPIED_OPS = 3072


def is_rolled(ctx: Context, op: ir.Operation, chunks: int) -> bool:
    """Whether the iterations of a thread, taken in `chunks`, become a loop."""
    if chunks * _operations(op) <= COPIED_OPS:
        return False
    tiles = [root(effect.tile) for effect in accesses(ctx, op)]
    return not any(isinstance(ctx.buffers.get(tile), FragmentBuffer) for tile in tiles)


def _operations(op: ir.Operation) -> int:
    """Operations of one iteration, those of unrolled loops inside of it for each of their trips."""
    inside = [inner.operation for region in op.regions for block in region.blocks for inner in block.operations]
    return sum(_trips(inner) * _operations(inner) if inner.regions else 1 for inner in inside)


def _trips(op: ir.Operation) -> int:
    if op.name != "scf.for" or "tl.unroll" not in op.attributes:
        return 1
    bounds = [build.known_constant(value) for value in list(op.operands)[:3]]
    return 1 if None in bounds else len(range(*(bound or 0 for bound in bounds)))


@contextlib.contextmanager
def rolled(ctx: Context, layout: Fragment, thread_part: list[Index], width: int) -> Generator[list[Index]]:
    """Lower what follows as the body of the loop; gives the indices of the chunk at hand."""
    e, ix, outer, chunks = ctx.e, ctx.ix, set(ctx.registers), layout.num_values // width
    bounds = [e.constant(e.i32, number) for number in (0, chunks, 1)]
    block = e.op("scf.for", [], bounds, regions=1).regions[0].blocks.append(e.i32)
    with e.scope(block):
        start = ix.scale(ix.uniform(block.arguments[0], lo=0, hi=chunks - 1), width)
        lanes = layout.value_part(np.arange(width, dtype=np.int64))
        parts = [ix.add(part, Index.lanes(own)) for part, own in zip(thread_part, lanes, strict=True)]
        weight = 1
        for digit in layout.value:
            if digit.dim != REPLICATE:
                along = ix.scale(ix.digit(start, weight, digit.size), digit.stride)
                parts[digit.dim] = ix.add(parts[digit.dim], along.spread(width))
            weight *= digit.size
        yield parts
        e.end_region()
    forget_inner(ctx, outer)
