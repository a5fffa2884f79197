"""Allocation, under the module path that TileLang documents."""

from __future__ import annotations

from tilelang_mlir.language.alloc import (
    alloc_barrier,
    alloc_cluster_barrier,
    alloc_fragment,
    alloc_global,
    alloc_local,
    alloc_shared,
    alloc_tmem,
    alloc_var,
    empty,
)
from tilelang_mlir.language.reducers import alloc_reducer

__all__ = [
    "alloc_barrier", "alloc_cluster_barrier", "alloc_fragment", "alloc_global", "alloc_local", "alloc_reducer",
    "alloc_shared", "alloc_tmem", "alloc_var", "empty",
]  # fmt: skip
