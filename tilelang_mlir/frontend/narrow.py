"""Arithmetic on integers of 8 and 16 bits as C does it: in int, so that a cast to a wider dtype sees all bits.

`T.cast(h << 8, "uint32")` of a uint16 keeps what the shift moves past 16 bits; stored as a uint16 it is cut off.
"""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.expr import Expr, typed_constant
from tilelang_mlir.mlir import ir

_INT32 = DType("int32")
# What C computes in int where both operands are narrower, by the op that it is here.
_PROMOTED: dict[str, Any] = {
    "arith.addi": arith.add, "arith.subi": arith.sub, "arith.muli": arith.mul, "arith.shli": arith.shift_left,
    "arith.andi": arith.bit_and, "arith.ori": arith.bit_or, "arith.xori": arith.bit_xor,
}  # fmt: skip

_GROWING = ("arith.addi", "arith.subi", "arith.muli", "arith.shli")


def widened(value: Expr, dtype: DType) -> Expr:
    """A value that is about to be cast to a dtype: recomputed in int32 where the dtype has room for more bits, and
    arithmetic may have made more."""
    if _is_narrow(dtype) or not _is_narrow(value.dtype) or value.value is None:
        return value
    return _promoted(value, value.value) if _may_overflow(value.value) else value


def _is_narrow(dtype: DType) -> bool:
    return dtype.is_integer and dtype.bits in (8, 16)


def _may_overflow(value: ir.Value) -> bool:
    """Whether int has bits that the narrow dtype loses. Masks of what has not stay narrow: a register holds two."""
    name = _name(value)
    return name in _GROWING or name in _PROMOTED and any(_may_overflow(v) for v in value.owner.operation.operands)


def _name(value: ir.Value) -> str:
    return "" if isinstance(value.owner, ir.Block) else value.owner.operation.name


def _promoted(whole: Expr, value: ir.Value) -> Expr:
    """A value within an expression of a narrow dtype, in int32."""
    name = _name(value)
    if name in _PROMOTED:
        return _PROMOTED[name](*(_promoted(whole, operand) for operand in value.owner.operation.operands))
    if name == "arith.constant":
        bits = ir.IntegerAttr(value.owner.operation.attributes["value"]).value
        return typed_constant(bits % (1 << whole.dtype.bits) if whole.dtype.is_unsigned else bits, _INT32)
    return arith.cast(Expr(whole.dtype, value=value, frame=whole.frame), _INT32)
