"""The benchmarks that need no GPU run, and what they write can be read back."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import tilelang_mlir as tilelang

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("harness")


def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / script), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


@pytest.mark.slow
def test_compile_benchmark(tmp_path: Path) -> None:
    done = run("bench_compile.py", "--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("compile-*.json")
    result = json.loads(path.read_text())
    rows = {row["what"]: row for row in result["rows"]}
    total, stages = rows["compile gemm"]["ms"], rows["compile gemm: stages"]
    parts = sum(value for key, value in stages.items() if key != "what")
    assert 0.5 * total < parts < 1.05 * total, "the stages do not account for the time of a compilation"
    assert {"trace", "laid_out", "lowered", "ptxas"} <= set(stages)
    assert rows["gemm asked for again"]["ms"] < 2
    assert rows["gemm in the cache, not traced: disk"]["ms"] < total
    assert result["versions"]["llvmlite"] != "none" and len(result["commit"]) in (7, 40)


def test_run_all_says_what_it_leaves_out(
    tmp_path: Path, harness: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    if harness.has_gpu():
        pytest.skip("there is a GPU")
    main = importlib.import_module("run_all").main
    assert main(["gemm", "launch", "bandwidth", "compile", "simulator", "--out", str(tmp_path), "--limit", "0.1"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("needs a GPU") == 3 and printed.count("out of time") == 2 and not list(tmp_path.iterdir())
    with pytest.raises(SystemExit, match="2"):
        main(["gemv"])
    assert "no benchmark gemv" in capsys.readouterr().err


def test_report_round_trip(tmp_path: Path, harness: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    report = harness.Report("tried", tmp_path)
    report.add(case="first", ms=1.23456789, ratio=2.0)
    report.add(case="second", ms=12345.678, ratio=0.5)
    report.add(other="third")
    result = json.loads(report.save().read_text())
    assert [row.get("ms") for row in result["rows"]] == [1.23456789, 12345.678, None]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["case", "ms", "ratio"] and printed[1].split() == ["first", "1.235", "2"]
    assert printed[3].split() == ["other"], "rows with other columns get a heading of their own"


def test_examples_load_anew(harness: ModuleType) -> None:
    first, second = harness.example("04"), harness.example("04")
    assert first is not second and first.softmax is not second.softmax


def test_a_wrong_kernel_is_not_timed(harness: ModuleType) -> None:
    assert harness.require("right", 1e-4, 2e-3) == 1e-4
    with pytest.raises(AssertionError, match="softmax: relative error 0.5 is above"):
        harness.require("softmax", 0.5, 2e-3)
    with pytest.raises(AssertionError):
        harness.require("not a number", float("nan"), 2e-3)


def error_of(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want))


@pytest.mark.slow
@pytest.mark.parametrize("b_rows", [False, True])
def test_gemm_configurations_in_the_simulator(harness: ModuleType, b_rows: bool) -> None:
    bench = importlib.import_module("bench_gemm")
    rng = np.random.default_rng(0)
    M, N, K = 136, 264, 200
    a, b = rng.standard_normal((M, K)).astype(np.float16), rng.standard_normal((K, N)).astype(np.float16)
    right = np.ascontiguousarray(b.T) if b_rows else b
    want = a.astype(np.float64) @ b.astype(np.float64)
    matmul = tilelang.jit(bench.matmul, out_idx=[-1], target="sim:sm_90a", pass_configs=bench.MMA_ONLY)
    for config in bench.MMA_CONFIGS:
        assert error_of(matmul(M, N, K, "float16", b_rows, *config)(a, right), want) < 2e-3, config


@pytest.mark.slow
def test_attention_configurations_in_the_simulator(harness: ModuleType) -> None:
    bench = importlib.import_module("bench_attention")
    example = harness.example("11")
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 1, 320, 1, bench.D)).astype(np.float16)
    want = example.reference(*(x[0, :, 0].astype(np.float64) for x in (q, k, v)), False, list(range(320)))
    attention = tilelang.jit(example.attention.func, out_idx=[-1], target="sim:sm_90a")
    for config in bench.CONFIGS:
        got = attention(1, 320, 1, 1, bench.D, False, "float16", *config)(q, k, v)
        assert error_of(got[0, :, 0], want) < 2e-3, config


def test_programs_compared_with_tilelang_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    programs, rng = importlib.import_module("bench_tilelang"), np.random.default_rng(5)
    a, b = (rng.standard_normal((rows, 80)).astype(np.float16) for rows in (70, 48))
    got = programs.gemm_factory(tilelang, tilelang.language)(70, 48, 80, "float16", 64, 64, 32, 2, 128)(a, b)
    want = a.astype(np.float64) @ b.T
    assert np.linalg.norm(got - want) < 2e-3 * np.linalg.norm(want)
    shape = (1, 128, programs.HEADS, programs.D)
    q, k, v = (rng.standard_normal(shape).astype(np.float16) for _ in range(3))
    got = programs.attention_factory(tilelang, tilelang.language)(1, 128, True, 64, 64, 2, 128)(q, k, v)
    scores = np.einsum("bqhd,bkhd->bhqk", q.astype(np.float64), k) * programs.D**-0.5
    scores = np.where(np.tri(128, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    want = np.einsum("bhqk,bkhd->bqhd", weights / weights.sum(-1, keepdims=True), v)
    assert np.linalg.norm(got - want) < 2e-3 * np.linalg.norm(want)
