"""What the tests of ready kernels share: random inputs, and the error against float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def random() -> Callable[..., np.ndarray]:
    """Normal random numbers of a shape and a numpy type, from one stream per test."""
    stream = np.random.default_rng(0)

    def draw(*shape: int, kind: Any = np.float16) -> np.ndarray:
        return stream.standard_normal(shape).astype(kind)

    return draw


@pytest.fixture
def error_of() -> Callable[[np.ndarray, np.ndarray], float]:
    """The norm of the difference over that of the exact result."""

    def measure(got: np.ndarray, want: np.ndarray) -> float:
        return float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want))

    return measure
