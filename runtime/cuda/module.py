"""Loading device code: a cubin, or PTX that the driver assembles."""

from __future__ import annotations

import ctypes
import threading

from tilelang_mlir.errors import DriverError, ResourceError, TargetError

from ..vendor import Function
from .device import device, primary_context, runs_on
from .driver import LIBRARY, driver

# CUfunction_attribute values (cuda.h).
_STATIC_SHARED, _LOCAL_BYTES, _REGISTERS, _MAX_DYNAMIC_SHARED, _NON_PORTABLE_CLUSTER = 1, 3, 4, 8, 13
_DEFAULT_DYNAMIC_SHARED = 48 * 1024
_PORTABLE_CLUSTER = 8
# CUjit_option values.
_LOG_BUFFER, _LOG_BUFFER_SIZE = 5, 6


class CudaModule:
    """Device code, loaded per device when first used there."""

    def __init__(self, code: bytes, path: str = LIBRARY, arch: str = "") -> None:
        self._arch = arch
        self._code = code if code[:4] == b"\x7fELF" else code.rstrip(b"\0") + b"\0"  # PTX ends with a NUL
        self._path = path
        self._modules: dict[int, int] = {}
        self._lock = threading.Lock()

    def function(self, name: str, device_index: int, shared_bytes: int = 0, cluster_size: int = 1) -> Function:
        """A kernel on a device, allowed to use `shared_bytes` of dynamic shared memory.

        Raises:
            DriverError: the code does not load there or has no such kernel.
            ResourceError: the device has less shared memory.
            TargetError: the code is for another architecture than the device's.
        """
        cuda, there = driver(self._path), device(device_index, self._path)
        if self._arch and not runs_on(self._arch, there.arch, assembled=self._code[:4] == b"\x7fELF"):
            raise TargetError(
                f"{name} is compiled for {self._arch}; device {device_index} is {there.name}, of architecture "
                f"{there.arch}",
                hint=f"compile with target='cuda -arch={there.arch}', or on that machine with target='auto'",
            )
        limit = there.max_shared_bytes
        if shared_bytes > limit:
            raise ResourceError(f"{name} needs {shared_bytes} bytes of shared memory, the device has {limit} per block")
        context = primary_context(device_index, self._path)
        before = cuda.handle("cuCtxGetCurrent")
        cuda.call("cuCtxSetCurrent", context)
        try:
            handle = cuda.handle("cuModuleGetFunction", self._load(device_index), name.encode())
            if shared_bytes > _DEFAULT_DYNAMIC_SHARED:
                cuda.call("cuFuncSetAttribute", handle, _MAX_DYNAMIC_SHARED, shared_bytes)
            if cluster_size > _PORTABLE_CLUSTER:
                cuda.call("cuFuncSetAttribute", handle, _NON_PORTABLE_CLUSTER, 1)
            wanted = (_REGISTERS, _LOCAL_BYTES, _STATIC_SHARED)
            numbers = [cuda.integer("cuFuncGetAttribute", attribute, handle) for attribute in wanted]
        finally:
            if before:  # with none before, ours stays: it is the one everything else would make current
                cuda.call("cuCtxSetCurrent", before)
        return Function(handle, context, *numbers)

    def _load(self, device_index: int) -> int:
        with self._lock:
            if device_index not in self._modules:
                self._modules[device_index] = self._load_here(device_index)
            return self._modules[device_index]

    def _load_here(self, device_index: int) -> int:
        cuda = driver(self._path)
        log = ctypes.create_string_buffer(8192)
        options = (ctypes.c_int * 2)(_LOG_BUFFER, _LOG_BUFFER_SIZE)
        values = (ctypes.c_void_p * 2)(ctypes.addressof(log), len(log))
        try:
            return cuda.handle("cuModuleLoadDataEx", self._code, 2, options, values)
        except DriverError as error:
            text = log.value.decode(errors="replace").strip()
            there = device(device_index, self._path)
            hint = error.hint or f"the device is {there.name}, which runs what is compiled for {there.arch}"
            raise DriverError(error.message + (f"\n{text}" if text else ""), hint=hint) from error
