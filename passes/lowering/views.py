"""Views of buffers under another shape or element type, and tiles of buffers."""

from __future__ import annotations

import math

from tilelang_mlir.errors import LayoutError, TileValueError
from tilelang_mlir.mlir import int_array, ir

from ...dialect.layout import Fragment, recast
from ...dialect.layout.attrs import from_attr
from ...dialect.location import python_location
from .. import raster
from ..operand_tiles import view_layout
from .buffers import (
    Buffer,
    FragmentBuffer,
    GlobalBuffer,
    PrivateBuffer,
    SharedBuffer,
    Tile,
)
from .context import Context
from .index import Index


def reshape_buffer(ctx: Context, op: ir.Operation) -> Buffer:
    """The buffer of a `tl.reshape`. Memory and registers are viewed in place."""
    source, kind = ctx.buffers[op.operands[0]], ir.MemRefType(op.results[0].type)
    shape, element = tuple(kind.shape), kind.element_type
    if isinstance(source, GlobalBuffer):
        return _global_view(ctx, source, op)
    if isinstance(source, PrivateBuffer):
        return PrivateBuffer(source.pointer, element, shape)
    if isinstance(source, SharedBuffer):
        return SharedBuffer(source.offset, element, shape, view_layout(source.layout, source.element, op))
    return _fragment_view(source, op)


def _global_view(ctx: Context, source: GlobalBuffer, op: ir.Operation) -> GlobalBuffer:
    """The memory from the source's first element on, row by row."""
    kind = ir.MemRefType(op.results[0].type)
    dynamic = iter(list(op.operands)[1:])
    shape = [next(dynamic) if size == ir.ShapedType.get_dynamic_size() else size for size in kind.shape]
    sizes = tuple(n if isinstance(n, int) else ctx.ssa(n) for n in shape)
    known = [n if isinstance(n, int) else raster.divisor(n) for n in shape]
    strides: list[int | ir.Value] = [1]
    for size in reversed(sizes[1:]):
        strides.append(_product(ctx, strides[-1], size))
    return GlobalBuffer(
        source.pointer, kind.element_type, sizes, tuple(reversed(strides)),
        row_divisor=known[-1] if known else 1,
        stride_divisors=tuple(math.prod(known[dim + 1 :]) for dim in range(len(known))),
        small=source.small,
    )  # fmt: skip


def _product(ctx: Context, a: int | ir.Value, b: int | ir.Value) -> int | ir.Value:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    product = ctx.ix.multiply(*(Index.of(v) if isinstance(v, int) else ctx.ix.uniform(v, lo=0) for v in (a, b)))
    assert product is not None  # of two uniform indices there is always one
    return ctx.ix.scalar(product)


def _fragment_view(source: Buffer, op: ir.Operation) -> FragmentBuffer:
    """The same registers in the same order: the layout is the source's under the other shape."""
    layout = from_attr(op.attributes["layout"])
    assert isinstance(layout, Fragment) and isinstance(source, FragmentBuffer)
    element = ir.MemRefType(op.results[0].type).element_type
    bits, own_bits = source.element.width, element.width
    if min(bits, own_bits) < 8 and bits != own_bits:
        raise LayoutError(
            f"a view of a fragment of {source.element} as {element}", python_location(op.location),
            hint="elements of less than a byte are viewed in shared memory",
        )
    try:
        same = recast(source.layout, layout.shape, bits, own_bits).same_map(layout)
    except TileValueError:
        same = False
    if not same:
        raise LayoutError(
            f"a view of a fragment lies in other threads or registers than the fragment: {layout} of {source.layout}",
            python_location(op.location),
            hint="copy the fragment to one of the other shape",
        )
    return FragmentBuffer(element, layout, max(1, source.chunk * bits // own_bits), source)


def tile_of(ctx: Context, value: ir.Value) -> Tile:
    """The region a tile operand names: its buffer, the offset of its first element, and its static sizes."""
    owner = value.owner
    if isinstance(owner, ir.Operation | ir.OpView) and owner.operation.name == "tl.slice":
        op = owner.operation
        base = tile_of(ctx, op.operands[0])
        offsets = [ctx.index(v).lane(0) for v in list(op.operands)[1 : 1 + len(base.offsets)]]
        moved = tuple(ctx.ix.add(a, b) for a, b in zip(base.offsets, offsets, strict=True))
        return Tile(base.buffer, moved, tuple(int_array(op.attributes["sizes"])))
    shape = tuple(ir.MemRefType(value.type).shape)
    if value not in ctx.buffers:
        ctx.lower(value.owner.operation)
    return Tile(ctx.buffers[value], tuple(Index.of(0) for _ in shape), shape)
