"""Building tile-program operations: the few that passes create, at the current insertion point and location."""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.mlir import ir


def i32() -> ir.Type:
    return ir.IntegerType.get_signless(32)


def constant(value: int) -> ir.Value:
    kind = i32()
    return ir.Operation.create("arith.constant", [kind], attributes={"value": ir.IntegerAttr.get(kind, value)}).result


def binary(name: str, a: ir.Value, b: ir.Value) -> ir.Value:
    return ir.Operation.create(f"arith.{name}", [a.type], [a, b]).result


def compare(predicate: int, a: ir.Value, b: ir.Value) -> ir.Value:
    """`arith.cmpi` by predicate number (2 slt, 0 eq, 5 sge)."""
    attrs = {"predicate": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), predicate)}
    return ir.Operation.create("arith.cmpi", [ir.IntegerType.get_signless(1)], [a, b], attrs).result


def thread_of(block: ir.Block) -> ir.Value:
    """The thread's index in the CTA, made at the head of a kernel: inside of `tl.warpgroups` it would count theirs."""
    with ir.InsertionPoint.at_block_begin(block):
        return ir.Operation.create("tl.thread_id", [i32()], attributes={"dim": ir.IntegerAttr.get(i32(), 0)}).result


def _thread_in(thread: ir.Value, start: int, stop: int) -> ir.Value:
    below = compare(2, thread, constant(stop))
    return below if start == 0 else binary("andi", compare(5, thread, constant(start)), below)


def branch(condition: ir.Value) -> ir.Block:
    """`scf.if` without an else; the block has its terminator."""
    op = ir.Operation.create("scf.if", [], [condition], regions=2)
    block = op.regions[0].blocks.append()
    with ir.InsertionPoint(block):
        ir.Operation.create("scf.yield")
    return block


def thread_branches(thread: ir.Value, ranges: Sequence[range]) -> list[ir.Block]:
    """Branches for ranges of the CTA's threads, each in the else of the one before: none waits for another.

    `thread` is `thread_of` the kernel. The blocks have terminators.
    """
    blocks: list[ir.Block] = []
    for position, threads in enumerate(ranges):
        op = ir.Operation.create("scf.if", [], [_thread_in(thread, threads.start, threads.stop)], regions=2)
        sides = [region.blocks.append() for region in list(op.regions)[: 2 if position + 1 < len(ranges) else 1]]
        for side in sides:
            with ir.InsertionPoint(side):
                ir.Operation.create("scf.yield")
        blocks.append(sides[0])
        if len(sides) == 2:
            with ir.InsertionPoint(terminator(sides[1])):
                return [*blocks, *thread_branches(thread, ranges[position + 1 :])]
    return blocks


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


def parallel(extents: Sequence[int], attributes: dict[str, ir.Attribute] | None = None) -> ir.Operation:
    """A parallel loop with an empty body."""
    attrs = {"extents": ir.DenseI64ArrayAttr.get(list(extents)), **(attributes or {})}
    op = ir.Operation.create("tl.parallel", [], [], attrs, regions=1)
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
