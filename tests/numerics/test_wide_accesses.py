"""Accesses of 256 bits to device memory, where a target has them, and pairs of float32 in one instruction."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import OutOfBoundsError

ROWS, COLUMNS = 5, 264


def scaled(dtype: str, width: int = COLUMNS) -> Any:
    @T.prim_func
    def main(A: T.Tensor((ROWS, width), dtype), B: T.Tensor((ROWS, width), dtype)):
        with T.Kernel(1, threads=32) as _:
            tile = T.alloc_fragment((8, 512), dtype)
            T.copy(A[0, 0], tile)
            for i, j in T.Parallel(8, 512):
                tile[i, j] = tile[i, j] * 2 + 1
            T.copy(tile, B[0, 0])

    return main


@pytest.mark.parametrize(("dtype", "width"), [("float32", COLUMNS), ("float16", COLUMNS), ("float16", COLUMNS + 8)])
def test_accesses_of_256_bits(dtype: str, width: int) -> None:
    """Rows of whole 32 bytes; a row of 528 bytes is read 16 at a time, and what is outside of the tensor is not."""
    kernel = tilelang.compile(scaled(dtype, width), target="sim:sm_100a")
    a = np.random.default_rng(0).standard_normal((ROWS, width)).astype(dtype)
    b = np.full_like(a, np.nan)
    kernel(a, b)
    assert np.abs(b - (a.astype(np.float64) * 2 + 1)).max() < (1e-6 if dtype == "float32" else 4e-3)
    whole = width * a.itemsize % 32 == 0
    assert [p.alignment for p in kernel.plan.params] == ([32, 32] if whole else [16, 16])
    code = tilelang.compile(scaled(dtype, width), target="sm_100a").ir("sass")
    assert set(re.findall(r"(LDG|STG)\.E\S*\.256", code)) == ({"LDG", "STG"} if whole else set())
    assert ("FFMA2" in code) == (dtype == "float32")


def test_data_must_start_at_32_bytes() -> None:
    kernel = tilelang.compile(scaled("float32"), target="sim:sm_100a")
    size = ROWS * COLUMNS
    shifted = np.zeros(size + 4, np.float32)[4:].reshape(ROWS, COLUMNS)  # the simulator aligns the whole array
    with pytest.raises(OutOfBoundsError, match="access of 32 bytes at byte 0 of argument 0 is not 32-byte aligned"):
        kernel(shifted, np.zeros_like(shifted))
    narrow = tilelang.compile(scaled("float32"), target="sim:sm_100a", pass_configs={"tl.disable_vectorize_256": True})
    out = np.full_like(shifted, np.nan)
    narrow(shifted, out)
    assert (out == 1).all() and [p.alignment for p in narrow.plan.params] == [16, 16]
