"""`pack-fp4`: tiles of 4-bit floats and integers become tiles of bytes, two elements each.

Input: the tile program as traced. Output: no buffer of `f4E2M1FN` or `i4`; their last dimension is half as long, and
products of such tiles have the attribute `packed`. Layouts, swizzles, copies and guards then need not know of half
bytes. An element pair starts at an even index, the first one in the low bits. Single elements, conversions and integer
products are rewritten first (`half_bytes.py`).

    tl.slice A, %i, %k {sizes = 128, 64} : 128x64xf4E2M1FN; tl.tcgen05_scaled_mma A, B, ..
    =>
    tl.slice A, %i, %k / 2 {sizes = 128, 32} : 128x32xi8; tl.tcgen05_scaled_mma A, B, .. {packed}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.location import python_location
from ..dialect.products import TENSOR_PRODUCTS
from ..dialect.tl import buffer_type, scope_of
from . import build
from .base import Pass
from .half_bytes import expand_elements, is_half_byte
from .walk import nested

_COPIES = ("tl.copy", "tl.tma_load", "tl.tma_store")
_PRODUCTS = (*TENSOR_PRODUCTS, "tl.mma_scaled")
_PER_BYTE = 2


@dataclass(frozen=True)
class PackFp4(Pass):
    """Carry 4-bit elements two in a byte."""

    name: ClassVar[str] = "pack-fp4"

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
    return isinstance(kind, ir.MemRefType) and is_half_byte(kind)


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
        copied = op.name in _COPIES and _element(op.operands[0]) == _element(op.operands[1])
        if not copied and op.name not in _PRODUCTS:
            raise UnsupportedError(
                f"{op.name} of 4-bit elements",
                python_location(op.location),
                hint="tiles of them are copied, filled, converted and multiplied with scale factors",
            )


def _pack(op: ir.Operation) -> None:
    old = op.results[0]
    kind = ir.MemRefType(old.type)
    shape = list(kind.shape)
    unknown = op.name == "tl.tensor" and shape[-1] == ir.ShapedType.get_dynamic_size()  # even: it is stored in bytes
    shape[-1] = shape[-1] if unknown else _half(shape[-1], op)
    with ir.InsertionPoint(op):
        if op.name == "tl.alloc":
            attributes = build.attributes_of(op)
            packed = buffer_type(shape, _byte(), scope_of(old))
            new = ir.Operation.create("tl.alloc", [packed], attributes=attributes).result
        else:
            new = _pack_tensor(op, shape)
    _replace(old, new)
    op.erase()


def _pack_tensor(op: ir.Operation, shape: list[int]) -> ir.Value:
    """A tensor in bytes: the dimensions ahead of the last one keep their size, and half of their stride."""
    strides = list(ir.DenseI64ArrayAttr(op.attributes["strides"]))
    sizes = list(ir.DenseI64ArrayAttr(op.attributes["shape"]))
    operands = list(op.operands)
    place = 1 + sizes.count(-1)
    if sizes[-1] == -1:
        operands[place - 1] = build.binary("divui", operands[place - 1], _constant_like(operands[place - 1], _PER_BYTE))
    else:
        sizes[-1] = shape[-1]
    for axis, stride in enumerate(strides):
        if stride == -1:
            operands[place] = build.binary("divui", operands[place], _constant_like(operands[place], _PER_BYTE))
            place += 1
        elif axis < len(strides) - 1:
            strides[axis] = _half(stride, op)
    dynamic = ir.ShapedType.get_dynamic_stride_or_offset()
    typed = ir.StridedLayoutAttr.get(0, [dynamic if s == -1 else s for s in strides])
    old = ir.MemRefType(op.results[0].type)
    layout = None if isinstance(old.layout, ir.AffineMapAttr) else typed
    kind = buffer_type(shape, _byte(), scope_of(op.results[0]), layout)
    attributes = build.attributes_of(op)
    attributes |= {"shape": ir.DenseI64ArrayAttr.get(sizes), "strides": ir.DenseI64ArrayAttr.get(strides)}
    return ir.Operation.create("tl.tensor", [kind], operands, attributes).result


def _constant_like(value: ir.Value, number: int) -> ir.Value:
    attribute = ir.IntegerAttr.get(value.type, number)
    return ir.Operation.create("arith.constant", [value.type], attributes={"value": attribute}).result


def _replace(old: ir.Value, new: ir.Value) -> None:
    """Let the users of a tile use the packed one; slices of it are packed in turn."""
    for op in [use.owner.operation for use in old.uses]:
        with ir.InsertionPoint(op), op.location:
            if op.name == "tl.slice":
                _replace(op.results[0], _slice(op, new))
                op.erase()
                continue
            if op.name in _PRODUCTS:
                op.attributes["packed"] = build.unit()
            for index, operand in enumerate(op.operands):
                if operand == old:
                    op.operands[index] = new


def _slice(op: ir.Operation, source: ir.Value) -> ir.Value:
    sizes = list(ir.DenseI64ArrayAttr(op.attributes["sizes"]))
    if -1 in sizes:
        raise UnsupportedError("a 4-bit tile of a size known at run time only", python_location(op.location))
    sizes[-1] = _half(sizes[-1], op)
    offsets = list(op.operands)[1 : 1 + len(sizes)]
    owner = offsets[-1].owner
    if not isinstance(owner, ir.Block) and owner.operation.name == "arith.constant":
        _half(ir.IntegerAttr(owner.operation.attributes["value"]).value, op)
    offsets[-1] = build.binary("divsi", offsets[-1], _constant_like(offsets[-1], _PER_BYTE))
    return build.slice_of(source, offsets, sizes)


def _half(size: int, op: ir.Operation) -> int:
    if size < 0 or size % _PER_BYTE:
        what = "a size known at run time only" if size < 0 else str(size)
        raise UnsupportedError(
            f"4-bit elements with a last dimension, stride or place of {what}",
            python_location(op.location),
            hint="two elements share a byte: it is an even number",
        )
    return size // _PER_BYTE


def _byte() -> ir.Type:
    return ir.IntegerType.get_signless(8)
