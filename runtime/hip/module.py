"""Loading code objects (HSACO)."""

from __future__ import annotations

import threading

from tilelang_mlir.errors import ResourceError

from ..vendor import Function
from .device import device
from .driver import driver

# hipFunction_attribute values (hip_runtime_api.h).
_STATIC_SHARED, _LOCAL_BYTES, _REGISTERS = 1, 3, 4


class HipModule:
    """A code object, loaded per device when first used there."""

    def __init__(self, code: bytes, path: str = "") -> None:
        self._code = code
        self._path = path
        self._modules: dict[int, int] = {}
        self._lock = threading.Lock()

    def function(self, name: str, device_index: int, shared_bytes: int = 0, cluster_size: int = 1) -> Function:
        """A kernel on a device; its `context` is the device's number plus one, so that 0 means none.

        Raises:
            DriverError: the code does not load there or has no such kernel.
            ResourceError: the device has less LDS than the code object takes.
        """
        del cluster_size  # there are none
        limit = device(device_index, self._path).max_shared_bytes
        if shared_bytes > limit:
            raise ResourceError(f"{name} needs {shared_bytes} bytes of shared memory, the device has {limit} per block")
        hip = driver(self._path)
        before = hip.integer("hipGetDevice")
        if before != device_index:
            hip.call("hipSetDevice", device_index)
        try:
            handle = hip.handle("hipModuleGetFunction", self._load(device_index), name.encode())
            wanted = (_REGISTERS, _LOCAL_BYTES, _STATIC_SHARED)
            numbers = [hip.integer("hipFuncGetAttribute", attribute, handle) for attribute in wanted]
        finally:
            if before != device_index:
                hip.call("hipSetDevice", before)
        return Function(handle, device_index + 1, *numbers)

    def _load(self, device_index: int) -> int:
        with self._lock:
            if device_index not in self._modules:
                self._modules[device_index] = driver(self._path).handle("hipModuleLoadData", self._code)
            return self._modules[device_index]
