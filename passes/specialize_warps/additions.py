"""Additions of a whole fragment to device memory, recognised:

    parallel (i, j) { atomic add T[.., r + i, .., j], f[i, j] }
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import int_array, ir

from ...dialect.effects import root
from ...dialect.tl import FRAGMENT, GLOBAL, scope_of
from .. import build
from ..elementwise import defining, outside, uncast


@dataclass(frozen=True)
class Addition:
    """A loop that adds a whole fragment to the tile of `tensor` that starts at `offsets`; variables count as zero."""

    loop: ir.Operation
    fragment: ir.Value
    tensor: ir.Value
    starts: tuple[ir.Value | None, ...]
    sizes: tuple[int, ...]

    def target(self) -> ir.Value:
        """The tile, built in front of the loop."""
        offsets = [build.constant(0) if v is None else outside(v, self.loop, {}) for v in self.starts]
        return build.slice_of(self.tensor, offsets, list(self.sizes))


def addition(loop: ir.Operation) -> Addition | None:
    """The loop's form when it is such an addition, with nothing asked of the order and the old values."""
    if loop.name != "tl.parallel" or len(loop.operands):
        return None
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    atomics, loads = ([op for op in body if op.name == name] for name in ("tl.atomic", "memref.load"))
    others = [op for op in body if op not in (*atomics, *loads)]
    if len(atomics) != 1 or len(loads) != 1 or not all(op.name.startswith("arith.") for op in others):
        return None
    atomic, load = atomics[0], loads[0]
    kind, order = (ir.StringAttr(atomic.attributes[name]).value for name in ("kind", "order"))
    tensor, value, *places = atomic.operands
    fragment, *indices = load.operands
    variables = list(loop.regions[0].blocks[0].arguments)
    extents = int_array(loop.attributes["extents"])
    plain = kind == "add" and order == "relaxed" and not len(atomic.results) and value == load.results[0]
    if not plain or scope_of(tensor) != GLOBAL or root(tensor) != tensor or scope_of(fragment) != FRAGMENT:
        return None
    if len(variables) != 2 or [uncast(v) for v in indices] != variables:
        return None
    if extents != list(ir.MemRefType(fragment.type).shape) or uncast(places[-1]) != variables[1]:
        return None
    starts = [_start(uncast(v), variables) for v in places[:-1]]
    rows = [dim for dim, start in enumerate(starts) if start is not None and start[1]]
    if None in starts or len(rows) != 1:
        return None
    sizes = [extents[0] if dim in rows else 1 for dim in range(len(starts))]
    found = tuple(start[0] for start in starts if start is not None)
    return Addition(loop, fragment, tensor, (*found, None), (*sizes, extents[1]))


def _start(value: ir.Value, variables: list[ir.Value]) -> tuple[ir.Value | None, bool] | None:
    """What is added to the first variable, and whether it takes part; None where the second does, or in another way."""
    if value == variables[0]:
        return None, True
    if not _depends(value, variables):
        return value, False
    total = defining(value, "arith.addi")
    if total is None or variables[0] not in list(total.operands):
        return None
    base = next((v for v in total.operands if v != variables[0]), None)
    return (base, True) if base is not None and not _depends(base, variables) else None


def _depends(value: ir.Value, variables: list[ir.Value]) -> bool:
    if isinstance(value.owner, ir.Block):
        return value in variables
    return any(_depends(v, variables) for v in value.owner.operation.operands)
