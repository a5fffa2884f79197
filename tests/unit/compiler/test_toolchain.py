"""Finding ptxas, reading its log, and the options given to it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tilelang_mlir import knobs
from tilelang_mlir.compiler.options import codegen_options, wants_fast_math
from tilelang_mlir.compiler.resources import Resources, parse_ptxas_log
from tilelang_mlir.compiler.toolchain import search
from tilelang_mlir.compiler.toolchain.arch import newest_ptx
from tilelang_mlir.compiler.toolchain.ptxas import find_ptxas, interleaving_ptxas
from tilelang_mlir.errors import TileValueError, ToolchainError
from tilelang_mlir.target import parse_target

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'gemm_kernel' for 'sm_90a'
ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to ...
ptxas info    : Function properties for gemm_kernel
    16 bytes stack frame, 12 bytes spill stores, 20 bytes spill loads
ptxas info    : Used 168 registers, used 2 barriers, 16 bytes cumulative stack size, 1024 bytes smem, 544 bytes cmem[0]
ptxas info    : Compiling entry function 'other_kernel' for 'sm_90a'
ptxas info    : Function properties for other_kernel
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers
"""


def fake_tool(path: Path, release: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.1'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no CUDA tools but those a test puts into this CUDA_HOME."""
    monkeypatch.setattr(search, "package_roots", lambda package: [])
    monkeypatch.setattr(search.shutil, "which", lambda name: None)
    monkeypatch.setattr(search, "_INSTALLED", tmp_path / "installed")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    monkeypatch.delenv("CUDA_PATH", raising=False)
    monkeypatch.delenv("TILELANG_PTXAS_PATH", raising=False)
    return tmp_path / "cuda"


def test_explicit_path_comes_first(only: Path, tmp_path: Path) -> None:
    fake_tool(only / "bin" / "ptxas", "12.9")
    chosen = fake_tool(tmp_path / "mine", "12.8")
    with knobs.overrides({"TILELANG_PTXAS_PATH": str(chosen)}):
        assert find_ptxas("sm_90a").path == str(chosen)
        assert find_ptxas("sm_100a").path == str(only / "bin" / "ptxas")  # 12.8 cannot read PTX 8.8
    assert find_ptxas("sm_90a").release == (12, 9)


def test_interleaved_kernels_get_a_ptxas_that_does_it(only: Path, tmp_path: Path) -> None:
    usual, newer = fake_tool(only / "bin" / "ptxas", "12.8"), fake_tool(tmp_path / "installed/bin/ptxas", "12.9")
    assert find_ptxas("sm_90a").path == str(usual)
    assert interleaving_ptxas("sm_90a") == interleaving_ptxas("sm_90a", str(usual)) == str(newer)
    assert interleaving_ptxas("sm_90a", "/chosen/ptxas") == "/chosen/ptxas"
    with knobs.overrides({"TILELANG_PTXAS_PATH": str(usual)}):
        assert interleaving_ptxas("sm_90a") == str(usual)
    newer.unlink()
    assert interleaving_ptxas("sm_90a") == str(usual)


def test_error_lists_every_place(only: Path) -> None:
    old = fake_tool(only / "bin" / "ptxas", "12.4")
    with pytest.raises(ToolchainError, match=r"no ptxas of release 12\.7 or newer for PTX 8\.6 \(sm_90a\)") as caught:
        find_ptxas("sm_90a")
    text = str(caught.value)
    assert f"CUDA_HOME: {old} is of release 12.4, too old" in text
    assert "PATH: ptxas is not there or does not run" in text
    assert "installed/bin/ptxas is not there or does not run" in text


def test_this_environment_has_one_for_blackwell() -> None:
    assert newest_ptx(find_ptxas("sm_100a").release) >= (8, 8)


def test_log_is_parsed_per_kernel() -> None:
    found = parse_ptxas_log(LOG)
    gemm = found["gemm_kernel"]
    assert (gemm.registers, gemm.spill_stores, gemm.spill_loads, gemm.stack) == (168, 12, 20, 16)
    assert (gemm.shared, gemm.constant, gemm.barriers, gemm.spills) == (1024, 544, 2, 32)
    assert len(gemm.advice) == 1 and "C7510" in gemm.advice[0]
    assert found["other_kernel"].registers == 12
    assert Resources.from_json(gemm.to_json()) == gemm


@pytest.mark.parametrize(
    ("registers", "threads", "shared", "blocks"),
    [(32, 128, 0, 16), (128, 256, 0, 2), (168, 384, 200_000, 1), (64, 128, 100_000, 2), (16, 32, 0, 32),
     (255, 1024, 0, 0)],
)
def test_occupancy(registers: int, threads: int, shared: int, blocks: int) -> None:
    assert Resources(registers=registers).occupancy(parse_target("sm_90a"), threads, shared) == blocks


@pytest.mark.parametrize(
    ("arch", "registers", "threads", "shared", "blocks"),
    [("gfx942", 64, 256, 0, 8), ("gfx942", 128, 256, 32768, 2), ("gfx942", 129, 256, 0, 3),
     ("gfx950", 64, 256, 32768, 5), ("gfx90a", 256, 1024, 0, 0), ("gfx1100", 96, 128, 0, 16),
     ("gfx1201", 97, 256, 0, 6)],
)
def test_occupancy_of_compute_units(arch: str, registers: int, threads: int, shared: int, blocks: int) -> None:
    assert Resources(registers=registers, shared=shared).occupancy(parse_target(arch), threads, 0) == blocks


def test_flags_in_all_spellings() -> None:
    options = codegen_options(["-Xptxas=-maxrregcount=64,-dlcm=cg", "--use_fast_math", "-I/x", "-lineinfo", "-include",
                               "a.h"],
                              {"tl.ptxas_register_usage_level": 7, "tl.device_compile_flags": "-O2 --ptxas-options=-v"})
    assert options.ptxas_flags == ("--register-usage-level=7", "-O2", "-maxrregcount=64", "-dlcm=cg")
    assert options.line_info
    assert wants_fast_math("-O3 --use_fast_math") and not wants_fast_math(None)
    with pytest.raises(TileValueError, match="unknown compile flag '--fancy'"):
        codegen_options("--fancy")
