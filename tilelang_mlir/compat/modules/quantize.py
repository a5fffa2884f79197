"""`tilelang.quantize`: makers of functions that unpack integers of a few bits, for use in kernels.

Each takes the kind and width of the words that hold the integers, and gives `f(nbit, word, position, dtype)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileTypeError

Unpack = Callable[..., Any]


def _part(kind: str, width: int) -> Unpack:
    """The bits of one integer, in the dtype of the word."""
    word_dtype = f"{kind}{width}"

    def part(nbit: int, word: Any, position: Any) -> Any:
        if str(word.dtype) != word_dtype:
            raise TileTypeError(f"unpacking from words of dtype {word_dtype} got one of dtype {word.dtype}")
        shift = T.cast(position * nbit, word_dtype)
        return (word >> shift) & T.cast((1 << nbit) - 1, word_dtype)

    return part


def _tir_packed_to_unsigned_convert(storage_type: str = "uint", storage_nbit: int = 8) -> Unpack:
    """Integers from 0 on."""
    part = _part(storage_type, storage_nbit)
    return lambda nbit, val, pos, dtype: T.cast(part(nbit, val, pos), dtype)


def _tir_packed_to_signed_convert(storage_type: str = "uint", storage_nbit: int = 8) -> Unpack:
    """Integers stored with an offset of half their range."""
    part = _part(storage_type, storage_nbit)
    return lambda nbit, val, pos, dtype: T.cast(part(nbit, val, pos), dtype) - T.cast(1 << (nbit - 1), dtype)


def _tir_packed_to_unsigned_convert_with_zeros(storage_type: str = "uint", storage_nbit: int = 8) -> Unpack:
    """`f(nbit, word, position, zero, dtype)`: integers minus a zero point of the word's dtype."""
    part = _part(storage_type, storage_nbit)
    return lambda nbit, val, pos, zero, dtype: T.cast(part(nbit, val, pos) - zero, dtype)


def _tir_packed_int_to_int_convert(storage_type: str = "uint", storage_nbit: int = 8) -> Unpack:
    """Integers in two's complement."""
    part = _part(storage_type, storage_nbit)

    def convert(nbit: int, val: Any, pos: Any, dtype: Any) -> Any:
        shift = T.int32(32 - nbit)
        return T.cast((T.cast(part(nbit, val, pos), "int32") << shift) >> shift, dtype)

    return convert
