"""A compiled kernel on AMD devices.

PyTorch for ROCm shows its devices, streams and allocator under the names it has for CUDA, so only the driver differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.launch_plan import KernelSpec, LaunchPlan, TensorMapSpec

from ..call import KernelCall
from ..kernel import DeviceKernel
from ..launch import Launcher
from ..library import Library
from ..vendor import Module, Vendor
from .driver import driver
from .module import HipModule


class HipLauncher(Launcher):
    """Launches prepared calls. Shared memory is part of the code object, so launches ask for none."""

    def _open(self, path: str) -> Library:
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


class Hip(Vendor):
    """libamdhip64."""

    def module(self, code: bytes) -> Module:
        return HipModule(code, self.path)

    def launcher(self, native: bool = True) -> Any:
        del native  # there is none for it
        return HipLauncher

    def attributes(self, kernel: KernelSpec) -> bytes:
        return b"cooperative" if kernel.cooperative else b""

    def encode(
        self, spec: TensorMapSpec, dtype: str, pointer: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> bytes:
        raise UnsupportedError("tensor maps on AMD devices")

    def fail(self, name: str, status: int) -> None:
        raise driver(self.path).error(name, status)


class HipKernel(DeviceKernel):
    """Calls a launch plan's kernels with tensors on AMD devices. `code` is a code object."""

    def __init__(
        self, plan: LaunchPlan, code: bytes, path: str = "", widened: Callable[[], Any] = lambda: None
    ) -> None:
        super().__init__(plan, code, Hip(path), widened)
