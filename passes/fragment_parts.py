"""Copies and fills of parts of fragments and of slices of run-time size, as parallel loops before layouts are inferred.

    tl.copy F[k, 0:128] -> R      =>   parallel i in 128 { R[i] = F[k, i] }
    tl.copy A[0:n] -> S[0:n]      =>   parallel i in 128 { if i < n { S[i] = A[i] } }, of S of 128 elements
    tl.copy A[0:n] -> S           =>   parallel i in 128 { S[i] = i < n ? A[i] : 0 }

So what is asked of the fragment (its first dimension in registers of every thread) shows in the indices. A run-time
size that no buffer bounds is a run-time extent of the loop. Products and reductions know whole fragments only.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import int_array, ir

from ..dialect.effects import root
from ..dialect.location import python_location
from ..dialect.tl import FRAGMENT, GLOBAL, SHARED, buffer_type, scope_of
from . import build
from .expand_tile_ops import convert, region_of


def is_part(value: ir.Value) -> bool:
    """Whether a tile is a slice of a fragment, and less than all of it."""
    if scope_of(value) != FRAGMENT or isinstance(value.owner, ir.Block) or value.owner.operation.name != "tl.slice":
        return False
    return list(region_of(value).sizes) != list(ir.MemRefType(root(value).type).shape)


def expand_part(op: ir.Operation) -> ir.Operation | None:
    """Turn a copy or a fill of a part of a fragment, or of a run-time size, into a loop; other operations stay."""
    tiles = [v for v in op.operands if isinstance(v.type, ir.MemRefType)]
    if any(scope_of(v) not in (FRAGMENT, GLOBAL, SHARED) for v in tiles):
        return None
    part = any(is_part(v) for v in tiles) and "async" not in op.attributes
    return expand(op) if part or any(_bounds(v) for v in tiles) else None


def expand(op: ir.Operation) -> ir.Operation | None:
    """A copy or a fill as a parallel loop over the elements of its target; none where there are no elements."""
    tiles = [v for v in op.operands if isinstance(v.type, ir.MemRefType)]
    if any(_bounds(v) for v in tiles):
        return _expand_bounded(op, tiles)
    with ir.InsertionPoint(op), op.location:
        loop = build.parallel(region_of(tiles[-1]).shape or [1])
        with ir.InsertionPoint(loop.regions[0].blocks[0]):
            _move(op, tiles, list(loop.regions[0].blocks[0].arguments))
    op.erase()
    return loop


def stage_parts(op: ir.Operation) -> None:
    """Give a product or a reduction of slices of fragments fragments of their own.

        gemm A, B, F[32:64, :]   =>   copy F[32:64, :] -> T; gemm A, B, T; copy T -> F[32:64, :]

    Raises:
        UnsupportedError: the product is one that the program waits for: what it adds to is not there before.
    """
    tiles = [v for v in op.operands if isinstance(v.type, ir.MemRefType)]
    for place, tile in enumerate(tiles):
        owner = tile.owner
        if scope_of(tile) != FRAGMENT or isinstance(owner, ir.Block) or owner.operation.name != "tl.slice":
            continue
        if "wgmma" in op.attributes:
            raise UnsupportedError(
                "a product without its wait takes whole fragments, got a slice of one",
                python_location(op.location),
                hint="T.gemm takes slices, and T.copy moves one to a fragment of its own",
            )
        kind = ir.MemRefType(tile.type)
        written = place == len(tiles) - 1
        with ir.InsertionPoint(op), op.location:
            own = ir.Operation.create("tl.alloc", [buffer_type(list(kind.shape), kind.element_type, FRAGMENT)]).result
            if not (written and _clears(op)):
                expand_part(ir.Operation.create("tl.copy", [], [tile, own]))
            op.operands[place] = own
        if written:
            with ir.InsertionPoint.after(op), op.location:
                expand_part(ir.Operation.create("tl.copy", [], [own, tile]))


def _clears(op: ir.Operation) -> bool:
    """Whether nothing of what the operation adds to is kept."""
    return "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value


def _move(
    op: ir.Operation, tiles: Sequence[ir.Value], variables: Sequence[ir.Value], inside: ir.Value | None = None
) -> None:
    """Copy or fill the element that the variables name; where it is not `inside` of the source, with zero."""
    target = region_of(tiles[-1])
    element = ir.MemRefType(target.buffer.type).element_type
    if op.name == "tl.fill":
        value = op.operands[1]
    else:
        source = region_of(tiles[0])
        value = convert(op, build.load(source.buffer, source.indices(variables[: len(source.dims)])), element)
    if inside is not None:
        zero = ir.Operation.create("arith.constant", [element], attributes={"value": _zero(element)}).result
        value = ir.Operation.create("arith.select", [element], [inside, value, zero]).result
    build.store(value, target.buffer, target.indices(variables[: len(target.dims)]))


def _zero(element: ir.Type) -> ir.Attribute:
    if isinstance(element, ir.IntegerType):
        return ir.IntegerAttr.get(element, 0)
    return ir.FloatAttr.get(element, 0.0)


def _bounds(value: ir.Value) -> dict[int, ir.Value]:
    """The run-time sizes of a slice, by position among the dimensions longer than one."""
    if isinstance(value.owner, ir.Block) or value.owner.operation.name != "tl.slice":
        return {}
    op = value.owner.operation
    sizes = int_array(op.attributes["sizes"])
    values = iter(list(op.operands)[1 + len(sizes) :])
    bounds = {dim: next(values) for dim, size in enumerate(sizes) if size == -1}
    long = [dim for dim, size in enumerate(sizes) if size != 1]
    return {long.index(dim): bound for dim, bound in bounds.items()}


def _expand_bounded(op: ir.Operation, tiles: Sequence[ir.Value]) -> ir.Operation | None:
    """A loop over as many elements as a buffer can have, with conditions for the run-time sizes."""
    regions, bounds = [region_of(v) for v in tiles], [_bounds(v) for v in tiles]
    if len({len(region.dims) for region in regions}) != 1:
        return None
    extents, limits = [], []
    for place in range(len(regions[-1].dims)):
        known = [r.shape[place] for r in regions if r.shape[place] > 0]
        whole = [ir.MemRefType(r.buffer.type).shape[r.dims[place]] for r in regions]
        extents.append(min(known or [size for size in whole if size > 0], default=-1))
        limits.append(next((b[place] for b in bounds[::-1] if place in b), None))
    missing = [limit for extent, limit in zip(extents, limits, strict=True) if extent == -1]
    if any(limit is None for limit in missing):
        return None
    with ir.InsertionPoint(op), op.location:
        loop = build.parallel(extents, operands=[_narrowed(limit) for limit in missing if limit is not None])
        block = loop.regions[0].blocks[0]
        variables = list(block.arguments)
        with ir.InsertionPoint(block):
            stored, read = (_within(side, extents, variables) for side in (bounds[-1], bounds[0]))
            inner = build.branch(stored) if stored is not None else None
            point = ir.InsertionPoint.at_block_begin(inner) if inner is not None else ir.InsertionPoint(block)
            with point:
                _move(op, tiles, variables, read if op.name != "tl.fill" and bounds[0] and not bounds[-1] else None)
    op.erase()
    return loop


def _narrowed(value: ir.Value) -> ir.Value:
    return value if value.type == build.i32() else ir.Operation.create("arith.trunci", [build.i32()], [value]).result


def _within(bounds: dict[int, ir.Value], extents: Sequence[int], variables: Sequence[ir.Value]) -> ir.Value | None:
    """Whether the variables lie below the bounds that the extents of the loop are not."""
    tests = [build.compare(2, variables[d], _narrowed(b)) for d, b in bounds.items() if extents[d] != -1]
    result = tests[0] if tests else None
    for test in tests[1:]:
        result = build.binary("andi", result, test) if result is not None else test
    return result
