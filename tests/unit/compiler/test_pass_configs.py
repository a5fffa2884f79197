"""Every key of `pass_configs` has an effect, or a reason for having none."""

from __future__ import annotations

from pathlib import Path

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.compiler import pass_config_notes as notes
from tilelang_mlir.compiler.pass_configs import PassConfigKey


def test_every_key_is_explained() -> None:
    assert {*notes.EFFECTIVE, *notes.INERT} <= set(PassConfigKey) and not set(notes.EFFECTIVE) & set(notes.INERT)
    silent = [key.value for key in PassConfigKey if "see [passes]" in notes.explain(key)]
    assert len(silent) < 5, f"say in pass_config_notes what these do: {silent}"
    assert notes.explain("tl.enable_fast_math").startswith("approximate")
    assert notes.explain(PassConfigKey.TIR_DISABLE_CSE).startswith("no effect: ")
    with pytest.raises(ValueError, match="nonsense"):
        notes.explain("nonsense")
    page = notes.pass_config_page("note")
    assert all(f"| `{key.value}` | " in page for key in PassConfigKey)


def test_programs_and_code_are_written_where_configs_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @T.prim_func
    def main(A: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=32) as _:
            for i in T.Parallel(64):
                A[i] = 1.0

    configs = {
        "tl.enable_dump_ir": True, "tl.dump_ir_path": str(tmp_path / "ir"), "tl.pass_profile": True,
        "cuda.kernels_output_dir": str(tmp_path / "ptx"),
    }  # fmt: skip
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        kernel = tilelang.compile(main, target="cuda:sm_80", pass_configs=configs)
    assert (tmp_path / "ptx" / "main.ptx").read_text() == kernel.get_kernel_source()
    assert "tl.launch" in (tmp_path / "ir" / "main" / "0_tl.mlir").read_text()
    assert "compiled main for cuda:sm_80 in ms: tl " in capsys.readouterr().out
    kernel.export_library(tmp_path / "kernel.bin")
    again = tilelang.JITKernel.from_database((tmp_path / "kernel.bin").read_bytes())
    assert again.get_kernel_source() == kernel.get_kernel_source()
    assert tilelang.JITKernel.from_tilelang_function(main, target="cutedsl").target.vendor == "cuda"
