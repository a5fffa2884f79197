"""Stream-K in the simulator: every way to share tiles gives the exact product, and the same bits in every order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tilelang_mlir import knobs
from tilelang_mlir.jit.compile import compile as compile_kernel
from tilelang_mlir.ops.stream_k import stream_program
from tilelang_mlir.ops.tiling import Tiling

TILING = Tiling(128, 64, 64, 2, 256)


@pytest.mark.parametrize(
    ("sizes", "form"),
    [
        ((130, 130, 200), (6, 4, 4)),  # shares of uneven steps over all tiles; the last step is short
        ((130, 130, 200), (2, 4, 5)),  # one CTA has whole tiles only
        ((128, 64, 640), (1, 5, 5)),  # five parts of one tile
    ],
)
def test_products(random: Any, error_of: Any, sizes: tuple[int, int, int], form: tuple[int, int, int]) -> None:
    M, N, K = sizes
    a, b = random(M, K), random(N, K)
    kernel = compile_kernel(stream_program(M, N, K, "float16", "float32", TILING, *form), target="sim:sm_90a")
    assert "tl.specialize" in kernel.ir("scheduled")
    found = [np.full((M, N), np.nan, np.float32) for _ in range(2)]
    for seed, c in zip((0, 3), found, strict=True):
        with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_SIM_SEED": seed}):
            kernel(a, b, c)
    assert error_of(found[0], a.astype(np.float64) @ b.astype(np.float64).T) < 1e-6
    assert (found[0] == found[1]).all(), "parts are added in the order of K"
