"""Element formats of matrix operands and conversions: registers as numbers.

The 8-bit floats of CDNA3 have no negative zero and one NaN (0x80), with exponents biased by one more than in the OCP
formats of CDNA4 and RDNA4. CDNA3 ISA, chapter 7, "Data types"; OCP "8-bit Floating Point Specification".
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from tilelang_mlir.isa import numeric
from tilelang_mlir.mlir import ir

# exponent bits, mantissa bits, bias, largest finite value
FNUZ = {"fp8_fnuz": (4, 3, 8, 240.0), "bf8_fnuz": (5, 2, 16, 57344.0)}
REMARK = "tl.fnuz"
"""The attribute of instructions on 8-bit floats that run on a machine with the formats without negative zero."""
_OCP = {"fp8": "e4m3", "bf8": "e5m2"}
_SIX = {"fp6": "e2m3", "bf6": "e3m2"}


def bits_of(kind: str) -> int:
    """Bits of an element of `fp4`, `fp6`, `bf6`, and of one in a byte."""
    return 4 if kind == "fp4" else 6 if kind in _SIX else 8


def kind_of(op: ir.Operation, kind: str) -> str:
    """The element format an instruction named for `fp8` or `bf8` works on."""
    return f"{kind}_fnuz" if kind in _OCP and REMARK in op.attributes else kind


@cache
def byte_values(kind: str) -> np.ndarray:
    """All 256 values of `fp8`, `bf8`, `fp8_fnuz` or `bf8_fnuz` as float32, by byte."""
    if kind in _OCP:
        return numeric.fp8_to_float(_OCP[kind])
    exponent_bits, mantissa_bits, bias, _ = FNUZ[kind]
    values = np.empty(256, np.float32)
    for byte in range(256):
        sign = -1.0 if byte & 0x80 else 1.0
        exponent = byte >> mantissa_bits & (1 << exponent_bits) - 1
        fraction = (byte & (1 << mantissa_bits) - 1) / (1 << mantissa_bits)
        scale = 2.0 ** (max(exponent, 1) - bias)
        values[byte] = sign * scale * (fraction if exponent == 0 else 1 + fraction)
    values[0x80] = np.nan
    return values


def to_byte(value: Any, kind: str) -> np.ndarray:
    """float32 -> bytes (uint8), to nearest even; what is too large becomes the largest finite value of its sign."""
    if kind in _OCP:
        return numeric.float_to_fp8(value, _OCP[kind])
    x = np.asarray(value, np.float32)
    finite = byte_values(kind)[:128].astype(np.float64)
    magnitude = np.minimum(np.abs(x).astype(np.float64), FNUZ[kind][3])
    middle = (finite[1:] + finite[:-1]) / 2
    low = np.searchsorted(middle, magnitude, side="left")
    tie = (low < len(middle)) & (magnitude == middle[np.minimum(low, len(middle) - 1)])
    code = (low + (tie & (low & 1 == 1))).astype(np.uint8)
    byte = code | np.where(np.signbit(x) & (code != 0), np.uint8(0x80), np.uint8(0))
    return np.where(np.isnan(x), np.uint8(0x80), byte)


def decode(value: np.ndarray, kind: str) -> np.ndarray:
    """Registers (C|1, T) or (C|1, T, n) -> numbers (C|1, T, elements): float32; float64 for f64 and integers."""
    value = value if value.ndim == 3 else value[..., None]
    if kind in ("f32", "f64"):
        return value
    if kind == "xf32":  # 10 bits of mantissa are read
        return (np.ascontiguousarray(value).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    if kind == "f16":
        return numeric.HALF_TO_FLOAT.take(np.ascontiguousarray(value).view(np.uint16))
    if kind == "bf16":
        return value if value.dtype == np.float32 else numeric.bf16_bits_to_float(value)
    raw = np.ascontiguousarray(value).view(np.uint8)
    if kind == "fp4":  # the first of two in the low bits
        return numeric.FP4_TO_FLOAT.take(np.stack([raw & 15, raw >> 4], axis=-1).reshape(*raw.shape[:-1], -1))
    if kind in _SIX:
        bits = np.unpackbits(raw, axis=-1, bitorder="little").reshape(*raw.shape[:-1], -1, 6)
        return numeric.fp6_to_float(_SIX[kind]).take(np.packbits(bits, axis=-1, bitorder="little")[..., 0])
    if kind == "i8":
        return raw.view(np.int8).astype(np.float64)
    return raw.astype(np.float64) if kind == "u8" else byte_values(kind).take(raw)
