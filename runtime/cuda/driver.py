"""A table of libcuda functions, opened when first needed.

CUDA Driver API reference; only what loading and launching take. Every call that fails raises `DriverError` with the
driver's name and description of the error.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

from tilelang_mlir.errors import DriverError

from ..library import Library

_INT, _PTR, _SIZE = POINTER(c_int), POINTER(c_void_p), POINTER(c_size_t)
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (_INT,),
    "cuDeviceGetCount": (_INT,),
    "cuDeviceGet": (_INT, c_int),
    "cuDeviceGetAttribute": (_INT, c_int, c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDevicePrimaryCtxRetain": (_PTR, c_int),
    "cuCtxGetCurrent": (_PTR,),
    "cuCtxSetCurrent": (c_void_p,),
    "cuCtxSynchronize": (),
    "cuModuleLoadDataEx": (_PTR, c_void_p, c_uint, c_void_p, c_void_p),
    "cuModuleUnload": (c_void_p,),
    "cuModuleGetFunction": (_PTR, c_void_p, c_char_p),
    "cuFuncGetAttribute": (_INT, c_int, c_void_p),
    "cuFuncSetAttribute": (c_void_p, c_int, c_int),
    "cuLaunchKernel": (c_void_p, *(c_uint,) * 7, c_void_p, c_void_p, c_void_p),
    "cuLaunchKernelEx": (c_void_p, c_void_p, c_void_p, c_void_p),
    "cuOccupancyMaxActiveBlocksPerMultiprocessor": (_INT, c_void_p, c_int, c_size_t),
    "cuTensorMapEncodeTiled": (
        c_void_p, c_int, c_uint, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_int, c_int, c_int, c_int,
    ),
    "cuTensorMapEncodeIm2col": (
        c_void_p, c_int, c_uint, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_uint, c_uint, c_void_p,
        c_int, c_int, c_int, c_int,
    ),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
}  # fmt: skip
LIBRARY = "libcuda.so.1"


class Driver(Library):
    """libcuda, initialised. `driver.call("cuInit", 0)` checks the result."""

    functions = _FUNCTIONS
    called, newer = "driver", "a newer NVIDIA driver is needed"

    def __init__(self, path: str = LIBRARY) -> None:
        self.path = path
        try:
            super().__init__(ctypes.CDLL(path))
        except OSError as error:
            raise DriverError(f"cannot open {path}: {error}", hint="is the NVIDIA driver installed?") from error
        self.call("cuInit", 0)

    def words(self, status: int) -> tuple[str, str]:
        return self._text("cuGetErrorName", status), self._text("cuGetErrorString", status)

    def _text(self, name: str, status: int) -> str:
        function = getattr(self.library, name, None)
        text = c_char_p()
        if function is not None:
            function(c_int(status), byref(text))
        return (text.value or b"unknown error").decode()


@functools.lru_cache(maxsize=4)
def driver(path: str = LIBRARY) -> Driver:
    """The driver, opened once per process. Raises DriverError when there is none or no device."""
    return Driver(path)
