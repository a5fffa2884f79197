"""`tilelang.cuda.intrinsics.macro.tcgen05_macro_generator`: its emitter."""

from __future__ import annotations

from tilelang_mlir.language.tensor_emitter import TCGEN05TensorCoreIntrinEmitter as TensorCoreIntrinEmitter

__all__ = ["TensorCoreIntrinEmitter"]
