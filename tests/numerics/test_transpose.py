"""Tiles with further dimensions, and of one element: transposes and atomic additions by their values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@pytest.mark.parametrize(
    ("shape", "turned", "kept"),
    [((2, 3, 4, 5), (2, 3, 5, 4), "float32"), ((3, 3, 1), (3, 1, 3), "float32"), ((2, 7, 3), (2, 3, 7), "float16")],
)
def test_transposes_exchange_the_last_two_dimensions(shape: Any, turned: Any, kept: str) -> None:
    """(3, 3, 1) is square without its one, and nothing of it moves."""

    @T.prim_func
    def program(A: T.Tensor(shape, "float32"), B: T.Tensor(turned, kept), C: T.Tensor(turned, "float32")):
        with T.Kernel(1, threads=32):
            tile = T.alloc_shared(turned, kept)
            T.transpose(A, tile)
            T.copy(tile, B)
            T.fill(C, -1)
            T.transpose(A, C[..., 1 : turned[-1] + 1] if turned[-1] > 3 else C)

    a = np.random.default_rng(0).integers(0, 99, shape).astype(np.float32)
    b, c = np.full(turned, 7, kept), np.full(turned, 7, np.float32)
    tilelang.compile(program, target="sim:sm_80")(a, b, c)
    want = a.swapaxes(-1, -2)
    assert np.array_equal(b, want)
    assert np.array_equal(c[..., 1:], want[..., :-1]) if turned[-1] > 3 else np.array_equal(c, want)


def test_a_tile_of_one_element_is_added_once() -> None:
    @T.prim_func
    def program(A: T.Tensor((1,), "float32"), B: T.Tensor((1,), "float32")):
        with T.Kernel(1, threads=64):
            mine = T.alloc_local([1], "float32")
            T.copy(A, mine)
            T.clear(B)
            T.atomic_add(B, mine)
            T.atomic_add(B, 1)

    b = np.zeros(1, np.float32)
    tilelang.compile(program, target="sim:sm_80")(np.full(1, 2.5, np.float32), b)
    assert b[0] == 3.5
