"""`tilelang.cuda.intrinsics.macro.wgmma_macro_generator`: its emitter."""

from __future__ import annotations

from tilelang_mlir.language.wgmma_emitter import WGMMATensorCoreIntrinEmitter as TensorCoreIntrinEmitter

__all__ = ["TensorCoreIntrinEmitter"]
