"""Shared fixtures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UTIL = str(ROOT / "tests" / "util")
if UTIL not in sys.path:
    sys.path.insert(0, UTIL)


@pytest.fixture
def ctx() -> Iterator[object]:
    """An MLIR context with the tl dialect, entered, with an unknown location current."""
    from tilelang_mlir.dialect import context
    from tilelang_mlir.mlir import ir

    with context() as entered, ir.Location.unknown():
        yield entered
