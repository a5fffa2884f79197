"""A compiled kernel on CUDA devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir import knobs
from tilelang_mlir.launch_plan import KernelSpec, LaunchPlan, TensorMapSpec

from ..kernel import DeviceKernel
from ..vendor import Module, Vendor
from . import tensormap
from .driver import LIBRARY, driver
from .launch import CudaLauncher, launch_attributes
from .module import CudaModule


class Cuda(Vendor):
    """libcuda. `arch` is what the code is compiled for, where it is known."""

    def __init__(self, path: str, arch: str = "") -> None:
        super().__init__(path)
        self.arch = arch

    def module(self, code: bytes) -> Module:
        return CudaModule(code, self.path, self.arch)

    def launcher(self, native: bool = True) -> Any:
        return _launcher_class() if native else CudaLauncher

    def attributes(self, kernel: KernelSpec) -> bytes:
        return launch_attributes(kernel)

    def encode(
        self, spec: TensorMapSpec, dtype: str, pointer: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> bytes:
        return tensormap.encode(spec, dtype, pointer, shape, strides, self.path)

    def fail(self, name: str, status: int) -> None:
        raise driver(self.path).error(name, status)


class CudaKernel(DeviceKernel):
    """Calls a launch plan's kernels with tensors on CUDA devices. `code` is a cubin or PTX for `arch`.

    Devices of another architecture are refused before the launch (TargetError).
    """

    def __init__(
        self, plan: LaunchPlan, code: bytes, path: str = LIBRARY, arch: str = "",
        widened: Callable[[], Any] = lambda: None,
    ) -> None:  # fmt: skip
        super().__init__(plan, code, Cuda(path, arch), widened)


def _launcher_class() -> Any:
    if knobs.DISABLE_NATIVE.get():
        return CudaLauncher
    try:
        from .._launch import Launcher as NativeLauncher  # type: ignore[import-not-found]
    except ImportError:
        return CudaLauncher
    return NativeLauncher
