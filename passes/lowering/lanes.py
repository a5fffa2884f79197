"""Whether iterations that one operation would run side by side meet: one reads what another one has written.

`f[i // 4] = T.max(f[i // 4], x[i])` takes its iterations in order; `f[i] = f[i] * 2` may take several at once.
"""

from __future__ import annotations

import numpy as np

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ..elementwise import uncast
from .context import Context
from .fragments import ARITHMETIC

_MIX = 1_000_003  # makes one number of several coordinates


def lanes_meet(ctx: Context, body: ir.Block, width: int) -> bool:
    """Whether two of `width` neighbouring iterations of a thread use one element, which the body reads and writes."""
    accesses = [op.operation for op in body.operations if op.operation.name.startswith("memref.")]
    read = {root(op.operands[0]) for op in accesses if op.name == "memref.load"}
    for store in accesses:
        if store.name == "memref.store" and root(store.operands[1]) in read:
            indices = list(store.operands)[2:]
            if set(body.arguments) <= {uncast(index) for index in indices}:
                continue  # an element per iteration
            place = _place(ctx, indices)
            if place is None or _repeats(place, width):
                return True
    return False


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
    parent = op.parent
    inside = parent is not None and parent.operation.name == "tl.parallel"
    return None if inside else np.asarray(0)  # from outside: the same for all iterations of a thread


def _repeats(place: np.ndarray, width: int) -> bool:
    rows = np.sort(place.reshape(-1, width), axis=1)
    return bool((rows[:, 1:] == rows[:, :-1]).any())
