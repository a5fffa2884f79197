"""A table of libamdhip64 functions, opened when first needed.

HIP Runtime API reference, ROCm 6; only what loading and launching take. Every call that fails raises `DriverError` with
the runtime's name and description of the error.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, c_char_p, c_int, c_uint, c_void_p
from pathlib import Path
from typing import Any

from tilelang_mlir import knobs
from tilelang_mlir.errors import DriverError

from ..library import Library

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


class HipDriver(Library):
    """libamdhip64, initialised. `driver.call("hipSetDevice", 0)` checks the result."""

    functions = _FUNCTIONS
    called, newer = "HIP runtime", "ROCm 6 or newer is needed"

    def __init__(self, path: str = "") -> None:
        places = [path] if path else _places()
        super().__init__(next((found for place in places if (found := _open(place)) is not None), None))
        if self.library is None:
            raise DriverError(f"cannot open any of {', '.join(places)}", hint="is ROCm installed? set ROCM_PATH")
        self.call("hipInit", 0)

    def words(self, status: int) -> tuple[str, str]:
        return self._text("hipGetErrorName", status), self._text("hipGetErrorString", status)

    def _text(self, name: str, status: int) -> str:
        function = getattr(self.library, name, None)
        if function is None:
            return "unknown error"
        function.restype = c_char_p
        return (function(c_int(status)) or b"unknown error").decode()


def _open(path: str) -> Any:
    try:
        return ctypes.CDLL(path)
    except OSError:
        return None


@functools.lru_cache(maxsize=4)
def driver(path: str = "") -> HipDriver:
    """The runtime library, opened once per process. Raises DriverError when there is none."""
    return HipDriver(path)
