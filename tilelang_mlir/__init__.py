"""GPU tile kernels in Python: `import tilelang_mlir as tilelang; import tilelang_mlir.language as T`.

Names are imported when they are used; importing the package loads neither MLIR nor torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "JITImpl": "tilelang_mlir.jit.decorator",
    "JITKernel": "tilelang_mlir.jit.kernel",
    "Profiler": "tilelang_mlir.jit.profiler",
    "TensorSupplyType": "tilelang_mlir.jit.profiler",
    "CompiledArtifact": "tilelang_mlir.jit.lowering",
    "KernelParam": "tilelang_mlir.jit.lowering",
    "compile": "tilelang_mlir.jit.compile",
    "lower": "tilelang_mlir.jit.lowering",
    "par_compile": "tilelang_mlir.jit.compile",
    "PrimFunc": "tilelang_mlir.frontend.primfunc",
    "Target": "tilelang_mlir.target",
    "enable_cache": "tilelang_mlir.cache",
    "disable_cache": "tilelang_mlir.cache",
    "is_cache_enabled": "tilelang_mlir.cache",
    "Fragment": "tilelang_mlir.layout",
    "Layout": "tilelang_mlir.layout",
    "PassConfigKey": "tilelang_mlir.compiler.pass_configs",
    "AutoTuner": "tilelang_mlir.autotuner",
    "autotune": "tilelang_mlir.autotuner",
    "cdiv": "tilelang_mlir.compat.modules.math",
    "next_power_of_2": "tilelang_mlir.compat.modules.math",
    "deprecated": "tilelang_mlir.utils",
    "logger": "tilelang_mlir.utils.log",
    "set_log_level": "tilelang_mlir.utils.log",
}
_MODULES = (
    "autotuner", "cache", "compat", "compiler", "dialect", "dtypes", "errors", "frontend", "isa", "jit", "knobs",
    "language", "launch_plan", "layout", "mlir", "passes", "profiler", "reference", "runtime", "simulator", "target",
    "testing", "tools", "utils",
)  # fmt: skip


class _CallableModule(ModuleType):
    """The module `tilelang_mlir.jit`, which is also the decorator `@tilelang.jit`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from tilelang_mlir.jit.decorator import jit

        return jit(*args, **kwargs)


class _Package(ModuleType):
    """This package; it makes its submodule `jit` callable when the import system attaches it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "jit" and isinstance(value, ModuleType):
            value.__class__ = _CallableModule
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, *_MODULES])
