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
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
}  # fmt: skip
LIBRARY = "libcuda.so.1"


class Driver:
    """libcuda, initialised. `driver.call("cuInit", 0)` checks the result."""

    def __init__(self, path: str = LIBRARY) -> None:
        self.path = path
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise DriverError(f"cannot open {path}: {error}", hint="is the NVIDIA driver installed?") from error
        self._functions: dict[str, Any] = {}
        self.call("cuInit", 0)

    def function(self, name: str) -> Any:
        """The raw function; calling it returns the driver's status."""
        found = self._functions.get(name)
        if found is None:
            try:
                found = getattr(self._library, name)
            except AttributeError as error:
                raise DriverError(f"this driver has no {name}", hint="a newer NVIDIA driver is needed") from error
            found.argtypes, found.restype = _FUNCTIONS[name], c_int
            self._functions[name] = found
        return found

    def call(self, name: str, *args: Any) -> None:
        """Call a function and check its status. Raises DriverError."""
        status = self.function(name)(*args)
        if status:
            raise self.error(name, status)

    def error(self, name: str, status: int) -> DriverError:
        """The exception for a status, with the driver's own words."""
        return DriverError(f"{name} failed: {self._text('cuGetErrorName', status)} ({status}): "
                           f"{self._text('cuGetErrorString', status)}")

    def _text(self, name: str, status: int) -> str:
        try:
            function = getattr(self._library, name)
        except AttributeError:
            return "unknown error"
        text = c_char_p()
        function(c_int(status), byref(text))
        return (text.value or b"unknown error").decode()

    def integer(self, name: str, *args: Any) -> int:
        """Call a function whose first argument receives an int."""
        value = c_int()
        self.call(name, byref(value), *args)
        return value.value

    def handle(self, name: str, *args: Any) -> int:
        """Call a function whose first argument receives a handle."""
        value = c_void_p()
        self.call(name, byref(value), *args)
        return value.value or 0


@functools.lru_cache(maxsize=4)
def driver(path: str = LIBRARY) -> Driver:
    """The driver, opened once per process. Raises DriverError when there is none or no device."""
    return Driver(path)
