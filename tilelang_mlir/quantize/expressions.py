"""Numbers taken out of packed words, as expressions of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.expr import as_expr
from tilelang_mlir.language.math import cast, reinterpret

__all__ = [
    "_tir_packed_int_to_int_convert", "_tir_packed_to_fp4_to_f16", "_tir_packed_to_signed_convert",
    "_tir_packed_to_unsigned_convert", "_tir_packed_to_unsigned_convert_with_zeros", "_tir_u8_to_f4_to_bf16",
    "_tir_u8_to_f8_e4m3_to_f16",
]  # fmt: skip
Convert = Callable[[int, Any, Any, Any], Any]


def _field(nbit: int, val: Any, pos: Any, storage: str) -> Any:
    """Number `pos` of `nbit` bits in a word of a dtype, as a uint32."""
    word = as_expr(val).read()
    if word.dtype != DType(storage):
        raise TileTypeError(f"expected a word of dtype {storage}, got one of {word.dtype}")
    bits = word.dtype.bits
    wide = cast(reinterpret(word, f"uint{bits}"), "uint32")
    return arith.bit_and(arith.shift_right(wide, arith.mul(cast(as_expr(pos), "uint32"), nbit)), (1 << nbit) - 1)


def _tir_packed_to_unsigned_convert(storage_type: str = "uint", storage_nbit: int = 8) -> Convert:
    """`f(nbit, val, pos, dtype)`: an unsigned number."""
    return lambda nbit, val, pos, dtype: cast(_field(nbit, val, pos, f"{storage_type}{storage_nbit}"), dtype)


def _tir_packed_to_signed_convert(storage_type: str = "uint", storage_nbit: int = 8) -> Convert:
    """`f(nbit, val, pos, dtype)`: a number that is stored 2**(nbit - 1) above its value."""

    def convert(nbit: int, val: Any, pos: Any, dtype: Any) -> Any:
        return arith.sub(cast(_field(nbit, val, pos, f"{storage_type}{storage_nbit}"), dtype), 1 << (nbit - 1))

    return convert


def _tir_packed_to_unsigned_convert_with_zeros(
    storage_type: str = "uint", storage_nbit: int = 8
) -> Callable[[int, Any, Any, Any, Any], Any]:
    """`f(nbit, val, pos, zero, dtype)`: an unsigned number less a zero point, in the word's dtype."""
    storage = f"{storage_type}{storage_nbit}"

    def convert(nbit: int, val: Any, pos: Any, zero: Any, dtype: Any) -> Any:
        return cast(arith.sub(cast(_field(nbit, val, pos, storage), storage), as_expr(zero)), dtype)

    return convert


def _tir_packed_int_to_int_convert(storage_type: str = "uint", storage_nbit: int = 8) -> Convert:
    """`f(nbit, val, pos, dtype)`: a number in two's complement."""

    def convert(nbit: int, val: Any, pos: Any, dtype: Any) -> Any:
        field = cast(_field(nbit, val, pos, f"{storage_type}{storage_nbit}"), "int32")
        return cast(arith.shift_right(arith.shift_left(field, 32 - nbit), 32 - nbit), dtype)

    return convert


def _tir_packed_to_fp4_to_f16(storage_type: str = "uint", storage_nbit: int = 8) -> Convert:
    """`f(4, val, pos, "float16")`: sign and three bits of exponent; 0 is zero, e means 2**(e - 7)."""

    def convert(nbit: int, val: Any, pos: Any, dtype: Any) -> Any:
        _check("_tir_packed_to_fp4_to_f16", nbit, 4, dtype, "float16")
        field = _field(nbit, val, pos, f"{storage_type}{storage_nbit}")
        exponent = arith.bit_and(field, 7)
        sign = arith.shift_left(arith.shift_right(field, 3), 15)
        half = _float16(arith.bit_or(sign, arith.shift_left(arith.bit_or(exponent, 8), 10)))
        return arith.select(arith.compare("Eq", exponent, 0), cast(0, "float16"), half)

    return convert


def _tir_u8_to_f4_to_bf16(nbit: int, val: Any, pos: Any, scale: Any, dtype: Any) -> Any:
    """A number of e2m1 whose exponent `scale` is added to, as a bfloat16; zeros become the least exponent, as they do
    in TileLang."""
    _check("_tir_u8_to_f4_to_bf16", nbit, 4, dtype, "bfloat16")
    field = _field(nbit, val, pos, "uint8")
    exponent = arith.add(arith.bit_and(arith.shift_right(field, 1), 3), 126)
    exponent = arith.minimum(arith.add(exponent, cast(as_expr(scale), "uint32")), 255)
    sign, mantissa = arith.shift_right(field, 3), arith.bit_and(field, 1)
    upper = arith.bit_or(arith.shift_left(arith.bit_or(arith.shift_left(sign, 8), exponent), 7),
                         arith.shift_left(mantissa, 6))  # fmt: skip
    return reinterpret(cast(upper, "uint16"), "bfloat16")


def _tir_u8_to_f8_e4m3_to_f16(nbit: int, val: Any, dtype: Any) -> Any:
    """A byte of e4m3 as a float16."""
    _check("_tir_u8_to_f8_e4m3_to_f16", nbit, 8, dtype, "float16")
    return cast(reinterpret(as_expr(val).read(), "float8_e4m3fn"), "float16")


def _float16(bits: Any) -> Any:
    return reinterpret(cast(bits, "uint16"), "float16")


def _check(name: str, nbit: int, bits: int, dtype: Any, kind: str) -> None:
    if nbit != bits or DType(dtype) != kind:
        raise TileValueError(f"{name} gives {kind} of {bits} bits, asked for {dtype} of {nbit}")
