"""Shared tiles that only carry a fragment, or its transpose, to device memory, recognised:

    copy f -> S; copy S -> T[..]
    parallel (i, j) { S[i, j] = f[j, i] }; copy S -> T[..]
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir import dtypes
from tilelang_mlir.mlir import int_array, ir

from ...dialect.effects import region_effects, root
from ...dialect.tl import FRAGMENT, SHARED, scope_of
from ..elementwise import defining, uncast


@dataclass(frozen=True)
class Carrier:
    """What fills the tile: with a whole fragment, or with its transpose."""

    op: ir.Operation
    fragment: ir.Value
    tile: ir.Value
    transposed: bool = False


def carrier_of(op: ir.Operation) -> Carrier | None:
    """What fills the shared tile that `op` stores, when the tile has no other use and carries a fragment as it is."""
    source, target = op.operands
    if scope_of(source) != SHARED or root(source) != source:
        return None
    others = [user for use in source.uses if (user := use.owner.operation) != op]
    if len(others) != 1:
        return None
    user = others[0]
    found = _copied(user, source) if user.name == "tl.copy" else _transposed(user, source)
    same_type = ir.MemRefType(source.type).element_type == ir.MemRefType(target.type).element_type
    if found is None or not same_type or found.op.parent != op.parent:
        return None
    between = [e for inner in _between(found.op, op) for e in region_effects(inner)]
    changed = any(e.kind == "write" and e.value == root(found.fragment) for e in between)
    return None if changed else found


def _copied(copy: ir.Operation, tile: ir.Value) -> Carrier | None:
    fragment, target = copy.operands
    return Carrier(copy, fragment, tile) if target == tile and scope_of(fragment) == FRAGMENT else None


def _transposed(inside: ir.Operation, tile: ir.Value) -> Carrier | None:
    """A loop over the whole tile that takes the fragment's elements from exchanged places, at most converted."""
    loop = inside.parent.operation
    if inside.name != "memref.store" or loop.name != "tl.parallel" or len(loop.operands):
        return None
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    plain = {"arith.index_cast", "memref.load", "memref.store", "tl.cast"}
    loads, stores = ([op for op in body if op.name == name] for name in ("memref.load", "memref.store"))
    if {op.name for op in body} - plain or len(loads) != 1 or len(stores) != 1:
        return None
    fragment, *places = loads[0].operands
    value, target, *indices = inside.operands
    variables = list(loop.regions[0].blocks[0].arguments)
    extents = int_array(loop.attributes["extents"])
    whole = target == tile and extents == list(ir.MemRefType(tile.type).shape) and len(extents) == 2
    flipped = [uncast(v) for v in places] == variables[::-1] and [uncast(v) for v in indices] == variables
    if not whole or not flipped or scope_of(fragment) != FRAGMENT or root(fragment) != fragment:
        return None
    if value != loads[0].results[0]:
        cast = defining(value, "tl.cast")
        if cast is None or cast.operands[0] != loads[0].results[0] or not _is_plain(cast):
            return None
    return Carrier(loop, fragment, tile, transposed=True)


def _is_plain(cast: ir.Operation) -> bool:
    """Whether a conversion is the one between the element types, which says nothing of signs."""
    types = (cast.operands[0].type, cast.results[0].type)
    named = (ir.StringAttr(cast.attributes[side]).value for side in ("from", "to"))
    return all(dtypes.from_mlir(str(kind)) == name for kind, name in zip(types, named, strict=True))


def _between(first: ir.Operation, last: ir.Operation) -> list[ir.Operation]:
    ops = [op.operation for op in first.block.operations]
    return ops[ops.index(first) + 1 : ops.index(last)]
