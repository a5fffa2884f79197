"""`ops.grouped_matmul`, `ops.masked_matmul` and `ops.packed_matmul` in the simulator against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tilelang_mlir import errors, ops
from tilelang_mlir.ops.ready import ready

TARGET = "sim:sm_90a"


@pytest.mark.parametrize("M", [384, 300])
def test_every_tile_of_rows_has_its_group(random: Any, error_of: Any, M: int) -> None:
    a, b = random(M, 72), random(3, 80, 72)
    experts = np.array([2, -1, 0], np.int32)
    c = ops.grouped_matmul(a, b, experts, target=TARGET)
    assert c.shape == (M, 80)
    for tile in (0, 2):
        rows = slice(128 * tile, min(M, 128 * tile + 128))
        assert error_of(c[rows], a[rows].astype(np.float64) @ b[experts[tile]].T.astype(np.float64)) < 2e-3


@pytest.mark.parametrize("few", [False, True])
def test_only_used_rows_count(random: Any, error_of: Any, few: bool) -> None:
    a, b = random(3, 200, 72), random(3, 136, 72)
    counts = np.array([5, 0, 150], np.int32)
    c = ops.masked_matmul(a, b, counts, few=few, target=TARGET)
    for group, count in enumerate(counts):
        if count:
            want = a[group, :count].astype(np.float64) @ b[group].T.astype(np.float64)
            assert error_of(c[group, :count], want) < 2e-3


@pytest.mark.parametrize("target", [TARGET, "sim:gfx942"])
def test_groups_end_where_the_device_says(random: Any, error_of: Any, target: str) -> None:
    """Rows behind the last group's end, and of nobody, are left alone: no tile writes another group's rows."""
    a, b = random(310, 72), random(5, 80, 72)
    offsets = np.array([0, 130, 130, 131, 299, 300], np.int32)
    c = ops.packed_matmul(a, b, offsets, target=target)
    assert c.shape == (310, 80)
    for group, (start, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        if end > start:
            want = a[start:end].astype(np.float64) @ b[group].T.astype(np.float64)
            assert error_of(c[start:end], want) < 2e-3
    with pytest.raises(errors.TileValueError, match=r"offsets has the shape \[5\], expected \(groups \+ 1,\) = \[6\]"):
        ops.packed_matmul(a, b, offsets[:-1], target=target)


def test_packed_groups_are_loaded_by_a_role_and_stored_by_bulk_copies() -> None:
    kernel = ready(ops.packed_gemm, TARGET, 80, 72, 3, "float16", ops.grouped_tiling(TARGET))
    scheduled = kernel.ir("scheduled")
    assert all(op in scheduled for op in ("tl.specialize", "tl.make_descriptor", "tl.staged_store"))


def test_what_is_refused(random: Any) -> None:
    a, b = random(256, 72), random(2, 80, 72)
    with pytest.raises(errors.TileValueError, match=r"b has the shape \[2, 80, 64\], expected \(groups, N, K\) = \[2"):
        ops.grouped_matmul(a, random(2, 80, 64), np.zeros(2, np.int32), target=TARGET)
    with pytest.raises(errors.TileValueError, match=r"experts has the shape \[3\], expected \(ceildiv\(M, 128\),\)"):
        ops.grouped_matmul(a, b, np.zeros(3, np.int32), target=TARGET)
    with pytest.raises(errors.TileTypeError, match="counts is float32, expected int32"):
        ops.masked_matmul(a.reshape(2, 128, 72), b, np.zeros(2, np.float32), target=TARGET)
    with pytest.raises(errors.TileValueError, match=r"counts has the shape \[1\], expected \(groups,\) = \[2\]"):
        ops.masked_matmul(a.reshape(2, 128, 72), b, np.zeros(1, np.int32), target=TARGET)
