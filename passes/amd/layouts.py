"""What a matrix product dictates about its operands' layouts."""

from __future__ import annotations

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ...dialect.effects import root
from ...dialect.layout import Fragment, SharedLayout
from ...dialect.tl import FRAGMENT, SHARED, scope_of
from ..operand_tiles import shared_operand
from .product import accumulator, operand, plan_product, plan_scaled


def gemm_layouts(op: ir.Operation, threads: int, target: Target) -> list[tuple[ir.Value, Fragment | SharedLayout]]:
    """Layouts of the buffers behind A, B and C."""
    a, b, c = list(op.operands)[:3]
    product = (plan_scaled if op.name == "tl.mma_scaled" else plan_product)(op, threads, target)
    out: list[tuple[ir.Value, Fragment | SharedLayout]] = [(root(c), accumulator(product))]
    for value, side in ((a, product.a), (b, product.b)):
        if scope_of(value) == FRAGMENT:
            out.append((root(value), operand(product, side)))
        elif scope_of(value) == SHARED:
            out.append((root(value), shared_operand(value)))
    return out
