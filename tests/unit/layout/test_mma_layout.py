"""Fragments of mma.sync against the formulas of the PTX ISA ("Matrix Fragments for mma"), lane by lane."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tilelang_mlir.dialect.layout import Fragment
from tilelang_mlir.errors import LayoutError
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.nvidia.mma_layout import (
    MmaShape,
    WarpGrid,
    accumulator,
    mma_shape,
    operand_a,
    operand_b,
    partition,
)

ONE_WARP = {bits: WarpGrid(1, 1, mma_shape(bits).m, 8) for bits in (8, 16, 32, 64)}


def places(layout: Fragment, thread: int) -> list[tuple[int, ...]]:
    """The elements of a thread in the order of its registers."""
    return [tuple(int(c) for c in layout.coordinates(thread, value)) for value in range(layout.num_values)]


def isa_a(bits: int, lane: int) -> list[tuple[int, int]]:
    """(row, column) of a0, a1, ... of one instruction: groupID = lane / 4, threadID_in_group = lane % 4."""
    group, inner = lane >> 2, lane & 3
    if bits == 64:  # m8n8k4: one element
        return [(group, inner)]
    if bits == 32:  # m16n8k8, tf32
        return [(group + 8 * (i % 2), inner + 4 * (i // 2)) for i in range(4)]
    if bits == 16:  # m16n8k16
        return [(group + 8 * (i // 2 % 2), inner * 2 + (i & 1) + 8 * (i // 4)) for i in range(8)]
    return [(group + 8 * (i // 4 % 2), inner * 4 + (i & 3) + 16 * (i // 8)) for i in range(16)]  # m16n8k32


def isa_b(bits: int, lane: int) -> list[tuple[int, int]]:
    """(row, column) of b0, b1, ... of one instruction; rows run along K."""
    group, inner = lane >> 2, lane & 3
    if bits == 64:
        return [(inner, group)]
    if bits == 32:
        return [(inner + 4 * i, group) for i in range(2)]
    if bits == 16:
        return [(inner * 2 + (i & 1) + 8 * (i // 2), group) for i in range(4)]
    return [(inner * 4 + (i & 3) + 16 * (i // 4), group) for i in range(8)]


def isa_c(bits: int, lane: int) -> list[tuple[int, int]]:
    count = 2 if bits == 64 else 4
    return [((lane >> 2) + 8 * (i // 2), (lane & 3) * 2 + (i & 1)) for i in range(count)]


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("lane", [0, 1, 5, 18, 31])
def test_one_instruction(bits: int, lane: int) -> None:
    shape, grid = mma_shape(bits), ONE_WARP[bits]
    assert places(operand_a(grid, shape, shape.k, bits), lane) == isa_a(bits, lane)
    assert places(operand_b(grid, shape, shape.k, bits, transposed=False), lane) == isa_b(bits, lane)
    assert places(operand_b(grid, shape, shape.k, bits, transposed=True), lane) == [
        (n, k) for k, n in isa_b(bits, lane)
    ]
    assert places(accumulator(grid, shape), lane) == isa_c(bits, lane)


@pytest.mark.parametrize(("bits", "m", "n", "k"), [(64, 8, 8, 4), (32, 16, 8, 8), (16, 16, 8, 16), (8, 16, 8, 32)])
def test_instruction_shapes(bits: int, m: int, n: int, k: int) -> None:
    assert mma_shape(bits) == MmaShape(m, n, k)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize(
    ("warps_m", "warps_n", "tiles_m", "tiles_n", "steps"),
    [(1, 1, 1, 1, 1), (2, 2, 2, 3, 2), (4, 1, 1, 4, 3), (1, 3, 2, 1, 1)],
)
def test_warp_tiles(bits: int, warps_m: int, warps_n: int, tiles_m: int, tiles_n: int, steps: int) -> None:
    """Registers walk k steps within columns within rows of instruction tiles; warps are numbered along M first and own
    contiguous parts of C; operands repeat in the warps that share them."""
    shape = mma_shape(bits)
    grid = WarpGrid(warps_m, warps_n, tiles_m * shape.m, tiles_n * shape.n)
    k = steps * shape.k
    a, b, c = (
        operand_a(grid, shape, k, bits),
        operand_b(grid, shape, k, bits, transposed=False),
        accumulator(grid, shape),
    )
    assert (a.replication, b.replication, c.replication) == (warps_n, warps_m, 1)
    for warp_n, warp_m in itertools.product(range(warps_n), range(warps_m)):
        for lane in (0, 7, 30):
            thread = (warp_n * warps_m + warp_m) * 32 + lane
            top, left = warp_m * grid.rows, warp_n * grid.columns
            assert places(c, thread) == [
                (top + i * shape.m + r, left + j * shape.n + q)
                for i in range(tiles_m) for j in range(tiles_n) for r, q in isa_c(bits, lane)
            ]  # fmt: skip
            assert places(a, thread) == [
                (top + i * shape.m + r, s * shape.k + q)
                for i in range(tiles_m)
                for s in range(steps)
                for r, q in isa_a(bits, lane)
            ]
            assert places(b, thread) == [
                (s * shape.k + r, left + j * shape.n + q)
                for j in range(tiles_n)
                for s in range(steps)
                for r, q in isa_b(bits, lane)
            ]


def test_sums_rounded_to_16_bits_are_left_operands() -> None:
    """The accumulator of 16 columns is the A operand of k16: a thread holds the same elements (chained products)."""
    shape = mma_shape(16)
    sums = accumulator(WarpGrid(4, 1, 16, 32), shape)
    left = operand_a(WarpGrid(4, 1, 16, 8), shape, 32, 16)
    for thread in range(0, 128, 17):
        assert sorted(places(sums, thread)) == sorted(places(left, thread))


def _partition(m: int, n: int, warps: int, policy: str, shape: MmaShape = mma_shape(16)) -> tuple[int, int]:  # noqa: B008
    op: Any = SimpleNamespace(location=None)
    grid = partition(m, n, warps, policy, shape, op)
    assert (grid.m * grid.rows, grid.n * grid.columns, grid.m * grid.n) == (m, n, warps)
    assert grid.rows % shape.m == 0 == grid.columns % shape.n
    return grid.m, grid.n


@pytest.mark.parametrize(("m", "n", "warps", "policy", "expected"), [
    (128, 128, 4, "square", (2, 2)), (128, 64, 4, "square", (2, 2)), (128, 128, 8, "square", (2, 4)),
    (64, 64, 4, "full_row", (4, 1)), (32, 64, 4, "full_row", (2, 2)), (16, 64, 4, "full_row", (1, 4)),
    (64, 64, 4, "full_col", (1, 4)), (64, 16, 4, "full_col", (2, 2)), (64, 8, 4, "full_col", (4, 1)),
    (48, 24, 3, "square", (3, 1)), (80, 176, 5, "full_row", (5, 1)),
])  # fmt: skip
def test_warps_share_the_product(m: int, n: int, warps: int, policy: str, expected: tuple[int, int]) -> None:
    assert _partition(m, n, warps, policy) == expected


@pytest.mark.usefixtures("ctx")
def test_warps_that_c_is_too_small_for_are_replicas() -> None:
    op: Any = SimpleNamespace(location=ir.Location.unknown())
    assert partition(16, 16, 6, "full_row", mma_shape(16), op) == WarpGrid(1, 2, 16, 8, replicas=3)
    layout = accumulator(WarpGrid(1, 2, 16, 8, replicas=3), mma_shape(16))
    assert (layout.num_threads, layout.replication) == (192, 3)
    with pytest.raises(LayoutError, match="C of 24x8 is no multiple of 16x8, which one instruction computes"):
        partition(24, 8, 2, "square", mma_shape(16), op)


def test_every_element_of_c_has_one_holder() -> None:
    layout = accumulator(WarpGrid(2, 2, 32, 24), mma_shape(16))
    threads, values = np.indices((128, layout.num_values))
    rows, columns = layout.coordinates(threads, values)
    assert len(np.unique(rows * 48 + columns)) == 64 * 48
