"""Conversions between dtypes (`tl.cast`) and named functions (`tl.math`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.reference.machine import Frame
from tilelang_mlir.reference.program import Instruction, Run
from tilelang_mlir.reference.scalars import float_to_int
from tilelang_mlir.reference.types import Value, compute_dtype, is_float, largest_of, signed, unsigned


def round_tf32(value: Value) -> Value:
    """float32 rounded to the ten fraction bits of tf32, to nearest even."""
    bits = np.asarray(value, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0xFFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(0xFFFFE000)
    return np.where(np.isfinite(value), rounded.view(np.float32), value).astype(np.float32)


def to_float(value: Value, dtype: np.dtype, rounding: str = "rn", saturate: bool = True) -> Value:
    """Convert a float or integer to a float type.

    Types of eight bits and fewer saturate to the largest finite value when asked (PTX ISA, cvt .satfinite).
    `rounding` is rn (nearest even), rz (to zero), rp (up) or rm (down).
    """
    value = np.asarray(value)
    if is_float(value.dtype) and value.dtype != np.float64:
        value = value.astype(np.float32)
    if str(dtype) == "float8_e8m0fnu":
        return _to_exponent(value).view(dtype)
    narrow = dtype.itemsize == 1
    if narrow and saturate:
        largest = largest_of(dtype)
        value = np.where(np.isnan(value), value, np.clip(value, -largest, largest)).astype(value.dtype)
    result = value.astype(dtype)
    if rounding in ("", "rn"):
        return result
    back = result.astype(np.float64)
    exact = value.astype(np.float64)
    over, under = back > exact, back < exact
    if rounding == "rz":
        over, under = over & (exact > 0), under & (exact < 0)
    down, up = {"rz": (over, under), "rp": (None, under), "rm": (over, None)}.get(rounding, (None, None))
    if down is None and up is None:
        raise UnsupportedError(f"the reference evaluator does not round {rounding!r}")
    for wrong, step in ((down, -1), (up, 1)):
        if wrong is not None:
            result = np.where(wrong, _neighbour(result, step), result)
    return result.astype(dtype)


def _by_chance(value: Value, dtype: np.dtype, saturate: bool, random: Value) -> Value:
    """Away from zero where the discarded bits of the float32 and as many of the lowest random ones carry."""
    value = np.asarray(value, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        toward = to_float(value, dtype, "rz", saturate)
        exact, kept = np.abs(value.astype(np.float64)), np.abs(toward.astype(np.float64))
        step = np.abs(_neighbour(np.abs(toward), 1).astype(np.float64)) - kept
        unit = np.exp2(np.maximum(np.floor(np.log2(np.maximum(exact, 1e-300))), -126) - 23)
        count = np.clip(np.log2(np.where(step > 0, step, unit) / unit), 0, 31)
        discarded = (exact - kept) / unit
        carries = discarded + (np.asarray(random).astype(np.int64) & (2**count.astype(np.int64) - 1)) >= 2**count
    moved = np.where(value < 0, _neighbour(toward, -1), _neighbour(toward, 1)).astype(dtype)
    inexact = carries & (discarded > 0) & np.isfinite(value)
    largest = np.float64(largest_of(dtype) if dtype.itemsize == 1 else np.inf)
    return np.where(inexact & (kept < largest), moved, toward).astype(dtype)


def _to_exponent(value: Value) -> Value:
    """Bytes of e8m0: the magnitude rounded up to a power of two, at most 2**127 (cvt.rp.satfinite.ue8m0x2)."""
    fraction, power = np.frexp(np.abs(value.astype(np.float64)))
    least = np.where(fraction == 0.5, power - 1, power)  # the smallest power of two that is not below it
    code = np.clip(np.where(fraction == 0, -127, least) + 127, 0, 254)
    code = np.where(np.isinf(value), 254, code)
    return np.where(np.isnan(value), 255, code).astype(np.uint8)


def _neighbour(value: Value, step: int) -> Value:
    """The next value of the same type upwards (1) or downwards (-1)."""
    kind = np.dtype(f"i{value.dtype.itemsize}")
    bits = np.asarray(value).view(kind).astype(np.int64)
    sign_bit = 1 << (kind.itemsize * 8 - 1)
    # Order the codes as the numbers they stand for: negative ones count backwards.
    ordered = np.where(bits < 0, -(bits & (sign_bit - 1)), bits) + step
    coded = np.where(ordered < 0, -ordered | sign_bit, ordered)
    return coded.astype(np.dtype(f"u{kind.itemsize}")).view(value.dtype)


def cast(
    value: Value, source: DType, target: DType, dtype: np.dtype, rounding: str = "", saturate: bool = True,
    random: Value | None = None,
) -> Value:  # fmt: skip
    """Convert between dtypes; `dtype` is the numpy dtype of the result."""
    if target.kind == "bool":
        return np.asarray(value != np.zeros((), value.dtype))
    if source.kind in ("uint", "handle"):
        value = unsigned(value)
    if random is not None:
        return _by_chance(value, dtype, saturate, random)
    if is_float(dtype):
        result = to_float(value, dtype, rounding or "rn", saturate)
        return round_tf32(result) if target.scalar == "tfloat32" else result
    if is_float(value.dtype):
        wanted = np.dtype(f"u{dtype.itemsize}") if target.kind == "uint" else dtype
        return signed(float_to_int(value, wanted))
    return np.asarray(value).astype(dtype)


def _cast(op: Instruction, frame: Frame) -> None:
    value = frame.env[op.operands[0]]
    source, target = DType(op.attributes["from"]), DType(op.attributes["to"])
    rounding, saturate = str(op.attributes.get("round", "")), bool(op.attributes.get("sat", True))
    random = frame.env[op.operands[1]] if len(op.operands) == 2 else None
    if "sat" in op.attributes and saturate and source.is_integer and target.is_integer:
        ends = np.iinfo(op.dtypes[0])
        value = unsigned(value) if source.is_unsigned else value
        value = np.clip(value, None if source.is_unsigned else ends.min, ends.max)
    frame.env[op.results[0]] = cast(value, source, target, op.dtypes[0], rounding, saturate, random)[()]


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp10": lambda x: np.power(np.asarray(10, x.dtype), x), "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hypot": np.hypot, "ldexp": lambda x, e: x * np.exp2(e), "nextafter": np.nextafter, "fmod": np.fmod,
    "nearbyint": np.rint, "exp": np.exp, "log": np.log, "log2": np.log2, "log10": np.log10, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "rcp": lambda x: 1 / x, "add": np.add, "sub": np.subtract, "mul": np.multiply,
    "div": np.divide, "fma": lambda a, b, c: a * b + c, "sqrt": np.sqrt,
}  # fmt: skip
_ROUNDINGS = {"rn": "rn", "rz": "rz", "ru": "rp", "rd": "rm"}


def _math(op: Instruction, frame: Frame) -> None:
    """Directed roundings compute in double precision and round once; fast functions mean the precise one."""
    name = str(op.attributes["function"]).removeprefix("fast_")
    base, _, suffix = name.rpartition("_")
    dtype = op.dtypes[0]
    directed = suffix in _ROUNDINGS and base in _FUNCTIONS
    wide = np.dtype(np.float64) if directed else compute_dtype(dtype)
    exact = name == "nextafter"
    args = [value if exact else value.astype(wide) for value in (frame.env[slot] for slot in op.operands)]
    result = _FUNCTIONS[base if directed else name](*args)
    frame.env[op.results[0]] = to_float(result, dtype, _ROUNDINGS[suffix] if directed else "rn", saturate=False)[()]


CASTS: dict[str, Run] = {"tl.cast": _cast, "tl.math": _math}
