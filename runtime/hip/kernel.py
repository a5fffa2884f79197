"""A compiled kernel on AMD devices: the argument checks, call preparation and launch path of CUDA kernels.

PyTorch for ROCm shows its devices, streams and allocator under the names it has for CUDA, so only the driver differs.
"""

from __future__ import annotations

from typing import Any

from tilelang_mlir.launch_plan import LaunchPlan

from ..cuda.call import KernelCall
from ..cuda.kernel import CudaKernel
from ..cuda.launch import Launcher
from .driver import driver
from .module import HipModule


class HipLauncher(Launcher):
    """Launches prepared calls. Shared memory is part of the code object, so launches ask for none."""

    def _open(self, path: str) -> Any:
        return driver(path)

    def _current(self) -> int:
        return self._driver.integer("hipGetDevice") + 1

    def _switch(self, context: int) -> None:
        self._driver.call("hipSetDevice", context - 1)

    def _start(self, kernel: KernelCall, parameters: Any, queue: int) -> tuple[str, int]:
        common = (kernel.function, *kernel.grid, *kernel.block, 0, queue, parameters)
        if kernel.attributes:  # the only one there is here: all blocks are resident
            name = "hipModuleLaunchCooperativeKernel"
            return name, self._driver.function(name)(*common)
        name = "hipModuleLaunchKernel"
        return name, self._driver.function(name)(*common, None)


class HipKernel(CudaKernel):
    """Calls a launch plan's kernels with tensors on AMD devices, on the current torch stream unless told otherwise."""

    def __init__(self, plan: LaunchPlan, code: bytes, path: str = "") -> None:
        super().__init__(plan, code, path)

    def _make_module(self, code: bytes, path: str) -> Any:
        return HipModule(code, path)

    def _launcher_class(self, native: bool = True) -> Any:
        return HipLauncher

    def _fail(self, name: str, status: int) -> None:
        raise driver(self._path).error(name, status)
