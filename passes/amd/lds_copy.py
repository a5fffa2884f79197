"""`tl.copy {async}` by loads from device memory straight into LDS, 16 bytes per lane.

A wave's lanes write neighbouring places, so a lane does not choose where its bytes go: it chooses, by the inverse of
the tile's layout, which of the tile's chunks it loads. A swizzled layout thus costs nothing; a padded one has no such
loads. What lies outside the tensor gets an offset past the end of the buffer and becomes zero.
"""

from __future__ import annotations

import math

from tilelang_mlir.errors import PassError
from tilelang_mlir.isa.amd import buffer as buffer_access
from tilelang_mlir.isa.amd import lds_dma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ...dialect.effects import root
from ...dialect.layout import SharedLayout
from ...dialect.layout.attrs import from_attr
from ...dialect.location import python_location
from ..lowering.buffers import GlobalBuffer, SharedBuffer, Tile, element_bits
from ..lowering.context import Context
from ..lowering.index import Index
from ..lowering.memory import bounds_predicate, global_pointer, shared_pointer
from ..lowering.views import tile_of

_CHUNK = 16  # bytes of a lane


def copies_directly(op: ir.Operation, threads: int, target: Target, *, versions: bool = False) -> bool:
    """Whether a `tl.copy` from device to shared memory can be such loads; with `versions` into one of several tiles
    behind one another, too."""
    source, tile = op.operands
    if not target.supports(Feature.LDS_DMA) or threads % target.warp_size:
        return False
    layout = _layout_of(tile, versions)
    kind = ir.MemRefType(tile.type)
    bits = kind.element_type.width
    if layout is None or bits < 8 or not len(_long(list(kind.shape))) == len(layout.shape) == 2:
        return False
    vector = 8 * _CHUNK // bits
    dense = _is_dense(layout, vector)
    return dense and math.prod(layout.shape) // vector % threads == 0 and _is_aligned(source, vector, bits)


def _layout_of(tile: ir.Value, versions: bool) -> SharedLayout | None:
    owner = root(tile).owner
    if isinstance(owner, ir.Block) or "layout" not in owner.operation.attributes:
        return None
    if root(tile) != tile and not (versions and _is_version(tile)):
        return None
    layout = from_attr(owner.operation.attributes["layout"])
    return layout if isinstance(layout, SharedLayout) else None


def _is_version(tile: ir.Value) -> bool:
    """Whether a slice is a whole tile of the last two dimensions."""
    owner = tile.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "tl.slice" or owner.operation.operands[0] != root(tile):
        return False
    sizes, all_sizes = list(ir.MemRefType(tile.type).shape), list(ir.MemRefType(root(tile).type).shape)
    return sizes[-2:] == all_sizes[-2:] and all(size == 1 for size in sizes[:-2])


def _long(shape: list[int]) -> list[int]:
    return [size for size in shape if size != 1]


def _is_dense(layout: SharedLayout, vector: int) -> bool:
    """Whether chunks follow one another without gaps, each of neighbours along the last dimension."""
    reach = 1
    steps = sorted((s for s in layout.steps if s.size > 1), key=lambda s: s.offset)
    for step in steps:
        if step.offset != reach or step.size & step.size - 1 or step.stride & step.stride - 1:
            return False
        reach *= step.size
    bits, base, shift = layout.swizzle
    if bits and (shift < bits or 1 << base < vector):
        return False
    first = steps[0] if steps else None
    whole = first is not None and first.dim == len(layout.shape) - 1 and first.stride == 1 and first.size % vector == 0
    return whole and reach == math.prod(layout.shape)


def _is_aligned(source: ir.Value, vector: int, bits: int) -> bool:
    """Whether every chunk of a tile starts at a multiple of 16 bytes, and lies inside the tensor or outside of it."""
    tensor = root(source).owner
    if isinstance(tensor, ir.Block) or tensor.operation.name != "tl.tensor":
        return False
    attributes = tensor.operation.attributes
    shape, strides = (list(ir.DenseI64ArrayAttr(attributes[name])) for name in ("shape", "strides"))
    if "safe_value" in attributes or -1 in strides or shape[-1] == -1 or shape[-1] % vector or strides[-1] != 1:
        return False
    if any(stride % vector for stride in strides[:-1]):
        return False
    owner = source.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "tl.slice":
        return source == root(source)
    op = owner.operation
    return root(source) == op.operands[0] and _divides(op.operands[len(strides)], vector)


