"""Sums that stay in tensor memory while a loop runs, and pieces of sums in registers."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.layout.attrs import to_attr
from ...dialect.tl import FRAGMENT, buffer_type
from .. import build
from ..elementwise import ElementLoop, element_loop, uncast
from ..nvidia.tensor_products import sum_fragment
from ..walk import nested, threads_of

PIECE = 32  # columns of a sum that a thread works on at once


def home(products: list[ir.Operation]) -> ir.Operation | None:
    """The outermost loop around the products of one sum in which nothing else touches it, but to rescale it."""
    c = products[0].operands[2]
    found: ir.Operation | None = None
    op = products[0].parent.operation
    while op.name in ("scf.for", "scf.while", "scf.if"):
        inside = set(nested(op))
        if all(_is_at_rest(use.owner.operation, op, products) for use in c.uses if use.owner.operation in inside):
            if op.name != "scf.if" and all(product in inside for product in products):
                found = op
        op = op.parent.operation
    return found


def _is_at_rest(user: ir.Operation, loop: ir.Operation, products: list[ir.Operation]) -> bool:
    if user in products:
        return user.operands[2] not in list(user.operands)[:2]
    while user.name != "tl.parallel" and user != loop:
        user = user.parent.operation
    return user != loop and rescaling(user, products[0].operands[2]) is not None


def rescaling(op: ir.Operation, c: ir.Value) -> ElementLoop | None:
    """`c[i, j] = f(c[i, j], rows' facts)`: a loop whose columns matter for nothing but the place in `c`."""
    loop = element_loop(op)
    if loop is None or loop.target != c or not loop.covers_target or loop.dims != (0, 1):
        return None
    column = op.regions[0].blocks[0].arguments[1]
    for use in column.uses:
        index = use.owner.operation
        if index.name != "arith.index_cast":
            return None
        if any(not _is_place(inner.owner.operation, c, column) for inner in index.results[0].uses):
            return None
    return loop


def _is_place(access: ir.Operation, c: ir.Value, column: ir.Value) -> bool:
    """Whether an access is to `c` at [.., column]."""
    first = {"memref.load": 0, "memref.store": 1}.get(access.name)
    return first is not None and access.operands[first] == c and uncast(access.operands[first + 2]) == column


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
    width = _width(columns)
    where = ir.InsertionPoint.current.block.owner.operation
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
