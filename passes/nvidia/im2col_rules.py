"""Which im2col tiles bulk copies can load.

Rules (CUDA Driver API, cuTensorMapEncodeIm2col; PTX ISA 8.7, section 5.5.4): those of other tensor maps; a column of at
most 1024 pixels, of at most one swizzle span of channels each; strides of at most 8; with two directions the corners of
the box that output positions walk through are within [-128, 127], and taps at most 255 pixels away. A tile has to lie
within one tap: its columns divide the channels.
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import row_major
from ...dialect.verify import shape_of
from .. import raster
from ..im2col import Geometry
from .tma_rules import ALIGNMENT, box_bytes, shared_layout, tensor_obstacle

_MAX_PIXELS, _MAX_STRIDE, _MAX_TAP, _CORNER = 1024, 8, 255, 128


def im2col_obstacle(op: ir.Operation) -> str:
    """Why a tile cannot be loaded by bulk copies in im2col mode, or an empty string."""
    image, tile = list(op.operands)[:2]
    if obstacle := tensor_obstacle(image):
        return obstacle
    if root(image).owner.operation.name == "tl.view":
        return "a map that the kernel makes is none of im2col mode"
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
