"""The ways to install the package: each imports all linked subpackages and runs a kernel away from the checkout."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
Build = Callable[..., Path]
PURE = ("wheel.cmake=false",)

IMPORTS = """
import tilelang_mlir.dialect.ops, tilelang_mlir.passes.manager, tilelang_mlir.runtime.cuda.driver
print(tilelang_mlir.dialect.__file__)
"""
KERNEL = """
import numpy as np
import kernel_file
from tilelang_mlir.jit.compile import compile_prim_func
a, b = np.random.default_rng(0).random((2, 1000), np.float32)
c = compile_prim_func(kernel_file.add, out_idx=-1, target="sim:sm_80")(a, b)
print(np.abs(c - (a + b)).max())
"""
KERNEL_FILE = """
import tilelang_mlir.language as T


@T.prim_func
def add(A: T.Tensor((1000,), "float32"), B: T.Tensor((1000,), "float32"), C: T.Tensor((1000,), "float32")):
    with T.Kernel(T.ceildiv(1000, 256), threads=128) as block:
        for i in T.Parallel(256):
            C[block * 256 + i] = A[block * 256 + i] + B[block * 256 + i]
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a kernel and nothing else."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "kernel_file.py").write_text(KERNEL_FILE)
    monkeypatch.setenv("TILELANG_CACHE_DIR", str(tmp_path / "cache"))
    return folder


def check(environment: Any, elsewhere: Path) -> str:
    """Import and run from a foreign folder; returns where the dialect was imported from."""
    assert environment.run(KERNEL, elsewhere).strip() == "0.0"
    return environment.run(IMPORTS, elsewhere).strip()


def test_wheel(environment: Any, elsewhere: Path, tmp_path: Path, build: Build) -> None:
    wheel = build("wheel", ROOT, tmp_path / "dist", *PURE)
    names = zipfile.ZipFile(wheel).namelist()
    assert "tilelang_mlir/dialect/ops/alloc.py" in names
    assert not [name for name in names if "/native/" in name or name.startswith(("tests/", "dialect/"))]
    environment.install(str(wheel))
    assert check(environment, elsewhere).startswith(str(environment.packages))


def test_sdist_gives_the_same_wheel(tmp_path: Path, build: Build) -> None:
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive if member.issym() or "/.venv/" in member.name]
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    from_sdist = build("wheel", source, tmp_path / "a", *PURE)
    from_checkout = build("wheel", ROOT, tmp_path / "b", *PURE)
    first, second = (
        sorted(n for n in zipfile.ZipFile(w).namelist() if "__pycache__" not in n) for w in (from_sdist, from_checkout)
    )
    assert first == second


def test_editable_install_sees_the_checkout(environment: Any, elsewhere: Path) -> None:
    environment.install("-C", PURE[0], "--editable", str(ROOT))
    assert Path(check(environment, elsewhere)).resolve() == ROOT / "dialect" / "__init__.py"


def test_without_a_compiler_the_wheel_is_pure(tmp_path: Path, build: Build) -> None:
    settings = (f"build-dir={tmp_path / 'build'}",)
    wheel = build("wheel", ROOT, tmp_path / "dist", *settings, CXX="/bin/false", CC="/bin/false")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_with_a_compiler_the_wheel_has_the_launcher(environment: Any, tmp_path: Path, build: Build) -> None:
    wheel = build("wheel", ROOT, tmp_path / "dist", f"build-dir={ROOT / 'build' / 'wheel'}")
    environment.install(str(wheel))
    code = "from tilelang_mlir.runtime._launch import Launcher; print(Launcher.__module__)"
    assert "_launch" in environment.run(code, tmp_path)


def test_importing_loads_neither_mlir_nor_torch(environment: Any, tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import tilelang_mlir, tilelang_mlir.jit, tilelang_mlir.compiler, tilelang_mlir.runtime.cuda.driver
print([name for name in ("torch", "torch_mlir", "llvmlite", "numpy") if name in sys.modules])
"""
    assert environment.run(code, tmp_path).strip() == "[]"
