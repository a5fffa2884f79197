"""How shared tiles lie that products read."""

from __future__ import annotations

from tilelang_mlir.errors import LayoutError, TileValueError
from tilelang_mlir.mlir import ir

from ..dialect.effects import laid_out, root
from ..dialect.layout import SharedLayout, row_major, swizzle_span, swizzled, viewed
from ..dialect.layout.attrs import from_attr
from ..dialect.location import python_location
from ..dialect.products import PRODUCTS, TENSOR_PRODUCTS
from .lowering.buffers import element_bits


def operand_layout(kind: ir.MemRefType) -> SharedLayout:
    """Rows whose 16-byte chunks are exchanged by the row's number, in the widest span of the hardware that the tile
    admits, so that neighbouring rows lie in different banks; rows padded by 16 bytes where it admits none.

    Dimensions in front of a tile's two are versions of it."""
    tile, bits, span = list(kind.shape)[-2:], kind.element_type.width, _widest(kind)
    return swizzled(tile, bits, span) if span else row_major(tile, pad=128 // bits)


def shared_operand(value: ir.Value) -> SharedLayout:
    """The layout of the buffer behind an operand in shared memory. What a view under another shape is read by decides
    how its bytes lie; they lie row by row where products disagree, or where the buffer cannot lie so."""
    if reads_differ(value):
        return row_major(ir.MemRefType(root(value).type).shape)
    return _wanted(value)


def operand_span(value: ir.Value) -> int:
    """Bytes of a swizzled row of an operand's tile: the most that it admits, or as its buffer is laid out already; 0
    where it lies in another way."""
    tile, buffer = laid_out(value), root(value)
    kind = ir.MemRefType(tile.type)
    bits, widest = kind.element_type.width, _widest(kind)
    if not is_given(value):
        return 0 if reads_differ(value) else widest
    layout = from_attr(buffer.owner.operation.attributes["layout"])
    if not isinstance(layout, SharedLayout):  # of a fragment
        return 0
    if tile != buffer:
        try:
            layout = viewed(layout, kind.shape, ir.MemRefType(buffer.type).element_type.width, bits)
        except TileValueError:
            return 0
    shape = kind.shape[-len(layout.shape) :]  # versions of a tile are in front
    return next((s for s in (128, 64, 32) if s <= widest and layout.same_map(swizzled(shape, bits, s))), 0)


def view_layout(layout: SharedLayout, element: ir.Type, view: ir.Operation) -> SharedLayout:
    """The layout of a tile of elements under the shape and element type of a view.

    Raises:
        LayoutError: it has no such view.
    """
    kind = ir.MemRefType(view.results[0].type)
    if layout == row_major(layout.shape):
        return row_major(kind.shape)
    try:
        return viewed(layout, kind.shape, element_bits(element), element_bits(kind.element_type))
    except TileValueError as error:
        raise LayoutError(
            f"a view of a shared tile that its layout does not allow: {error}", python_location(view.location),
            hint="give the view a tile of its own, or annotate a row-major layout",
        ) from None


def is_given(value: ir.Value) -> bool:
    """Whether the buffer behind a tile has a layout, of the user or of layout inference."""
    owner = root(value).owner
    return not isinstance(owner, ir.Block) and "layout" in owner.operation.attributes


def reads_differ(value: ir.Value) -> bool:
    """Whether products read the buffer behind an operand under shapes for which it would have to lie differently."""
    views = _views(root(value))
    if all(view.owner.operation.name != "tl.reshape" for view in views[1:]):
        return False
    read = [view for view in views if any(_is_product(use.owner, use.operand_number) for use in view.uses)]
    first = _wanted(value)
    return any(not _wanted(view).same_map(first) for view in read)


def _views(buffer: ir.Value) -> list[ir.Value]:
    """A buffer and all slices and views of it."""
    found = [buffer]
    for value in found:
        owners = (use.owner.operation for use in value.uses)
        found += [op.results[0] for op in owners if op.name in ("tl.slice", "tl.reshape")]
    return found


def _is_product(op: ir.Operation | ir.OpView, operand: int) -> bool:
    return op.name in (*PRODUCTS, *TENSOR_PRODUCTS) and operand < 2


def _wanted(value: ir.Value) -> SharedLayout:
    tile, buffer = laid_out(value), root(value)
    kind, source = ir.MemRefType(tile.type), ir.MemRefType(buffer.type)
    if tile == buffer:
        return operand_layout(kind)
    bits, span = kind.element_type.width, _widest(kind)
    try:
        layout = swizzled(kind.shape, bits, span) if span else row_major(kind.shape)
        return viewed(layout, source.shape, bits, source.element_type.width)
    except TileValueError:
        return row_major(source.shape)


def _widest(kind: ir.MemRefType) -> int:
    return swizzle_span(list(kind.shape)[-2:], kind.element_type.width)
