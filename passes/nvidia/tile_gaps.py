"""Bulk copies of 4-bit and 6-bit elements that leave gaps: 16 elements at the start of 16 bytes (kind::mxf8f6f4).

Rules (CUDA Driver API, cuTensorMapEncodeTiled, of 16U4_ALIGN16B and 16U6_ALIGN16B): the tensor starts at a multiple of
32 bytes, its rows are multiples of 128 elements, its other strides of 32 bytes; a box is 128 elements wide, swizzled by
128 bytes or not at all. A copy starts at a multiple of 128 elements. The bytes that it reports are those without gaps.
"""

from __future__ import annotations

import math

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.products import bytes_of, elements_of
from ...dialect.verify import shape_of
from .. import raster
from ..lowering.buffers import GlobalBuffer, SharedBuffer
from ..lowering.context import Context
from ..lowering.index import Index
from ..lowering.memory import shared_pointer
from ..lowering.views import tile_of
from .maps import MapKey, key_of
from .tma_rules import MAX_BOX, shared_layout, swizzle_mode, tensor_obstacle

BOX = 128  # elements
_STRIDE = 32  # bytes


def gaps_obstacle(device: ir.Value, shared: ir.Value, kind: str) -> str:
    """Why bulk copies cannot bring bytes of packed elements to a tile with gaps, or an empty string."""
    obstacle = tensor_obstacle(device)
    if obstacle:
        return obstacle
    tensor, inner = root(device).owner.operation, bytes_of(BOX, kind)
    if tensor.name != "tl.tensor":
        return "the kernel makes the tensor map itself"
    if any(stride % _STRIDE for stride in raster.stride_divisors(tensor)[:-1]):
        return f"rows that are not known to start at multiples of {_STRIDE} bytes"
    shape = list(ir.DenseI64ArrayAttr(tensor.attributes["shape"]))
    row = raster.divisor(tensor.operands[shape.count(-1)]) if shape[-1] == -1 else shape[-1]
    if row % inner:
        return f"rows that are not known to be multiples of {BOX} elements"
    sizes, tile = shape_of(device.type), shape_of(shared.type)
    if -1 in sizes or sizes[-1] % inner or max(sizes[:-1]) > MAX_BOX or tile[-1] != elements_of(sizes[-1], kind):
        return f"a tile of {sizes} bytes"
    place = device.owner.operation
    if place.name == "tl.slice" and raster.divisor(place.operands[len(sizes)]) % inner:
        return f"a start that is not known to be a multiple of {BOX} elements"
    return "" if swizzle_mode(shared_layout(shared)) == "128B" else "a tile that is not swizzled by 128 bytes"


def gaps_key(device: ir.Value, kind: str) -> MapKey:
    """The tensor map of such a copy."""
    return key_of(device, (*shape_of(device.type)[:-1], BOX), "128B", gaps=kind)


def gaps_bytes(device: ir.Value) -> int:
    """Bytes that the copies of a tile complete on a barrier."""
    return math.prod(shape_of(device.type))


def gaps_boxes(
    ctx: Context, device: ir.Value, shared: ir.Value, kind: str
) -> list[tuple[ir.Value, list[int | ir.Value]]]:
    """Shared address and coordinates in elements, innermost first, of the boxes: one per 128 elements of the rows."""
    there, here = tile_of(ctx, device), tile_of(ctx, shared)
    assert isinstance(here.buffer, SharedBuffer) and isinstance(there.buffer, GlobalBuffer)
    ctx.wide_arguments.add(ir.BlockArgument(root(device).owner.operation.operands[0]).arg_number)
    *outer, first = (ctx.ix.scalar(offset) for offset in there.offsets)
    inner = bytes_of(BOX, kind)
    boxes: list[tuple[ir.Value, list[int | ir.Value]]] = []
    for number, start in enumerate(range(0, shape_of(shared.type)[-1], BOX)):
        place = [*here.offsets[:-1], ctx.ix.add(here.offsets[-1], Index.of(start))]
        box = ctx.e.binary("addi", ctx.e.binary("divui", first, inner), number)
        column = ctx.e.binary("muli", box, BOX)
        boxes.append((shared_pointer(ctx, here.buffer, place), [column, *reversed(outer)]))
    return boxes
