"""MLIR types as numpy dtypes. Signless integers are numpy's signed ones; ops that are unsigned reinterpret."""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

Array = np.ndarray[Any, Any]
# A numpy scalar or an array over the lanes; numpy's own types do not say that both have the same operators.
Value = Any

_BY_NAME: dict[str, np.dtype] = {
    "i1": np.dtype(bool), "i4": np.dtype(ml_dtypes.int4), "i8": np.dtype(np.int8), "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32), "i64": np.dtype(np.int64), "index": np.dtype(np.int64), "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16), "f32": np.dtype(np.float32), "f64": np.dtype(np.float64),
    "f8E3M4": np.dtype(ml_dtypes.float8_e3m4), "f8E4M3": np.dtype(ml_dtypes.float8_e4m3),
    "f8E4M3B11FNUZ": np.dtype(ml_dtypes.float8_e4m3b11fnuz), "f8E4M3FN": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz), "f8E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "f8E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz), "f8E8M0FNU": np.dtype(ml_dtypes.float8_e8m0fnu),
    "f6E2M3FN": np.dtype(ml_dtypes.float6_e2m3fn), "f6E3M2FN": np.dtype(ml_dtypes.float6_e3m2fn),
    "f4E2M1FN": np.dtype(ml_dtypes.float4_e2m1fn),
}  # fmt: skip
_NATIVE_FLOATS = frozenset(np.dtype(t) for t in (np.float32, np.float64))
_SUB_BYTE = frozenset(_BY_NAME[name] for name in ("i4", "f6E2M3FN", "f6E3M2FN", "f4E2M1FN"))


def dtype_of(kind: ir.Type) -> np.dtype:
    """The numpy dtype of a scalar type, or of the elements of a vector or memref.

    Raises:
        UnsupportedError: the type has no numpy counterpart.
    """
    return _dtype(str(kind.element_type if isinstance(kind, ir.VectorType | ir.MemRefType) else kind))


@functools.cache
def _dtype(name: str) -> np.dtype:
    if name.startswith("!llvm.ptr"):
        return np.dtype(object)
    if name not in _BY_NAME:
        raise UnsupportedError(f"the reference evaluator has no values of type {name}")
    return _BY_NAME[name]


def mlir_name(dtype: np.dtype) -> str:
    """The MLIR spelling of a dtype."""
    return next(name for name, known in _BY_NAME.items() if known == dtype)


def is_float(dtype: np.dtype) -> bool:
    """Whether a dtype is a float, including the narrow ones numpy does not know."""
    return dtype.kind not in "biuO" and dtype != _BY_NAME["i4"]


def is_sub_byte(dtype: np.dtype) -> bool:
    """Whether numpy spends a byte on an element that takes less in memory."""
    return dtype in _SUB_BYTE


def compute_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype arithmetic is exact enough in: float32 for narrower floats, the dtype itself otherwise."""
    return np.dtype(np.float32) if is_float(dtype) and dtype not in _NATIVE_FLOATS else dtype


@functools.lru_cache
def largest_of(dtype: np.dtype) -> float:
    """The largest finite value of a narrow float."""
    codes = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    return float(codes[np.isfinite(codes)].max())


def unsigned(value: Value) -> Value:
    """The same bits read as an unsigned integer."""
    return value.view(np.dtype(f"u{value.dtype.itemsize}")) if value.dtype.kind == "i" else value


def signed(value: Value) -> Value:
    """The same bits read as a signed integer."""
    return value.view(np.dtype(f"i{value.dtype.itemsize}")) if value.dtype.kind == "u" else value
