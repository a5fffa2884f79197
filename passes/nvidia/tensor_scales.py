"""Block-scaled products of fragments on tcgen05: their factors go to tensor memory.

The tiles of factors have a word of four per row (`tl.mma_scaled`). `tl.tcgen05_cp` reads 32 rows of four words, and
puts word i of row r into column i of lane r: of 128 rows, row r is word 4 * (r % 32) + r / 32. The threads bring them
into that order in a tile of its own; rows that fill up 128 have zeros. Operands of 6 bits, and a 4-bit one beside one
of another width, are brought into the padded form of kind::mxf8f6f4 likewise.

    tl.mma_scaled A, B, C, SA, SB
    =>
    parallel w, r: X[w, r'] = SA[r, w];  parallel ..: Y = SB
    tcgen05_cp X -> TX; tcgen05_cp Y -> TY; tcgen05_scaled_mma A, B, T, keep, TX, TY
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.products import elements_of, packed_operands, tile_shape
from ...dialect.tl import SHARED, TMEM, buffer_type
from .. import build
from ..expand_tile_ops import region_of
from .tensor_rules import becomes_padded

_ROWS = 128
_UNIT = 16  # bytes of a padded tile, and elements in them
_KEPT = ("transpose_a", "transpose_b", "scale_bytes", "scale_blocks", "a_packed", "b_packed")


def start_scaled(launch: ir.Operation, op: ir.Operation, tensor: ir.Value, keep: ir.Value) -> None:
    """The product of a `tl.mma_scaled` into a buffer of tensor memory, at the insertion point."""
    factors = [_bring(launch, value) for value in list(op.operands)[3:]]
    attributes = {name: op.attributes[name] for name in _KEPT if name in op.attributes}
    sides = with_gaps(launch, op, attributes)
    ir.Operation.create("tl.tcgen05_scaled_mma", [], [*sides, tensor, keep, *factors], attributes)


def with_gaps(launch: ir.Operation, op: ir.Operation, attributes: dict[str, ir.Attribute]) -> list[ir.Value]:
    """A and B as the instruction takes them; `attributes` of a packed one that becomes padded follow."""
    out: list[ir.Value] = []
    for side, value, kind, gaps in zip("ab", op.operands, packed_operands(op), becomes_padded(op), strict=False):
        if gaps:
            attributes.pop(f"{side}_packed", None)
            attributes[f"{side}_padded"] = ir.StringAttr.get(kind)
        out.append(_pad(launch, value, kind) if gaps else value)
    return out


def _pad(launch: ir.Operation, tile: ir.Value, kind: str) -> ir.Value:
    """Bytes that share elements as every 16 elements at the start of 16 bytes, in a tile of its own."""
    rows, count = tile_shape(tile)
    units = elements_of(count, kind) // _UNIT
    used = count // units
    byte = ir.IntegerType.get_signless(8)
    with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]):
        padded = ir.Operation.create("tl.alloc", [buffer_type([rows, units * _UNIT], byte, SHARED)]).result
    read = region_of(tile)
    lead = [build.constant(0)] * (len(read.sizes) - 2)
    block = build.parallel([rows, units, used]).regions[0].blocks[0]
    with ir.InsertionPoint(block):
        row, group, inside = block.arguments
        starts = (build.binary("muli", group, build.constant(size)) for size in (used, _UNIT))
        here, there = (build.binary("addi", start, inside) for start in starts)
        build.store(build.load(read.buffer, read.within([*lead, row, here])), padded, [row, there])
    return padded


def _bring(launch: ir.Operation, scales: ir.Value) -> ir.Value:
    """Factors of an operand in tensor memory."""
    rows, words = tile_shape(scales)
    blocks = -(-rows // _ROWS)
    with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]):
        ordered, target = (
            ir.Operation.create("tl.alloc", [buffer_type(shape, build.i32(), scope)]).result
            for shape, scope in (([words, blocks * _ROWS], SHARED), ([_ROWS, words * blocks * 4], TMEM))
        )
    read = region_of(scales)
    lead = [build.constant(0)] * (len(read.sizes) - 2)
    loop = build.parallel([words, blocks * _ROWS])
    block = loop.regions[0].blocks[0]
    with ir.InsertionPoint(block):
        word, row = block.arguments
        in_block = build.binary("remui", row, build.constant(_ROWS))
        lane, part = (build.binary(name, in_block, build.constant(32)) for name in ("remui", "divui"))
        place = build.binary("addi", build.binary("subi", row, in_block), part)
        place = build.binary("addi", place, build.binary("muli", lane, build.constant(4)))
        if rows % _ROWS:
            inside = ir.Operation.create("scf.if", [], [build.compare(2, row, build.constant(rows))], regions=2)
            with ir.InsertionPoint(inside.regions[0].blocks.append()):
                build.store(build.load(read.buffer, read.within([*lead, row, word])), ordered, [word, place])
                ir.Operation.create("scf.yield")
            with ir.InsertionPoint(inside.regions[1].blocks.append()):
                build.store(build.constant(0), ordered, [word, place])
                ir.Operation.create("scf.yield")
        else:
            build.store(build.load(read.buffer, read.within([*lead, row, word])), ordered, [word, place])
    ir.Operation.create("tl.tcgen05_cp", [], [ordered, target])
    return target
