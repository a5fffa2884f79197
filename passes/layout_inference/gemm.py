"""What a matrix product dictates about its operands' layouts."""

from __future__ import annotations

import itertools

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target, targets_with

from ...dialect.effects import root
from ...dialect.layout import Fragment, SharedLayout, row_major, swizzle_span, swizzled
from ...dialect.layout.attrs import to_attr
from ...dialect.location import python_location
from ...dialect.products import extents, factors, transposes
from ...dialect.tl import FRAGMENT, SHARED, scope_of
from ..nvidia.mma_layout import (
    accumulator,
    mma_shape,
    operand_a,
    operand_b,
    partition,
    require_whole_steps,
    sparse_shape,
)
from ..nvidia.tensor_products import product_fragments
from ..nvidia.wgmma_layout import GroupGrid, uses_wgmma, why_no_wgmma
from ..nvidia.wgmma_layout import accumulator as wgmma_accumulator
from ..nvidia.wgmma_layout import operand_a as wgmma_operand_a
from ..operand_tiles import shared_operand
from ..scaled_products import require_scaled_products
from ..walk import WARPGROUP, members_of
from .product_forms import Form


def gemm_layouts(
    op: ir.Operation, threads: int, target: Target, form: Form
) -> list[tuple[ir.Value, Fragment | SharedLayout]]:
    """Layouts of the buffers behind A, B and C."""
    require_scaled_products(op, target)
    if not target.supports(Feature.LDMATRIX):
        if "wgmma" in op.attributes:
            raise _no_wgmma(op, threads, target)
        from ..amd.layouts import gemm_layouts as matrix_core_layouts

        return matrix_core_layouts(op, threads, target)
    a, b, c = list(op.operands)[:3]
    m, n, k = extents(op)
    transpose_a, transpose_b = transposes(op)
    bits = ir.MemRefType(a.type).element_type.width
    groups = _groups(op, threads, target, form)
    if groups is not None:
        return _wgmma_layouts(op, groups, k, bits)
    shape = mma_shape(bits)
    if FRAGMENT in (scope_of(a), scope_of(b)):
        require_whole_steps(op, k, shape)
    grid = partition(m, n, threads // target.warp_size, ir.StringAttr(op.attributes["policy"]).value, shape, op)
    out: list[tuple[ir.Value, Fragment | SharedLayout]] = [(root(c), accumulator(grid, shape))]
    for value, layout in (
        (a, lambda: _stored_a(operand_a(grid, shape, k, bits), transpose_a)),
        (b, lambda: operand_b(grid, shape, k, bits, transposed=transpose_b)),
    ):
        if scope_of(value) == FRAGMENT:
            out.append((root(value), layout()))
        elif scope_of(value) == SHARED:
            out.append((root(value), shared_operand(value)))
    return out


def _groups(op: ir.Operation, threads: int, target: Target, form: Form) -> GroupGrid | None:
    """How warpgroups share a product; None where it runs on other instructions."""
    aligned = members_of(op).start % WARPGROUP == 0
    groups = uses_wgmma(op, threads, target, narrow=form.narrow) if form.wgmma and aligned else None
    if groups is None and "wgmma" in op.attributes:
        raise _no_wgmma(op, threads, target)
    return groups


def narrow_panels(op: ir.Operation, threads: int, target: Target) -> None:
    """Where the program asks for a warpgroup product that the widest swizzles do not allow, since warpgroups or slices
    share a panel of columns: give its tiles the widest ones that do, as if the program had."""
    if "wgmma" not in op.attributes or members_of(op).start % WARPGROUP or uses_wgmma(op, threads, target) is not None:
        return
    a, b, _ = factors(op)
    tiles = [root(v).owner.operation for v in (a, b) if scope_of(v) == SHARED]
    tiles = [tile for tile in tiles if "layout" not in tile.attributes]
    for spans in itertools.product((128, 64, 32), repeat=len(tiles)):
        for tile, span in zip(tiles, spans, strict=True):
            kind = ir.MemRefType(tile.results[0].type)
            if swizzle_span(kind.shape[-2:], kind.element_type.width) >= span:
                tile.attributes["layout"] = to_attr(swizzled(kind.shape, kind.element_type.width, span))
        if uses_wgmma(op, threads, target) is not None:
            return
    for tile in tiles:
        if "layout" in tile.attributes:
            del tile.attributes["layout"]


def _no_wgmma(op: ir.Operation, threads: int, target: Target) -> UnsupportedError:
    plain = op.name.replace("tl.", "T.")
    return UnsupportedError(
        f"{plain.replace('.', '.wgmma_')} cannot run on warpgroup products here: {why_no_wgmma(op, threads, target)}",
        python_location(op.location),
        hint=f"{plain} takes every shape and dtype, and other targets",
    )


def sparse_layouts(
    op: ir.Operation, threads: int, target: Target, form: Form
) -> list[tuple[ir.Value, Fragment | SharedLayout]]:
    """Layouts of the buffers behind A, E, B and C of a sparse product; metadata lie row by row."""
    if not target.supports(Feature.MMA_WIDE):
        raise UnsupportedError(
            f"T.gemm_sp needs sparse matrix instructions, which {target} lacks",
            python_location(op.location),
            hint=f"targets that have them: {', '.join(targets_with(Feature.MMA_WIDE))}",
        )
    a, e, b, c = list(op.operands)[:4]
    m, n, deep = extents(op)
    k = deep // 2  # of A
    transpose_a, transpose_b = transposes(op)
    bits = ir.MemRefType(a.type).element_type.width
    metadata = root(e), row_major(list(ir.MemRefType(root(e).type).shape)[-2:])
    groups = _groups(op, threads, target, form)
    if groups is not None:
        return [metadata, *_wgmma_layouts(op, groups, k, bits)]
    shape = mma_shape(bits)
    grid = partition(m, n, threads // target.warp_size, ir.StringAttr(op.attributes["policy"]).value, shape, op)
    require_whole_steps(op, deep, sparse_shape(shape))
    out: list[tuple[ir.Value, Fragment | SharedLayout]] = [(root(c), accumulator(grid, shape)), metadata]
    for value, layout in (
        (a, lambda: _stored_a(operand_a(grid, shape, k, bits), transpose_a)),
        (b, lambda: operand_b(grid, shape, deep, bits, transposed=transpose_b)),
    ):
        out.append((root(value), layout() if scope_of(value) == FRAGMENT else shared_operand(value)))
    return out


def tensor_layouts(op: ir.Operation) -> list[tuple[ir.Value, Fragment | SharedLayout]]:
    """Layouts for a product that goes through tensor memory (`nvidia/tensor_products.py`), which is marked."""
    shared = [v for v in list(op.operands)[:2] if scope_of(v) == SHARED]
    return [*product_fragments(op), *((root(v), shared_operand(v)) for v in shared)]


def _wgmma_layouts(
    op: ir.Operation, grid: GroupGrid, k: int, bits: int
) -> list[tuple[ir.Value, Fragment | SharedLayout]]:
    """Layouts for warpgroup products, with k elements of A stored; the op is marked with the instruction."""
    a, b, c = factors(op)
    op.attributes["instr"] = ir.StringAttr.get("wgmma")
    out: list[tuple[ir.Value, Fragment | SharedLayout]] = [
        (root(c), wgmma_accumulator(grid)),
        (root(b), shared_operand(b)),
    ]
    if scope_of(a) == FRAGMENT:
        out.append((root(a), wgmma_operand_a(grid, k, bits)))
    else:
        out.append((root(a), shared_operand(a)))
    return out


def _stored_a(layout: Fragment, transposed: bool) -> Fragment:
    """A is stored as [K, M] when transposed."""
    return layout.with_dims(layout.shape[::-1], [1, 0]) if transposed else layout
