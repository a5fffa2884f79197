"""Bulk copies of tiles with a side of more than 256 elements, in the simulator."""

from __future__ import annotations

import numpy as np
import pytest
from hopper_programs import compiled, random

import tilelang_mlir.language as T


@pytest.mark.parametrize(
    ("tile", "tensor", "boxes"),
    [((320, 64), (700, 56), 2), ((512,), (1300,), 2), ((2, 512), (5, 768), 4)],
)
def test_tiles_longer_than_a_box(tile: tuple[int, ...], tensor: tuple[int, ...], boxes: int) -> None:
    """A side of more than 256 elements is several boxes, loaded and stored; the barrier counts the bytes of all."""
    dtype = "float32" if len(tile) == 1 or tile[0] == 2 else "float16"

    @T.prim_func
    def main(X: T.Tensor(tensor, dtype), Y: T.Tensor(tensor, dtype)):
        with T.Kernel(T.ceildiv(tensor[0], tile[0]), threads=64) as bx:
            s = T.alloc_shared(tile, dtype)
            bar = T.alloc_barrier(64)
            start = (bx * tile[0], 256)[: len(tile)] if tile[0] == 2 else (bx * tile[0], 0)[: len(tile)]
            T.tma_copy(X[start], s, barrier=bar)
            T.mbarrier_arrive(bar)
            T.mbarrier_wait_parity(bar, 0)
            T.tma_copy(s, Y[start])
            T.tma_store_wait()

    kernel = compiled(main)
    assert kernel.ir("ptx").count("cp.async.bulk.tensor") == 2 * boxes
    x, y = random(tensor, dtype), np.zeros(tensor, dtype)
    kernel(x, y)
    assert np.array_equal(y[..., 256:] if tile[0] == 2 else y, x[..., 256:] if tile[0] == 2 else x)
