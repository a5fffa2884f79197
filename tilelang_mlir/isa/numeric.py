"""Number formats in numpy: conversions that round as the hardware does.

bfloat16 is carried as float32 whose low 16 bits are zero; fp8 as its byte. Source: PTX ISA 8.7, section 5.2.3
(alternate floating-point formats) and 9.7.9.21 (cvt); IEEE 754 for binary16.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

HALF_TO_FLOAT: np.ndarray = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
"""All 65536 binary16 values as float32, by bit pattern."""


FP4_TO_FLOAT: np.ndarray = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
"""All 16 values of e2m1, by bit pattern."""


def bf16_bits_to_float(bits: np.ndarray) -> np.ndarray:
    """uint16/int16 bit patterns -> float32 values, exact."""
    return (bits.astype(np.uint16, copy=False).astype(np.uint32) << np.uint32(16)).view(np.float32)


def float_to_bf16_bits(value: Any) -> np.ndarray:
    """float32 -> bit patterns (uint16), round to nearest even; NaN becomes 0x7FFF as in cvt.rn.bf16.f32."""
    bits = np.ascontiguousarray(value, np.float32).view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)
    nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    return np.where(nan, np.uint16(0x7FFF), rounded) if nan.any() else rounded


def round_bf16(value: Any) -> Any:
    """float32 -> nearest bfloat16, carried as float32 of the same shape."""
    return bf16_bits_to_float(float_to_bf16_bits(value)).reshape(np.shape(value))[()]


def bf16_carrier_bits(value: Any) -> np.ndarray:
    """The 16 bits of a bfloat16 that is carried as float32."""
    return (np.ascontiguousarray(value, np.float32).view(np.uint32) >> np.uint32(16)).astype(np.uint16)


def round_tf32(value: np.ndarray) -> np.ndarray:
    """float32 -> tf32 bits (uint32) with cvt.rna: nearest, ties away from zero, low 13 bits zero."""
    bits = np.ascontiguousarray(value, np.float32).view(np.uint32)
    finite = (bits & np.uint32(0x7F800000)) != np.uint32(0x7F800000)
    return np.where(finite, (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000), bits)


def truncate_tf32(bits: np.ndarray) -> np.ndarray:
    """What the tensor core sees of a 32-bit register used as tf32: the low 13 bits are ignored."""
    return (bits.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


# fp8 formats: exponent bits, mantissa bits, bias, largest finite value
_FP8 = {"e4m3": (4, 3, 7, 448.0), "e5m2": (5, 2, 15, 57344.0)}


@cache
def fp8_to_float(kind: str) -> np.ndarray:
    """All 256 values of `e4m3` (no infinities, 0x7F and 0xFF are NaN) or `e5m2` (IEEE-like) as float32, by byte."""
    exponent_bits, mantissa_bits, bias, _ = _FP8[kind]
    values = np.empty(256, np.float32)
    for byte in range(256):
        sign = -1.0 if byte & 0x80 else 1.0
        exponent = byte >> mantissa_bits & (1 << exponent_bits) - 1
        mantissa = byte & (1 << mantissa_bits) - 1
        top = exponent == (1 << exponent_bits) - 1
        if (kind == "e4m3" and byte & 0x7F == 0x7F) or (kind == "e5m2" and top and mantissa):
            values[byte] = np.nan
        elif kind == "e5m2" and top:
            values[byte] = sign * np.inf
        elif exponent == 0:
            values[byte] = sign * mantissa * 2.0 ** (1 - bias - mantissa_bits)
        else:
            values[byte] = sign * (1 + mantissa / (1 << mantissa_bits)) * 2.0 ** (exponent - bias)
    return values


@cache
def fp6_to_float(kind: str) -> np.ndarray:
    """All 64 values of `e2m3` or `e3m2`, which have neither infinities nor NaN, by code."""
    exponent_bits, mantissa_bits = (2, 3) if kind == "e2m3" else (3, 2)
    bias = (1 << exponent_bits - 1) - 1
    values = np.empty(64, np.float32)
    for code in range(64):
        exponent, mantissa = code >> mantissa_bits & (1 << exponent_bits) - 1, code & (1 << mantissa_bits) - 1
        whole = mantissa / (1 << mantissa_bits) + (exponent > 0)
        values[code] = (-1.0 if code & 32 else 1.0) * whole * 2.0 ** (max(exponent, 1) - bias)
    return values


def float_to_fp8(value: Any, kind: str) -> np.ndarray:
    """float32 -> fp8 bytes (uint8), round to nearest even, out of range saturates to the largest finite (satfinite).

    NaN becomes 0x7F. Finite and infinite values beyond the range become the largest finite value of their sign.
    """
    x = np.asarray(value, np.float32)
    table = fp8_to_float(kind)
    positive = table[:128]
    finite = positive[np.isfinite(positive)].astype(np.float64)
    magnitude = np.minimum(np.abs(x).astype(np.float64), _FP8[kind][3])
    midpoints = (finite[1:] + finite[:-1]) / 2
    low = np.searchsorted(midpoints, magnitude, side="left")  # a tie stays at the lower code ...
    code = low + (
        (low < len(midpoints)) & (magnitude == midpoints[np.minimum(low, len(midpoints) - 1)]) & (low & 1 == 1)
    )
    byte = code.astype(np.uint8) | (np.signbit(x).astype(np.uint8) << np.uint8(7))
    return np.where(np.isnan(x), np.uint8(0x7F), byte)


def fma64(a: Any, b: Any, c: Any) -> Any:
    """Fused multiply-add of float64: the errors of product and sum are found exactly and added at the end (Dekker).

    Right but for sums whose two errors together straddle half a unit of the last place. Factors so large that they
    cannot be split, and products below the normal range, are rounded twice.
    """
    a, b, c = (np.asarray(x, np.float64) for x in (a, b, c))
    with np.errstate(all="ignore"):
        product = a * b
        (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
        missed = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
        total = product + c
        virtual = total - product
        error = (product - (total - virtual)) + (c - virtual)
        fused = total + (error + missed)
        exact = (np.abs(a) < 1e290) & (np.abs(b) < 1e290) & (np.abs(product) > 1e-290) & np.isfinite(total)
    return np.where(exact, fused, total)


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A float64 as a sum of two of 26 bits."""
    shifted = x * 134217729.0
    high = shifted - (shifted - x)
    return high, x - high


def fma32(a: Any, b: Any, c: Any) -> Any:
    """Fused multiply-add of float32 with one rounding.

    The product is exact in float64; the sum is rounded to odd there, so the final rounding to float32 is the only one.
    """
    product = np.asarray(a, np.float64) * np.asarray(b, np.float64)
    addend = np.asarray(c, np.float64)
    total = product + addend
    virtual = total - product
    error = (product - (total - virtual)) + (addend - virtual)
    inexact = (error != 0) & np.isfinite(total)
    if np.any(inexact):
        bits = np.atleast_1d(total).view(np.int64)
        even = (bits & 1) == 0
        # Rounding to odd: an even, inexact sum moves one step towards its error.
        step = np.where((np.atleast_1d(error) > 0) == (np.atleast_1d(total) > 0), 1, -1)
        total = np.where(np.atleast_1d(inexact) & even, bits + step, bits).view(np.float64).reshape(np.shape(total))
    return total.astype(np.float32)
