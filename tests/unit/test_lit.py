"""Runs the lit tests under pytest: one test per file of tests/lit."""

from __future__ import annotations

from pathlib import Path

import lit_runner
import pytest

from tilelang_mlir.tools import tl_opt  # noqa: F401  (imported once here, not once per forked test)

LIT = Path(__file__).resolve().parents[1] / "lit"
FILES = sorted(LIT.rglob("*.mlir"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(LIT)) for path in FILES])
def test_lit(path: Path) -> None:
    outcome = lit_runner.run_test(path)
    assert outcome.passed, outcome.text
