"""Import hooks: `tilelang.x.y` is the module of this package that has its names.

Modules that exist here under the same path are used as they are. Others are in `ALIASES`; importing one that has no
counterpart raises an error that says so, a `ModuleNotFoundError` as without TileLang. `tvm` is a small stand-in, used
only where TVM itself is not installed.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tilelang_mlir.errors import UnsupportedError

_HERE = "tilelang_mlir"
_SHIMS = f"{_HERE}.compat.modules"
# TileLang's module -> the module here, where the paths differ.
ALIASES = {
    "tilelang.analysis": f"{_SHIMS}.empty",
    "tilelang.autotuner.tuner": f"{_HERE}.autotuner",
    "tilelang.autotuner.capture": f"{_HERE}.autotuner",
    "tilelang.autotuner.param": f"{_HERE}.autotuner",
    "tilelang.backend": f"{_SHIMS}.backend",
    "tilelang.backend.target": f"{_SHIMS}.backend",
    "tilelang.carver": f"{_SHIMS}.carver",
    "tilelang.carver.arch": f"{_SHIMS}.arch",
    "tilelang.carver.arch.cuda": f"{_SHIMS}.arch",
    "tilelang.carver.arch.cdna": f"{_SHIMS}.arch",
    "tilelang.carver.arch.driver": f"{_SHIMS}.driver",
    "tilelang.carver.arch.driver.cuda_driver": f"{_SHIMS}.driver",
    "tilelang.carver.template": f"{_SHIMS}.carver",
    "tilelang.carver.roller": f"{_SHIMS}.carver",
    "tilelang.carver.roller.hint": f"{_SHIMS}.carver",
    "tilelang.carver.roller.policy": f"{_SHIMS}.carver",
    "tilelang.carver.roller.rasterization": f"{_SHIMS}.carver",
    "tilelang.common": f"{_SHIMS}.empty",
    "tilelang.contrib": f"{_SHIMS}.contrib",
    "tilelang.contrib.nvcc": f"{_SHIMS}.nvcc",
    "tilelang.cuda": f"{_SHIMS}.cuda",
    "tilelang.cuda.intrinsics": f"{_SHIMS}.intrinsics",
    "tilelang.cuda.target": f"{_SHIMS}.backend",
    "tilelang.cuda.intrinsics.layout": f"{_SHIMS}.intrinsics",
    "tilelang.cuda.intrinsics.layout.mma_layout": f"{_SHIMS}.intrinsics",
    "tilelang.cuda.intrinsics.layout.utils": f"{_SHIMS}.intrinsics",
    "tilelang.cuda.intrinsics.macro": f"{_SHIMS}.intrinsics",
    "tilelang.cuda.intrinsics.macro.mma_macro_generator": f"{_SHIMS}.intrinsics",
    "tilelang.cuda.intrinsics.macro.tcgen05_macro_generator": f"{_SHIMS}.tcgen05_generator",
    "tilelang.cuda.intrinsics.macro.wgmma_macro_generator": f"{_SHIMS}.wgmma_generator",
    "tilelang.cuda.intrinsics.sparse_layout": f"{_SHIMS}.sparse_layout",
    "tilelang.cuda.language.intrinsics": f"{_SHIMS}.intrinsics",
    "tilelang.cuda.language": f"{_HERE}.language",
    "tilelang.engine": f"{_SHIMS}.engine",
    "tilelang.engine.callback": f"{_SHIMS}.engine",
    "tilelang.engine.lower": f"{_SHIMS}.engine",
    "tilelang.engine.param": f"{_SHIMS}.engine",
    "tilelang.env": f"{_SHIMS}.env",
    "tilelang.intrinsics": f"{_SHIMS}.intrinsics",
    "tilelang.intrinsics.mma_layout": f"{_SHIMS}.intrinsics",
    "tilelang.intrinsics.mma_macro_generator": f"{_SHIMS}.intrinsics",
    "tilelang.intrinsics.utils": f"{_SHIMS}.intrinsics",
    "tilelang.intrinsics.wgmma_macro_generator": f"{_SHIMS}.wgmma_generator",
    "tilelang.language.common": f"{_HERE}.language",
    "tilelang.language.eager": f"{_HERE}.language",
    "tilelang.language.symbolics": f"{_HERE}.language",
    "tilelang.language.fp8": f"{_SHIMS}.fp8",
    "tilelang.layout.swizzle": f"{_HERE}.layout",
    "tilelang.layout.fragment": f"{_HERE}.layout",
    "tilelang.layout.layout": f"{_HERE}.layout",
    "tilelang.libinfo": f"{_SHIMS}.empty",
    "tilelang.math": f"{_SHIMS}.math",
    "tilelang.language.tir": f"{_HERE}.language",
    "tilelang.language.tir.ir": f"{_HERE}.language",
    "tilelang.language.tir.op": f"{_HERE}.language",
    "tilelang.primitives": f"{_SHIMS}.empty",
    "tilelang.profiler.bench": f"{_HERE}.profiler",
    "tilelang.quantize.lop3": f"{_HERE}.quantize.intrinsics",
    "tilelang.quantize.mxfp": f"{_HERE}.quantize.intrinsics",
    "tilelang.quantize.quantization": f"{_HERE}.quantize.expressions",
    "tilelang.quantize.utils": f"{_HERE}.quantize.weights",
    "tilelang.rocm": f"{_SHIMS}.cuda",
    "tilelang.rocm.intrinsics": f"{_SHIMS}.mfma",
    "tilelang.rocm.intrinsics.mfma_layout": f"{_SHIMS}.mfma",
    "tilelang.rocm.intrinsics.utils": f"{_SHIMS}.mfma",
    "tilelang.rocm.language": f"{_HERE}.language",
    "tilelang.rocm.target": f"{_SHIMS}.backend",
    "tilelang.tileop": f"{_SHIMS}.tileop",
    "tilelang.tileop.base": f"{_SHIMS}.tileop",
    "tilelang.tools.cuda": f"{_SHIMS}.tools_cuda",
    "tilelang.transform": f"{_SHIMS}.transform",
    "tilelang.transform.pass_config": f"{_SHIMS}.transform",
    "tilelang.transform.simplify": f"{_SHIMS}.transform",
    "tilelang.tvm": f"{_SHIMS}.tvm",
    "tilelang.version": _HERE,
    "tilelang.utils.device": f"{_SHIMS}.driver",
    "tilelang.utils.target": f"{_SHIMS}.backend",
}


class MissingModuleError(UnsupportedError, ModuleNotFoundError):
    """A module of TileLang without a counterpart; programs that try one import after another catch it as usual."""

    def __init__(self, name: str) -> None:
        several = name.startswith("tilelang.distributed")
        origin = "an extension for several GPUs at once" if several else "part of TileLang's own compiler"
        super().__init__(
            f"No module named {name!r}: it is {origin} and has no counterpart here",
            hint="docs/coming_from_tilelang.md has what there is instead",
        )
        self.name = name


class _Alias(importlib.abc.Loader):
    """Puts an existing module under another name."""

    def __init__(self, real: str) -> None:
        self.real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        real = importlib.import_module(self.real)
        inside = f"{module.__name__}."
        package = inside.startswith("tvm.") or any(alias.startswith(inside) for alias in ALIASES)
        if not hasattr(real, "__path__") and package:
            real.__path__ = []  # a module here where TileLang has a package
        # The import system returns what stands in sys.modules afterwards.
        sys.modules[module.__name__] = real
        # It also makes a submodule an attribute of its package when it first imports it: `engine.lower` would no longer
        # be the function.
        for name, shim in ALIASES.items():
            tail = name.removeprefix(inside)
            if name.startswith(inside) and not isinstance(getattr(real, tail, real), ModuleType):
                sys.modules[name] = importlib.import_module(shim)


class _TileLang(importlib.abc.MetaPathFinder):
    """Finds `tilelang` and its submodules here, before an installed TileLang."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        real = counterpart(fullname)
        if real is None:
            if fullname.startswith("tilelang."):
                raise MissingModuleError(fullname)
            return None
        return importlib.machinery.ModuleSpec(fullname, _Alias(real), is_package=True)


