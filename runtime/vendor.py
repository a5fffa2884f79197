"""What a vendor's driver does for the launch path, which is the same for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

from tilelang_mlir.launch_plan import KernelSpec, TensorMapSpec


@dataclass(frozen=True)
class Function:
    """A kernel ready for launching, and the resources the driver reports for it."""

    handle: int
    context: int
    registers: int
    local_bytes: int
    static_shared: int


class Module(Protocol):
    """Device code, loaded per device when first used there."""

    def function(self, name: str, device_index: int, shared_bytes: int = 0, cluster_size: int = 1) -> Function:
        """A kernel on a device, allowed to use `shared_bytes` of shared memory.

        Raises:
            DriverError: the code does not load there or has no such kernel.
            ResourceError: the device has less shared memory.
        """
        ...


class Vendor(ABC):
    """One driver library. `path` is where it was asked for."""

    def __init__(self, path: str) -> None:
        self.path = path

    @abstractmethod
    def module(self, code: bytes) -> Module:
        """Device code to load from."""

    @abstractmethod
    def launcher(self, native: bool = True) -> Any:
        """The class that launches prepared calls; with `native`, the one in C++ where it is built and fits."""

    @abstractmethod
    def attributes(self, kernel: KernelSpec) -> bytes:
        """The attributes of a launch, as `launcher` takes them; empty for a plain one."""

    @abstractmethod
    def encode(
        self, spec: TensorMapSpec, dtype: str, pointer: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> bytes:
        """The descriptor of a tensor map."""

    @abstractmethod
    def fail(self, name: str, status: int) -> None:
        """Raise DriverError for the status that a function returned."""
