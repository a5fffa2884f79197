"""Results of reductions that other operations want elsewhere: they are computed where the source lies and copied."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tilelang_mlir.mlir import ir

from ...dialect.effects import laid_out
from ...dialect.layout import Fragment
from ...dialect.layout.attrs import from_attr, to_attr
from ...dialect.layout.lookup import element_tables
from ...dialect.tl import FRAGMENT, buffer_type, scope_of
from ..walk import threads_of


@lru_cache(256)
def result_registers(source: Fragment, target: Fragment, dim: int, num_threads: int) -> tuple[int, ...] | None:
    """The result register that each source register belongs to; None where another thread has the element."""
    threads = np.arange(num_threads, dtype=np.int64)[:, None]
    coordinates = list(element_tables(source, num_threads))
    if len(target.shape) == len(source.shape):
        coordinates[dim] = np.zeros_like(coordinates[dim])
    elif len(source.shape) > 1:
        del coordinates[dim]
    else:
        coordinates = [np.zeros_like(coordinates[0])]
    registers = target.value_of(coordinates)
    if not target.holds(threads % target.num_threads, coordinates).all() or (registers != registers[:1]).any():
        return None
    return tuple(int(r) for r in registers[0])


def stage_result(op: ir.Operation) -> None:
    """Let a `tl.reduce` whose result has to lie in other threads write to a fragment beside its source first."""
    source, target = op.operands
    if scope_of(source) != FRAGMENT or scope_of(target) != FRAGMENT:
        return
    given, wanted = (from_attr(laid_out(v).owner.operation.attributes["layout"]) for v in (source, target))
    assert isinstance(given, Fragment) and isinstance(wanted, Fragment)
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    if result_registers(given, wanted, dim, threads_of(op)) is not None:
        return
    kind = ir.MemRefType(target.type)
    beside = given.reduce(dim, keep=kind.rank == ir.MemRefType(source.type).rank)
    with op.location, ir.InsertionPoint(op):
        staged = ir.Operation.create(
            "tl.alloc", [buffer_type(kind.shape, kind.element_type, FRAGMENT)], attributes={"layout": to_attr(beside)}
        ).result
        if not ir.BoolAttr(op.attributes["clear"]).value:
            ir.Operation.create("tl.copy", [], [target, staged])
    siblings = list(op.block.operations)
    after = siblings.index(op) + 1
    place = ir.InsertionPoint(siblings[after]) if after < len(siblings) else ir.InsertionPoint(op.block)
    with op.location, place:
        ir.Operation.create("tl.copy", [], [staged, target])
    op.operands[1] = staged
