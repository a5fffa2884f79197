"""`tilelang.language.fp8`: the fp8 dtype that a target has."""

from __future__ import annotations

from typing import Literal

from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.target import Feature


def determine_fp8_type(fp8_format: Literal["e4m3", "e5m2"] = "e4m3") -> str:
    """The fp8 dtype of the current target: CDNA3 has the `fnuz` forms.

    Raises:
        ValueError: an unknown format.
    """
    if fp8_format not in ("e4m3", "e5m2"):
        raise ValueError(f"unknown fp8 format {fp8_format!r}: e4m3 or e5m2")
    if resolve_target("auto").supports(Feature.FP8_FNUZ):
        return f"float8_{fp8_format}fnuz"
    return "float8_e4m3fn" if fp8_format == "e4m3" else "float8_e5m2"


def determine_torch_fp8_type(fp8_format: Literal["e4m3", "e5m2"] = "e4m3") -> object:
    """The same as a torch dtype."""
    import torch

    return getattr(torch, determine_fp8_type(fp8_format))
