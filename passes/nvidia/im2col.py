"""`tl.im2col_load`: bulk copies in im2col mode, a panel of the tile each."""

from __future__ import annotations

from tilelang_mlir.isa.nvidia import tma
from tilelang_mlir.mlir import ir

from ...dialect.verify import shape_of
from ..im2col import Geometry
from ..lowering.buffers import SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.index import Index
from ..lowering.memory import shared_pointer
from ..lowering.views import tile_of
from .maps import MapKey, key_of
from .reach import issuing
from .roles import barrier_pointer
from .tma_rules import panel_columns, shared_layout, swizzle_mode


def im2col_key(op: ir.Operation) -> MapKey:
    """The tensor map: a box of pixels and channels, and the corners and steps of the walk."""
    image, tile = list(op.operands)[:2]
    geometry = Geometry.of(op)
    walk = -geometry.pad, geometry.pad - geometry.reach, geometry.stride
    return key_of(image, (shape_of(tile.type)[-2], panel_columns(tile)), swizzle_mode(shared_layout(tile)), walk)


@rule("tl.im2col_load")
def lower_im2col_load(ctx: Context, op: ir.Operation) -> None:
    _, tile, barrier, index, *numbers = op.operands
    e, geometry = ctx.e, Geometry.of(op)
    (rows, columns), span = shape_of(tile.type)[-2:], panel_columns(tile)
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
    with issuing(ctx, op, pointer):
        for panel in range(columns // span):
            place = [*here.offsets[:-1], ctx.ix.add(here.offsets[-1], Index.of(panel * span))]
            coordinates = [e.add(channel, panel * span), *pixel, image]
            address = shared_pointer(ctx, here.buffer, place)
            tma.load(address, ctx.tensor_maps[im2col_key(op)], pointer, coordinates, hint=hint, taps=offsets)
