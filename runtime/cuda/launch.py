"""Launches through libcuda."""

from __future__ import annotations

import ctypes
from typing import Any

from tilelang_mlir.launch_plan import KernelSpec

from ..call import KernelCall
from ..launch import Launcher
from ..library import Library
from .driver import driver

# CUlaunchAttributeID (cuda.h); an attribute is an int, 4 bytes of padding and 64 bytes of value.
_COOPERATIVE, _CLUSTER_DIMENSION, _PROGRAMMATIC = 2, 4, 6
_ATTRIBUTE_VALUE_BYTES = 64
_ATTRIBUTE_BYTES = 8 + _ATTRIBUTE_VALUE_BYTES


class _LaunchConfig(ctypes.Structure):  # CUlaunchConfig
    _fields_ = [
        ("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3), ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p), ("attributes", ctypes.c_void_p), ("count", ctypes.c_uint),
    ]  # fmt: skip


def launch_attributes(kernel: KernelSpec) -> bytes:
    """The CUlaunchAttributes of a launch, one after the other."""
    found: list[tuple[int, bytes]] = []
    if kernel.cooperative:
        found.append((_COOPERATIVE, (1).to_bytes(4, "little")))
    if kernel.cluster:
        found.append((_CLUSTER_DIMENSION, b"".join(size.to_bytes(4, "little") for size in kernel.cluster)))
    if kernel.programmatic:
        found.append((_PROGRAMMATIC, (1).to_bytes(4, "little")))
    return b"".join(
        number.to_bytes(4, "little") + bytes(4) + value.ljust(_ATTRIBUTE_VALUE_BYTES, b"\0") for number, value in found
    )


class CudaLauncher(Launcher):
    """Launches prepared calls on CUDA devices."""

    def _open(self, path: str) -> Library:
        return driver(path)

    def _current(self) -> int:
        return self._driver.handle("cuCtxGetCurrent")

    def _switch(self, context: int) -> None:
        self._driver.call("cuCtxSetCurrent", context)

    def _start(self, kernel: KernelCall, parameters: Any, queue: int) -> tuple[str, int]:
        if kernel.attributes:
            attributes = ctypes.create_string_buffer(kernel.attributes, len(kernel.attributes))
            config = _LaunchConfig(kernel.grid, kernel.block, kernel.shared_bytes, queue, ctypes.addressof(attributes),
                                   len(kernel.attributes) // _ATTRIBUTE_BYTES)
            name = "cuLaunchKernelEx"
            return name, self._driver.function(name)(ctypes.byref(config), kernel.function, parameters, None)
        name = "cuLaunchKernel"
        return name, self._driver.function(name)(
            kernel.function, *kernel.grid, *kernel.block, kernel.shared_bytes, queue, parameters, None
        )
