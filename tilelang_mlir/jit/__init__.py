"""Compiling and running kernels from Python. Names are imported when used: neither MLIR nor torch is loaded before."""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {
    "CompiledArtifact": "tilelang_mlir.jit.lowering",
    "JITImpl": "tilelang_mlir.jit.decorator",
    "JITKernel": "tilelang_mlir.jit.kernel",
    "KernelParam": "tilelang_mlir.jit.lowering",
    "Profiler": "tilelang_mlir.jit.profiler",
    "TensorSupplyType": "tilelang_mlir.jit.profiler",
    "compile_prim_func": "tilelang_mlir.jit.compile",
    "lower": "tilelang_mlir.jit.lowering",
    "par_compile": "tilelang_mlir.jit.compile",
    "resolve_target": "tilelang_mlir.jit.target",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
