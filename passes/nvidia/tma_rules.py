"""What the tensor memory accelerator can copy, and in which boxes.

Rules (CUDA Driver API, cuTensorMapEncodeTiled; PTX ISA, "Tensors"): the innermost stride is one and the others
multiples of 16 bytes; at most five dimensions; a box side is at most 256 and the innermost one a multiple of 16 bytes,
at most one swizzle span; the shared tile is dense, in panels of one span, and starts at a multiple of 128 bytes. A box
starts at a multiple of 16 bytes of the innermost dimension: hardware ends others as illegal instructions.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from tilelang_mlir.mlir import int_array, ir

from ...dialect.effects import laid_out, root
from ...dialect.layout import SharedLayout, row_major
from ...dialect.layout.attrs import from_attr
from ...dialect.ops.descriptor import staging_of
from ...dialect.verify import shape_of
from .. import raster
from ..operand_tiles import view_layout
from ..place_descriptors import map_obstacle

_TENSORS = ("tl.tensor", "tl.view")
MAX_BOX = 256
MAX_PARTS = 16  # boxes of one panel, which one thread issues
ALIGNMENT = 128  # bytes, of a box in shared memory


@dataclass(frozen=True)
class BoxPlan:
    """How a device tile becomes boxes: the sides of one and of the tile, in the order of the tensor's dimensions."""

    box: tuple[int, ...]
    swizzle: str
    tile: tuple[int, ...]

    def starts(self) -> list[tuple[int, ...]]:
        """Where the boxes start in the tile."""
        return list(itertools.product(*(range(0, s, side) for s, side in zip(self.tile, self.box, strict=True))))


def shared_layout(value: ir.Value) -> SharedLayout:
    """The layout of a shared tile: its buffer's, under the shape of the view that it is taken from.

    Raises:
        LayoutError: the buffer's layout has no such view.
    """
    op = laid_out(value).owner.operation
    if op.name == "tl.reshape":
        element = ir.MemRefType(op.operands[0].type).element_type
        return view_layout(shared_layout(op.operands[0]), element, op)
    layout = from_attr(op.attributes["layout"])
    assert isinstance(layout, SharedLayout)
    return layout


def tensor_obstacle(device: ir.Value) -> str:
    """Why no tensor map can describe the tensor behind a device tile, or an empty string."""
    tensor = root(device).owner
    if not isinstance(tensor, ir.Block) and tensor.operation.name == "tl.view":
        return _view_obstacle(device, tensor.operation)
    if isinstance(tensor, ir.Block) or tensor.operation.name != "tl.tensor":
        return "the device tile belongs to no tensor argument"
    op = tensor.operation
    if not _is_tensor_argument(op.operands[0]):
        return "the tensor is no argument whose shape the launch plan knows"
    if "view" in op.attributes:
        return "the tensor is a second view of an argument, whose tensor map has the argument's own shape"
    if _is_reshaped(device):
        return "the tile is of another shape over the tensor"
    element = ir.MemRefType(device.type).element_type
    if str(element) == "i1" or element.width % 8:
        return f"elements of {element}"
    size = element.width // 8
    strides = int_array(op.attributes["strides"])
    if len(strides) > 5:
        return f"{len(strides)} dimensions, at most 5"
    if strides[-1] != 1 or any(s * size % 16 for s in raster.stride_divisors(op)[:-1]):
        known = ", ".join("?" if s == -1 else str(s) for s in strides)
        return f"strides [{known}] of {size}-byte elements, which must be multiples of 16 bytes"
    if not _starts_aligned(device, size):
        return "a start in the innermost dimension that is not known to be a multiple of 16 bytes"
    return ""


