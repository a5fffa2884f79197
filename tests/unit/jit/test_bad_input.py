"""What goes wrong around a compilation is an error of ours that says what to do, or does not matter."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir import cache, knobs
from tilelang_mlir.compiler.toolchain import search
from tilelang_mlir.errors import ArgumentError, TargetError, ToolchainError, UnsupportedError
from tilelang_mlir.jit import target as targets
from tilelang_mlir.jit.compile import compile_prim_func
from tilelang_mlir.jit.kernel import JITKernel
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.runtime.cuda import device

Mode = Callable[[pytest.MonkeyPatch, Path], None]


@T.prim_func
def double(A: T.Tensor((64, 8), "float32"), B: T.Tensor((64, 8), "float32")):
    with T.Kernel(1, threads=64):
        for i, j in T.Parallel(64, 8):
            B[i, j] = A[i, j] * 2


def build(target: str = "sim:sm_80") -> JITKernel:
    return compile_prim_func(double, out_idx=-1, target=target)


def check(kernel: JITKernel) -> None:
    a = np.random.default_rng(0).standard_normal((64, 8), np.float32)
    np.testing.assert_array_equal(kernel(a), 2 * a)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(cache, "KERNELS", cache.KernelCache())
    with knobs.overrides({"TILELANG_CACHE_DIR": str(tmp_path / "cache"), "TILELANG_DISABLE_CACHE": False}):
        yield tmp_path / "cache" / "kernels"


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.kernel"))


# Targets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cuda:sm_42", "unknown architecture 'sm_42'"),
        ("vulkan", "unknown target 'vulkan'"),
        ("", "unknown target ''"),
        ("hip:sm_80", "asks for hip, but sm_80 is a cuda architecture"),
        ({"kind": "cuda", "arch": "gfx942"}, "asks for cuda, but gfx942 is a hip architecture"),
        ("sim:sm_90a extra", "unknown target"),
    ],
)
def test_unknown_targets(text: Any, message: str) -> None:
    with pytest.raises(TargetError, match=message) as caught:
        build(text)
    assert "sm_90a" in caught.value.hint and "gfx942" in caught.value.hint


@pytest.mark.parametrize(("dtype", "sums", "arch", "lacks"), [
    ("float8_e4m3fn", "float32", "sm_75", "f8E4M3FN needs"), ("float8_e4m3fn", "float32", "sm_80", "f8E4M3FN needs"),
])  # fmt: skip
def test_products_that_a_target_has_no_instruction_for(dtype: str, sums: str, arch: str, lacks: str) -> None:
    @T.prim_func
    def product(A: T.Tensor((64, 64), dtype), C: T.Tensor((64, 64), sums)):
        with T.Kernel(1, threads=128):
            a, c = T.alloc_shared((64, 64), dtype), T.alloc_fragment((64, 64), sums)
            T.copy(A, a)
            T.gemm(a, a, c, transpose_B=True, clear_accum=True)
            T.copy(c, C)

    with pytest.raises(UnsupportedError, match=f"{lacks}.*, which cuda:{arch} lacks") as raised:
        compile_prim_func(product, target=f"cuda:{arch}")
    assert raised.value.location is not None


def test_operations_that_a_target_lacks() -> None:
    @T.prim_func
    def meet(A: T.Tensor((64,), "float32")):
        with T.Kernel(2, threads=64) as block:
            A[block] = 1.0
            T.cluster_sync()

    with pytest.raises(UnsupportedError, match="needs thread block clusters, which hip:gfx942 lacks") as raised:
        compile_prim_func(meet, target="hip:gfx942")
    assert raised.value.location is not None and raised.value.location.file == __file__
    assert "sm_90a" in raised.value.hint


def test_device_of_an_unknown_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "device_count", lambda: 1)
    monkeypatch.setattr(device, "device", lambda index: SimpleNamespace(arch="sm_70"))
    monkeypatch.setattr(targets, "_current_device", lambda: 0)
    with pytest.raises(TargetError, match="this machine's GPU is sm_70, for which there is no code generator"):
        resolve_target("auto")


def test_without_a_device_auto_simulates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "device_count", lambda: 0)
    assert resolve_target("auto").simulated
    assert str(resolve_target("cuda")) == "cuda:sm_90a"


# Tools ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without CUDA tools; the path is its CUDA_HOME."""
    monkeypatch.setattr(search, "package_roots", lambda package: [])
    monkeypatch.setattr(search.shutil, "which", lambda name: None)
    monkeypatch.setattr(search, "_INSTALLED", tmp_path / "installed")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    return tmp_path / "cuda"


def test_without_ptxas_kernels_are_ptx_for_the_driver(no_tools: Path) -> None:
    kernel = build("cuda:sm_90a")
    assert kernel.artifact.binary == b"" and ".entry double_kernel" in kernel.get_kernel_source()
    with pytest.raises(ToolchainError, match=r"no ptxas of release 12\.7 or newer for PTX 8\.6") as caught:
        kernel.ir("sass")
    text = str(caught.value)
    for place in (no_tools / "bin" / "ptxas", "PATH", "installed/bin/ptxas"):
        assert str(place) in text
    assert "pip install nvidia-cuda-nvcc" in text


