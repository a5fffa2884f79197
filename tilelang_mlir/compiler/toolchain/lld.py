"""Linking AMDGPU objects to code objects (HSACO) with LLVM's lld.

ROCm brings an `ld.lld`, in its installation or in its Python packages; the triton package has the same linker inside
its library, which is then loaded into this process.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilelang_mlir import knobs
from tilelang_mlir.compiler.toolchain import search
from tilelang_mlir.compiler.toolchain.code_object import undefined_symbols
from tilelang_mlir.errors import CompileError, ToolchainError

OLDEST = (16, 0)  # the first release that reads objects of ABI version 5
_INSTALLED = Path("/opt/rocm")
_VERSION = re.compile(r"LLD (\d+)\.(\d+)")
_LIBRARY = ".so"


@dataclass(frozen=True)
class Linker:
    """An `ld.lld` executable, or a library with the linker in it, and its release (that of a library is not known)."""

    path: str
    release: tuple[int, int] | None


def candidates() -> Iterator[tuple[str, Path]]:
    """Pairs of (where it was looked for, path), most preferred first; the paths need not exist."""
    if explicit := knobs.LLD_PATH.get():
        yield knobs.LLD_PATH.name, Path(explicit)
    for root in search.package_roots("_rocm_sdk_core"):
        yield "the rocm-sdk-core package", root / "lib" / "llvm" / "bin" / "ld.lld"
    for root in search.package_roots("triton"):
        yield "the triton package", root / "_C" / f"libtriton{_LIBRARY}"
    if home := knobs.ROCM_PATH.get():
        yield knobs.ROCM_PATH.name, Path(home) / "llvm" / "bin" / "ld.lld"
    yield str(_INSTALLED), _INSTALLED / "llvm" / "bin" / "ld.lld"
    yield "PATH", Path(shutil.which("ld.lld") or "ld.lld")


def find_lld(arch: str) -> Linker:
    """The first linker that reads what is emitted for `arch`.

    Raises:
        ToolchainError: none found; the message lists every place and why it did not serve.
    """
    rejected: list[str] = []
    for place, path in candidates():
        if path.suffix == _LIBRARY and path.is_file():
            return Linker(str(path), None)
        release = _release(str(path))
        if release is None:
            rejected.append(f"{place}: {path} is not there or does not run")
        elif release < OLDEST:
            rejected.append(f"{place}: {path} is of release {release[0]}.{release[1]}, too old")
        else:
            return Linker(str(path), release)
    raise ToolchainError(
        f"no ld.lld of release {OLDEST[0]} or newer to link code for {arch}",
        hint="install ROCm or the triton package, or set TILELANG_LLD_PATH",
        notes=tuple((reason, None) for reason in rejected),
    )


@functools.lru_cache(maxsize=16)
def _release(path: str) -> tuple[int, int] | None:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(done.stdout)
    return (int(match[1]), int(match[2])) if match else None


def link(object_code: bytes, linker: str) -> bytes:
    """Link one relocatable object to a code object that the HIP runtime loads.

    Raises:
        CompileError: the linker rejected the object or does not run.
    """
    with tempfile.TemporaryDirectory(prefix="tilelang-") as folder:
        source, target = Path(folder) / "kernel.o", Path(folder) / "kernel.hsaco"
        source.write_bytes(object_code)
        if linker.endswith(_LIBRARY):
            _library(linker).amd.link_hsaco(str(source), str(target))
        else:
            _run([linker, "-shared", str(source), "-o", str(target)])
        if not target.exists():
            raise CompileError(f"{linker} wrote no code object")
        code = target.read_bytes()
    if missing := undefined_symbols(code):
        raise CompileError(f"the code calls {', '.join(missing)}, which only device libraries have")
    return code


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise CompileError(f"cannot run {command[0]}: {error}") from error
    if done.returncode:
        raise CompileError(f"ld.lld exit status {done.returncode}\n{done.stderr.strip()}")


@functools.lru_cache(maxsize=1)
def _library(path: str) -> Any:
    """The extension module, without the package around it."""
    loader = importlib.machinery.ExtensionFileLoader("libtriton", path)
    spec = importlib.util.spec_from_loader("libtriton", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
