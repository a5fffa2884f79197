"""`tilelang.tileop`: what programs import of it."""

from __future__ import annotations

from tilelang_mlir.language.gemm import GemmWarpPolicy

__all__ = ["GemmWarpPolicy"]
