"""Which tiles a matrix product is cut into: a model of the time that depends on nothing but the sizes.

A candidate costs waves x time of a tile. A wave is one tile per multiprocessor, and the last one counts in full: how
well the number of tiles fits the machine decides most of all. The time of a tile is its area times K, divided by how
busy the tensor cores are with instructions of that width, and a constant for the part of the store that nothing hides.
The rates are those of an H200; their ratios are what matters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

_SPAN = 128  # bytes of a row of a stage: one swizzle span
_STAGE_ROOM = 227 * 1024 - 32 * 1024 - 1024  # bytes for stages beside the buffers of the store
_MAX_STAGES = 8
# Busy share of the tensor cores by columns of an instruction. "turns": one warpgroup computes a tile of 128 rows while
# the other one stores; "together": two warpgroups share a tile of 128 rows.
_BUSY = {
    "turns": {32: 0.36, 64: 0.66, 96: 0.84, 128: 0.925, 160: 0.965, 176: 0.975, 192: 1.0, 208: 0.995},
    "together": {32: 0.36, 64: 0.70, 96: 0.88, 128: 0.98, 192: 0.987, 224: 0.995, 256: 1.0},
}
_STORE = {"turns": 0, "together": 40}  # steps of K that take as long as the part of the store that is not hidden
_START = 320  # the same for filling the pipeline, once
_BYTES_PER_CYCLE = 21.0  # of device memory per multiprocessor
_FLOPS_PER_CYCLE = 4096.0  # of 16-bit elements per multiprocessor


@dataclass(frozen=True)
class Tiling:
    """Sizes of a tile, versions of its operands in shared memory, and threads that compute a tile."""

    block_M: int
    block_N: int
    block_K: int
    stages: int
    threads: int


def choose(
    M: int,
    N: int,
    K: int,
    bits: int = 16,
    *,
    trans_A: bool = False,
    trans_B: bool = True,
    multiprocessors: int = 132,
) -> Tiling:
    """The tiling of C[M, N] = A[M, K] B[K, N] that the model finds fastest; the first of equals.

    Args:
        M, N, K: sizes in elements.
        bits: of an element of A and B.
        trans_A, trans_B: whether A is stored as [K, M], and B as [N, K].
        multiprocessors: of the machine.
    """
    return min(
        _candidates(bits, trans_A=trans_A, trans_B=trans_B),
        key=lambda tiling: _cost(tiling, M, N, K, bits, multiprocessors),
    )


def _candidates(bits: int, *, trans_A: bool, trans_B: bool) -> Iterator[Tiling]:
    depth = _SPAN * 8 // bits
    step = 16 if trans_B else 64  # along N a row-major B comes in whole swizzle spans
    for columns in range(256, 31, -step):
        yield _tiling(128, columns, depth, bits, 256)
    for columns in range(208 // step * step, 31, -step):
        yield _tiling(128, columns, depth, bits, 128)
    for columns in range(256, 31, -step):
        yield _tiling(64, columns, depth, bits, 128)


def _tiling(block_M: int, block_N: int, block_K: int, bits: int, threads: int) -> Tiling:
    stages = min(_MAX_STAGES, _STAGE_ROOM // ((block_M + block_N) * block_K * bits // 8))
    return Tiling(block_M, block_N, block_K, stages, threads)


def _cost(tiling: Tiling, M: int, N: int, K: int, bits: int, multiprocessors: int) -> float:
    """Cycles of one multiprocessor."""
    tiles = math.ceil(M / tiling.block_M) * math.ceil(N / tiling.block_N)
    waves = math.ceil(tiles / multiprocessors)
    mode = "together" if tiling.threads == 256 else "turns"
    rate = _FLOPS_PER_CYCLE * 16 / bits * _interpolate(_BUSY[mode], tiling.block_N)
    if tiling.block_M == 64:
        rate *= 0.955
    if mode == "turns" and tiles <= multiprocessors:
        rate *= 0.85  # no second warpgroup fills the gaps between products
    area = tiling.block_M * tiling.block_N
    products = waves * 2 * area * (K + _STORE[mode]) / rate + 2 * area * _START / _FLOPS_PER_CYCLE
    traffic = (M * K + N * K) * bits / 8 / multiprocessors / _BYTES_PER_CYCLE
    return max(products, traffic) + 1e-3 * products


def _interpolate(points: dict[int, float], x: int) -> float:
    """Piecewise linear; constant beyond the ends."""
    places = sorted(points)
    if x <= places[0]:
        return points[places[0]] * x / places[0]
    if x >= places[-1]:
        return points[places[-1]]
    right = next(i for i, place in enumerate(places) if place >= x)
    low, high = places[right - 1], places[right]
    return points[low] + (points[high] - points[low]) * (x - low) / (high - low)
