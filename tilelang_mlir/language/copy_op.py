"""Copies, under the module path that TileLang documents: the names of `T`."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from tilelang_mlir import language

    if name.startswith("_") and not hasattr(language, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(language, name)
