"""A stand-in libcuda for the launch tests, compiled once, and arrays that pretend to be on a device."""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.unit.runtime.stand_in import FakeLibrary, compiled
from tilelang_mlir.runtime.views import contiguous_strides


class FakeCuda(FakeLibrary):
    """A stand-in for libcuda."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._library.set_current.argtypes = (ctypes.c_void_p,)
        self._library.get_current.restype = ctypes.c_void_p

    def set_current(self, context: int) -> None:
        self._library.set_current(context)

    def current(self) -> int:
        return self._library.get_current() or 0


@pytest.fixture(scope="session")
def fake_library(tmp_path_factory: pytest.TempPathFactory) -> FakeCuda:
    return FakeCuda(compiled("fake_cuda", tmp_path_factory.mktemp("cuda")))


@pytest.fixture
def cuda(fake_library: FakeCuda) -> Iterator[FakeCuda]:
    fake_library.clear()
    fake_library.expect_parameters()
    fake_library.set_current(0)
    yield fake_library


@pytest.fixture
def tensor() -> Callable[..., FakeTensor]:
    return FakeTensor


class FakeTensor:
    """Looks like a CUDA torch tensor to the runtime."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "float32", pointer: int = 0x1000, device: int = 0,
                 strides: tuple[int, ...] | None = None) -> None:  # fmt: skip
        self.shape = shape
        self.dtype = dtype
        self.device = SimpleNamespace(type="cuda", index=device)
        self._pointer = pointer
        self._strides = contiguous_strides(shape) if strides is None else strides

    def data_ptr(self) -> int:
        return self._pointer

    def get_device(self) -> int:
        return self.device.index

    def stride(self) -> tuple[int, ...]:
        return self._strides


@pytest.fixture
def fake_torch(monkeypatch: pytest.MonkeyPatch, cuda: FakeCuda) -> SimpleNamespace:
    """A torch that allocates fake tensors from 0xA000 on and whose current stream is 0x77."""
    pointers = iter(range(0xA000, 0x100000, 0x1000))

    def empty(shape: tuple[int, ...], dtype: str, device: str) -> FakeTensor:
        return FakeTensor(tuple(shape), dtype, next(pointers), int(device.partition(":")[2]))

    def empty_strided(shape: tuple[int, ...], strides: tuple[int, ...], dtype: str) -> FakeTensor:
        return FakeTensor(shape, dtype, next(pointers), cuda.current() - 0xC0, strides)

    internals = SimpleNamespace(_cuda_getCurrentRawStream=lambda index: 0x77,
                                _dynamo=SimpleNamespace(guards=SimpleNamespace(_empty_strided_cuda=empty_strided)))
    torch = SimpleNamespace(empty=empty, device=str, _C=internals)
    for name in ("float16", "float32", "uint8", "int8"):
        setattr(torch, name, name)
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch


@pytest.fixture(scope="session")
def native() -> ModuleType:
    """The launch extension, built from this checkout into build/native when it is not installed."""
    try:
        from tilelang_mlir.runtime import _launch
    except ImportError:
        pass
    else:
        return _launch
    root = Path(__file__).parents[3]
    folder = root / "build" / "native"
    try:
        configure = ["cmake", "-S", str(root / "runtime" / "native"), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release",
                     f"-DPython_EXECUTABLE={sys.executable}"]  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # test processes share the folder
            subprocess.run(configure, check=True, capture_output=True)
            subprocess.run(["cmake", "--build", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        if shutil.which("c++") and shutil.which("cmake"):
            raise
        pytest.skip("no C++ compiler for the launch extension")
    library = next(folder.glob("_launch*.so"))
    spec = importlib.util.spec_from_file_location("tilelang_mlir.runtime._launch", library)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["python", "native"])
def launcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test once with each launcher."""
    from tilelang_mlir.runtime.cuda import kernel, launch

    chosen = launch.CudaLauncher if request.param == "python" else request.getfixturevalue("native").Launcher
    monkeypatch.setattr(kernel, "_launcher_class", lambda: chosen)
    return request.param
