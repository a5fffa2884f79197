"""AMD code objects: finding the linker, reading metadata, what is refused."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.compiler.resources import read_code_object
from tilelang_mlir.compiler.toolchain import lld, search
from tilelang_mlir.compiler.toolchain.code_object import metadata, undefined_symbols
from tilelang_mlir.errors import CompileError, ToolchainError
from tilelang_mlir.jit.compile import compile_prim_func


def fake_lld(path: Path, release: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'LLD {release} (compatible with GNU linkers)'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no linkers but those a test puts into this ROCM_PATH."""
    monkeypatch.setattr(search, "package_roots", lambda package: [])
    monkeypatch.setattr(lld.shutil, "which", lambda name: None)
    monkeypatch.setattr(lld, "_INSTALLED", tmp_path / "installed")
    monkeypatch.setenv("ROCM_PATH", str(tmp_path / "rocm"))
    monkeypatch.delenv("TILELANG_LLD_PATH", raising=False)
    return tmp_path / "rocm"


def test_explicit_path_comes_first(only: Path, tmp_path: Path) -> None:
    usual = fake_lld(only / "llvm" / "bin" / "ld.lld", "19.0.0")
    chosen = fake_lld(tmp_path / "mine", "18.1.3")
    assert lld.find_lld("gfx942") == lld.Linker(str(usual), (19, 0))
    with knobs.overrides({"TILELANG_LLD_PATH": str(chosen)}):
        assert lld.find_lld("gfx942").path == str(chosen)


def test_error_names_the_release_and_every_place(only: Path) -> None:
    old = fake_lld(only / "llvm" / "bin" / "ld.lld", "14.0.6")
    with pytest.raises(ToolchainError, match=r"no ld\.lld of release 16 or newer to link code for gfx950") as caught:
        lld.find_lld("gfx950")
    notes = "\n".join(text for text, _ in caught.value.notes)
    rejected = f"ROCM_PATH: {old} is of release 14.0, too old"
    for part in (rejected, "installed/llvm/bin/ld.lld is not there", "PATH: ld.lld"):
        assert part in notes
    assert "TILELANG_LLD_PATH" in caught.value.hint


def test_compiling_without_a_linker(only: Path) -> None:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}), pytest.raises(ToolchainError, match=r"no ld\.lld"):
        compile_prim_func(printing(), target="hip:gfx942")


def test_a_linker_that_fails(tmp_path: Path) -> None:
    broken = fake_lld(tmp_path / "ld.lld", "18.0")
    broken.write_text("#!/bin/sh\necho 'ld.lld: error: unknown abi version' >&2\nexit 1\n")
    with pytest.raises(CompileError, match=r"ld\.lld exit status 1\nld\.lld: error: unknown abi version"):
        lld.link(b"\x7fELF", str(broken))


def printing() -> Any:
    @T.prim_func
    def show(A: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=64):
            t = T.get_thread_binding(0)
            T.device_assert(A[t] > -5.0, "too small")
            if t < 2:
                T.print(A[t], msg="value")

    return show


def test_print_and_assert_need_no_device_library() -> None:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        kernel = compile_prim_func(printing(), target="hip:gfx942")
    note = metadata(kernel.artifact.binary)
    assert any("value %f" in line for line in note["amdhsa.printf"])
    assert any("too small" in line for line in note["amdhsa.printf"])
    hidden = {a[".value_kind"]: a[".offset"] for a in note["amdhsa.kernels"][0][".args"]}
    assert hidden["hidden_printf_buffer"] == 8 + 72  # the place that the code reads
    assert undefined_symbols(kernel.artifact.binary) == []
    assert read_code_object(kernel.artifact.binary)["show_kernel"].stack == 0


def test_no_code_object() -> None:
    with pytest.raises(CompileError, match="not an ELF file"):
        metadata(b"nothing")
    assert read_code_object(b"") == {}
