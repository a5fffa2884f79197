"""`tl.im2col_load`: bulk copies in im2col mode.

Rules (CUDA Driver API, cuTensorMapEncodeIm2col; PTX ISA 8.7, section 5.5.4): those of other tensor maps; a column of at
most 1024 pixels, of at most one swizzle span of channels each; strides of at most 8; with two directions the corners of
the box that output positions walk through are within [-128, 127], and taps at most 255 pixels away. A tile has to lie
within one tap: its columns divide the channels.
"""

from __future__ import annotations

from tilelang_mlir.isa.nvidia import tma
from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import row_major
from ...dialect.verify import shape_of
from .. import raster
from ..im2col import Geometry
from ..lowering.buffers import SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.index import Index
from ..lowering.memory import shared_pointer
from ..lowering.views import tile_of
from .maps import MapKey
from .roles import barrier_pointer
from .tma_rules import ALIGNMENT, box_bytes, shared_layout, tensor_obstacle

_MAX_PIXELS, _MAX_STRIDE, _MAX_TAP, _CORNER = 1024, 8, 255, 128


def im2col_obstacle(op: ir.Operation) -> str:
    """Why a tile cannot be loaded by bulk copies in im2col mode, or an empty string."""
    image, tile = list(op.operands)[:2]
    if obstacle := tensor_obstacle(image):
        return obstacle
    geometry, channels = Geometry.of(op), raster.known(op.operands[6])
    rows, columns = shape_of(tile.type)[-2:]
    size = ir.MemRefType(tile.type).element_type.width // 8
    layout = shared_layout(tile)
    if not isinstance(channels, int) or channels % columns:
        return f"a tile of {columns} columns does not lie within one tap"
    if geometry.stride > _MAX_STRIDE or geometry.reach > _MAX_TAP:
        return f"a stride of {geometry.stride}, taps {geometry.reach} apart"
    if geometry.pad > _CORNER or geometry.pad >= _CORNER + geometry.reach or geometry.reach - geometry.pad > _CORNER:
        return f"padding of {geometry.pad}"
    if rows > _MAX_PIXELS or columns * size % 16 or box_bytes(tile) % ALIGNMENT:
        return f"a tile of {rows} rows of {columns * size} bytes"
    if not layout.swizzle.bits and (layout != row_major(list(layout.shape)) or columns > 256):
        return "the shared tile is not in panels of one swizzle span"
    return ""


def _span(tile: ir.Value) -> int:
    """Columns of a panel."""
    bits = shared_layout(tile).swizzle.bits
    return (16 << bits) * 8 // ir.MemRefType(tile.type).element_type.width if bits else shape_of(tile.type)[-1]


def im2col_key(op: ir.Operation) -> MapKey:
    """The tensor map: a box of pixels and channels, and the corners and steps of the walk."""
    image, tile = list(op.operands)[:2]
    geometry, bits = Geometry.of(op), shared_layout(tile).swizzle.bits
    argument = ir.BlockArgument(root(image).owner.operation.operands[0]).arg_number
    walk = -geometry.pad, geometry.pad - geometry.reach, geometry.stride
    return MapKey(argument, (shape_of(tile.type)[-2], _span(tile)), f"{16 << bits}B" if bits else "none", walk)


@rule("tl.im2col_load")
def lower_im2col_load(ctx: Context, op: ir.Operation) -> None:
    _, tile, barrier, index, *numbers = op.operands
    e, geometry = ctx.e, Geometry.of(op)
    (rows, columns), span = shape_of(tile.type)[-2:], _span(tile)
    row, column, height, width, channels = (ctx.ssa(v) for v in numbers)
    first = e.binary("muli", row, rows)
    x, rest = e.binary("remui", first, width), e.binary("divui", first, width)
    y, image = e.binary("remui", rest, height), e.binary("divui", rest, height)
    pixel = [e.sub(e.mul(at, geometry.stride), geometry.pad) for at in (x, y)]
    start = e.binary("muli", column, columns)
    tap = e.binary("divui", start, channels)
    # Behind the last tap all is zero, as behind the last channel.
    beyond = e.compare("uge", tap, geometry.kernel**2)
    channel = e.pure("arith.select", e.i32, [beyond, channels, e.binary("remui", start, channels)])
    tap = e.binary("minui", tap, geometry.kernel**2 - 1)
    taps = [e.mul(e.binary(name, tap, geometry.kernel), geometry.dilation) for name in ("remui", "divui")]
    i16 = ir.IntegerType.get_signless(16)
    offsets = [e.pure("arith.trunci", i16, [e.value(v)]) for v in taps]
    here, pointer = tile_of(ctx, tile), barrier_pointer(ctx, barrier, index)
    assert isinstance(here.buffer, SharedBuffer)
    hint = ir.StringAttr(op.attributes["eviction"]).value if "eviction" in op.attributes else ""
    for panel in range(columns // span):
        place = [*here.offsets[:-1], ctx.ix.add(here.offsets[-1], Index.of(panel * span))]
        coordinates = [e.add(channel, panel * span), *pixel, image]
        address = shared_pointer(ctx, here.buffer, place)
        tma.load(address, ctx.tensor_maps[im2col_key(op)], pointer, coordinates, hint=hint, taps=offsets)
