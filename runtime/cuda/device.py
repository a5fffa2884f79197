"""Which CUDA devices there are and what they can do."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tilelang_mlir.errors import DriverError

from .driver import LIBRARY, driver

# CUdevice_attribute values (cuda.h).
_MULTIPROCESSORS, _MAJOR, _MINOR, _SHARED_OPTIN, _COOPERATIVE = 16, 75, 76, 97, 95


@dataclass(frozen=True)
class Device:
    """One device: ordinal, name, architecture as targets spell it (`sm_90a`), multiprocessors, shared bytes per CTA."""

    index: int
    name: str
    arch: str
    multiprocessors: int
    max_shared_bytes: int


def device_count(path: str = LIBRARY) -> int:
    """The number of CUDA devices; 0 without a driver."""
    try:
        return driver(path).integer("cuDeviceGetCount")
    except DriverError:
        return 0


@functools.lru_cache(maxsize=64)
def device(index: int = 0, path: str = LIBRARY) -> Device:
    """The properties of one device. Raises DriverError when it does not exist."""
    import ctypes

    cuda = driver(path)
    handle = cuda.integer("cuDeviceGet", index)
    name = ctypes.create_string_buffer(256)
    cuda.call("cuDeviceGetName", name, 256, handle)

    def attribute(number: int) -> int:
        return cuda.integer("cuDeviceGetAttribute", number, handle)

    arch = arch_name(attribute(_MAJOR), attribute(_MINOR))
    return Device(index, name.value.decode(), arch, attribute(_MULTIPROCESSORS), attribute(_SHARED_OPTIN))


def arch_name(major: int, minor: int) -> str:
    """Compute capability as an architecture; from 9.0 on with the suffix of the full instruction set."""
    return f"sm_{major}{minor}" + ("a" if major >= 9 else "")


def runs_on(arch: str, there: str, *, assembled: bool) -> bool:
    """Whether code for an architecture runs on a device of another (CUDA C++ programming guide, binary compatibility).

    Machine code (`assembled`) runs on later minors of its major version, PTX on all later devices; with the suffix `a`
    both run there alone, with `f` on later ones of the same major version.
    """
    number, suffix = arch.removeprefix("sm_").rstrip("af"), arch[-1]
    wanted, found = int(number), int(there.removeprefix("sm_").rstrip("a"))
    if suffix == "a":
        return wanted == found
    return wanted <= found and (wanted // 10 == found // 10 or not (assembled or suffix == "f"))


@functools.lru_cache(maxsize=64)
def primary_context(index: int, path: str = LIBRARY) -> int:
    """The primary context of a device, the one the CUDA runtime and torch use; retained for the process' life."""
    cuda = driver(path)
    return cuda.handle("cuDevicePrimaryCtxRetain", cuda.integer("cuDeviceGet", index))
