"""CUDA C++ to PTX through NVRTC, the compiler library of the CUDA toolkit, where it is installed."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from collections.abc import Sequence
from pathlib import Path

from tilelang_mlir import knobs
from tilelang_mlir.compiler.toolchain.search import package_roots
from tilelang_mlir.errors import CompileError

_NAMES = ("libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2")


@functools.lru_cache(maxsize=1)
def _roots() -> tuple[Path, ...]:
    """Where toolkits are: what the environment names, the wheels of CUDA components, the usual folder."""
    found = [Path(folder) for folder in (knobs.CUDA_HOME.get(), knobs.CUDA_PATH.get()) if folder]
    for root in package_roots("nvidia"):
        found += sorted(root.iterdir())
    return (*found, Path("/usr/local/cuda"))


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The library; None where it is not installed."""
    folders = [root / name for root in _roots() for name in ("lib64", "lib")]
    candidates = [str(path) for folder in folders for path in sorted(folder.glob("libnvrtc.so*"))]
    system = ctypes.util.find_library("nvrtc")
    for name in (*candidates, *((system,) if system else ()), *_NAMES):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def compile_ptx(source: str, arch: str, options: Sequence[str] = ()) -> str:
    """PTX of device functions.

    Raises:
        CompileError: NVRTC is not installed, or rejects the source; the message has its log.
    """
    nvrtc = library()
    if nvrtc is None:
        raise CompileError(
            "CUDA C++ device code needs NVRTC, which is not installed",
            hint="install the CUDA toolkit or the package nvidia-cuda-nvrtc, or bring the code as PTX or LLVM IR",
        )
    program = ctypes.c_void_p()
    _check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"device_code.cu", 0, None, None))
    includes = [root / "include" for root in _roots() if (root / "include").is_dir()]
    flags = [
        f"--gpu-architecture=compute_{arch.removeprefix('sm_')}",
        "--relocatable-device-code=true",
        "-std=c++17",
        *(f"--include-path={folder}" for folder in includes),
        *options,
    ]
    texts = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
    try:
        status = nvrtc.nvrtcCompileProgram(program, len(flags), texts)
        if status:
            raise CompileError(f"NVRTC rejected the device code:\n{_text(nvrtc, program, 'ProgramLog')}")
        return _text(nvrtc, program, "PTX")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> str:
    size = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.value.decode(errors="replace")


def _check(nvrtc: ctypes.CDLL, status: int) -> None:
    if status:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise CompileError(f"NVRTC failed: {nvrtc.nvrtcGetErrorString(status).decode()}")
