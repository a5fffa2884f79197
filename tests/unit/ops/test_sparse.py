"""`ops.sparse_matmul` in the simulator against float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tilelang_mlir import errors, ops
from tilelang_mlir.ops.ready import ready

TARGET = "sim:sm_90a"


def thinned(x: np.ndarray) -> np.ndarray:
    """Two of every four neighbours are zero."""
    keep = np.argsort(np.random.default_rng(7).random((*x.shape[:-1], x.shape[-1] // 4, 4)), -1) < 2
    return x * keep.reshape(x.shape).astype(x.dtype)


@pytest.mark.parametrize(
    ("sizes", "kind", "turned", "target", "limit"),
    [
        ((130, 72, 160), np.float16, True, TARGET, 2e-3),
        ((70, 136, 96), np.float16, False, TARGET, 2e-3),
        ((33, 40, 288), ml_dtypes.float8_e4m3fn, True, TARGET, 1e-2),
        ((65, 24, 320), np.int8, True, TARGET, 0),
        ((66, 40, 96), ml_dtypes.bfloat16, True, "sim:sm_80", 1e-2),
    ],
)
def test_products(
    random: Any, error_of: Any, sizes: tuple[int, int, int], kind: Any, turned: bool, target: str, limit: float
) -> None:
    M, N, K = sizes
    scale = 20 if kind == np.int8 else 1
    a, b = thinned((random(M, K) * scale).astype(kind)), (random(N, K) * scale).astype(kind)
    kept, places = ops.sparsify(a)
    assert kept.shape == (M, K // 2) and places.shape == (M, K // 32)
    c = ops.sparse_matmul(kept, places, b.T if turned else np.ascontiguousarray(b.T), target=target)
    assert str(c.dtype) == {"int8": "int32", "float8_e4m3fn": "bfloat16"}.get(np.dtype(kind).name, np.dtype(kind).name)
    assert error_of(c, a.astype(np.float64) @ b.astype(np.float64).T) <= limit


@pytest.mark.parametrize("sizes", [(4096, 4096), (1024, 4096), (200, 512)])
@pytest.mark.parametrize("dtype", ["float16", "float8_e4m3"])
def test_tiles_fit_beside_the_buffers_of_the_store(sizes: tuple[int, int], dtype: str) -> None:
    tiling = ops.sparse_tiling(*sizes, dtype, "cuda:sm_90a")
    kernel = ready(ops.gemm_sparse, "cuda:sm_90a", *sizes, 512, dtype, "bfloat16", tiling)
    assert kernel.n_spills == 0 and "wgmma.mma_async.sp" in kernel.ir("lowered")
    assert "tl.staged_store" in kernel.ir("scheduled")


@pytest.mark.parametrize(
    ("kept", "places", "b", "message"),
    [
        ((8, 16), (8, 1), (40, 8), r"kept has the shape \[8, 16\], expected \(M, K / 2\) = \[8, 20\]"),
        ((8, 24), (8, 1), (48, 8), "b has 48 rows, expected a multiple of 32"),
        ((8, 32), (8, 1), (64, 8), r"places has the shape \[8, 1\], expected \(M, K / 32\) = \[8, 2\]"),
    ],
)
def test_wrong_shapes(kept: Any, places: Any, b: Any, message: str) -> None:
    arrays = np.ones(kept, np.float16), np.ones(places, np.int32), np.ones(b, np.float16)
    with pytest.raises(errors.TileValueError, match=message):
        ops.sparse_matmul(*arrays, target=TARGET)


def test_eight_bits_lie_along_k() -> None:
    with pytest.raises(errors.TileTypeError, match="eight-bit elements need b as the transpose"):
        kept, places = np.ones((8, 16), np.int8), np.ones((8, 1), np.int32)
        ops.sparse_matmul(kept, places, np.ones((32, 8), np.int8), target=TARGET)
