"""The figures on the first page are those of the newest measurements."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_figures", ROOT / "benchmarks" / "readme_figures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _save(folder: Path, name: str, date: str, *rows: dict[str, Any]) -> None:
    result = {"benchmark": name, "device": "GPU", "date": f"{date}T00:00:00+00:00", "rows": list(rows)}
    (folder / f"{name}-{date}.json").write_text(json.dumps(result))


def test_readme_is_up_to_date(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--check"]) == 0, capsys.readouterr().err


def test_the_newest_result_counts(script: ModuleType, tmp_path: Path) -> None:
    rows = [{"ratio": 2.0, "tflops": 700.0}, {"ratio": 0.5, "tflops": 800.0}]
    _save(tmp_path, "gemm", "2026-01-02", *rows, {"ratio": 0.25, "tflops": 90.0, "instruction": "mma.sync"})
    _save(tmp_path, "gemm", "2026-01-01", {"ratio": 9.0, "tflops": 100.0})
    text = script.figures(tmp_path)
    assert "Measured on one GPU, 2026-01-02:" in text and "2026-01-01" not in text
    assert "| matrix products by `wgmma` | cuBLAS | 2 | 1.00 | 0.50 | 800 TFLOP/s |" in text
    assert "| matrix products by `mma.sync` | cuBLAS | 1 | 0.25 | 0.25 | 90 TFLOP/s |" in text


def test_every_known_benchmark_has_lines(script: ModuleType, tmp_path: Path) -> None:
    _save(tmp_path, "bandwidth", "2026-01-02", {"kernel": "softmax", "of_copy": 0.91, "tbps": 3.9})
    _save(tmp_path, "launch", "2026-01-02", {"call": "add", "microseconds": 2.5, "ratio_to_torch": 0.5})
    _save(tmp_path, "compile", "2026-01-02", {"what": "compile gemm", "ms": 212.2}, {"what": "stages", "trace": 3.0})
    _save(tmp_path, "attention", "2026-01-02", {"ratio": 1.25}, {"note": "skipped"})
    gemm, call = {"case": "gemm 4096x4096x4096", "ratio": 1.5}, {"what": "call: ours", "microseconds": 2.5}
    _save(tmp_path, "tilelang", "2026-01-02", gemm, {"what": "compile: ours", "seconds": 0.25}, call)
    _save(tmp_path, "other", "2026-01-02", {"ratio": 2.0})
    _save(tmp_path, "examples", "2026-01-02", {"outcome": "ok"})
    text = script.figures(tmp_path)
    for line in (
        "| bandwidth-bound kernels: share of the rate of a device copy | softmax 0.91 |",
        "| a call: add | 2.5 µs |",
        "| compile gemm | 212 ms |",
        "| attention, forward | cuDNN | 1 | 1.25 | 1.25 |  |",
        "| gemm from one source | TileLang | 1 | 1.50 | 1.50 |  |",
        "| compile: ours | 0.25 s |",
        "| call: ours | 2.5 µs |",
        "| other | the peer | 1 | 2.00 | 2.00 |  |",
    ):
        assert line in text
    assert "stages" not in text and "examples" not in text


def test_without_results_the_page_says_so(script: ModuleType, tmp_path: Path) -> None:
    page = "a\n<!-- figures -->\nold\n<!-- /figures -->\nb\n"
    assert script.filled(page, tmp_path) == f"a\n<!-- figures -->\n{script.NONE_YET}\n<!-- /figures -->\nb\n"
    with pytest.raises(ValueError, match="no <!-- figures -->"):
        script.filled("nothing", tmp_path)
