"""Names of TVM's script that mean something in a kernel of this language, and TileLang's questions about dtypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, Element, store
from tilelang_mlir.frontend.expr import Expr, Var, as_expr, describe, typed_constant
from tilelang_mlir.language.dtypes import is_float4
from tilelang_mlir.language.math import cast

__all__ = [
    "FloatImm", "IntImm", "buffer_store", "func_attr", "get_let_value", "has_let_value", "is_f8f6f4_family",
    "is_float4_e2m1_unpacked", "is_float4_e2m1fn", "meta_var", "q_multiply_shift", "validate_gemm_ab_dtypes",
]  # fmt: skip


def IntImm(dtype: Any, value: int) -> Expr:
    """A constant of an integer dtype: `T.IntImm("int32", 4)`.

    Raises:
        TileTypeError: another dtype.
    """
    return _constant("T.IntImm", dtype, value, floats=False)


def FloatImm(dtype: Any, value: float) -> Expr:
    """A constant of a floating-point dtype.

    Raises:
        TileTypeError: another dtype.
    """
    return _constant("T.FloatImm", dtype, float(value), floats=True)


def _constant(what: str, dtype: Any, value: int | float, *, floats: bool) -> Expr:
    kind = DType(dtype)
    if kind.is_float != floats or kind.lanes != 1:
        raise TileTypeError(f"{what} needs {'a floating-point' if floats else 'an integer'} dtype, got {kind}",
                            hint="T.cast(value, dtype) takes every dtype")
    return typed_constant(value, kind)


def meta_var(value: Any) -> Any:
    """The value itself: a name for it that the kernel does not have."""
    return value


def func_attr(attributes: Mapping[str, Any]) -> None:
    """Attributes of the function for TVM's passes (`{"tir.noalias": True}`), which nothing here reads.

    Raises:
        TileTypeError: no dictionary.
    """
    if not isinstance(attributes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TileTypeError(f"T.func_attr needs a dictionary, got {describe(attributes)}")


def has_let_value(var: Any) -> bool:
    """Whether a variable made by `T.int32()` or another dtype has got its value with `T.let`."""
    return isinstance(var, Var) and var.value is not None


def get_let_value(var: Any) -> Any:
    """The value that `T.let` has given a variable; None before."""
    return var if has_let_value(var) else None


def buffer_store(buffer: Any, value: Any, indices: Sequence[Any]) -> None:
    """`buffer[indices] = value`.

    Raises:
        TileTypeError: no buffer.
    """
    if not isinstance(buffer, Buffer):
        raise TileTypeError(f"T.buffer_store needs a buffer, got {describe(buffer)}")
    store(Element(buffer, list(indices)), as_expr(value))


def q_multiply_shift(x: Any, y: Any, q: int, s: Any) -> Any:
    """`round(x * y * 2**(s - q))` of int32 numbers, of which `y` has `q` fractional bits (31 of a quantised product),
    ties upwards: a positive `s` shifts to the left, as in TVM.

    Raises:
        TileTypeError: operands of another dtype.
    """
    left, right = as_expr(x), as_expr(y)
    if str(left.dtype) != "int32" or str(right.dtype) != "int32":
        raise TileTypeError(f"T.q_multiply_shift multiplies int32 numbers, got {left.dtype} and {right.dtype}")
    given = cast(as_expr(s), "int64")
    shift = arith.add(arith.select(arith.compare("Gt", given, 0), 0, arith.sub(0, given)), q)
    half = arith.shift_left(typed_constant(1, DType("int64")), arith.sub(shift, 1))
    scaled = arith.shift_left(cast(left, "int64"), arith.select(arith.compare("Gt", given, 0), given, 0))
    product = arith.mul(scaled, cast(right, "int64"))
    return cast(arith.shift_right(arith.add(product, half), shift), "int32")


def is_float4_e2m1fn(value: Any) -> bool:
    """Whether a dtype is float4_e2m1fn, two to a byte."""
    return str(DType(value).scalar) == "float4_e2m1fn"


def is_float4_e2m1_unpacked(value: Any) -> bool:
    """Whether a dtype is the e2m1 that takes a byte, `float4_e2m1_unpacked`: buffers of this language have none."""
    return str(value).startswith("float4_e2m1_unpacked")


def is_f8f6f4_family(value: Any) -> bool:
    """Whether a dtype has 4, 6 or 8 bits and is a float: operands that tcgen05 multiplies with one another."""
    kind = DType(value).scalar
    return is_float4(value) or (kind.is_float and kind.bits in (6, 8))


def validate_gemm_ab_dtypes(
    a_dtype: Any, b_dtype: Any, *, a_in_tmem: bool = False, allow_f8f6f4_mixed: bool = False
) -> None:
    """Check that operands of two dtypes can be multiplied; those in tensor memory may differ.

    Raises:
        TileValueError: they differ, and are not both of the family that may be mixed.
    """
    mixed = allow_f8f6f4_mixed and is_f8f6f4_family(a_dtype) and is_f8f6f4_family(b_dtype)
    if not (a_in_tmem or mixed or DType(a_dtype) == DType(b_dtype)):
        raise TileValueError(f"a product of {DType(a_dtype)} and {DType(b_dtype)}: operands must have one dtype",
                             hint="T.cast one of them into the other's dtype first")
