"""Copies and fills of parts of fragments, as parallel loops before layouts are inferred.

    tl.copy F[k, 0:128] -> R   =>   parallel i in 128 { R[i] = F[k, i] }

So what is asked of the fragment (its first dimension in registers of every thread) shows in the indices.
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ..dialect.effects import root
from ..dialect.tl import FRAGMENT, GLOBAL, SHARED, scope_of
from . import build
from .expand_tile_ops import convert, region_of


def is_part(value: ir.Value) -> bool:
    """Whether a tile is a slice of a fragment, and less than all of it."""
    if scope_of(value) != FRAGMENT or isinstance(value.owner, ir.Block) or value.owner.operation.name != "tl.slice":
        return False
    return list(region_of(value).sizes) != list(ir.MemRefType(root(value).type).shape)


def expand_part(op: ir.Operation) -> None:
    """Turn a copy or a fill of a part of a fragment into a loop; other operations stay."""
    tiles = [v for v in op.operands if isinstance(v.type, ir.MemRefType)]
    if not any(is_part(v) for v in tiles) or any(scope_of(v) not in (FRAGMENT, GLOBAL, SHARED) for v in tiles):
        return
    if "async" in op.attributes:
        return
    with ir.InsertionPoint(op), op.location:
        target = region_of(tiles[-1])
        loop = build.parallel(target.shape or [1])
        block = loop.regions[0].blocks[0]
        with ir.InsertionPoint(block):
            variables = list(block.arguments)[: len(target.shape)]
            if op.name == "tl.fill":
                value = op.operands[1]
            else:
                source = region_of(tiles[0])
                value = build.load(source.buffer, source.indices(variables))
                value = convert(op, value, ir.MemRefType(target.buffer.type).element_type)
            build.store(value, target.buffer, target.indices(variables))
    op.erase()
