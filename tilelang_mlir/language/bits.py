"""Single bits of words."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.expr import INT32, Expr, as_expr, describe, value_of
from tilelang_mlir.language.intrinsic import intrinsic
from tilelang_mlir.language.math import clz
from tilelang_mlir.language.sync import in_kernel

_UINT32 = DType("uint32")


def ffs(value: Any) -> Any:
    """Place of the lowest bit that is set, counted from 1; 0 where none is: `T.__ffs(mask)` (int32).

    Raises:
        TileTypeError: no integer of 32 or 64 bits.
    """
    word = _integer("T.__ffs", value)
    lowest = arith.bit_and(word, arith.sub(arith.mul(word, 0), word))
    place = arith.sub(word.dtype.bits, arith.cast(clz(lowest), INT32))
    return arith.select(arith.compare("Eq", word, 0), 0, place)


def fns(mask: Any, base: Any, offset: Any) -> Any:
    """Place of the set bit of a mask that is the `offset`-th from bit `base` on, itself included: `T.__fns(m, 0, 1)`.

    Below `base` for negative offsets; with offset 0 `base` itself. 0xFFFFFFFF where there is none (uint32).

    Raises:
        TileTypeError: no integers.
    """
    builder = in_kernel("T.__fns")
    words = [arith.cast(_integer("T.__fns", v), INT32) for v in (mask, base, offset)]
    found = intrinsic("T.__fns", "find_nth_set", [value_of(builder, word) for word in words], result=INT32)
    return arith.cast(found, _UINT32)


def _integer(what: str, value: Any) -> Expr:
    word = as_expr(value, INT32 if isinstance(value, int) and value < 2**31 else None)
    if not word.dtype.is_integer or word.dtype.bits not in (32, 64):
        raise TileTypeError(f"{what} needs an integer of 32 or 64 bits, got {describe(value)}")
    return word
