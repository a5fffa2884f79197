"""`tilelang.cuda`: the CUDA dialect of the language is the language."""

from __future__ import annotations

from tilelang_mlir import language

__all__ = ["language"]
