"""Metadata of tcgen05.mma.sp, bit by bit: PTX ISA section 9.7.16.10.8."""

from __future__ import annotations

import numpy as np
import pytest

from tilelang_mlir.isa.nvidia import tcgen05_descriptors, tcgen05_sparse


@pytest.mark.parametrize(("kind", "size", "k"), [("f16", 4, 32), ("f8f6f4", 4, 64), ("tf32", 2, 16)])
def test_expansion(kind: str, size: int, k: int) -> None:
    """Random rows of 128, whose codes are placed lane by lane and column by column."""
    rng = np.random.default_rng(0)
    kept = rng.standard_normal((1, 128, k // 2)).astype(np.float32)
    columns, want = np.zeros((1, 128, 2 if kind == "f8f6f4" else 1), np.uint32), np.zeros((128, k), np.float32)
    for row in range(128):
        for group in range(k // size):
            first, second = sorted(rng.choice(4, 2, replace=False)) if size == 4 else (0, 1)
            if size == 2 and rng.integers(2):
                first, second = 2, 3
            code = int(first) | int(second) << 2
            if size == 4:
                want[row, 4 * group + first] = kept[0, row, 2 * group]
                want[row, 4 * group + second] = kept[0, row, 2 * group + 1]
            else:
                want[row, 2 * group + first // 2] = kept[0, row, group]
            if kind == "f8f6f4":
                columns[0, row, group // 8] |= np.uint32(code << 4 * (group % 8))
                continue
            half, upper = group // 4, row % 16 // 8
            lane = row // 16 * 16 + 8 * half + row % 8
            columns[0, lane, 0] |= np.uint32(code << 16 * upper + 4 * (group % 4))
    found = tcgen05_sparse.dense(kept, tcgen05_sparse.codes(columns, kind), kind)
    assert (found[0] == want).all()


def test_descriptor() -> None:
    """Bit 2 says that A is sparse; the selector below is zero."""
    shape = tcgen05_descriptors.Shape(128, 64, "f16", "f16", "f16", sparse=True)
    assert tcgen05_descriptors.instruction(shape) == 8 << 24 | 8 << 17 | 1 << 4 | 4
