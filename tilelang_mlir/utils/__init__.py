"""Helpers of programs: comparing tensors, making inputs, asking for tiles and targets."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any

from tilelang_mlir.utils.tensor import get_tensor_supply, map_torch_type, torch_assert_close

__all__ = ["deprecated", "get_tensor_supply", "map_torch_type", "torch_assert_close"]

_LANGUAGE = (
    "get_buffer_region_from_load", "get_prim_func_name", "is_fragment", "is_full_region", "is_global", "is_local",
    "is_local_var", "is_shared", "is_shared_dynamic", "is_tensor_memory", "retrieve_func_from_module",
    "retrieve_shape", "retrieve_stride", "to_buffer_region",
)  # fmt: skip
_LAZY = {
    **{name: "tilelang_mlir.utils.language" for name in _LANGUAGE},
    "TensorSupplyType": "tilelang_mlir.jit.profiler",
    "determine_fp8_type": "tilelang_mlir.utils.fp8",
    "determine_torch_fp8_type": "tilelang_mlir.utils.fp8",
    "determine_target": "tilelang_mlir.compat.modules.backend",
    "is_cuda_target": "tilelang_mlir.compat.modules.backend",
    "is_hip_target": "tilelang_mlir.compat.modules.backend",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def deprecated(
    method_name: str, new_method_name: str, phaseout_version: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator of a function that has another name now: each call warns."""
    until = f" and goes in {phaseout_version}" if phaseout_version else ""

    def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def warned(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(f"{method_name} is deprecated{until}: use {new_method_name}", DeprecationWarning, 2)
            return func(*args, **kwargs)

        return warned

    return decorate
