"""Which AMD devices there are and what they can do."""

from __future__ import annotations

import ctypes
import functools
import struct
from dataclasses import dataclass

from tilelang_mlir.errors import DriverError

from .driver import driver

# hipDeviceProp_tR0600 (hip_runtime_api.h): its size and where the fields are.
_SIZE = 1472
_SHARED, _WARP_SIZE, _MULTIPROCESSORS, _ARCH = 296, 308, 388, 1160


@dataclass(frozen=True)
class Device:
    """One device: ordinal, name, architecture (`gfx942`), compute units, bytes of LDS per block, lanes of a wave."""

    index: int
    name: str
    arch: str
    multiprocessors: int
    max_shared_bytes: int
    wave: int


def device_count(path: str = "") -> int:
    """The number of AMD devices; 0 without a runtime."""
    try:
        return driver(path).integer("hipGetDeviceCount")
    except DriverError:
        return 0


@functools.lru_cache(maxsize=64)
def device(index: int = 0, path: str = "") -> Device:
    """The properties of one device. Raises DriverError when it does not exist."""
    block = ctypes.create_string_buffer(_SIZE)
    driver(path).call("hipGetDevicePropertiesR0600", block, index)
    arch = block.raw[_ARCH : _ARCH + 256].split(b"\0")[0].decode().partition(":")[0]  # gfx942:sramecc+:xnack-
    shared = struct.unpack_from("=Q", block, _SHARED)[0]
    units, wave = (struct.unpack_from("=i", block, at)[0] for at in (_MULTIPROCESSORS, _WARP_SIZE))
    return Device(index, block.raw[:256].split(b"\0")[0].decode(), arch, units, shared, wave)
