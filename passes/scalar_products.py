"""Products for which a target's matrix instructions have no shape, as multiplications and additions of each thread.

    gemm A, B, C   =>   for k in K { parallel (i, j) in M x N { C[i, j] += A[i, k] * B[k, j] } }

Turing multiplies f16 and integers only. An operand in registers goes through a shared tile, since threads read
whole rows and columns.
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..dialect.products import extents, packed_operands, transposes
from ..dialect.tl import FRAGMENT, SHARED, buffer_type, scope_of
from . import build
from .expand_tile_ops import convert, region_of

_FACTORS, _SUMS = ("bf16", "f32", "f64"), ("f32", "f64")


def is_scalar(op: ir.Operation, target: Target) -> bool:
    """Whether a `tl.gemm` is left to the threads."""
    if target.supports(Feature.MMA_WIDE) or not target.supports(Feature.LDMATRIX) or "wgmma" in op.attributes:
        return False
    a, b, c = (str(ir.MemRefType(v.type).element_type) for v in list(op.operands)[:3])
    return a == b and a in _FACTORS and c in _SUMS and scope_of(op.operands[2]) == FRAGMENT and not any(
        packed_operands(op))


def expand_product(op: ir.Operation) -> None:
    """Replace a product."""
    a, b, c, *clear_if = op.operands
    m, n, depth = extents(op)
    turned = transposes(op)
    element = ir.MemRefType(c.type).element_type
    with ir.InsertionPoint(op), op.location:
        left, right, target = region_of(_shared(a)), region_of(_shared(b)), region_of(c)
        _clear(op, c, element, clear_if)
        loop = build.for_range(depth)
        with ir.InsertionPoint(loop.regions[0].blocks[0]):
            k = loop.regions[0].blocks[0].arguments[0]
            tile = build.parallel([m, n])
            ir.Operation.create("scf.yield")
        with ir.InsertionPoint(tile.regions[0].blocks[0]):
            i, j = tile.regions[0].blocks[0].arguments
            x = build.load(left.buffer, left.indices([k, i] if turned[0] else [i, k]))
            y = build.load(right.buffer, right.indices([j, k] if turned[1] else [k, j]))
            product = build.binary("mulf", convert(op, x, element), convert(op, y, element))
            place = target.indices([i, j])
            build.store(build.binary("addf", build.load(target.buffer, place), product), target.buffer, place)
    op.erase()


def _shared(value: ir.Value) -> ir.Value:
    if scope_of(value) == SHARED:
        return value
    kind = ir.MemRefType(value.type)
    tile = ir.Operation.create("tl.alloc", [buffer_type(list(kind.shape), kind.element_type, SHARED)]).result
    ir.Operation.create("tl.copy", [], [value, tile])
    return tile


def _clear(op: ir.Operation, c: ir.Value, element: ir.Type, clear_if: list[ir.Value]) -> None:
    zero = lambda: ir.Operation.create(
        "arith.constant", [element], attributes={"value": ir.FloatAttr.get(element, 0.0)}
    ).result
    if "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value:
        ir.Operation.create("tl.fill", [], [c, zero()])
    elif clear_if:
        block = build.branch(clear_if[0])
        with ir.InsertionPoint(build.terminator(block)):
            ir.Operation.create("tl.fill", [], [c, zero()])
