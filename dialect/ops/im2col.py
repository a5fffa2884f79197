"""Tiles of the matrix that turns a convolution into a product."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import FRAGMENT, GLOBAL, SHARED, TL
from ..verify import barrier, buffers, enum_attr, fail, int_operands, same_element, shape_of, structure
from .tma import EVICTIONS

ext = dialect("ext")

_GEOMETRY = {"kernel": "an integer", "stride": "an integer", "dilation": "an integer", "pad": "an integer"}


class Im2colOp(TL.Operation, name="im2col"):
    """One tile of the matrix: `(image, tile, row, column, height, width, channels)`.

    Rows of the matrix are output positions (image, y, x), columns are (tap y, tap x, channel). The tile [R, S] gets
    the rows from `row * R` on and the columns from `column * S` on. `height` and `width` are those of the output,
    `channels` those of the image [N, H, W, C]. `kernel`, `stride`, `dilation` and `pad` hold for both directions. What
    lies outside of the image, of its number and of the taps is zero. `eviction` as for `tl.tma_load`.
    """

    image: ext.Operand[Any]
    tile: ext.Operand[Any]
    row: ext.Operand[Any]
    column: ext.Operand[Any]
    height: ext.Operand[Any]
    width: ext.Operand[Any]
    channels: ext.Operand[Any]

    @structure(7, attributes=_GEOMETRY)
    def verify_invariants(self) -> bool:
        image, tile, *numbers = self.operation.operands
        return _tiles(self, image, tile, (SHARED, FRAGMENT)) and int_operands(self, numbers)


class Im2colLoadOp(TL.Operation, name="im2col_load"):
    """Starts `tl.im2col` as bulk copies: `(image, tile, barrier, index, ...)` and its other operands.

    The bytes complete the transactions of the barrier's element `index`; who issues the copies announces them.
    `elected`, `expect` and `ordered` as for `tl.tma_load`.
    """

    image: ext.Operand[Any]
    tile: ext.Operand[Any]
    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    numbers: Sequence[ext.Operand[Any]]

    @structure(9, attributes=_GEOMETRY)
    def verify_invariants(self) -> bool:
        image, tile, bar, *numbers = self.operation.operands
        return _tiles(self, image, tile, (SHARED,)) and barrier(self, bar) and int_operands(self, numbers)


def _tiles(op: ir.OpView, image: ir.Value, tile: ir.Value, scopes: tuple[str, ...]) -> bool:
    if not (buffers(op, [image], (GLOBAL,)) and buffers(op, [tile], scopes, first=1)):
        return False
    long = [size for size in shape_of(tile.type)[:-2] if size != 1]
    if ir.MemRefType(image.type).rank != 4 or ir.MemRefType(tile.type).rank < 2 or long:
        return fail(op, "expects an image of four dimensions and a two-dimensional tile")
    return same_element(op, image, tile, "image and tile") and enum_attr(op, "eviction", EVICTIONS, optional=True)
