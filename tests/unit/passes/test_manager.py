"""The pass driver: failures, reproducers, printing, dumps and timing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tilelang_mlir import knobs
from tilelang_mlir.errors import PassError, ResourceError
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.manager import RunOptions, Timing, run_pipeline
from tilelang_mlir.passes.pipeline_text import parse_pipeline
from tilelang_mlir.target import parse_target
from tilelang_mlir.tools import tl_opt

TEXT = """func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32 loc("total"("kernel.py":7:5))
  return %0 : i32
}"""
TARGET = parse_target("sm_80")


def _run(pipeline: str, options: RunOptions | None = None) -> ir.Module:
    module = ir.Module.parse(TEXT)
    run_pipeline(module, parse_pipeline(pipeline), TARGET, options)
    return module


@pytest.mark.parametrize(("how", "message"), [
    ("pass", "pass 'test-fail' failed: cannot handle arith.addi"),
    ("diagnostic", "pass 'test-fail' failed: emitted by the pass"),
    ("invalid", "pass 'test-fail' failed: 'arith.addi' op"),
    ("bug", "pass 'test-fail' failed: ZeroDivisionError: a bug"),
])  # fmt: skip
def test_failures_name_the_pass_and_reproduce(
    ctx: ir.Context, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, message: str
) -> None:
    path = tmp_path / "again.mlir"
    with pytest.raises(PassError) as caught:
        _run(f"test-mark{{value=3}},test-fail{{how={how}}},canonicalize", RunOptions(reproducer=str(path)))
    error = caught.value
    assert message in error.message
    assert error.reproducer == f"tl-opt --run-reproducer {path}"
    if how != "bug":
        assert str(error.location) == "kernel.py:7:5"
    text = path.read_text()
    assert "tl.mark = 3" in text and "test-mark" not in text.splitlines()[0]
    assert tl_opt.main(["--run-reproducer", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_user_errors_keep_their_class(ctx: ir.Context) -> None:
    with pytest.raises(ResourceError, match="2 thumbs"):
        _run("test-fail{how=user}")


def test_invalid_input_is_reported_as_such(ctx: ir.Context) -> None:
    module = ir.Module.parse(TEXT)
    module.body.operations[0].regions[0].blocks[0].operations[0].results[0].set_type(ir.F32Type.get())
    with pytest.raises(PassError, match="the input of the pipeline failed"):
        run_pipeline(module, ["canonicalize"], TARGET, RunOptions(reproducer=None))


def test_print_after_change_skips_what_changed_nothing(ctx: ir.Context) -> None:
    stream = io.StringIO()
    _run("cse,test-mark,cse", RunOptions(print_after_change=True, stream=stream))
    assert stream.getvalue().count("IR Dump After") == 1
    assert "IR Dump After test-mark" in stream.getvalue() and "tl.mark = 1" in stream.getvalue()


def test_print_all(ctx: ir.Context) -> None:
    stream = io.StringIO()
    _run("cse,test-mark", RunOptions(print_before_all=True, print_after_all=True, stream=stream))
    headers = [line.split("//")[2].strip() for line in stream.getvalue().splitlines() if line.startswith("// -----//")]
    places = ("Before cse", "After cse", "Before test-mark", "After test-mark")
    assert headers == [f"IR Dump {place}" for place in places]


def test_dump_dir(ctx: ir.Context, tmp_path: Path) -> None:
    with knobs.overrides({"TILELANG_DUMP_DIR": str(tmp_path)}):
        _run("cse,test-mark{value=5}")
    names = sorted(p.name for p in (tmp_path / "f").iterdir())
    assert names == ["00-cse.mlir", "01-test-mark_value_5_.mlir"]
    assert "tl.mark = 5" in (tmp_path / "f" / names[1]).read_text()


def test_timing(ctx: ir.Context) -> None:
    timing = Timing()
    _run("cse,test-mark", RunOptions(timing=timing))
    assert [name for name, _ in timing.rows] == ["cse", "test-mark"]
    assert "Total Execution Time" in timing.report() and "test-mark" in timing.report()
