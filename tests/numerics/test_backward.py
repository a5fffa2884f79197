"""The gradients of attention in the simulator, at sizes with tails, against numpy in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.numerics.test_kernels import NUMPY, TOLERANCE, compiled, f64, load, random
from tilelang_mlir import knobs

TARGET = "sim:sm_90a"


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.mark.parametrize(
    ("S", "D", "causal", "dtype", "tiles"),
    [
        (64, 64, False, "float16", (64, 64, 2, 128)),  # one block of queries: nothing to start ahead
        (200, 64, False, "float16", (64, 64, 2, 128)),
        (200, 64, True, "bfloat16", (64, 128, 2, 256)),
        (193, 128, True, "float16", (64, 128, 2, 256)),
    ],
)
def test_gradients(S: int, D: int, causal: bool, dtype: str, tiles: tuple[int, ...]) -> None:
    module = load("15")
    q, k, v, do = (random((1, S, 1, D), dtype, scale) for scale in (1.0, 0.9, 0.8, 0.7))
    q64, k64, v64, do64 = (x[0, :, 0] for x in f64(q, k, v, do))
    out, dq, dk, dv = module.reference(q64, k64, v64, do64, causal)
    scores = q64 @ k64.T * D**-0.5
    if causal:
        scores = np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)
    logarithms = (np.log(np.exp(scores).sum(axis=1)) * module.LOG2_E).astype(np.float32)[None, None]
    deltas = (out * do64).sum(axis=1).astype(np.float32)[None, None]
    sums = np.zeros((1, S, 1, D), np.float32)
    got_dk, got_dv = (np.full((1, S, 1, D), np.nan, NUMPY[dtype]) for _ in range(2))
    kernel = compiled(module.backward, TARGET, 1, S, 1, D, causal, dtype, *tiles)
    kernel(q, k, v, do, logarithms, deltas, sums, got_dk, got_dv)
    for got, want in ((sums * D**-0.5, dq), (got_dk, dk), (got_dv, dv)):
        error = np.linalg.norm(got[0, :, 0].astype(np.float64) - want) / np.linalg.norm(want)
        assert error < TOLERANCE[dtype]
