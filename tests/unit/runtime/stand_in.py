"""Stand-ins for the drivers' libraries, compiled from C: they log each call and fail when told to."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest


class FakeLibrary:
    """A stand-in library; `path` is given to the runtime in place of the real one's name."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._library = ctypes.CDLL(self.path)
        self._library.log_text.restype = ctypes.c_char_p

    def log(self) -> list[str]:
        return self._library.log_text().decode().splitlines()

    def clear(self) -> None:
        self._library.log_clear()

    def fail_next(self, name: str, status: int) -> None:
        self._library.fail_next(name.encode(), status)

    def expect_parameters(self, *sizes: int) -> None:
        self._library.expect_parameters((ctypes.c_int * len(sizes))(*sizes), len(sizes))


def compiled(name: str, folder: Path) -> Path:
    """The library of `NAME.c` of this folder."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip(f"no C compiler for {name}")
    path = folder / f"lib{name}.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(path), str(Path(__file__).with_name(f"{name}.c"))], check=True
    )
    return path
