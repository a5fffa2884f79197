"""Dtypes of scalars: the one that operands meet in, and conversions.

Promotion follows TVM: a literal takes the other operand's dtype; an integer meets a float as that float; of two floats
or integers the wider wins; signed meets unsigned as signed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dtypes import LARGEST, DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.expr import (
    BOOL,
    FLOAT32,
    INT32,
    INT64,
    Expr,
    Lanes,
    as_expr,
    make,
    typed_constant,
)
from tilelang_mlir.mlir import ir

# Binary digits of the fraction and the exponent of the smallest normal number, both as `math.frexp` counts.
_PRECISIONS = {
    "float32": (24, -125), "float16": (11, -13), "bfloat16": (8, -125),
    "float8_e4m3fn": (4, -5), "float8_e4m3": (4, -5), "float8_e5m2": (3, -13), "float6_e2m3fn": (4, 1),
    "float6_e3m2fn": (3, -1), "float4_e2m1fn": (2, 1),
}  # fmt: skip


def promote(a: Any, b: Any) -> tuple[Expr, Expr]:
    """Both operands in their common dtype."""
    if isinstance(a, Expr):
        a = a.read()
    if isinstance(b, Expr):
        b = b.read()
    if not isinstance(a, Expr) and not isinstance(b, Expr):
        a, b = as_expr(a), as_expr(b)
    elif not isinstance(a, Expr):
        a = as_expr(a, literal_for(a, b.dtype))
    elif not isinstance(b, Expr):
        b = as_expr(b, literal_for(b, a.dtype))
    dtype = common_dtype(a.dtype, b.dtype)
    if dtype.is_integer and 1 < dtype.bits < 8:
        dtype = INT32  # nothing computes with parts of bytes
    return cast(a, dtype), cast(b, dtype)


def promote_in_int(a: Any, b: Any) -> tuple[Expr, Expr]:
    """As `promote`, for operations that see the bits which sums, products and shifts of narrow integers carry past
    their dtype: as in C those are computed in int."""
    return promote(in_int(a), in_int(b))


def in_int(value: Any) -> Any:
    """A narrow integer that arithmetic may have made too large for its dtype in int32, anything else as it is."""
    value = value.read() if isinstance(value, Expr) else value
    if not isinstance(value, Expr) or not value.op or not value.dtype.is_integer or value.dtype.bits >= 32:
        return value
    from tilelang_mlir.frontend.narrow import widened

    return widened(value, INT32)


def literal_for(value: object, dtype: DType) -> DType | None:
    """The dtype a literal takes beside an operand of `dtype`: a float is at least a float32, so that the other operand
    of fewer bits is widened; an integer that one of 8 or 16 bits has no room for is an int32, and what 32 bits have no
    room for an int64, as in C."""
    signed = not dtype.is_unsigned
    if isinstance(value, float) and not (dtype.is_float and dtype.bits >= 32):
        return FLOAT32
    if isinstance(value, int) and not isinstance(value, bool) and dtype == BOOL:
        return INT32
    if isinstance(value, int) and dtype.is_integer and not -(1 << 63) <= value < (1 << 64):
        raise TileValueError(f"the literal {value} does not fit any integer dtype")
    if isinstance(value, int) and dtype.is_integer:
        if not -(1 << 31) <= value < (1 << 32) and dtype.bits <= 32:
            return INT64
        if dtype.bits in (8, 16) and not -(1 << dtype.bits - 1) <= value < (1 << dtype.bits - signed):
            return INT32
    return dtype if isinstance(value, int | float) else None


def common_dtype(a: DType, b: DType) -> DType:
    """Where two operands meet: in the float, the wider of a kind, else a signed integer as wide as the wider one."""
    if a == b:
        return a
    if a.is_float or b.is_float:
        if not (a.is_float and b.is_float):
            return a if a.is_float else b
        return b if a.bits < b.bits else a
    if a.kind == b.kind:
        return a if a.bits >= b.bits else b
    if BOOL in (a, b):
        return a if b == BOOL else b
    return DType(f"int{max(a.bits, b.bits)}")


def _saturated(number: float, dtype: DType) -> float:
    """A number as conversions to narrow floats leave it: within their finite range."""
    if dtype.bits > 8 or math.isnan(number):
        return number
    top = LARGEST[str(dtype)]
    return max(-top, min(number, top))


def cast(
    value: Any, dtype: DType, attributes: dict[str, Any] | None = None, random: Sequence[Expr] = ()
) -> Expr:
    """`tl.cast` to a dtype; nothing when it has it already. Constants are retyped, vectors converted by lanes."""
    if isinstance(value, Lanes) or dtype.lanes != 1:
        return _cast_lanes(value, dtype, attributes, random)
    typed = isinstance(value, Expr)
    value = as_expr(value, None)
    if value.dtype == dtype and not attributes:
        return value
    if value.const is not None and not attributes:
        constant = _cast_constant(value.const, value.dtype if typed else None, dtype)
        if constant is not None:
            return constant
    if value.op and value.dtype.is_integer and value.dtype.bits < 32:
        from tilelang_mlir.frontend.narrow import widened

        value = widened(value, dtype)
        if value.dtype == dtype and not attributes:
            return value
    source = value.dtype

    def build() -> dict[str, ir.Attribute]:
        result: dict[str, ir.Attribute] = {"from": ir.StringAttr.get(str(source)), "to": ir.StringAttr.get(str(dtype))}
        for key, item in (attributes or {}).items():
            result[key] = ir.BoolAttr.get(item) if isinstance(item, bool) else ir.StringAttr.get(item)
        return result

    # The upper half of an unsigned dtype is negative in the signed one of its size.
    wide = dtype.bits > source.bits or (dtype.bits == source.bits and dtype.is_unsigned >= source.is_unsigned)
    nonneg = value.nonneg and (dtype.is_float or wide)
    tag = (str(source), str(dtype), repr(attributes))
    return make("tl.cast", [value, *random], dtype, build, nonneg=nonneg, tag=tag)


def _cast_constant(value: int | float, source: DType | None, dtype: DType) -> Expr | None:
    """A number, of a dtype or a literal, as a constant of another; None where the conversion is left to the machine."""
    number = rounded(value, source) if source is not None and source.is_float else value
    if number is None:
        return None
    if dtype == BOOL:
        return typed_constant(bool(number), dtype)
    if dtype.is_float:
        return typed_constant(_saturated(float(number), dtype), dtype)
    if not math.isfinite(number):
        return None
    whole = wrapped(int(number), dtype)
    return None if isinstance(number, float) and whole != int(number) else typed_constant(whole, dtype)


def wrapped(value: int, dtype: DType) -> int:
    """An integer modulo the width of an integer dtype."""
    whole = value & ((1 << dtype.bits) - 1)
    return whole if dtype.is_unsigned or not whole >> (dtype.bits - 1) else whole - (1 << dtype.bits)


def rounded(value: float, dtype: DType) -> float | None:
    """A number as a float dtype holds it, ties to even; None beyond the range of one of 8 bits or less."""
    if dtype.bits == 64 or not math.isfinite(value):
        return value
    if str(dtype) not in _PRECISIONS:
        return None
    digits, least = _PRECISIONS[str(dtype)]
    quantum = math.ldexp(1.0, max(math.frexp(float(value))[1], least) - digits)
    result = round(float(value) / quantum) * quantum
    if abs(result) <= LARGEST[str(dtype)]:
        return result
    return math.copysign(math.inf, result) if dtype.bits > 8 else None


def _cast_lanes(value: Any, dtype: DType, attributes: dict[str, Any] | None, random: Sequence[Expr]) -> Any:
    """The lanes of a vector, or a scalar for all lanes, in another dtype."""
    from tilelang_mlir.frontend.vector import lanewise, vector_of

    source = value.vector() if isinstance(value, Lanes) else None
    if source is not None and dtype.lanes not in (1, len(source)):
        raise TileTypeError(f"cannot convert {source!r} to {dtype}: it has {len(source)} lanes",
                            hint="T.reinterpret keeps the bits and may change the number of lanes")
    whole = source if source is not None else vector_of([value] * dtype.lanes, "a conversion")
    return lanewise(lambda *lanes: cast(lanes[0], dtype.scalar, attributes, lanes[1:]), whole, *random)
