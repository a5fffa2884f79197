"""What the tensor memory accelerator can copy, and in which boxes.

Rules (CUDA Driver API, cuTensorMapEncodeTiled; PTX ISA, "Tensors"): the innermost stride is one and the others
multiples of 16 bytes; at most five dimensions; a box side is at most 256 and the innermost one a multiple of 16 bytes,
at most one swizzle span; the shared tile is dense, in panels of one span, and starts at a multiple of 128 bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import SharedLayout, row_major
from ...dialect.layout.attrs import from_attr
from ...dialect.verify import shape_of

MAX_BOX = 256
ALIGNMENT = 128  # bytes, of a box in shared memory


@dataclass(frozen=True)
class BoxPlan:
    """How a device tile becomes boxes: one in the tensor's dimension order, its swizzle, and how many side by side."""

    box: tuple[int, ...]
    swizzle: str
    panels: int
    panel_columns: int


def shared_layout(value: ir.Value) -> SharedLayout:
    layout = from_attr(root(value).owner.operation.attributes["layout"])
    assert isinstance(layout, SharedLayout)
    return layout


def tensor_obstacle(device: ir.Value) -> str:
    """Why no tensor map can describe the tensor behind a device tile, or an empty string."""
    tensor = root(device).owner
    if isinstance(tensor, ir.Block) or tensor.operation.name != "tl.tensor":
        return "the device tile belongs to no tensor argument"
    op = tensor.operation
    if not _is_tensor_argument(op.operands[0]):
        return "the tensor is no argument whose shape the launch plan knows"
    if "view" in op.attributes:
        return "the tensor is a second view of an argument, whose tensor map has the argument's own shape"
    element = ir.MemRefType(device.type).element_type
    if str(element) == "i1" or element.width % 8:
        return f"elements of {element}"
    size = element.width // 8
    strides = list(ir.DenseI64ArrayAttr(op.attributes["strides"]))
    if len(strides) > 5:
        return f"{len(strides)} dimensions, at most 5"
    if strides[-1] != 1 or any(s == -1 or s * size % 16 for s in strides[:-1]):
        return f"strides {strides} of {size}-byte elements, which must be multiples of 16 bytes"
    return ""


def tma_obstacle(device: ir.Value, shared: ir.Value) -> str:
    """Why a tile cannot be copied by bulk copies, or an empty string."""
    obstacle = tensor_obstacle(device)
    if obstacle:
        return obstacle
    element = ir.MemRefType(device.type).element_type
    if element != ir.MemRefType(shared.type).element_type:
        return "the copy converts elements"
    size = element.width // 8
    plan = box_plan(device, shared)
    if plan is None:
        return "the shared tile is not in panels of one swizzle span"
    if max(plan.box) > MAX_BOX:
        return f"a box of {list(plan.box)}, at most {MAX_BOX} a side"
    if plan.box[-1] * size % 16:
        return f"rows of {plan.box[-1] * size} bytes, which must be a multiple of 16"
    if box_bytes(shared) % ALIGNMENT:
        return f"tiles of {box_bytes(shared)} bytes, whose versions must start at multiples of {ALIGNMENT}"
    return ""


def _is_tensor_argument(pointer: ir.Value) -> bool:
    """Whether a pointer is an argument declared as a tensor: what only has an address has no shape to encode."""
    if not isinstance(pointer.owner, ir.Block):
        return False
    attributes = pointer.owner.owner.operation.attributes
    if "tl.params" not in attributes:
        return True
    param = ir.DictAttr(ir.ArrayAttr(attributes["tl.params"])[ir.BlockArgument(pointer).arg_number])
    return ir.StringAttr(param["kind"]).value == "tensor"


def box_plan(device: ir.Value, shared: ir.Value) -> BoxPlan | None:
    """The boxes of a copy between a device tile and a whole shared tile (or one version of it)."""
    sizes = shape_of(device.type)
    long = [s for s in sizes if s != 1] or [1]
    layout = shared_layout(shared)
    tile = _tile(shared, layout)
    if -1 in sizes or [s for s in tile if s != 1] != [s for s in long if s != 1] or sizes[-1] != tile[-1]:
        return None
    columns = tile[-1]
    if not layout.swizzle.bits:
        if layout != row_major(layout.shape):
            return None
        return BoxPlan(tuple(sizes), "none", 1, columns)
    span = (16 << layout.swizzle.bits) * 8 // ir.MemRefType(shared.type).element_type.width
    return BoxPlan((*sizes[:-1], span), f"{16 << layout.swizzle.bits}B", columns // span, span)


def _tile(shared: ir.Value, layout: SharedLayout) -> list[int]:
    """The tile that a copy fills: what has a layout, or the part of it that an index of its leading dimensions selects.

    The layout of a product's operand is that of one version.
    """
    sizes, whole = shape_of(shared.type), list(layout.shape)
    while sizes and sizes[0] == 1:
        sizes = sizes[1:]
    dense = not layout.swizzle.bits and layout == row_major(whole)
    return sizes if dense and sizes and len(sizes) < len(whole) and whole[-len(sizes) :] == sizes else whole


def box_bytes(shared: ir.Value) -> int:
    """Bytes that the copies of one tile complete on a barrier; what is out of bounds counts too."""
    return math.prod(_tile(shared, shared_layout(shared))) * ir.MemRefType(shared.type).element_type.width // 8
