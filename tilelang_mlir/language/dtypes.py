"""The dtype names of the language, `T.float16` and the rest; every name can be called to convert a scalar."""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

from tilelang_mlir.errors import TileTypeError, ToolchainError
from tilelang_mlir.frontend.typename import dtype, to_dtype

SCALARS = (
    "bool", "int4", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16",
    "tfloat32", "float32", "float64", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn",
    "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn",
    "float4_e2m1fn", "float4_e2m1_unpacked",
)  # fmt: skip
ALIASES = {
    "short": "int16", "int": "int32", "long": "int64", "uint": "uint32", "half": "float16", "float": "float32",
    "double": "float64", "boolean": "bool",
}  # fmt: skip
_LANES = ("2", "4", "8", "16", "32", "64")
_SCALAR_ONLY = ("bool", "int4", "float4_e2m1_unpacked")

AnyDType: TypeAlias = dtype | str | type  # for annotations; dtypes of torch and numpy are taken too


def find(name: str) -> dtype | None:
    """The dtype of a name, vector dtypes such as `float32x4` included; None for other names."""
    if name in ALIASES:
        return to_dtype(ALIASES[name])
    if name in SCALARS:
        return to_dtype(name)
    base, _, lanes = name.rpartition("x")
    if lanes in _LANES and base in SCALARS and base not in _SCALAR_ONLY:
        return to_dtype(name)
    return None


def get_tvm_dtype(value: object) -> dtype:
    """The dtype of a name or of a dtype of another library, under its older name."""
    return to_dtype(value)


def is_float4(value: object) -> bool:
    """Whether a dtype is a four-bit float."""
    try:
        return to_dtype(value).startswith("float4")
    except TileTypeError:
        return False


def resolve_torch_storage_dtype(value: object) -> dtype:
    """The dtype that torch tensors of a dtype have: int8 for sub-byte integers, pairs for 4-bit floats.

    Raises:
        ToolchainError: torch is not installed.
    """
    kind = to_dtype(value)
    if kind.startswith("float4_e2m1fn"):
        return to_dtype("float4_e2m1fnx2" if hasattr(_torch(), "float4_e2m1fn_x2") else "int8")
    return to_dtype("int8") if kind.stored_bits < 8 else kind


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ToolchainError("torch is not installed") from error


def __getattr__(name: str) -> Any:
    """A dtype, or a table of TileLang's: names of all dtypes, from torch's dtypes and to them."""
    if name == "_all_dtypes":
        return [*SCALARS, *(f"{base}x{lanes}" for base in SCALARS if base not in _SCALAR_ONLY for lanes in _LANES)]
    if (kind := find(name)) is not None:
        return kind
    if name not in ("_TORCH_DTYPE_TO_STR", "_STR_TO_TORCH_DTYPE"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    torch = _torch()
    kinds = [(getattr(torch, scalar, None), scalar) for scalar in SCALARS]
    table = {kind: scalar for kind, scalar in kinds if isinstance(kind, torch.dtype)}
    return table if name == "_TORCH_DTYPE_TO_STR" else {scalar: kind for kind, scalar in table.items()}