def _divides(value: ir.Value, factor: int) -> bool:
    """Whether a value is known to be a multiple of a factor."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return False
    op = owner.operation
    if op.name == "arith.constant":
        return ir.IntegerAttr(op.attributes["value"]).value % factor == 0
    if op.name == "arith.muli":
        return any(_divides(v, factor) for v in op.operands)
    return op.name == "arith.addi" and all(_divides(v, factor) for v in op.operands)


def lower_async_copy(ctx: Context, op: ir.Operation) -> None:
    source, target = (tile_of(ctx, v) for v in list(op.operands)[:2])
    if not isinstance(source.buffer, GlobalBuffer) or not isinstance(target.buffer, SharedBuffer):
        raise PassError("a load into LDS between other memories", python_location(op.location))
    layout, bits = target.buffer.layout, element_bits(target.buffer.element)
    vector = 8 * _CHUNK // bits
    wave = ctx.ix.divide(ctx.thread, ctx.target.warp_size)
    start = shared_pointer(ctx, target.buffer, target.offsets)
    # The wave's place: the same value in all its lanes, so that it can be the scalar that the load takes.
    place = ctx.e.gep(start, ctx.ix.scalar(ctx.ix.scale(wave, ctx.target.warp_size * _CHUNK)), ctx.e.i8)
    buffer = buffer_access.resource(global_pointer(ctx, source.buffer, source.offsets))
    for first in range(0, math.prod(layout.shape) // vector, ctx.num_threads):
        chunk = ctx.e.value(ctx.e.add(ctx.ix.scalar(ctx.thread), first))
        inner = _coordinates(ctx, layout, ctx.e.value(ctx.e.mul(chunk, vector)))
        offset = _offset(ctx, source, inner, vector, bits)
        lds_dma.load(buffer, ctx.e.gep(place, first * _CHUNK, ctx.e.i8), offset, _CHUNK)


def _coordinates(ctx: Context, layout: SharedLayout, place: ir.Value) -> list[Index]:
    """The coordinates of the element at a place of the tile: the swizzle undone, then digit by digit."""
    bits, base, shift = layout.swizzle
    if bits:
        moved = ctx.e.binary("andi", ctx.e.binary("shrui", place, shift), ((1 << bits) - 1) << base)
        place = ctx.e.binary("xori", place, moved)
    total: list[int | ir.Value] = [0] * len(layout.shape)
    for step in layout.steps:
        if step.size > 1:
            digit = ctx.e.binary("shrui", place, step.offset.bit_length() - 1)
            digit = ctx.e.binary("andi", digit, step.size - 1)
            total[step.dim] = ctx.e.add(total[step.dim], ctx.e.mul(digit, step.stride))
    pairs = zip(total, layout.shape, strict=True)
    return [Index.of(t) if isinstance(t, int) else ctx.ix.uniform(t, lo=0, hi=size - 1) for t, size in pairs]


def _offset(ctx: Context, source: Tile, inner: list[Index], vector: int, bits: int) -> ir.Value:
    """Bytes from the start of the tile to a lane's chunk; past the end of every buffer for one outside the tensor."""
    assert isinstance(source.buffer, GlobalBuffer)
    rest = list(inner)
    there, total = list(source.offsets), 0
    for dim, (size, stride) in enumerate(zip(source.sizes, source.buffer.strides, strict=True)):
        if size != 1:
            step = rest.pop(0)
            there[dim] = ctx.ix.add(source.offsets[dim], step)
            total = ctx.e.add(total, ctx.e.mul(ctx.ix.scalar(step), ctx.e.mul(stride, bits // 8)))
    inside = bounds_predicate(ctx, source.buffer, there, vector)
    found = ctx.e.value(total)
    if inside is None:
        return found
    return ctx.e.pure("arith.select", ctx.e.i32, [inside, found, ctx.e.constant(ctx.e.i32, lds_dma.OUTSIDE)])
