"""How tensors of a dtype are stored in torch and numpy."""

from __future__ import annotations

from tilelang_mlir.dtypes import DType


def storage_dtype(dtype: str) -> str:
    """The name of the torch or numpy dtype that a tensor of `dtype` is stored as."""
    kind = DType(dtype)
    if kind.kind != "bool" and (kind.bits < 8 or kind == "float4_e2m1_unpacked"):
        return "uint8" if kind.kind == "float" else "int8"
    aliases = {"tfloat32": "float32", "float8_e4m3": "float8_e4m3fn", "handle": "int64"}
    return aliases.get(kind, str(kind))


def storage_shape(dtype: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in stored elements: sub-byte types are packed along the last dimension."""
    kind = DType(dtype)
    if kind.kind == "bool" or kind.bits >= 8 or not shape:
        return shape
    return (*shape[:-1], -(-shape[-1] * kind.bits // 8))


def storage_strides(dtype: str, strides: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in stored elements."""
    kind = DType(dtype)
    if kind.kind == "bool" or kind.bits >= 8 or not strides:
        return strides
    return (*(step * kind.bits // 8 for step in strides[:-1]), strides[-1])
