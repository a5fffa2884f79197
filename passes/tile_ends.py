"""Where the roles of a program are done with a tile: one loads it, one gives it to products into tensor memory.

    warps 0: loop: wait empty; load -> tile, arriving at full
    warps 1: loop: wait full; product of tile; ...
             commit -> done
    wait done            every thread; from here on nothing reads or writes the tile

The wait is that of all threads, outside of loops, for a barrier at which only one commit arrives, once, behind all
products of the tile. A commit completes with all products in front of it (PTX ISA 8.7, section 9.7.16.11), and these
have read what was loaded: their role waits for the barriers at which the loads arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tilelang_mlir.mlir import int_array, ir

from ..dialect.products import TENSOR_PRODUCTS
from . import build
from .walk import nested

_VIEWS = ("tl.slice", "tl.reshape")
_LOADS, _COMMIT, _WAIT = ("tl.tma_load",), "tl.tcgen05_commit", "tl.mbarrier_wait"


def last_wait(
    launch: ir.Operation, users: Sequence[ir.Operation], order: Mapping[ir.Operation, int]
) -> ir.Operation | None:
    """The wait behind which no operation of these users of a tile is under way; None where that is not seen."""
    accesses = [op for op in users if op.name not in _VIEWS]
    loads = [op for op in accesses if op.name in _LOADS]
    products = [op for op in accesses if op.name in TENSOR_PRODUCTS]
    if not loads or not products or len(loads) + len(products) < len(accesses):
        return None
    for wait in [view.operation for view in launch.regions[0].blocks[0].operations if view.operation.name == _WAIT]:
        commit = _only_commit(wait)
        if commit is None or order[wait] < max(order[op] for op in accesses):
            continue
        role = _inside(commit.block)
        waited = [op.operands[0] for op in role if op.name == _WAIT]
        read = all(op in role and order[op] < order[commit] for op in products)
        if read and _runs_once(commit, launch) and all(_barrier(load) in waited for load in loads):
            return wait
    return None


def _only_commit(wait: ir.Operation) -> ir.Operation | None:
    """What arrives at the barrier of a wait for its first phase, if that is one commit and takes one arrival."""
    barrier, _, parity = wait.operands
    arrivals = [use.owner.operation for use in barrier.uses if use.owner.operation.name != _WAIT]
    counts = list(int_array(barrier.owner.operation.attributes["counts"]))
    told = len(arrivals) == 1 and arrivals[0].name == _COMMIT and counts == [1]
    return arrivals[0] if told and build.known_constant(parity) == 0 else None


def _runs_once(op: ir.Operation, launch: ir.Operation) -> bool:
    around = op.parent.operation
    while around.name in ("scf.if", "tl.warpgroups"):
        around = around.parent.operation
    return around == launch


def _inside(block: ir.Block) -> list[ir.Operation]:
    return [op for view in block.operations for op in (view.operation, *nested(view.operation))]


def _barrier(load: ir.Operation) -> ir.Value | None:
    """The barrier at which a load arrives."""
    return load.operands[2] if len(load.operands) > 2 else None
