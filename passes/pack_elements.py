"""`pack-elements`: tiles of 4-bit and 6-bit elements become tiles of bytes.

Input: the tile program as traced. Output: no buffer of `f4E2M1FN`, `i4`, `f6E2M3FN` or `f6E3M2FN`; their last dimension
is as long as their bytes (`packing.py`), and products of such tiles name the formats (`a_packed`, `b_packed`). Layouts,
swizzles, copies and guards then need not know of parts of bytes. A group starts at a multiple of its elements: two of
4 bits, four of 6. Single elements, conversions and integer products are rewritten first (`small_elements.py`).

    tl.slice A, %i, %k {sizes = 128, 64} : 128x64xf4E2M1FN; tl.tcgen05_scaled_mma A, B, ..
    =>
    tl.slice A, %i, %k / 2 {sizes = 128, 32} : 128x32xi8; tl.tcgen05_scaled_mma A, B, .. {a_packed = "e2m1", ..}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Target

from ..dialect.location import python_location
from ..dialect.products import TENSOR_PRODUCTS
from ..dialect.tl import FRAGMENT, buffer_type, scope_of
from . import build
from .base import Pass
from .packing import FORMATS, Packing, byte, is_small, packing_of
from .small_elements import expand_elements
from .walk import nested

_COPIES = ("tl.copy", "tl.tma_load", "tl.tma_store")
_PRODUCTS = (*TENSOR_PRODUCTS, "tl.mma_scaled", "tl.gemm")


@dataclass(frozen=True)
class PackElements(Pass):
    """Carry elements of fewer than eight bits in bytes."""

    name: ClassVar[str] = "pack-elements"

    def run(self, module: ir.Module, target: Target) -> None:
        made = [op for op in nested(module.operation) if op.name in ("tl.tensor", "tl.alloc") and _is_packed(op)]
        if not made:
            return
        with module.context:
            expand_elements(module.operation)
            for op in made:
                _check_uses(op.results[0])
            for op in made:
                with op.location:
                    _pack(op)


def _is_packed(op: ir.Operation) -> bool:
    kind = op.results[0].type
    return isinstance(kind, ir.MemRefType) and is_small(kind)


def _element(value: ir.Value) -> str:
    return str(ir.MemRefType(value.type).element_type)


def _check_uses(value: ir.Value) -> None:
    """Only whole tiles move, unconverted, and meet products; bytes are read and written."""
    for use in value.uses:
        op = use.owner.operation
        if op.name == "tl.slice":
            _check_uses(op.results[0])
            continue
        if op.name in ("memref.load", "memref.store", "tl.fill"):
            continue
        if op.name == "tl.atomic" and op.operands[1].type == byte():
            continue  # half of a byte that is written by itself
        copied = op.name in _COPIES and _element(op.operands[0]) == _element(op.operands[1])
        multiplied = op.name in _PRODUCTS and scope_of(value) != FRAGMENT
        if not copied and not multiplied:
            raise UnsupportedError(
                f"{op.name} of {packing_of(value).bits}-bit elements",
                python_location(op.location),
                hint="tiles of them are copied, filled, converted and, in shared memory, multiplied",
            )


def _pack(op: ir.Operation) -> None:
    old = op.results[0]
    packing = packing_of(old)
    shape = list(ir.MemRefType(old.type).shape)
    unknown = op.name == "tl.tensor" and shape[-1] == ir.ShapedType.get_dynamic_size()  # whole groups: it is stored so
    shape[-1] = shape[-1] if unknown else _bytes(shape[-1], packing, op)
    with ir.InsertionPoint(op):
        if op.name == "tl.alloc":
            attributes = build.attributes_of(op)
            packed = buffer_type(shape, byte(), scope_of(old))
            new = ir.Operation.create("tl.alloc", [packed], attributes=attributes).result
        else:
            new = _pack_tensor(op, packing, shape)
    _replace(old, new, packing)
    op.erase()


def _pack_tensor(op: ir.Operation, packing: Packing, shape: list[int]) -> ir.Value:
    """A tensor in bytes: the dimensions ahead of the last one keep their size, strides count bytes."""
    strides = int_array(op.attributes["strides"])
    sizes = int_array(op.attributes["shape"])
    operands = list(op.operands)
    place = 1 + sizes.count(-1)
    if sizes[-1] == -1:
        operands[place - 1] = _bytes_at(operands[place - 1], packing, "divui")
    else:
        sizes[-1] = shape[-1]
    for axis, stride in enumerate(strides):
        if stride == -1:
            operands[place] = _bytes_at(operands[place], packing, "divui")
            place += 1
        elif axis < len(strides) - 1:
            strides[axis] = _bytes(stride, packing, op)
    dynamic = ir.ShapedType.get_dynamic_stride_or_offset()
    typed = ir.StridedLayoutAttr.get(0, [dynamic if s == -1 else s for s in strides])
    old = ir.MemRefType(op.results[0].type)
    layout = None if isinstance(old.layout, ir.AffineMapAttr) else typed
    kind = buffer_type(shape, byte(), scope_of(op.results[0]), layout)
    attributes = build.attributes_of(op)
    attributes |= {"shape": ir.DenseI64ArrayAttr.get(sizes), "strides": ir.DenseI64ArrayAttr.get(strides)}
    return ir.Operation.create("tl.tensor", [kind], operands, attributes).result


def _bytes_at(value: ir.Value, packing: Packing, divide: str) -> ir.Value:
    """A run-time number of elements, a multiple of their group, in bytes."""
    groups = build.binary(divide, value, _constant_like(value, packing.count))
    return build.binary("muli", groups, _constant_like(value, packing.bytes)) if packing.bytes > 1 else groups


def _constant_like(value: ir.Value, number: int) -> ir.Value:
    attribute = ir.IntegerAttr.get(value.type, number)
    return ir.Operation.create("arith.constant", [value.type], attributes={"value": attribute}).result


def _replace(old: ir.Value, new: ir.Value, packing: Packing) -> None:
    """Let the users of a tile use the packed one; slices of it are packed in turn."""
    name = FORMATS.get(str(ir.MemRefType(old.type).element_type))
    for op in [use.owner.operation for use in old.uses]:
        with ir.InsertionPoint(op), op.location:
            if op.name == "tl.slice":
                _replace(op.results[0], _slice(op, new, packing), packing)
                op.erase()
                continue
            for index, operand in enumerate(op.operands):
                if operand == old:
                    op.operands[index] = new
                    if op.name in _PRODUCTS and name is not None:
                        op.attributes[f"{'ab'[index]}_packed"] = ir.StringAttr.get(name)


def _slice(op: ir.Operation, source: ir.Value, packing: Packing) -> ir.Value:
    sizes = int_array(op.attributes["sizes"])
    if -1 in sizes:
        raise UnsupportedError(
            f"a {packing.bits}-bit tile of a size known at run time only", python_location(op.location)
        )
    offsets = list(op.operands)[1 : 1 + len(sizes)]
    if packing.count > 1:
        sizes[-1] = _bytes(sizes[-1], packing, op)
        owner = offsets[-1].owner
        if not isinstance(owner, ir.Block) and owner.operation.name == "arith.constant":
            _bytes(ir.IntegerAttr(owner.operation.attributes["value"]).value, packing, op)
        offsets[-1] = _bytes_at(offsets[-1], packing, "divsi")
    return build.slice_of(source, offsets, sizes)


def _bytes(size: int, packing: Packing, op: ir.Operation) -> int:
    if size < 0 or size % packing.count:
        what = "a size known at run time only" if size < 0 else str(size)
        shared = f"four elements share three bytes: it is a multiple of {packing.count}"
        if packing.count == 2:
            shared = "two elements share a byte: it is an even number"
        raise UnsupportedError(
            f"{packing.bits}-bit elements with a last dimension, stride or place of {what}",
            python_location(op.location), hint=shared,
        )  # fmt: skip
    return packing.size(size)