def _view_obstacle(device: ir.Value, view: ir.Operation) -> str:
    """The same of a view whose maps the kernel makes: `place-descriptors` has looked at its sizes and strides."""
    if staging_of(view) is None:
        return map_obstacle(view) or "the target makes no tensor maps in kernels"
    if _is_reshaped(device):
        return "the tile is of another shape over the view"
    if not _starts_aligned(device, ir.MemRefType(device.type).element_type.width // 8):
        return "a start in the innermost dimension that is not known to be a multiple of 16 bytes"
    return ""


def _starts_aligned(device: ir.Value, size: int) -> bool:
    """Whether a tile of `size`-byte elements starts at a multiple of 16 bytes of its tensor's innermost dimension."""
    while not isinstance(device.owner, ir.Block) and device.owner.operation.name == "tl.slice":
        op = device.owner.operation
        if raster.divisor(op.operands[ir.MemRefType(op.operands[0].type).rank]) * size % 16:
            return False
        device = op.operands[0]
    return True


def tma_obstacle(device: ir.Value, shared: ir.Value, *, explicit: bool = False) -> str:
    """Why a tile cannot be copied by bulk copies, or an empty string.

    What lies at one index of a shared tile is copied where the program asks for it (`explicit`).
    """
    obstacle = tensor_obstacle(device)
    if obstacle:
        return obstacle
    element = ir.MemRefType(device.type).element_type
    if element != ir.MemRefType(shared.type).element_type:
        return "the copy converts elements"
    size = element.width // 8
    if not explicit and _at_index(shared, shared_layout(shared)) is not None:
        return "it lies at an index of a shared tile"
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


def _is_reshaped(value: ir.Value) -> bool:
    while not isinstance(value.owner, ir.Block) and value.owner.operation.name == "tl.slice":
        value = value.owner.operation.operands[0]
    return not isinstance(value.owner, ir.Block) and value.owner.operation.name not in _TENSORS


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
    tile = _part(shared, layout)
    if tile is None or -1 in sizes or sizes[-1] != tile[-1]:
        return None
    if [s for s in tile if s != 1] != [s for s in long if s != 1]:
        return None
    if not layout.swizzle.bits and layout != row_major(layout.shape):
        return None
    granule = max(layout.swizzle.period, ALIGNMENT * 8 // ir.MemRefType(shared.type).element_type.width)
    return BoxPlan(_sides(sizes, panel_columns(shared), granule), swizzle_mode(layout), tuple(sizes))


def _sides(sizes: list[int], span: int, granule: int) -> tuple[int, ...]:
    """The sides of one box: those of a panel `span` columns wide, or of equal parts of it where one is too long.

    A box is contiguous in the panel, and each starts at a multiple of `granule` elements. Where no parts fit, the side
    stays too long.
    """
    sides = [*sizes[:-1], span]
    for dim in reversed(range(len(sides))):
        if sides[dim] <= MAX_BOX:
            continue
        inner = math.prod(sides[dim + 1 :])
        parts = range(2, MAX_PARTS // math.prod(sizes[:dim]) + 1)
        fits = (sides[dim] // n for n in parts if sides[dim] % n == 0 and sides[dim] // n * inner % granule == 0)
        part = next((side for side in fits if side <= MAX_BOX), None)
        return tuple(sides) if part is None else (*[1] * dim, part, *sides[dim + 1 :])
    return tuple(sides)


def panel_columns(shared: ir.Value) -> int:
    """Elements of a row of one panel of a shared tile: of the swizzle's pattern, or of the tile without a swizzle."""
    span_bytes = shared_layout(shared).swizzle.span_bytes
    return span_bytes * 8 // ir.MemRefType(shared.type).element_type.width or shape_of(shared.type)[-1]


def swizzle_mode(layout: SharedLayout) -> str:
    """The swizzle as a tensor map names it: none, 32B, 64B or 128B."""
    return f"{layout.swizzle.span_bytes}B" if layout.swizzle.bits else "none"


def _part(shared: ir.Value, layout: SharedLayout) -> list[int] | None:
    """The shape of what is copied of a shared tile: all of it, whole panels of whole swizzle patterns of rows, or what
    lies at one index; None for other parts. Versions are dimensions that the layout does not have."""
    whole, sizes = list(layout.shape), shape_of(shared.type)
    part = sizes[-len(whole) :]
    if part == whole or len(sizes) < len(whole):
        return whole
    if (tile := _at_index(shared, layout)) is not None:
        return tile
    panel = panel_columns(shared)
    known = layout.swizzle.bits and len(whole) == 2 and part[-1] % panel == 0
    return part if known and starts_a_pattern(shared, panel) else None


def _at_index(shared: ir.Value, layout: SharedLayout) -> list[int] | None:
    """The shape of a part that takes each dimension of a tile whole or at one index, where its rows lie as those of a
    tile of its own would and start where the swizzle does; None for others."""
    whole = list(layout.shape)
    part = shape_of(shared.type)[-len(whole) :]
    if part == whole or len(part) < len(whole) or part[-1] != whole[-1]:
        return None
    if any(size not in (1, of) for size, of in zip(part, whole, strict=True)):
        return None
    bits = ir.MemRefType(shared.type).element_type.width
    span = panel_columns(shared)
    start = max(layout.swizzle.period, ALIGNMENT * 8 // bits)
    for step in (s for s in layout.steps if s.size > 1):
        if step.dim == len(part) - 1:
            straight = step.stride >= span or (step.offset == step.stride and step.stride * step.size <= span)
        elif part[step.dim] == 1:
            straight = step.offset % start == 0
        else:
            straight = step.offset == step.stride * math.prod(part[step.dim + 1 : -1]) * span
        if not straight:
            return None
    return part


def starts_a_pattern(value: ir.Value, columns: int) -> bool:
    """Whether a part of a tile starts with a swizzle pattern: at a multiple of 8 rows and of a span of columns."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "tl.slice":
        return True
    op = owner.operation
    whole, part = (list(ir.MemRefType(v.type).shape)[-2:] for v in (op.operands[0], value))
    starts = list(op.operands)[-2:]
    for start, size, of, step in zip(starts, part, whole, (8, columns), strict=True):
        if size != of and not (columns and raster.divisor(start) % step == 0):
            return False
    return starts_a_pattern(op.operands[0], columns)


def descriptor_reaches(value: ir.Value, along_k: bool, span: int) -> bool:
    """Whether the descriptor of a matrix operand can start where a part of a tile does.

    Swizzled rows of `span` bytes repeat every 8 rows, so a part starts at a multiple of them. Along K it may start
    inside of a span, at a step of 32 bytes, if it does not go beyond the span's end: addresses of steps are sums.
    """
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "tl.slice":
        return True
    op = owner.operation
    whole, part = (list(ir.MemRefType(v.type).shape)[-2:] for v in (op.operands[0], value))
    rows, columns = list(op.operands)[-2:]
    bits = ir.MemRefType(value.type).element_type.width
    if part[0] != whole[0] and (raster.divisor(rows) % 8 or part[0] % 8):
        return False
    if part[1] != whole[1]:
        start, size = raster.divisor(columns) * bits // 8, part[1] * bits // 8
        inside = along_k and size % 32 == 0 and span % size == 0 and start % size == 0
        if not inside and (start % span or (size % span and not along_k)):
            return False
    return descriptor_reaches(op.operands[0], along_k, span)


def box_bytes(shared: ir.Value) -> int:
    """Bytes that the copies of one tile complete on a barrier; what is out of bounds counts too."""
    return math.prod(_part(shared, shared_layout(shared)) or [0]) * ir.MemRefType(shared.type).element_type.width // 8
