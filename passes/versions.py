"""The versions of the tiles of a pipelined loop, and computing for another iteration than the current one."""

from __future__ import annotations

from dataclasses import replace

from tilelang_mlir.mlir import int_array, ir

from ..dialect.layout.attrs import tensor_from_attr, tensor_to_attr
from ..dialect.tl import TMEM, buffer_type, scope_of
from . import build


def inside(op: ir.Operation, loop: ir.Operation) -> bool:
    """Whether an operation is nested in a loop."""
    parent = op.parent
    while parent is not None:
        if parent.operation == loop:
            return True
        parent = parent.operation.parent
    return False


RELEASED = "tl.released"
"""Marks waits for products that an earlier iteration started: their tiles may be overwritten from there on."""


class Versions:
    """The multi-versioned tiles of a loop and the arithmetic of its rounds."""

    def __init__(self, loop: ir.Operation, copies: list[ir.Operation], stages: int) -> None:
        self.loop = loop
        self.copies = copies
        self.stages = stages
        self.body = loop.regions[0].blocks[0]
        self.lower, self.upper, self.step = list(loop.operands)[:3]
        self.tiles: dict[ir.Value, ir.Value] = {}
        for copy in copies:
            self.tiles[copy.operands[1]] = add_versions(copy.operands[1], stages)

    def trip(self, variable: ir.Value, bounds: list[ir.Value]) -> ir.Value:
        """Number of the iteration, from 0."""
        return build.binary("divui", build.binary("subi", variable, bounds[0]), bounds[2])

    def slot(self, trip: ir.Value) -> ir.Value:
        """The version that an iteration uses."""
        return build.binary("remui", trip, build.constant(self.stages))

    def phase(self, trip: ir.Value) -> ir.Value:
        """Parity of the round: how often the ring has been walked."""
        return build.binary("andi", build.binary("divui", trip, build.constant(self.stages)), build.constant(1))

    def version(self, buffer: ir.Value, slot: ir.Value) -> ir.Value:
        """One version of a tile."""
        return version_of(self.tiles[buffer], slot)

    def clone(self, value: ir.Value, cloned: dict[ir.Value, ir.Value]) -> ir.Value:
        """The value computed for another iteration: `cloned` maps what is replaced and remembers what was computed."""
        if value in cloned:
            return cloned[value]
        owner = value.owner
        if isinstance(owner, ir.Block) or not inside(owner.operation, self.loop):
            return value
        op = owner.operation
        operands = [self.clone(v, cloned) for v in op.operands]
        with op.location:
            copy = ir.Operation.create(op.name, [r.type for r in op.results], operands, build.attributes_of(op))
        for old, new in zip(op.results, copy.results, strict=True):
            cloned[old] = new
        return cloned[value]

    def released(self) -> ir.Operation | None:
        """The operation behind which the version of the iteration before is free, if that is not all of them."""
        waits = [view.operation for view in self.body.operations if RELEASED in view.operation.attributes]
        return waits[-1] if waits else None

    def finish(self, slot: ir.Value) -> None:
        """Drop the copies and make every use of a tile use the iteration's version."""
        for copy in self.copies:
            copy.erase()
        for old, new in self.tiles.items():
            redirect(old, new, slot)
            old.owner.operation.erase()


def add_versions(buffer: ir.Value, count: int) -> ir.Value:
    """A tile with so many versions, at the place of another one."""
    old = buffer.owner.operation
    kind, attributes = ir.MemRefType(buffer.type), build.attributes_of(old)
    if scope_of(buffer) == TMEM:
        layout = tensor_from_attr(attributes["layout"])
        attributes["layout"] = tensor_to_attr(replace(layout, shape=(count, *layout.shape)))
    result = buffer_type([count, *kind.shape], kind.element_type, scope_of(buffer))
    with ir.InsertionPoint(old), old.location:
        return ir.Operation.create("tl.alloc", [result], attributes=attributes).result


def version_of(buffer: ir.Value, slot: ir.Value) -> ir.Value:
    """One version of a multi-versioned tile."""
    shape = list(ir.MemRefType(buffer.type).shape)
    zero = build.constant(0)
    return build.slice_of(buffer, [slot, *[zero] * (len(shape) - 1)], [1, *shape[1:]])


def redirect(old: ir.Value, new: ir.Value, slot: ir.Value) -> None:
    """Make every use of a tile use the version `slot`."""
    for use in list(old.uses):
        op, position = use.owner.operation, use.operand_number
        with ir.InsertionPoint(op), op.location:
            if op.name in ("memref.load", "memref.store"):
                operands = list(op.operands)
                operands[position : position + 1] = [new, build.to_index(slot)]
                _replace(op, operands)
            elif op.name == "tl.slice":
                operands = list(op.operands)
                sizes = [1, *int_array(op.attributes["sizes"])]
                op.results[0].replace_all_uses_with(build.slice_of(new, [slot, *operands[1:]], sizes))
                op.erase()
            else:
                op.operands[position] = version_of(new, slot)


def _replace(op: ir.Operation, operands: list[ir.Value]) -> None:
    attrs = build.attributes_of(op)
    new = ir.Operation.create(op.name, [r.type for r in op.results], operands, attrs)
    for old, result in zip(op.results, new.results, strict=True):
        old.replace_all_uses_with(result)
    op.erase()


