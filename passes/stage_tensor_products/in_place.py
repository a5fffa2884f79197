"""Sums that stay in tensor memory while a loop runs, and pieces of sums in registers."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.layout.attrs import to_attr
from ...dialect.layout.tensor import LANES
from ...dialect.tl import FRAGMENT, buffer_type
from .. import build
from ..nvidia.tensor_products import sum_fragment
from ..nvidia.tensor_sums import rescaling
from ..walk import WARPGROUP, nested, threads_of

PIECE = 32  # columns of a sum that a thread works on at once


def move(loop: ir.Operation, c: ir.Value, tensor: ir.Value) -> None:
    """Keep `c` in tensor memory while the loop runs."""
    with loop.location:
        with ir.InsertionPoint(loop):
            ir.Operation.create("tl.copy", [], [c, tensor])
        with ir.InsertionPoint.after(loop):
            ir.Operation.create("tl.copy", [], [tensor, c])
    for op in [op for op in nested(loop) if op.name == "tl.parallel" and rescaling(op, c) is not None]:
        with op.location, ir.InsertionPoint(op):
            _rescale(op, c, tensor)
        op.erase()


def _rescale(op: ir.Operation, c: ir.Value, tensor: ir.Value) -> None:
    """The loop over pieces of the columns, between a load and a store."""
    rows, columns = list(ir.MemRefType(c.type).shape)[-2:]
    width = _width(columns)
    for start in range(0, columns, width):
        part = _piece(op, c, width)
        ir.Operation.create("tl.copy", [], [build.columns_of(tensor, start, width), part])
        clone = op.clone().operation
        clone.attributes["extents"] = ir.DenseI64ArrayAttr.get([rows, width])
        clone.attributes["layout"] = part.owner.operation.attributes["layout"]
        for inner in nested(clone):
            for place, value in enumerate(inner.operands):
                if value == c:
                    inner.operands[place] = part
        ir.Operation.create("tl.copy", [], [part, build.columns_of(tensor, start, width)])


def bring(tensor: ir.Value, c: ir.Value, *, adds: bool) -> None:
    """Load a sum into its fragment, or add it to what the fragment holds, in pieces."""
    if not adds:
        ir.Operation.create("tl.copy", [], [tensor, c])
        return
    rows, columns = list(ir.MemRefType(c.type).shape)[-2:]
    where = ir.InsertionPoint.current.block.owner.operation
    shares_columns = rows < LANES and threads_of(where) > WARPGROUP  # of which each warpgroup has its own
    width = columns if shares_columns else _width(columns)
    for start in range(0, columns, width):
        part = _piece(where, c, width)
        ir.Operation.create("tl.copy", [], [build.columns_of(tensor, start, width), part])
        loop = build.parallel([rows, width], {"layout": part.owner.operation.attributes["layout"]})
        body = loop.regions[0].blocks[0]
        with ir.InsertionPoint(body):
            i, j = body.arguments
            place = [i, build.binary("addi", j, build.constant(start))]
            add = "addf" if isinstance(ir.MemRefType(c.type).element_type, ir.FloatType) else "addi"
            build.store(build.binary(add, build.load(c, place), build.load(part, [i, j])), c, place)


def _width(columns: int) -> int:
    """Columns of a piece: as many as divide all of them, up to `PIECE`."""
    return next(width for width in (PIECE, 16, 8, columns) if columns % width == 0)


def _piece(where: ir.Operation, c: ir.Value, width: int) -> ir.Value:
    """A fragment for some columns of a sum."""
    kind = ir.MemRefType(c.type)
    rows = kind.shape[-2]
    layout = sum_fragment(rows, width, threads_of(where))
    assert layout is not None
    result = buffer_type([rows, width], kind.element_type, FRAGMENT)
    return ir.Operation.create("tl.alloc", [result], attributes={"layout": to_attr(layout)}).result
