"""Parallel loops in parallel loops.

    for i in T.Parallel(n):
        for j in T.Parallel(m):
            x[i, j] = 0

The dialect has one loop with all the extents. An inner loop that is all its outer loop holds becomes part of it;
one beside other statements, or under a branch, is a serial loop of each iteration of the outer one.
"""

from __future__ import annotations

from collections.abc import Iterator

from tilelang_mlir.mlir import ir

_PURE = ("arith.", "math.", "tl.cast", "tl.bitcast", "tl.thread_id")


def close_nest(outer: ir.Operation) -> None:
    """Give a `tl.parallel` whose body is complete its form: no other one inside."""
    for inner in [op for op in _within(outer) if op.name == "tl.parallel"]:
        if inner.block == outer.regions[0].blocks[0] and _is_whole_body(outer, inner):
            outer = _merge(outer, inner)
        else:
            _serialize(inner)


def _within(op: ir.Operation) -> Iterator[ir.Operation]:
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                yield inner.operation
                yield from _within(inner.operation)


def _is_whole_body(outer: ir.Operation, inner: ir.Operation) -> bool:
    """Whether every iteration of the inner loop may evaluate what else the outer one holds by itself."""
    body = outer.regions[0].blocks[0]
    if any("layout" in op.attributes for op in (outer, inner)):
        return False
    if not all(_is_outside(value, body) for value in inner.operands):
        return False
    others = [op.operation for op in body.operations if op.operation != inner]
    if not all(op.name.startswith((*_PURE, "memref.load")) for op in others):
        return False
    loaded = [op.operands[0] for op in others if op.name == "memref.load"]
    if not loaded:
        return True
    effects = [op for op in _within(inner) if not op.name.startswith((*_PURE, "memref.load", "scf."))]
    return all(op.name == "memref.store" and op.operands[1] not in loaded for op in effects)


def _is_outside(value: ir.Value, body: ir.Block) -> bool:
    owner = value.owner
    return owner != body if isinstance(owner, ir.Block) else owner.operation.block != body


def _merge(outer: ir.Operation, inner: ir.Operation) -> ir.Operation:
    """One loop over the extents of both, in the place of the outer one."""
    attributes = {name: op.attributes[name] for op in (inner, outer) for name in op.attributes}
    extents = [*outer.attributes["extents"], *inner.attributes["extents"]]
    attributes["extents"] = ir.DenseI64ArrayAttr.get(extents)
    operands = [*outer.operands, *inner.operands]
    merged = ir.Operation.create(
        "tl.parallel",
        operands=operands,
        attributes=attributes,
        regions=1,
        loc=outer.location,
        ip=ir.InsertionPoint(outer),
    )
    body, inside = outer.regions[0].blocks[0], inner.regions[0].blocks[0]
    for argument in inside.arguments:
        argument.replace_all_uses_with(body.add_argument(argument.type, argument.location))
    for op in list(inside.operations):
        op.operation.move_before(inner)
    inner.erase()
    body.append_to(merged.regions[0])
    outer.erase()
    return merged


def _serialize(loop: ir.Operation) -> None:
    """Nested counted loops in the place of a parallel one."""
    i32 = ir.IntegerType.get_signless(32)
    place, here = ir.InsertionPoint(loop), loop.location

    def constant(number: int) -> ir.Value:
        value = {"value": ir.IntegerAttr.get(i32, number)}
        return ir.Operation.create("arith.constant", results=[i32], attributes=value, loc=here, ip=place).result

    dynamic = iter(loop.operands)
    bounds = [next(dynamic) if size == -1 else constant(size) for size in loop.attributes["extents"]]
    zero, one = constant(0), constant(1)
    body, last = loop.regions[0].blocks[0], loop
    for argument, bound in zip(body.arguments, bounds, strict=True):
        counted = ir.Operation.create("scf.for", operands=[zero, bound, one], regions=1, loc=here, ip=place)
        block = counted.regions[0].blocks.append(i32, arg_locs=[argument.location])
        argument.replace_all_uses_with(block.arguments[0])
        last = ir.Operation.create("scf.yield", loc=here, ip=ir.InsertionPoint(block))
        place = ir.InsertionPoint(last)
    for op in list(body.operations):
        op.operation.move_before(last)
    loop.erase()