class _TVM(importlib.abc.MetaPathFinder):
    """Finds the stand-in for `tvm` when nothing else does."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname != "tvm" and not fullname.startswith("tvm."):
            return None
        return importlib.machinery.ModuleSpec(fullname, _Alias(f"{_SHIMS}.tvm"), is_package=True)


def counterpart(name: str) -> str | None:
    """The module here that stands for a module of TileLang; None where there is none."""
    if name != "tilelang" and not name.startswith("tilelang."):
        return None
    if name in ALIASES:
        return ALIASES[name]
    real = _HERE + name.removeprefix("tilelang")
    try:
        return real if importlib.util.find_spec(real) is not None else None
    except ModuleNotFoundError:  # the parent is a module and no package
        return None


_FINDERS: list[importlib.abc.MetaPathFinder] = []


def install(simulate: bool | str = False) -> None:
    """Make `import tilelang` give this package from now on.

    Args:
        simulate: run kernels in the simulator, and keep tensors that are put on "cuda" on the CPU. True simulates
            sm_90a, a name that architecture.

    Raises:
        RuntimeError: TileLang itself is imported already.
    """
    loaded = sys.modules.get("tilelang")
    if loaded is not None and loaded.__name__ != _HERE:
        raise RuntimeError("tilelang is already imported; call tilelang_mlir.compat.install() before")
    if not _FINDERS:
        _FINDERS.extend((_TileLang(), _TVM()))
        sys.meta_path.insert(0, _FINDERS[0])
        sys.meta_path.append(_FINDERS[1])
    _extend_package()
    if simulate:
        from tilelang_mlir.compat import simulate as simulation

        simulation.start(simulate if isinstance(simulate, str) else simulation.DEFAULT_ARCH)


def uninstall() -> None:
    """Undo `install`: remove the hooks and the modules they put under TileLang's names."""
    for finder in _FINDERS:
        sys.meta_path.remove(finder)
    _FINDERS.clear()
    for name, module in list(sys.modules.items()):
        root = name.partition(".")[0]
        if root in ("tilelang", "tvm") and module.__name__.startswith(_HERE):
            del sys.modules[name]
    if "tilelang_mlir.compat.simulate" in sys.modules:
        sys.modules["tilelang_mlir.compat.simulate"].stop()


def _extend_package() -> None:
    """Give the package the attributes that programs reach through `tilelang.` without importing them."""
    package = importlib.import_module(_HERE)
    shims = "analysis backend carver contrib cuda engine env math rocm tileop transform tvm"
    for name in shims.split():
        if name not in vars(package):
            setattr(package, name, _LazyModule(ALIASES[f"tilelang.{name}"]))
    for kind in ("cuda", "hip", "c"):
        name = f"register_{kind}_postproc"
        vars(package)[name] = getattr(importlib.import_module(ALIASES["tilelang.engine"]), name)
    for name in ("cache", "profiler"):  # where programs of some versions look for it
        vars(importlib.import_module(f"{_HERE}.{name}"))["cached"] = importlib.import_module(f"{_SHIMS}.cached").cached
    if "DataType" not in vars(package):
        vars(package)["DataType"] = importlib.import_module(ALIASES["tilelang.tvm"]).DataType


class _LazyModule(ModuleType):
    """A module that is imported when an attribute of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)
