"""A table of libamdhip64 functions, opened when first needed.

HIP Runtime API reference, ROCm 6; only what loading and launching take. Every call that fails raises `DriverError` with
the runtime's name and description of the error.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, byref, c_char_p, c_int, c_uint, c_void_p
from pathlib import Path
from typing import Any

from tilelang_mlir import knobs
from tilelang_mlir.errors import DriverError

_INT, _PTR = POINTER(c_int), POINTER(c_void_p)
_LAUNCH = (c_void_p, *(c_uint,) * 7, c_void_p, c_void_p)
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "hipInit": (c_uint,),
    "hipGetDeviceCount": (_INT,),
    "hipGetDevice": (_INT,),
    "hipSetDevice": (c_int,),
    "hipGetDevicePropertiesR0600": (c_void_p, c_int),
    "hipModuleLoadData": (_PTR, c_void_p),
    "hipModuleGetFunction": (_PTR, c_void_p, c_char_p),
    "hipFuncGetAttribute": (_INT, c_int, c_void_p),
    "hipModuleLaunchKernel": (*_LAUNCH, c_void_p),
    "hipModuleLaunchCooperativeKernel": _LAUNCH,
}
LIBRARY = "libamdhip64.so"


def _places() -> list[str]:
    """Where the library may lie: ROCm's folder if one is named, then wherever the system's loader looks."""
    home = knobs.ROCM_PATH.get()
    return [*([str(Path(home) / "lib" / LIBRARY)] if home else []), LIBRARY, f"/opt/rocm/lib/{LIBRARY}"]


class HipDriver:
    """libamdhip64, initialised. `driver.call("hipSetDevice", 0)` checks the result."""

    def __init__(self, path: str = "") -> None:
        places = [path] if path else _places()
        self._library = next((found for place in places if (found := _open(place)) is not None), None)
        if self._library is None:
            raise DriverError(f"cannot open any of {', '.join(places)}", hint="is ROCm installed? set ROCM_PATH")
        self._functions: dict[str, Any] = {}
        self.call("hipInit", 0)

    def function(self, name: str) -> Any:
        """The raw function; calling it returns the runtime's status."""
        found = self._functions.get(name)
        if found is None:
            try:
                found = getattr(self._library, name)
            except AttributeError as error:
                raise DriverError(f"this HIP runtime has no {name}", hint="ROCm 6 or newer is needed") from error
            found.argtypes, found.restype = _FUNCTIONS[name], c_int
            self._functions[name] = found
        return found

    def call(self, name: str, *args: Any) -> None:
        """Call a function and check its status. Raises DriverError."""
        status = self.function(name)(*args)
        if status:
            raise self.error(name, status)

    def error(self, name: str, status: int) -> DriverError:
        """The exception for a status, with the runtime's own words."""
        return DriverError(f"{name} failed: {self._text('hipGetErrorName', status)} ({status}): "
                           f"{self._text('hipGetErrorString', status)}")

    def _text(self, name: str, status: int) -> str:
        function = getattr(self._library, name, None)
        if function is None:
            return "unknown error"
        function.restype = c_char_p
        return (function(c_int(status)) or b"unknown error").decode()

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


def _open(path: str) -> Any:
    try:
        return ctypes.CDLL(path)
    except OSError:
        return None


@functools.lru_cache(maxsize=4)
def driver(path: str = "") -> HipDriver:
    """The runtime library, opened once per process. Raises DriverError when there is none."""
    return HipDriver(path)
