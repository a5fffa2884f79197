"""Parallel loops over arrays of the threads alone: every thread runs all iterations, for arrays of its own.

    parallel (i) in 8 { a[i] = a[i] * s[0] }   =>   for i in 0 to 8 { a[i] = a[i] * s[0] }    (a and s in local memory)

Shared among the threads, each would leave most of its array as it was.
"""

from __future__ import annotations

import math

from tilelang_mlir.mlir import int_array, ir

from ..dialect.effects import root
from ..dialect.tl import LOCAL, VAR, scope_of
from . import build
from .walk import nested

_UNROLLED = 16  # iterations
_PURE = ("tl.cast", "tl.thread_id")


def run_by_each_thread(loop: ir.Operation) -> bool:
    """Replace such a loop by loops of the thread; returns whether it is one."""
    extents = int_array(loop.attributes["extents"])
    if "layout" in loop.attributes or min(extents, default=-1) < 1 or not _is_private(loop):
        return False
    run_whole(loop)
    return True


def run_whole(loop: ir.Operation) -> None:
    """Replace a parallel loop by loops that every thread which gets there runs, all iterations in order."""
    extents = int_array(loop.attributes["extents"])
    unrolled = math.prod(extents) <= _UNROLLED or _is_private(loop)
    body = loop.regions[0].blocks[0]
    place, variables = ir.InsertionPoint(loop), list[ir.Value]()
    ends: list[ir.Operation] = []
    for extent in extents:
        with place, loop.location:
            walk = build.for_range(extent)
            if unrolled:
                walk.attributes["tl.unroll"] = build.unit()
        block = walk.regions[0].blocks[0]
        with ir.InsertionPoint(block), loop.location:
            ends.append(ir.Operation.create("scf.yield"))
        place = ir.InsertionPoint(ends[-1])
        variables.append(block.arguments[0])
    for argument, variable in zip(list(body.arguments), variables, strict=True):
        argument.replace_all_uses_with(variable)
    for op in list(body.operations):
        op.operation.move_before(ends[-1])
    loop.erase()


def _is_private(loop: ir.Operation) -> bool:
    """Whether a loop writes an array of the threads, and reads and writes no other memory."""
    writes = False
    for op in nested(loop):
        if op.name in ("memref.load", "memref.store"):
            scope = scope_of(root(op.operands[op.name == "memref.store"]))
            if scope not in (LOCAL, VAR):
                return False
            writes |= op.name == "memref.store" and scope == LOCAL
        elif op.name.startswith("tl.") and op.name not in _PURE:
            return False
    return writes
