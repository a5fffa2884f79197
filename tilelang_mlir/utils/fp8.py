"""`tilelang.utils`: the 8-bit floats of the current machine."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileValueError
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.target import Feature

_NAMES = {"e4m3": ("float8_e4m3fn", "float8_e4m3fnuz"), "e5m2": ("float8_e5m2", "float8_e5m2fnuz")}


def determine_fp8_type(fp8_format: str = "e4m3") -> str:
    """The dtype of `e4m3` or `e5m2`: the one without negative zero where products have that, else that of OCP.

    Raises:
        TileValueError: another format.
    """
    if fp8_format not in _NAMES:
        raise TileValueError(f"no 8-bit float {fp8_format!r}", hint=f"formats are {', '.join(_NAMES)}")
    return _NAMES[fp8_format][resolve_target(None).supports(Feature.FP8_FNUZ)]


def determine_torch_fp8_type(fp8_format: str = "e4m3") -> Any:
    """The same as torch's dtype."""
    import torch

    return getattr(torch, determine_fp8_type(fp8_format))
