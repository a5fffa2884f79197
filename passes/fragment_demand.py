"""How many registers the fragments of a program need, before it is compiled.

A lower bound: a fragment counts from its first to its last use in program order, with its elements spread over all
threads and nothing held twice. A tuner compares it with what a thread has, since programs far beyond that take the
longest to compile and are never the fastest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tilelang_mlir.mlir import ir

from ..dialect.tl import FRAGMENT, scope_of
from .walk import launches, nested, threads_of


def fragment_demand(module: ir.Module) -> int:
    """32-bit registers per thread that the fragments in use at one time take at least, in the most demanding kernel."""
    with module.context:
        return max((_most_at_once(launch) for launch in launches(module)), default=0)


def _most_at_once(launch: ir.Operation) -> int:
    order = {op: place for place, op in enumerate(nested(launch))}
    changes: dict[int, int] = {}  # registers taken and given back, by place
    for op in order:
        if op.name != "tl.alloc" or scope_of(op.results[0]) != FRAGMENT:
            continue
        uses = [order[user] for user in _accesses(op.results[0]) if user in order]
        if uses:
            kind = ir.MemRefType(op.results[0].type)
            bits = math.prod(kind.shape) * getattr(kind.element_type, "width", 32)
            taken = -(-bits // (32 * threads_of(op)))
            changes[min(uses)] = changes.get(min(uses), 0) + taken
            changes[max(uses) + 1] = changes.get(max(uses) + 1, 0) - taken
    most = now = 0
    for place in sorted(changes):
        now += changes[place]
        most = max(most, now)
    return most


def _accesses(buffer: ir.Value) -> Iterator[ir.Operation]:
    """Operations that use a buffer, through views too."""
    for use in buffer.uses:
        op = use.owner.operation
        yield op
        if op.name in ("tl.slice", "tl.reshape"):
            yield from _accesses(op.results[0])
