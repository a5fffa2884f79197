"""Convolutions as products of im2col tiles, in the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.reference import evaluate


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def direct(x: np.ndarray, w: np.ndarray, stride: int, dilation: int, pad: int) -> np.ndarray:
    """The sum over taps, in float64; x is NHWC, w is (K, K, C, F)."""
    k = w.shape[0]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    reach = dilation * (k - 1) + 1
    oh, ow = ((size - reach) // stride + 1 for size in padded.shape[1:3])
    out = np.zeros((x.shape[0], oh, ow, w.shape[3]))
    for dy in range(k):
        for dx in range(k):
            y, z = dy * dilation, dx * dilation
            part = padded[:, y : y + (oh - 1) * stride + 1 : stride, z : z + (ow - 1) * stride + 1 : stride]
            out += part @ w[dy, dx]
    return out


@pytest.mark.parametrize("name", ["im2col", "c2d_im2col"])
@pytest.mark.parametrize("target", ["sim:sm_80", "sim:sm_90a"])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "pad", "channels"),
    [(3, 1, 1, 1, 8), (3, 2, 1, 0, 5), (2, 1, 3, 2, 7), (1, 1, 1, 0, 16)],
)
def test_convolution(kernel: int, stride: int, dilation: int, pad: int, channels: int, target: str, name: str) -> None:
    images, height, width, filters = 2, 9, 7, 16
    load: Any = getattr(T, name)
    reach = dilation * (kernel - 1) + 1
    oh, ow = ((size + 2 * pad - reach) // stride + 1 for size in (height, width))
    rows, depth = images * oh * ow, kernel * kernel * channels

    @T.prim_func
    def main(
        X: T.Tensor((images, height, width, channels), "float16"),
        W: T.Tensor((depth, filters), "float16"),
        Y: T.Tensor((rows, filters), "float32"),
    ):
        with T.Kernel(T.ceildiv(rows, 32), threads=64) as by:
            tile, weights = T.alloc_shared((32, 32), "float16"), T.alloc_shared((32, filters), "float16")
            acc = T.alloc_fragment((32, filters), "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(depth, 32), num_stages=0):
                load(X, tile, by, k, kernel, stride, dilation, pad)
                T.copy(W[k * 32, 0], weights)
                T.gemm(tile, weights, acc)
            T.copy(acc, Y[by * 32, 0])

    x, w = random((images, height, width, channels)), random((kernel, kernel, channels, filters))
    y = poisoned((rows, filters), "float32")
    tilelang.compile(main, target=target)(x, w.reshape(depth, filters), y)
    expected = direct(f64(x), f64(w), stride, dilation, pad).reshape(rows, filters)
    assert np.linalg.norm(y - expected) <= 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "pad", "channels", "block_K"),
    [(3, 1, 1, 1, 64, 64), (3, 2, 1, 0, 128, 64), (2, 1, 3, 2, 32, 32), (1, 3, 1, 1, 64, 64), (3, 1, 1, 2, 128, 128)],
)
def test_bulk_copies(kernel: int, stride: int, dilation: int, pad: int, channels: int, block_K: int) -> None:
    """Tiles within one tap are loaded in im2col mode; rows past the last image and a tap too many are zero."""
    images, height, width, filters, rows_M = 2, 9, 7, 64, 64
    reach = dilation * (kernel - 1) + 1
    oh, ow = ((size + 2 * pad - reach) // stride + 1 for size in (height, width))
    rows, depth = images * oh * ow, kernel * kernel * channels

    @T.prim_func
    def main(
        X: T.Tensor((images, height, width, channels), "float16"),
        W: T.Tensor((depth, filters), "float16"),
        Y: T.Tensor((rows, filters), "float32"),
    ):
        with T.Kernel(T.ceildiv(rows, rows_M), threads=128) as by:
            tile, weights = T.alloc_shared((rows_M, block_K), "float16"), T.alloc_shared((block_K, filters), "float16")
            acc = T.alloc_fragment((rows_M, filters), "float32")
            T.clear(acc)
            for k in T.Pipelined(depth // block_K + 1, num_stages=2):
                T.im2col(X, tile, by, k, kernel, stride, dilation, pad)
                T.copy(W[k * block_K, 0], weights)
                T.gemm(tile, weights, acc)
            T.copy(acc, Y[by * rows_M, 0])

    x, w = random((images, height, width, channels)), random((kernel, kernel, channels, filters))
    y, again = poisoned((rows, filters), "float32"), poisoned((rows, filters), "float32")
    compiled = tilelang.compile(main, target="sim:sm_90a")
    compiled(x, w.reshape(depth, filters), y)
    evaluate(main.module, "main", (x, w.reshape(depth, filters), again))
    expected = direct(f64(x), f64(w), stride, dilation, pad).reshape(rows, filters)
    for got in (y, again):
        assert np.linalg.norm(got - expected) <= 1e-5 * np.linalg.norm(expected)
    assert "tl.im2col_load" in compiled.ir("scheduled") and "tma_load_mode<im2col>" in compiled.ir("lowered")
