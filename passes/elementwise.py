"""Parallel loops that store one value per element: what patterns over tile programs are made of."""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import int_array, ir


@dataclass(frozen=True)
class ElementLoop:
    """`parallel (i, j) { target[i, j] = value }`: `dims` are the positions of the loop's variables that index."""

    op: ir.Operation
    target: ir.Value
    dims: tuple[int, ...]
    value: ir.Value
    store: ir.Operation

    @property
    def covers_target(self) -> bool:
        """Whether every element of the target is stored, each exactly once."""
        return stores_all(self.op, self.store)

    def load(self, value: ir.Value) -> tuple[ir.Value, tuple[int, ...]] | None:
        """The buffer and the variables of `buffer[i, j]`, where a value is such a load."""
        op = defining(value, "memref.load")
        dims = _variables(self.op, list(op.operands)[1:]) if op is not None else None
        return (op.operands[0], dims) if op is not None and dims is not None else None


def element_loop(op: ir.Operation) -> ElementLoop | None:
    """The loop's form when it consists of loads, arithmetic and one store at its own variables."""
    if op.name != "tl.parallel" or len(op.operands):
        return None
    body = [inner.operation for inner in op.regions[0].blocks[0].operations]
    stores = [inner for inner in body if inner.name == "memref.store"]
    plain = ("arith.", "math.", "memref.", "tl.cast", "tl.math")
    if len(stores) != 1 or not all(inner.name.startswith(plain) and not len(inner.regions) for inner in body):
        return None
    store = stores[0]
    dims = _variables(op, list(store.operands)[2:])
    return ElementLoop(op, store.operands[1], dims, store.operands[0], store) if dims is not None else None


def stores_all(loop: ir.Operation, store: ir.Operation) -> bool:
    """Whether a store in a loop's body reaches every element of its target, each exactly once."""
    extents, dims = int_array(loop.attributes["extents"]), _variables(loop, list(store.operands)[2:])
    whole = dims is not None and [extents[d] for d in dims] == list(ir.MemRefType(store.operands[1].type).shape)
    return dims is not None and whole and sorted(dims) == list(range(len(extents)))


def _variables(loop: ir.Operation, indices: list[ir.Value]) -> tuple[int, ...] | None:
    """Which variables of the loop the indices are, one each."""
    arguments = list(loop.regions[0].blocks[0].arguments)
    found: list[int] = []
    for index in indices:
        source = uncast(index)
        if source not in arguments:
            return None
        found.append(arguments.index(source))
    return tuple(found) if len(set(found)) == len(found) else None


def uncast(index: ir.Value) -> ir.Value:
    """The integer that an index was cast from."""
    cast = defining(index, "arith.index_cast")
    return cast.operands[0] if cast is not None else index


def defining(value: ir.Value, *names: str) -> ir.Operation | None:
    """The operation that computes a value, if it has one of the names."""
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.operation
    return op if op.name in names else None


def float_constant(value: ir.Value) -> float | None:
    """The number that a floating-point constant is."""
    op = defining(value, "arith.constant")
    if op is None or not isinstance(op.attributes["value"], ir.FloatAttr):
        return None
    return ir.FloatAttr(op.attributes["value"]).value


def outside(value: ir.Value, loop: ir.Operation, replaced: dict[ir.Value, ir.Value]) -> ir.Value:
    """The value computed at the insertion point, outside of the loop.

    `replaced` maps what is known there by another name, and remembers what was computed.
    """
    if value in replaced:
        return replaced[value]
    if isinstance(value.owner, ir.Block) or value.owner.operation.parent.operation != loop:
        return value
    op = value.owner.operation
    operands = [outside(v, loop, replaced) for v in op.operands]
    attributes = {name: op.attributes[name] for name in op.attributes}
    replaced[value] = ir.Operation.create(op.name, [value.type], operands, attributes).result
    return replaced[value]
