"""The byte layout of kernel parameters: each at its natural alignment, in order.

PTX ISA 8.7, section 5.1.6.1, "Kernel Function Parameters".
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import UnsupportedError

POINTER = "P"
BFLOAT = "g"  # not a struct format: the upper half of a float32
TENSOR_MAP_BYTES = 128
_FLOATS = {"float16": "e", "float32": "f", "float64": "d", "bfloat16": BFLOAT}
_INTS = {8: "b", 16: "h", 32: "i", 64: "q"}  # unsigned: the upper case letter
_SIZE = {
    POINTER: 8, BFLOAT: 2, "?": 1, "e": 2, "f": 4, "d": 8,
    "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Offsets and formats of the parameters of one kernel, and the bytes of the whole."""

    offsets: tuple[int, ...]
    formats: tuple[str, ...]
    size: int


def scalar_format(dtype: str) -> str:
    """The packing format of a scalar parameter. Raises UnsupportedError for types no scalar is passed as."""
    kind = DType(dtype)
    if kind in _FLOATS:
        return _FLOATS[kind]
    if kind.kind == "bool":
        return "?"
    if kind.is_integer and kind.bits in _INTS:
        return _INTS[kind.bits].upper() if kind.kind == "uint" else _INTS[kind.bits]
    raise UnsupportedError(f"scalar parameters of dtype {dtype}", hint="pass a tensor of one element")


def layout(formats: Sequence[str]) -> Layout:
    """Lay out parameters of the given formats."""
    offsets: list[int] = []
    end = 0
    for code in formats:
        size = _SIZE[code]
        start = -(-end // size) * size
        offsets.append(start)
        end = start + size
    return Layout(tuple(offsets), tuple(formats), end)


def pack(buffer: bytearray, offset: int, code: str, value: int | float) -> None:
    """Write one parameter.

    Raises:
        struct.error, OverflowError: the value does not fit.
    """
    if code == POINTER:
        struct.pack_into("=Q", buffer, offset, value)
    elif code == BFLOAT:
        struct.pack_into("=H", buffer, offset, bfloat_bits(float(value)))
    elif code == "f":
        struct.pack_into("=f", buffer, offset, ctypes.c_float(value).value)  # as C does: what is too large is infinite
    elif code in "?ed":
        struct.pack_into(f"={code}", buffer, offset, value)
    else:
        struct.pack_into(f"={code}", buffer, offset, int(value))


def bfloat_bits(value: float) -> int:
    """A float rounded to bfloat16, to nearest even, as its 16 bits."""
    bits = int.from_bytes(struct.pack(">f", value), "big")
    if bits & 0x7FFFFFFF > 0x7F800000:
        return bits >> 16 | 0x40  # a NaN stays one
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
