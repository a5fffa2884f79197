"""What bulk reductions do with the elements of memory. PTX ISA 8.7, section 9.7.9.25.4.2 (cp.reduce.async.bulk) and
9.7.9.25.5.3 (cp.reduce.async.bulk.tensor), of shared memory to device memory; inc and dec are those of section
9.7.13.12 (atom).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tilelang_mlir.isa.numeric import bf16_bits_to_float, float_to_bf16_bits

Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]

_INTEGERS = ("u32", "s32", "u64", "s64")
# Of runs of bytes: the elements of each kind. Sums of 16 bits are `.noftz`.
RUNS: dict[str, tuple[str, ...]] = {
    "add": ("u32", "s32", "u64", "f16", "bf16", "f32", "f64"),
    **dict.fromkeys(("min", "max"), (*_INTEGERS, "f16", "bf16")),
    **dict.fromkeys(("inc", "dec"), ("u32",)),
    **dict.fromkeys(("and", "or", "xor"), ("b32", "b64")),
}
_STORED: dict[str, Any] = {
    "f16": np.float16, "bf16": np.uint16, "f32": np.float32, "f64": np.float64, "s32": np.int32, "u32": np.uint32,
    "b32": np.uint32, "s64": np.int64, "u64": np.uint64, "b64": np.uint64,
}  # fmt: skip


def _increment(old: np.ndarray, most: np.ndarray) -> np.ndarray:
    return np.where(old >= most, np.uint32(0), old + np.uint32(1))


def _decrement(old: np.ndarray, most: np.ndarray) -> np.ndarray:
    return np.where((old == 0) | (old > most), most, old - np.uint32(1))


_COMBINE: dict[str, Combine] = {
    "add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or,
    "xor": np.bitwise_xor, "inc": _increment, "dec": _decrement,
}  # fmt: skip


def combination(kind: str, element: str) -> tuple[Combine, np.dtype[Any]]:
    """The new elements of the old ones and of those of the copy, and what carries an element."""
    combine = _COMBINE[kind]
    if element != "bf16":
        return combine, np.dtype(_STORED[element])

    def rounded(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """A sum is rounded once; minima and maxima are exact."""
        wide = combine(bf16_bits_to_float(old), bf16_bits_to_float(new))
        return float_to_bf16_bits(wide.astype(np.float32))

    return rounded, np.dtype(np.uint16)


def run_element(kind: str, element: str, *, unsigned: bool) -> str:
    """How the reduction of a run names elements of an MLIR type, or an empty string where it has no such."""
    name = {"i32": "u32" if unsigned else "s32", "i64": "u64" if unsigned else "s64"}.get(element, element)
    if kind in ("and", "or", "xor"):
        name = {"i32": "b32", "i64": "b64"}.get(element, "")
    if kind == "add" and name == "s64":
        name = "u64"  # the same bits
    return name if name in RUNS[kind] else ""
