"""Building tile-program operations: the few that passes create, at the current insertion point and location."""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from .walk import WARP, WARPGROUP


def i32() -> ir.Type:
    return ir.IntegerType.get_signless(32)


def constant(value: int) -> ir.Value:
    kind = i32()
    return ir.Operation.create("arith.constant", [kind], attributes={"value": ir.IntegerAttr.get(kind, value)}).result


def truth(value: bool) -> ir.Value:
    """An i1."""
    kind = ir.IntegerType.get_signless(1)
    return ir.Operation.create("arith.constant", [kind], attributes={"value": ir.IntegerAttr.get(kind, value)}).result


def known_constant(value: ir.Value) -> int | None:
    """The number that an integer is known to be."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return None
    attribute = owner.operation.attributes["value"]
    return ir.IntegerAttr(attribute).value if isinstance(attribute, ir.IntegerAttr) else None


def binary(name: str, a: ir.Value, b: ir.Value) -> ir.Value:
    return ir.Operation.create(f"arith.{name}", [a.type], [a, b]).result


def compare(predicate: int, a: ir.Value, b: ir.Value) -> ir.Value:
    """`arith.cmpi` by predicate number (2 slt, 0 eq, 5 sge)."""
    attrs = {"predicate": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), predicate)}
    return ir.Operation.create("arith.cmpi", [ir.IntegerType.get_signless(1)], [a, b], attrs).result


def branch(condition: ir.Value) -> ir.Block:
    """`scf.if` without an else; the block has its terminator."""
    op = ir.Operation.create("scf.if", [], [condition], regions=2)
    block = op.regions[0].blocks.append()
    with ir.InsertionPoint(block):
        ir.Operation.create("scf.yield")
    return block


def thread_region(members: range) -> ir.Block:
    """The body of a new `tl.warpgroups` of so many threads, counted in warps where they are no whole warpgroups."""
    whole = members.start % WARPGROUP == members.stop % WARPGROUP == 0
    size = WARPGROUP if whole else WARP
    numbers = range(members.start // size, members.stop // size)
    attributes: dict[str, ir.Attribute] = {"groups": ir.DenseI32ArrayAttr.get(list(numbers))}
    if not whole:
        attributes["warps"] = unit()
    return ir.Operation.create("tl.warpgroups", [], [], attributes, regions=1).regions[0].blocks.append()


def terminator(block: ir.Block) -> ir.Operation:
    return block.operations[len(block.operations) - 1].operation


def to_index(value: ir.Value) -> ir.Value:
    if isinstance(value.type, ir.IndexType):
        return value
    return ir.Operation.create("arith.index_cast", [ir.IndexType.get()], [value]).result


def load(buffer: ir.Value, indices: Sequence[ir.Value]) -> ir.Value:
    element = ir.MemRefType(buffer.type).element_type
    return ir.Operation.create("memref.load", [element], [buffer, *(to_index(i) for i in indices)]).result


def store(value: ir.Value, buffer: ir.Value, indices: Sequence[ir.Value]) -> None:
    ir.Operation.create("memref.store", [], [value, buffer, *(to_index(i) for i in indices)])


def parallel(
    extents: Sequence[int], attributes: dict[str, ir.Attribute] | None = None, operands: Sequence[ir.Value] = ()
) -> ir.Operation:
    """A parallel loop with an empty body; the operands are extents that are -1."""
    attrs = {"extents": ir.DenseI64ArrayAttr.get(list(extents)), **(attributes or {})}
    op = ir.Operation.create("tl.parallel", [], list(operands), attrs, regions=1)
    op.regions[0].blocks.append(*[i32()] * len(extents))
    return op


def for_range(count: int) -> ir.Operation:
    """`scf.for` from 0 to `count` with an empty body and its terminator missing."""
    op = ir.Operation.create("scf.for", [], [constant(0), constant(count), constant(1)], regions=1)
    op.regions[0].blocks.append(i32())
    return op


def slice_of(buffer: ir.Value, offsets: Sequence[ir.Value], sizes: Sequence[int]) -> ir.Value:
    """A `tl.slice` with static sizes."""
    kind = ir.MemRefType(buffer.type)
    strides, _ = kind.get_strides_and_offset()
    layout = ir.StridedLayoutAttr.get(ir.ShapedType.get_dynamic_stride_or_offset(), strides)
    result = ir.MemRefType.get(list(sizes), kind.element_type, layout, kind.memory_space)
    attrs = {"sizes": ir.DenseI64ArrayAttr.get(list(sizes))}
    return ir.Operation.create("tl.slice", [result], [buffer, *offsets], attrs).result


def columns_of(value: ir.Value, start: int, count: int) -> ir.Value:
    """Some columns of all rows of a tile."""
    shape = list(ir.MemRefType(value.type).shape)
    if shape[-1] == count:
        return value
    offsets = [constant(0)] * (len(shape) - 1) + [constant(start)]
    return slice_of(value, offsets, [*shape[:-1], count])


def sync_threads() -> ir.Operation:
    return ir.Operation.create("tl.sync_threads")


def unit() -> ir.Attribute:
    return ir.UnitAttr.get()


def attributes_of(op: ir.Operation) -> dict[str, ir.Attribute]:
    """All attributes of an operation."""
    return {name: op.attributes[name] for name in op.attributes}


def turn(action: str) -> None:
    """`tl.turn`: open, take or pass."""
    ir.Operation.create("tl.turn", attributes={"action": ir.StringAttr.get(action)})
