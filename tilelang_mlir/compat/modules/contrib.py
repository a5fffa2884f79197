"""`tilelang.contrib`."""

from __future__ import annotations

from tilelang_mlir.compat.modules import nvcc

__all__ = ["nvcc"]
