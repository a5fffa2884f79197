"""Which threads reach an operation, and which one of them issues what one thread has to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import numpy.typing as npt

from tilelang_mlir.errors import LayoutError
from tilelang_mlir.isa.nvidia import mbarrier, warp
from tilelang_mlir.mlir import ir

from ..lowering.context import Context
from ..lowering.fragments import evaluate

Mask = npt.NDArray[np.bool_]

_COMPARE: dict[int, Callable[[Any, Any], Any]] = {
    0: np.equal, 1: np.not_equal, 2: np.less, 3: np.less_equal, 4: np.greater, 5: np.greater_equal,
    6: np.less, 7: np.less_equal, 8: np.greater, 9: np.greater_equal,
}  # fmt: skip


def reaching_threads(ctx: Context, op: ir.Operation) -> Mask:
    """Threads that may reach an operation. What does not follow from the thread index alone restricts nothing."""
    reached = np.ones(ctx.num_threads, np.bool_)
    inner, parent = op, op.parent.operation
    while parent.name not in ("tl.launch", "tl.specialize", "tl.tensor_roles"):
        if parent.name == "scf.if":
            known = _condition(ctx, parent.operands[0], op)
            if known is not None:
                taken = _is_in(parent.regions[0], inner)
                reached &= np.broadcast_to(known if taken else ~known, reached.shape)
        inner, parent = parent, parent.parent.operation
    return reached


def _is_in(region: ir.Region, op: ir.Operation) -> bool:
    return any(inner.operation == op for block in region.blocks for inner in block.operations)


def _condition(ctx: Context, value: ir.Value, op: ir.Operation) -> Mask | None:
    """A condition by thread; None when it depends on more. Of a conjunction the part that is known."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return None
    inner = owner.operation
    if inner.name == "arith.andi":
        parts = [p for p in (_condition(ctx, v, op) for v in inner.operands) if p is not None]
        return np.logical_and.reduce(np.broadcast_arrays(*parts)) if parts else None
    if inner.name != "arith.cmpi":
        return None
    try:
        left, right = (evaluate(ctx, v, {}, op) for v in inner.operands)
    except LayoutError:
        return None
    predicate = ir.IntegerAttr(inner.attributes["predicate"]).value
    return np.asarray(_COMPARE[predicate](left, right)).reshape(-1)


@contextlib.contextmanager
def branch(ctx: Context, condition: ir.Value) -> Generator[None]:
    """Lower what follows under a condition."""
    op = ctx.e.op("scf.if", [], [condition], regions=2)
    with ctx.e.scope(op.regions[0].blocks.append()):
        yield
        ctx.e.end_region()


@contextlib.contextmanager
def one_warp(ctx: Context, op: ir.Operation) -> Generator[None]:
    """Lower what follows for the first warp of those that reach an operation."""
    reached = np.nonzero(reaching_threads(ctx, op))[0]
    size = ctx.target.warp_size
    first = int(reached[0]) // size if len(reached) else 0
    if not len(reached) or int(reached[-1]) // size == first:
        yield
        return
    number = ctx.ix.divide(ctx.thread, size)
    with branch(ctx, ctx.e.compare("eq", ctx.ix.scalar(number), first)):
        yield


@contextlib.contextmanager
def one_thread(ctx: Context, op: ir.Operation) -> Generator[None]:
    """Lower what follows for one thread of those that reach an operation: always the same one of a warp."""
    if int(reaching_threads(ctx, op).sum()) <= 1 or _in_producer(op):
        yield
        return
    with one_warp(ctx, op), branch(ctx, warp.elect()):
        yield


@contextlib.contextmanager
def issuing(ctx: Context, op: ir.Operation, barrier: ir.Value) -> Generator[None]:
    """Lower what issues a load: in the code of a role as it is; of an `elected` load in one thread, which announces the
    bytes of all copies that complete at the barrier where the load says how many."""
    if "elected" not in op.attributes:
        yield
        return
    with one_thread(ctx, op):
        if "expect" in op.attributes:
            mbarrier.arrive_expect_tx(barrier, ir.IntegerAttr(op.attributes["expect"]).value)
        yield


def _in_producer(op: ir.Operation) -> bool:
    """Whether an operation is in a region of a split kernel that one thread runs: all but the last."""
    inner, parent = op, op.parent.operation
    while parent.name != "tl.launch":
        if parent.name in ("tl.specialize", "tl.tensor_roles"):
            return not _is_in(list(parent.regions)[-1], inner)
        inner, parent = parent, parent.parent.operation
    return False
