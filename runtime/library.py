"""A driver library opened through ctypes: a table of its functions, each looked up when first needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from ctypes import byref, c_int, c_void_p
from typing import Any, ClassVar

from tilelang_mlir.errors import DriverError


class Library(ABC):
    """A vendor's driver. Subclasses say which functions there are and how it names its errors."""

    functions: ClassVar[dict[str, tuple[Any, ...]]]  # argument types by name; every function returns a status
    called: ClassVar[str]  # in messages: "this `called` has no cuLaunchKernelEx"
    newer: ClassVar[str]  # the hint that goes with it

    def __init__(self, library: Any) -> None:
        self.library = library
        self._known: dict[str, Any] = {}

    def function(self, name: str) -> Any:
        """The raw function; calling it returns the driver's status."""
        found = self._known.get(name)
        if found is None:
            found = getattr(self.library, name, None)
            if found is None:
                raise DriverError(f"this {self.called} has no {name}", hint=self.newer)
            found.argtypes, found.restype = self.functions[name], c_int
            self._known[name] = found
        return found

    def call(self, name: str, *args: Any) -> None:
        """Call a function and check its status. Raises DriverError."""
        status = self.function(name)(*args)
        if status:
            raise self.error(name, status)

    def error(self, name: str, status: int) -> DriverError:
        """The exception for a status, with the driver's own words."""
        short, long = self.words(status)
        return DriverError(f"{name} failed: {short} ({status}): {long}")

    @abstractmethod
    def words(self, status: int) -> tuple[str, str]:
        """The driver's name and description of a status."""

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
