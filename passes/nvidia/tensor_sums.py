"""Sums that can stay in tensor memory while a loop runs: what touches them there are products that add to them, and
loops that rescale them row by row."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ..elementwise import ElementLoop, element_loop, uncast
from ..walk import nested


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
