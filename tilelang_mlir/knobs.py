"""Every environment variable the package reads, typed, in one table.

Values are read at the time of use, never at import, so a test or a program can change them. `overrides` replaces
values for a block without touching the process environment.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

T = TypeVar("T", bool, int, float, str)

_OVERRIDES: ContextVar[Mapping[str, object]] = ContextVar("tilelang_knob_overrides", default=MappingProxyType({}))
_TRUE = {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class Knob(Generic[T]):
    """One environment variable: `knob.get()` parses it, an empty value means the default."""

    name: str
    default: T
    doc: str

    def get(self) -> T:
        kind: Any = type(self.default)
        overrides = _OVERRIDES.get()
        if self.name in overrides:
            return kind(overrides[self.name])
        text = os.environ.get(self.name, "").strip()
        if not text:
            return self.default
        if isinstance(self.default, bool):
            return kind(text.lower() in _TRUE)
        return kind(text)


CACHE_DIR = Knob("TILELANG_CACHE_DIR", "", "folder of the kernel cache (default ~/.tilelang/cache)")
CACHE_SIZE_MB = Knob("TILELANG_CACHE_SIZE_MB", 2048, "size cap of the kernel cache; the least recently used go first")
DISABLE_CACHE = Knob("TILELANG_DISABLE_CACHE", False, "compile anew every time and write nothing")
DEFAULT_TARGET = Knob("TILELANG_DEFAULT_TARGET", "auto", "target when none is given")
SIMULATE = Knob("TILELANG_SIMULATE", "", "architecture that is simulated in the place of every GPU")
PTXAS_PATH = Knob("TILELANG_PTXAS_PATH", "", "the ptxas to use, before any other place")
LLD_PATH = Knob("TILELANG_LLD_PATH", "", "the ld.lld to link AMD code objects with, before any other place")
ROCM_PATH = Knob("ROCM_PATH", "", "a ROCm installation whose linker and libraries are used")
COMPILE_TIMEOUT = Knob("TILELANG_COMPILE_TIMEOUT_SECONDS", 120.0, "time limit of one code generation in the worker")
COMPILE_WORKERS = Knob("TILELANG_COMPILE_WORKERS", 0, "worker processes for parallel compilation (0: one per core)")
DUMP_DIR = Knob("TILELANG_DUMP_DIR", "", "write the IR after every pass of every compiled kernel into this folder")
VERBOSE = Knob("TILELANG_VERBOSE", False, "log compilation stages and their times")
VERIFY_SPECS = Knob("TILELANG_VERIFY_SPECS", False, "check the executable spec of each IR level between passes")
SIM_CHECKED = Knob("TILELANG_SIM_CHECKED", True, "simulate with race, bounds and initialisation checks")
SIM_UNINITIALIZED = Knob("TILELANG_SIM_UNINITIALIZED", "", "reads of unwritten memory in it: error (default) or warn")
SIM_LOCKSTEP = Knob(
    "TILELANG_SIM_LOCKSTEP", "", "accesses of a warp's lanes to device memory in it, unordered: error (default) or warn"
)
SIM_SEED = Knob("TILELANG_SIM_SEED", 0, "seed of the simulator's schedule and landing order")
DISABLE_NATIVE = Knob("TILELANG_DISABLE_NATIVE", False, "launch through Python even where the extension is built")
AUTOTUNE_DISABLE_CACHE = Knob("TILELANG_AUTO_TUNING_DISABLE_CACHE", False, "search anew every time")
AUTOTUNE_CPU_UTILITIES = Knob("TILELANG_AUTO_TUNING_CPU_UTILITIES", 0.9, "share of the cores that compile candidates")
AUTOTUNE_CPU_COUNTS = Knob("TILELANG_AUTO_TUNING_CPU_COUNTS", -1, "cores that compile candidates, instead of a share")
AUTOTUNE_MAX_CPU_COUNT = Knob("TILELANG_AUTO_TUNING_MAX_CPU_COUNT", -1, "the most cores that compile candidates")
CUDA_HOME = Knob("CUDA_HOME", "", "a CUDA toolkit whose tools are used after those of Python packages")
CUDA_PATH = Knob("CUDA_PATH", "", "the same, where CUDA_HOME has no such tool")


def cache_dir() -> Path:
    """The folder of the kernel cache."""
    return Path(CACHE_DIR.get() or Path.home() / ".tilelang" / "cache")


def assign(knob: Knob[str], value: str) -> Callable[[], None]:
    """Set a variable for this process, all its threads, and the processes it starts; returns what undoes it."""
    before = os.environ.get(knob.name)
    os.environ[knob.name] = value

    def undo() -> None:
        if before is None:
            os.environ.pop(knob.name, None)
        else:
            os.environ[knob.name] = before

    return undo


@contextlib.contextmanager
def overrides(values: dict[str, object]) -> Generator[None]:
    """Replace knob values, by environment name, within a `with` block."""
    token = _OVERRIDES.set({**_OVERRIDES.get(), **values})
    try:
        yield
    finally:
        _OVERRIDES.reset(token)


def describe() -> str:
    """A table of all knobs for `--help` texts and the documentation."""
    rows = [knob for knob in globals().values() if isinstance(knob, Knob)]
    return "\n".join(f"{k.name} (default {k.default!r}): {k.doc}" for k in rows)
