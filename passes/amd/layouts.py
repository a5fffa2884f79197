"""What a matrix product dictates about its operands' layouts."""

from __future__ import annotations

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ...dialect.effects import root
from ...dialect.layout import Fragment, SharedLayout, row_major, swizzle_span, swizzled
from ...dialect.tl import FRAGMENT, SHARED, scope_of
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
            out.append((root(value), shared_operand(root(value))))
    return out


def shared_operand(buffer: ir.Value) -> SharedLayout:
    """Rows whose 16-byte chunks are exchanged by the row's number, so that neighbouring rows lie in different banks;
    rows padded by 16 bytes where the tile admits no exchange."""
    kind = ir.MemRefType(buffer.type)
    tile, bits = list(kind.shape)[-2:], kind.element_type.width
    span = swizzle_span(tile, bits)
    return swizzled(tile, bits, span) if span else row_major(tile, pad=128 // bits)
