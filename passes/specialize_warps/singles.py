"""Tiles that a kernel loads once, in front of its loop: the producer loads them as well, before its first ring.

    consumers: copy Q -> S; loop
    =>
    producer:  arrive full expecting the bytes; load Q -> S; loop
    consumers: wait full; loop
"""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from ...dialect.tl import GLOBAL, SHARED, scope_of
from .. import build
from ..nvidia.tma_rules import box_bytes, tma_obstacle
from .candidate import is_setup_value


def load_singles(
    launch: ir.Operation, split: ir.Operation, loop: ir.Operation, clone: Callable[[ir.Value], ir.Value]
) -> None:
    """Hand the loads in front of `loop`, an operation of the consumers' region, to the producer.

    The producer's region has no other operations yet. `clone` computes a value for the producer that the consumers have.
    """
    producer, consumer = (region.blocks[0] for region in split.regions)
    copies: list[ir.Operation] = []
    for op in consumer.operations:
        if op.operation == loop:
            break
        if _is_single_load(op.operation, launch):
            copies.append(op.operation)
    if not copies:
        return
    with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]):
        kind, counts = ir.Type.parse("!tl.barrier<1 : i64>"), ir.DenseI64ArrayAttr.get([1])
        full = ir.Operation.create("tl.alloc_barrier", [kind], attributes={"counts": counts}).result
    with ir.InsertionPoint(producer):
        zero = build.constant(0)
        expect = ir.IntegerAttr.get(build.i32(), sum(box_bytes(copy.operands[1]) for copy in copies))
        ir.Operation.create("tl.mbarrier_arrive", [], [full, zero], {"expect": expect})
        for copy in copies:
            with copy.location:
                ir.Operation.create("tl.tma_load", [], [clone(copy.operands[0]), copy.operands[1], full, zero])
    with ir.InsertionPoint(copies[0]):
        zero = build.constant(0)
        ir.Operation.create("tl.mbarrier_wait", [], [full, zero, zero])
    for copy in copies:
        copy.erase()


def _is_single_load(op: ir.Operation, launch: ir.Operation) -> bool:
    """A bulk copy of what nobody writes into a tile that nothing else writes, computed from what both roles share."""
    if op.name != "tl.copy" or "disable_tma" in op.attributes or "async" in op.attributes:
        return False
    source, tile = op.operands
    if scope_of(source) != GLOBAL or scope_of(tile) != SHARED or root(tile) != tile or tma_obstacle(source, tile):
        return False
    written = [e.value for e in region_effects(launch) if e.kind == "write"]
    return written.count(tile) == 1 and root(source) not in written and is_setup_value(source, (), written)
