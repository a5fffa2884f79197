"""tl-opt: options, streams, exit codes and diagnostics."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tilelang_mlir.errors import Location
from tilelang_mlir.tools import tl_opt
from tilelang_mlir.tools.diagnostics import Diagnostic, verify

GOOD = "func.func @f() {\n  return\n}\n"
BAD = 'func.func @g() {\n  "tl.thread_id"() : () -> i32\n  return\n}\n'


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str) -> str:
        path = tmp_path / "in.mlir"
        path.write_text(text)
        return str(path)

    return write


def test_standard_input_and_output_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD))
    assert tl_opt.main(["-", "-o", str(tmp_path / "out.mlir")]) == 0
    assert "func.func @f" in (tmp_path / "out.mlir").read_text()


def test_errors_name_file_line_and_column(file, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(BAD)
    assert tl_opt.main([path]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"{path}:2:3: error: 'tl.thread_id' op requires attribute 'dim'")
    assert captured.out == ""


def test_split_keeps_line_numbers_and_goes_on(file, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(f"{GOOD}// -----\n{BAD}// -----\n{GOOD}")
    assert tl_opt.main([path, "--split-input-file"]) == 1
    captured = capsys.readouterr()
    assert f"{path}:6:3: error" in captured.err
    assert captured.out.count("func.func @f") == 2 and "// -----" in captured.out


@pytest.mark.parametrize(("arguments", "message"), [
    (["--canonicalise"], "unknown pass 'canonicalise'"),
    (["--target=sm_1"], "unknown architecture 'sm_1'"),
    (["--cse", "--pass-pipeline=cse"], "--pass-pipeline and --cse cannot be used together"),
    (["--test-mark=values=1"], "has no option 'values'"),
    (["--stage=nowhere"], "unknown stage 'nowhere'"),
    (["--run-reproducer"], "is no reproducer"),
])  # fmt: skip
def test_wrong_options(file, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert tl_opt.main([file(GOOD), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert tl_opt.main(["/nonexistent.mlir"]) == 1
    assert "cannot open input" in capsys.readouterr().err


def test_list_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert tl_opt.main(["--list-passes"]) == 0
    out = capsys.readouterr().out
    assert "--test-mark  Sets the attribute `tl.mark` on every op with a given name." in out and "value=1" in out


def test_check_level(file, capsys: pytest.CaptureFixture[str]) -> None:
    assert tl_opt.main([file(GOOD), "--check-level=tl"]) == 1
    assert "1:1: error: 'func.func' has no attribute 'tl.params'" in capsys.readouterr().err


def _found(line: int, message: str, severity: str = "error") -> Diagnostic:
    return Diagnostic(severity, message, Location("-", line, 0))


@pytest.mark.parametrize(("text", "found", "problems"), [
    ("// expected-error {{bad}}", [_found(1, "so bad")], 0),
    ("// expected-error@+1 {{bad}}\n", [_found(2, "so bad")], 0),
    ("\n// expected-error@above {{bad}}\n", [_found(1, "so bad")], 0),
    ("// expected-error@below 2 {{bad}}\n", [_found(2, "bad"), _found(2, "bad")], 0),
    ("// expected-error@below 2 {{bad}}\n", [_found(2, "bad")], 1),
    ("// expected-error-re {{size {{[0-9]+}} is}}\n", [_found(1, "size 12 is odd")], 0),
    ("// expected-error {{bad}}", [], 1),
    ("// expected-error {{bad}}", [_found(2, "bad")], 2),
    ("", [_found(1, "bad")], 1),
    ("", [_found(1, "see here", "note")], 0),
    ("// expected-note {{see}}", [_found(1, "see here", "note")], 0),
    ("// expected-warning {{odd}}", [_found(1, "odd", "error")], 2),
    ("// expected-error@unknown {{bad}}", [Diagnostic("error", "bad")], 0),
])  # fmt: skip
def test_expectations(text: str, found: list[Diagnostic], problems: int) -> None:
    assert len(verify(text, "in.mlir", found)) == problems
