"""`tilelang.env`: environment variables as attributes, and the functions that read them."""

from __future__ import annotations

import sys
from typing import Any

from tilelang_mlir import knobs
from tilelang_mlir.cache import disable_cache, enable_cache, is_cache_enabled

__all__ = ["disable_cache", "enable_cache", "env", "get_default_target", "is_cache_enabled"]


def get_default_target() -> str:
    """The target when none is given."""
    return knobs.DEFAULT_TARGET.get()


def __getattr__(name: str) -> Any:
    if name == "TILELANG_CACHE_DIR":
        return str(knobs.cache_dir())
    if name == "TILELANG_TMP_DIR":
        return str(knobs.cache_dir() / "tmp")
    for knob in vars(knobs).values():
        if isinstance(knob, knobs.Knob) and knob.name == name:
            return knob.get()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


env = sys.modules[__name__]
