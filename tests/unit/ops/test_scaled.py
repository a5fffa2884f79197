"""`ops.scaled_matmul` in the simulator against float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tilelang_mlir import errors, ops
from tilelang_mlir.ops.scaled_blocks import blocks_form

E4M3 = ml_dtypes.float8_e4m3fn
M, N, K = 130, 136, 400
STEPS, BANDS = 4, 2


@pytest.fixture
def operands(random: Any) -> tuple[np.ndarray, np.ndarray]:
    return random(M, K, kind=E4M3), random(N, K, kind=E4M3)


@pytest.mark.parametrize("target", ["sim:sm_89", "sim:sm_90a"])
def test_one_scale_for_each_tensor(operands: Any, error_of: Any, target: str) -> None:
    a, b = operands
    scales = np.full(1, 0.75, np.float32), np.full(1, 0.125, np.float32)
    c = ops.scaled_matmul(a, b, *scales, out_dtype="float32", target=target)
    assert error_of(c, a.astype(np.float64) @ b.astype(np.float64).T * (0.75 * 0.125)) < 1e-3


@pytest.mark.parametrize(("target", "K"), [("sim:sm_89", K), ("sim:sm_90a", K), ("sim:sm_90a", 260)])
def test_scales_of_blocks(operands: Any, error_of: Any, target: str, K: int) -> None:
    """K of four steps, and of three, the last one short."""
    a, b = (np.ascontiguousarray(x[:, :K]) for x in operands)
    rng, steps = np.random.default_rng(1), -(-K // 128)
    by_row, by_block = (rng.random(shape, np.float32) + 0.5 for shape in ((steps, M), (BANDS, steps)))
    left = a.astype(np.float64) * by_row.T.repeat(128, axis=1)[:, :K]
    right = b.astype(np.float64) * by_block.repeat(128, axis=0)[:N].repeat(128, axis=1)[:, :K]
    c = ops.scaled_matmul(a, b, by_row, by_block, target=target)
    assert c.dtype == ml_dtypes.bfloat16 and error_of(c, left @ right.T) < 1e-2


def test_what_is_refused(operands: Any) -> None:
    a, b = operands
    one = np.ones(1, np.float32)
    with pytest.raises(errors.TileValueError, match=r"scales have the shapes \[1\] and \[2, 4\], expected"):
        ops.scaled_matmul(a, b, one, np.ones((BANDS, STEPS), np.float32), target="sim:sm_90a")
    with pytest.raises(errors.TileValueError, match=r"scale_a has the shape \[130, 4\], expected"):
        ops.scaled_matmul(
            a, b, np.ones((M, STEPS), np.float32), np.ones((BANDS, STEPS), np.float32), target="sim:sm_90a"
        )
    with pytest.raises(errors.TileTypeError, match="no ready scaled product of float16"):
        ops.scaled_matmul(a.astype(np.float16), b.astype(np.float16), one, one, target="sim:sm_90a")
    with pytest.raises(errors.UnsupportedError, match="sm_80"):
        ops.scaled_matmul(a, b, one, one, target="sim:sm_80")


def test_tiles_for_scales_of_blocks() -> None:
    """Those that fill the machine: 64 columns for few rows, three warpgroups where 192 rows waste less."""
    sizes = ((128, 7168), (4096, 4096), (4096, 2112))
    chosen = [blocks_form(*size, "sim:sm_90a")[1] for size in sizes]
    assert [(t.block_M, t.block_N) for t in chosen] == [(128, 64), (128, 128), (192, 128)]
    assert blocks_form(4096, 4096, "sim:sm_89")[0] is ops.gemm_fp8_blocks
