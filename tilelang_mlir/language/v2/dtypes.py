"""Dtypes under an older module path."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.frontend.typename import dtype, to_dtype
from tilelang_mlir.language.dtypes import find, get_tvm_dtype

__all__ = ["dtype", "get_tvm_dtype", "to_dtype"]


def __getattr__(name: str) -> Any:
    found = find(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
