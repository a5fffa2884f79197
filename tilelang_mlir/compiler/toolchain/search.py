"""Where CUDA's command line tools are looked for: explicit path, wheels, triton's copy, CUDA_HOME, PATH."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tilelang_mlir import knobs
from tilelang_mlir.errors import ToolchainError

_INSTALLED = Path("/usr/local/cuda")
_RELEASE = re.compile(r"release (\d+)\.(\d+)")


@dataclass(frozen=True)
class Tool:
    """An executable and the toolkit release it belongs to."""

    path: str
    release: tuple[int, int]


def candidates(name: str) -> Iterator[tuple[str, Path]]:
    """Pairs of (where it was looked for, path), most preferred first; the paths need not exist."""
    if name == "ptxas" and (explicit := knobs.PTXAS_PATH.get()):
        yield "TILELANG_PTXAS_PATH", Path(explicit)
    for root in package_roots("nvidia"):  # nvidia-cuda-nvcc: nvidia/cu13/bin, older: nvidia/cuda_nvcc/bin
        places = sorted(root.glob(f"*/bin/{name}"), reverse=True) or [root / "cuda_nvcc" / "bin" / name]
        for place in places:
            yield "the nvidia-cuda-nvcc package", place
    for root in package_roots("triton"):
        for variant in (name, f"{name}-blackwell"):
            yield "the triton package", root / "backends" / "nvidia" / "bin" / variant
    for knob in (knobs.CUDA_HOME, knobs.CUDA_PATH):
        if home := knob.get():
            yield knob.name, Path(home) / "bin" / name
    yield "PATH", Path(shutil.which(name) or name)
    yield str(_INSTALLED), _INSTALLED / "bin" / name


def find(name: str, *, reads: str, accept: tuple[int, int] = (0, 0)) -> Tool:
    """The first tool of that name whose release is at least `accept`.

    Raises:
        ToolchainError: none found; the message lists every place and why it did not serve.
    """
    rejected: list[str] = []
    for place, path in candidates(name):
        release = _release(str(path), _stamp(path))
        if release is None:
            rejected.append(f"{place}: {path} is not there or does not run")
        elif release < accept:
            rejected.append(f"{place}: {path} is of release {release[0]}.{release[1]}, too old for {reads}")
        else:
            return Tool(str(path), release)
    least = f" of release {accept[0]}.{accept[1]} or newer" if any(accept) else ""
    raise ToolchainError(
        f"no {name}{least} for {reads}",
        hint="pip install nvidia-cuda-nvcc, or set TILELANG_PTXAS_PATH",
        notes=tuple((reason, None) for reason in rejected),
    )


def files(name: str) -> list[tuple[str, int]]:
    """The files that `find` would look at, and when each was changed (0: it is not there): no tool is run."""
    return [(str(path), _stamp(path)) for _, path in candidates(name)]


@functools.lru_cache(maxsize=8)
def package_roots(package: str) -> list[Path]:
    """The folders of an installed Python package; none where it is not installed."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(entry) for entry in (spec.submodule_search_locations or ())] if spec else []


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=64)
def _release(path: str, stamp: int) -> tuple[int, int] | None:
    """The release a tool reports, None when it does not run. `stamp` makes a replaced file be asked again."""
    if not stamp or not os.access(path, os.X_OK):
        return None
    try:
        output = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _RELEASE.search(output)
    return (int(match[1]), int(match[2])) if match else None
