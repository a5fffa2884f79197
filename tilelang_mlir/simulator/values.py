"""MLIR types as the simulator sees them: numpy dtype, lanes of a vector, bytes in memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa import numeric
from tilelang_mlir.simulator.memory import CARRY

_NUMPY: dict[str, Any] = {
    "i1": np.bool_,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "f16": np.float16,
    "bf16": np.float32,
    "f32": np.float32,
    "f64": np.float64,
}
_BYTES = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "f16": 2, "bf16": 2, "f32": 4, "f64": 8, "ptr": 8}


@dataclass(frozen=True)
class Kind:
    """A scalar, vector or pointer type. `lanes` is 0 for a scalar, `bits` the width of an element."""

    element: str
    lanes: int
    dtype: Any
    unit: int  # bytes of one element in memory
    space: int = -1

    @property
    def nbytes(self) -> int:
        return self.unit * max(self.lanes, 1)

    @property
    def bits(self) -> int:
        return 1 if self.element == "i1" else self.unit * 8

    @property
    def is_float(self) -> bool:
        return "f" in self.element


@cache
def kind_of(text: str) -> Kind:
    """The kind of a type given as text. Raises UnsupportedError for a type level 4 does not have."""
    if match := re.fullmatch(r"!llvm\.ptr(?:<(\d+)>)?", text):
        return Kind("ptr", 0, np.int64, 8, int(match[1] or 0))
    match = re.fullmatch(r"vector<(\d+)x(\w+)>", text)
    lanes, element = (int(match[1]), match[2]) if match else (0, text)
    if element not in _NUMPY:
        raise UnsupportedError(f"the simulator has no values of type {text}")
    return Kind(element, lanes, _NUMPY[element], _BYTES[element])


@cache
def size_of(text: str) -> int:
    """Bytes of a type in memory, for address arithmetic: scalars, vectors, pointers and nested LLVM arrays."""
    if match := re.fullmatch(r"!llvm\.array<(\d+) x (.+)>", text):
        inner = match[2]
        return int(match[1]) * size_of(inner if not inner.startswith(("ptr", "array")) else f"!llvm.{inner}")
    return kind_of(text).nbytes


@cache
def element_of(text: str) -> str:
    """The innermost element type of nested LLVM arrays."""
    while match := re.fullmatch(r"!llvm\.array<(\d+) x (.+)>", text):
        text = match[2] if not match[2].startswith(("ptr", "array")) else f"!llvm.{match[2]}"
    return text


@cache
def decoder(text: str) -> Callable[[np.ndarray], np.ndarray]:
    """Raw memory units (C, T) -> values of a type."""
    kind = kind_of(text)
    if kind.element == "i1":
        return _shaped(kind, lambda raw: raw.view(np.uint8) != 0)
    if kind.element == "bf16":
        return _shaped(kind, lambda raw: numeric.bf16_bits_to_float(raw.view(np.uint16)))
    if not kind.lanes:
        return lambda raw: raw.view(kind.dtype)
    return _shaped(kind, lambda raw: raw.view(kind.dtype))


def _shaped(kind: Kind, convert: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    if not kind.lanes:
        return convert
    return lambda raw: convert(np.ascontiguousarray(raw)).reshape(*raw.shape, kind.lanes)


@cache
def encoder(text: str) -> Callable[[Any], np.ndarray]:
    """Values of a type -> raw memory units (C, T)."""
    kind = kind_of(text)

    def encode(value: Any) -> np.ndarray:
        if kind.element == "bf16":
            value = numeric.bf16_carrier_bits(value)
        else:
            value = np.ascontiguousarray(value, kind.dtype)
        if not kind.lanes:
            return value.view(CARRY[kind.unit]) if value.ndim >= 2 else value.reshape(1, 1).view(CARRY[kind.unit])
        return value.view(CARRY[kind.nbytes])[..., 0]

    return encode


def as_lanes(value: Any, dtype: Any) -> np.ndarray:
    """A value as an array: a uniform scalar becomes shape (1, 1)."""
    return value if isinstance(value, np.ndarray) and value.ndim >= 2 else np.full((1, 1), value, dtype)


def select(condition: Any, yes: Any, no: Any) -> Any:
    """Lane-wise choice for scalars, vectors and structs; at least one of the three varies."""
    if isinstance(yes, tuple):
        return tuple(select(condition, a, b) for a, b in zip(yes, no, strict=True))
    if not isinstance(condition, np.ndarray):
        return yes if condition else no
    if (isinstance(yes, np.ndarray) and yes.ndim == 3) or (isinstance(no, np.ndarray) and no.ndim == 3):
        condition = condition if condition.ndim == 3 else condition[..., None]
    return np.where(condition, yes, no)
