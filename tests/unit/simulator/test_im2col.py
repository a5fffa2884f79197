"""Copies in im2col mode, pixel by pixel, from PTX ISA 8.7, section 5.5.4, and the CUDA Driver API
(cuTensorMapEncodeIm2col): windows start at lower, lower + step, ... up to size - 1 + upper, columns before rows before
images; what is read lies the tap's offset further, and is zero outside of the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, offset, smem, store
from tests.unit.simulator.test_hopper import DESCRIPTOR, initialise, once, wait_for
from tilelang_mlir import errors
from tilelang_mlir.dialect import context as new_context
from tilelang_mlir.isa.instruction import constant
from tilelang_mlir.isa.nvidia import mbarrier, tma
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import TensorMap, simulate

N, H, W, C = 2, 5, 4, 16  # int16: one pixel is 32 bytes
PIXELS = 32


def _load(
    walk: tuple[int, int, int], start: tuple[int, int, int, int], taps: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The image, and what a copy that starts at (channel, x, y, image) brings, 16 channels by 32 pixels."""
    x = np.random.default_rng(0).integers(1, 1000, (N, H, W, C)).astype(np.int16)
    raw = np.zeros((PIXELS, C), np.int16)

    def body(a: Sequence[ir.Value]) -> None:
        flag = offset(smem(), 4096, "i8")
        initialise(flag)

        def copy() -> None:
            mbarrier.arrive_expect_tx(flag, PIXELS * C * 2)
            tma.load(smem(), a[0], flag, [constant(v) for v in start], taps=[constant(t, 16) for t in taps])

        once(copy)
        wait_for(flag, 0)
        for k in range(PIXELS * C * 2 // 128):
            store(load(lane(smem(), PIXELS * C * 2 // 128, k)), lane(a[1], PIXELS * C * 2 // 128, k))

    with new_context(), ir.Location.unknown():
        module = build(body, [DESCRIPTOR, POINTER], 32, 8192)
        image = TensorMap(x, 2, (C, W, H, N), (32, 32 * W, 32 * W * H), (C, PIXELS), walk=walk)
        simulate(module, "k", (1, 1, 1), [image, raw])
    return x, raw


@pytest.mark.parametrize(
    ("walk", "start", "taps"),
    [
        ((-1, -1, 1), (0, -1, -1, 0), (0, 0)),  # 3x3, padded by 1: as many windows as pixels
        ((-1, -1, 1), (0, 2, 3, 0), (2, 1)),
        ((-1, -1, 2), (0, 1, -1, 1), (1, 2)),  # every second one
        ((0, -2, 1), (0, 1, 2, 1), (1, 1)),  # not padded; past the last image
        ((-2, 2, 1), (8, -2, -2, 0), (0, 1)),  # 1x1, padded by 2; half of the channels
    ],
)
def test_pixels(walk: tuple[int, int, int], start: tuple[int, int, int, int], taps: tuple[int, int]) -> None:
    x, raw = _load(walk, start, taps)
    lower, upper, step = walk
    channel, px, py, image = start
    for pixel in range(PIXELS):
        for c in range(C):
            at = channel + c, px + taps[0], py + taps[1], image
            inside = all(0 <= v < size for v, size in zip(at, (C, W, H, N), strict=True))
            assert raw[pixel, c] == (x[at[3], at[2], at[1], at[0]] if inside else 0), (pixel, c)
        px += step
        if px > W - 1 + upper:
            px, py = lower, py + step
        if py > H - 1 + upper:
            py, image = lower, image + 1


@pytest.mark.parametrize(
    ("start", "taps", "message"),
    [
        ((0, 0, 0, 0), (0, 0), "starts at a pixel outside of its walk"),  # between two steps
        ((0, 3, -1, 0), (0, 0), "starts at a pixel outside of its walk"),
        ((0, -1, -1, 0), (), "not those of its map"),
    ],
)
def test_wrong_starts(start: tuple[int, int, int, int], taps: tuple[int, ...], message: str) -> None:
    with pytest.raises(errors.SimulationError, match=message):
        _load((-1, -1, 2), start, taps)