def test_old_ptxas_is_not_used(no_tools: Path) -> None:
    old = no_tools / "bin" / "ptxas"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\n[ $1 = --version ] && echo 'Cuda compilation tools, release 11.8, V11.8.1'\n")
    old.chmod(0o755)
    kernel = build("cuda:sm_90a")
    assert kernel.artifact.binary == b""
    with pytest.raises(ToolchainError, match=r"of release 11\.8, too old for PTX 8\.6"):
        kernel.ir("sass")


def test_kernels_are_built_anew_when_ptxas_appears(no_tools: Path, folder: Path) -> None:
    assert build("cuda:sm_90a").artifact.binary == b""
    with knobs.overrides({"TILELANG_PTXAS_PATH": triton_ptxas()}):
        assert build("cuda:sm_90a").artifact.binary
    assert len(entries(folder)) == 2


def triton_ptxas() -> str:
    triton = pytest.importorskip("triton")
    return str(Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas")


def test_resources_need_ptxas(no_tools: Path) -> None:
    with pytest.raises(ToolchainError, match="no ptxas"):
        print(build("cuda:sm_90a").n_regs)


# The cache ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other version"])
def test_damaged_entries_are_built_anew(folder: Path, damage: str) -> None:
    check(build())
    (entry,) = entries(folder)
    data = bytearray(entry.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    if damage == "other version":  # its checksum is right
        disk, key = cache.KERNELS.disk(), entry.stem
        assert disk.put(key, b"TLK0" + bytes(data[36:]))
    else:
        entry.write_bytes(b"" if damage == "empty" else data[:-7] if damage == "cut" else data)
    damaged = entry.read_bytes()
    cache.KERNELS.forget()
    check(build())
    assert entries(folder) == [entry] and entry.read_bytes() != damaged


def unwritable(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """What a read-only file system answers; permissions would not stop a test that runs as root."""

    def refuse(*args: Any, **keywords: Any) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    for place, name in ((Path, "mkdir"), (Path, "unlink"), (tempfile, "mkstemp"), (os, "utime"), (os, "replace")):
        monkeypatch.setattr(place, name, refuse)


def full(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    class Full:
        def __init__(self, handle: int, mode: str) -> None:
            os.close(handle)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: object) -> None: ...

        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.os, "fdopen", Full)


@pytest.mark.parametrize("state", [unwritable, full])
def test_folders_that_take_nothing_are_done_without(
    folder: Path, tmp_path: Path, state: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        state(patch, folder)
        check(build())
        assert build() is build()  # this process still remembers
    assert not list(folder.rglob("*.kernel")) and not list(folder.rglob(".tmp-*"))


def test_entries_of_a_read_only_folder_are_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build()
    cache.KERNELS.forget()
    with monkeypatch.context() as patch:
        unwritable(patch, folder)
        again = build()
    assert again is not first and again.timings == first.timings


def test_cache_path_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with knobs.overrides({"TILELANG_CACHE_DIR": str(tmp_path / "file" / "cache")}):
        check(build())


def test_threads_that_compile_the_same_get_the_same(folder: Path) -> None:
    made: list[JITKernel] = []
    barrier = threading.Barrier(4)

    def run() -> None:
        barrier.wait()
        made.append(build())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(kernel) for kernel in made}) == 1
    check(made[0])


def test_processes_that_compile_the_same(folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import hashlib, sys\n"
        "import tilelang_mlir.language as T\n"
        "from tilelang_mlir.jit.compile import compile_prim_func\n"
        "@T.prim_func\n"
        "def add_one(A: T.Tensor((256,), 'float32')):\n"
        "    with T.Kernel(1, threads=128):\n"
        "        for i in T.Parallel(256):\n"
        "            A[i] = A[i] + 1\n"
        "kernel = compile_prim_func(add_one, target='cuda:sm_80')\n"
        "print(hashlib.sha256(kernel.artifact.binary).hexdigest())\n"
    )
    root = str(Path(cache.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "TILELANG_CACHE_DIR": str(folder.parent)}
    processes = [
        subprocess.Popen([sys.executable, str(program)], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1] != ""
    assert len(entries(folder)) == 1
    shutil.rmtree(folder)


# Arguments ------------------------------------------------------------------------------------------------------------


def array(*shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), r"double takes 1 argument \(A\), got 0"),
        ((array(64, 8), array(64, 8)), "takes 1 argument \\(A\\)"),
        ((array(64, 8, dtype=np.float64),), "A: expected dtype float32, got float64"),
        ((array(64),), r"A: expected 2 dimensions \[64, 8\], got 1"),
        ((array(64, 9),), r"A: expected shape \[64, 8\], got \[64, 9\]"),
        ((array(8, 64).T,), r"A: expected strides \[8, 1\], got \[1, 64\]"),
        ((array(64, 16)[:, ::2],), r"A: expected strides \[8, 1\], got \[16, 2\]"),
        ((3.0,), "A: expected a tensor, got float"),
        ((None,), "A: None is only taken"),
        ((SimpleNamespace(__cuda_array_interface__={"shape": (64, 8), "typestr": "<f4", "data": (4096, False)}),),
         "A: expected a tensor on cpu, got one on cuda:0"),
    ],
)  # fmt: skip
def test_wrong_arguments(args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        build()(*args)


def test_unknown_keywords() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'strem'"):
        build()(array(64, 8), strem=0)
