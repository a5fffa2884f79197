"""Whether iterations that one operation would run side by side meet: one reads what another one has written.

`f[i // 4] = T.max(f[i // 4], x[i])` takes its iterations in order; `f[i] = f[i] * 2` may take several at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ..elementwise import uncast
from .buffers import FragmentBuffer
from .context import Context
from .fragments import ARITHMETIC

_MIX = 1_000_003  # makes one number of several coordinates


def lanes_meet(ctx: Context, inside: Sequence[ir.Operation], width: int) -> bool:
    """Whether two of `width` neighbouring iterations of a thread use one element, which the body reads and writes."""
    accesses = [op for op in inside if op.name.startswith("memref.")]
    read = {root(op.operands[0]) for op in accesses if op.name == "memref.load"}
    for store in accesses:
        if store.name == "memref.store" and root(store.operands[1]) in read:
            indices = list(store.operands)[2:]
            if {*ctx.iteration_tables} <= {uncast(index) for index in indices}:
                continue  # an element per iteration
            place = _place(ctx, indices)
            if place is None or _repeats(place, width):
                return True
    return False


def lanes_agree(ctx: Context, value: ir.Value, inside: Sequence[ir.Operation], width: int) -> bool:
    """Whether a value is the same for `width` neighbouring iterations of a thread: it follows from variables that are,
    and from elements of memory that the body does not write."""
    if value in ctx.iteration_tables:
        rows = np.broadcast_arrays(ctx.iteration_tables[value], *ctx.iteration_tables.values())[0].reshape(-1, width)
        return bool((rows == rows[:, :1]).all())
    if isinstance(value.owner, ir.Block) or not _within_loop(value.owner.operation):
        return True
    op = value.owner.operation
    if op.name == "memref.load":
        places = {"memref.store": 1, "tl.atomic": 0}
        written = {root(o.operands[places[o.name]]) for o in inside if o.name in places}
        if isinstance(ctx.buffers.get(root(op.operands[0])), FragmentBuffer) or root(op.operands[0]) in written:
            return False
    elif not op.name.startswith(("arith.", "math.")) and op.name != "tl.cast":
        return False
    return all(lanes_agree(ctx, v, inside, width) for v in op.operands if not isinstance(v.type, ir.MemRefType))


def _within_loop(op: ir.Operation) -> bool:
    """Whether an operation is part of the body of a parallel loop."""
    parent = op.parent
    while parent is not None and parent.operation.name == "scf.if":
        parent = parent.operation.parent
    return parent is not None and parent.operation.name == "tl.parallel"


def _place(ctx: Context, indices: list[ir.Value]) -> np.ndarray | None:
    """A number per thread and iteration that tells elements apart; None where only a run can tell."""
    place: np.ndarray = np.zeros(np.shape(next(iter(ctx.iteration_tables.values()))), np.int64)
    for index in indices:
        found = _numbers(ctx, index)
        if found is None:
            return None
        place = place * _MIX + found
    return place


def _numbers(ctx: Context, value: ir.Value) -> np.ndarray | None:
    if value in ctx.iteration_tables:
        return ctx.iteration_tables[value]
    if isinstance(value.owner, ir.Block):
        return np.asarray(0)
    op = value.owner.operation
    if op.name == "arith.constant":
        return np.asarray(ir.IntegerAttr(op.attributes["value"]).value, np.int64)
    if (function := ARITHMETIC.get(op.name)) is not None:
        parts = [part for v in op.operands if (part := _numbers(ctx, v)) is not None]
        return function(*parts) if len(parts) == len(op.operands) else None
    return None if _within_loop(op) else np.asarray(0)  # from outside: the same for all iterations of a thread


def _repeats(place: np.ndarray, width: int) -> bool:
    rows = np.sort(place.reshape(-1, width), axis=1)
    return bool((rows[:, 1:] == rows[:, :-1]).any())
