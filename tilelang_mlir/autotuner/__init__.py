"""Autotuning: compiling candidates in parallel, checking and measuring them, and remembering the best."""

from __future__ import annotations

from tilelang_mlir.autotuner.decorator import AutoTuneImpl, autotune, jit
from tilelang_mlir.autotuner.inputs import get_autotune_inputs, set_autotune_inputs
from tilelang_mlir.autotuner.result import AutotuneResult
from tilelang_mlir.autotuner.settings import CompileArgs, ProfileArgs
from tilelang_mlir.autotuner.tuner import AutoTuner

__all__ = [
    "AutoTuneImpl", "AutoTuner", "AutotuneResult", "CompileArgs", "ProfileArgs", "autotune", "get_autotune_inputs",
    "jit", "set_autotune_inputs",
]  # fmt: skip
