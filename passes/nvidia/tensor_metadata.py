"""Sparse products on tcgen05: the metadata of A go from shared memory to tensor memory.

    tcgen05_sparse_mma A, B, C, keep, E   (E shared)
    =>
    parallel lane, column: F[lane, column] = the word of `isa/nvidia/tcgen05_sparse`; copy F -> X
    tcgen05_sparse_mma A, B, C, keep, X

Every instruction has four columns of X, all with what its first one or two need.
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import tcgen05_sparse
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ...dialect.location import python_location
from ...dialect.tl import FRAGMENT, SHARED, TMEM, buffer_type, scope_of
from .. import build
from ..expand_tile_ops import region_of
from .tensor_rules import SPARSE, product_obstacle, product_of

_LANES = 128


def bring_metadata(launch: ir.Operation, op: ir.Operation, target: Target) -> None:
    """Give a `tl.tcgen05_sparse_mma` its metadata in tensor memory, where they are in shared memory.

    Raises:
        UnsupportedError: tcgen05 has no such product.
    """
    if op.name != SPARSE or scope_of(op.operands[4]) != SHARED:
        return
    if obstacle := product_obstacle(op, target):
        raise UnsupportedError(f"tcgen05.mma has no sparse product with {obstacle}", python_location(op.location))
    product = product_of(op)
    columns = product.steps * tcgen05_sparse.GROUP
    with op.location:
        with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]):
            words, held = (
                ir.Operation.create("tl.alloc", [buffer_type([_LANES, columns], build.i32(), scope)]).result
                for scope in (TMEM, FRAGMENT)
            )
        with ir.InsertionPoint(op):
            block = build.parallel([_LANES, columns]).regions[0].blocks[0]
            with ir.InsertionPoint(block):
                lane, column = block.arguments
                build.store(_word(op.operands[4], product.shape.kind, lane, column), held, [lane, column])
            ir.Operation.create("tl.copy", [], [held, words])
    op.operands[4] = words


def _word(metadata: ir.Value, kind: str, lane: ir.Value, column: ir.Value) -> ir.Value:
    """What lane `lane` has in column `column` of the metadata."""
    read = region_of(metadata)
    lead = [build.constant(0)] * (len(read.sizes) - 2)
    step = build.binary("divui", column, build.constant(tcgen05_sparse.GROUP))

    def element(row: ir.Value, place: ir.Value) -> ir.Value:
        value = build.load(read.buffer, read.within([*lead, row, place]))
        return value if value.type == build.i32() else ir.Operation.create("arith.extui", [build.i32()], [value]).result

    double = build.binary("muli", step, build.constant(2))
    if tcgen05_sparse.words(kind) == 2:
        return element(lane, build.binary("addi", double, build.binary("remui", column, build.constant(2))))
    first = build.binary("remui", lane, build.constant(8))
    part = build.binary("remui", lane, build.constant(16))
    row = build.binary("addi", build.binary("subi", lane, part), first)
    place = build.binary("addi", double, build.binary("divui", part, build.constant(8)))
    upper = element(build.binary("addi", row, build.constant(8)), place)
    return build.binary("ori", element(row, place), build.binary("shli", upper, build.constant(16)))
