"""How many registers the fragments of a program need, before it is compiled.

A lower bound: a fragment counts from its first to its last use in program order, with its elements spread over all
threads and nothing held twice. A tuner compares it with what a thread has, since programs far beyond that take the
longest to compile and are never the fastest; for those that are compiled all the same the assembler is told to use all
registers there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tilelang_mlir.mlir import ir

from ..dialect.tl import FRAGMENT, scope_of
from .walk import launches, nested, threads_of


def fragment_demand(module: ir.Module) -> int:
    """32-bit registers per thread that the fragments in use at one time take at least, in the most demanding kernel."""
    with module.context:
        return max((most_at_once(list(nested(launch))) for launch in launches(module)), default=0)


def most_at_once(inside: Sequence[ir.Operation], least: int = 0) -> int:
    """The same of the kernel with these operations; 0 where all its fragments together take no more than `least`."""
    sizes = {op: registers_of(op) for op in inside if op.name == "tl.alloc" and scope_of(op.results[0]) == FRAGMENT}
    if sum(sizes.values()) <= least:
        return 0
    order = {op: place for place, op in enumerate(inside)}
    changes: dict[int, int] = {}  # registers taken and given back, by place
    for op, taken in sizes.items():
        uses = [order[user] for user in _accesses(op.results[0]) if user in order]
        if uses:
            changes[min(uses)] = changes.get(min(uses), 0) + taken
            changes[max(uses) + 1] = changes.get(max(uses) + 1, 0) - taken
    most = now = 0
    for place in sorted(changes):
        now += changes[place]
        most = max(most, now)
    return most


def registers_of(op: ir.Operation) -> int:
    """32-bit registers per thread that the allocation of a fragment takes at least."""
    kind = ir.MemRefType(op.results[0].type)
    bits = math.prod(kind.shape) * getattr(kind.element_type, "width", 32)
    return -(-bits // (32 * threads_of(op)))


def _accesses(buffer: ir.Value) -> Iterator[ir.Operation]:
    """Operations that use a buffer, through views too."""
    for use in buffer.uses:
        op = use.owner.operation
        yield op
        if op.name in ("tl.slice", "tl.reshape"):
            yield from _accesses(op.results[0])
