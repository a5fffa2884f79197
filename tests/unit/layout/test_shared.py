"""Shared-memory layouts: injectivity, sizes and the hardware's swizzle patterns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.layout.strategies import shared_layouts
from tilelang_mlir.dialect.layout import SharedLayout, Step, Swizzle, row_major, swizzle_span, swizzled
from tilelang_mlir.errors import TileValueError


def offsets(layout: SharedLayout) -> np.ndarray:
    return np.asarray(layout.offset(list(np.indices(layout.shape))))


@given(shared_layouts())
def test_offset_is_the_sum_of_the_steps(layout: SharedLayout) -> None:
    table = offsets(layout)
    for element in np.ndindex(layout.shape):
        total = sum(element[s.dim] // s.stride % s.size * s.offset for s in layout.steps)
        bits, base, shift = layout.swizzle
        source = (total >> shift) & (((1 << bits) - 1) << base)
        assert table[element] == total ^ source


@given(shared_layouts())
def test_no_two_elements_share_a_place_and_all_are_inside(layout: SharedLayout) -> None:
    table = offsets(layout)
    assert len(np.unique(table)) == table.size
    assert layout.is_injective()
    assert table.min() >= 0
    assert table.max() < layout.size


def test_overlapping_steps_are_seen() -> None:
    layout = SharedLayout((4, 4), (Step(4, 0, 1, 1), Step(4, 1, 1, 2)))
    assert not layout.is_injective()


@given(st.lists(st.sampled_from((1, 2, 3, 7, 16, 80)), min_size=1, max_size=3), st.sampled_from((0, 4, 8)))
def test_row_major(shape: list[int], pad: int) -> None:
    table = offsets(row_major(shape, pad=pad))
    rows = np.arange(int(np.prod(shape))).reshape(-1, shape[-1])
    wanted = rows + np.arange(len(rows))[:, None] * pad
    np.testing.assert_array_equal(table.reshape(-1, shape[-1]), wanted)


# bytes of the span, chunks of 16 bytes in it, rows that share one XOR value
_MODES = [(128, 8, 1), (64, 4, 2), (32, 2, 4)]


@pytest.mark.parametrize(
    ("bits", "panels", "rows"), [(8, 1, 8), (8, 2, 24), (16, 1, 16), (16, 3, 80), (32, 2, 8), (64, 1, 176)]
)
@pytest.mark.parametrize(("span_bytes", "chunks", "repeat"), _MODES)
def test_swizzle_is_the_hardware_pattern(
    span_bytes: int, chunks: int, repeat: int, bits: int, panels: int, rows: int
) -> None:
    """PTX ISA, "Shared Memory Matrix Layout", swizzling modes: panels one span wide, row-major inside, and within eight
    rows the 16-byte chunk c of row r lies at chunk c ^ (r % 8), c ^ (r / 2 % 4), c ^ (r / 4 % 2)."""
    vector = 128 // bits
    span = vector * chunks
    table = offsets(swizzled((rows, panels * span), bits, span_bytes))
    for row, column in np.ndindex(rows, panels * span):
        panel, chunk = column // span, column // vector % chunks
        place = chunk ^ (row % 8 // repeat)
        assert table[row, column] == panel * rows * span + row * span + place * vector + column % vector


@pytest.mark.parametrize(("bits", "span_bytes"), [(16, 128), (16, 64), (16, 32), (8, 128), (32, 64)])
def test_swizzled_columns_meet_no_bank_conflict(bits: int, span_bytes: int) -> None:
    """ldmatrix reads one 16-byte chunk of eight rows: with the 128-byte pattern they lie in eight different groups of
    banks; the narrower ones pack 2 or 4 rows into 128 bytes and reach the same."""
    span = span_bytes * 8 // bits
    table = offsets(swizzled((8, span), bits, span_bytes)) * bits // 8
    for chunk in range(span_bytes // 16):
        banks = table[:, chunk * 128 // bits] % 128 // 16
        assert len(np.unique(banks)) == 8


@pytest.mark.parametrize("stages", [1, 3])
def test_leading_dimensions_follow_the_tile(stages: int) -> None:
    one = swizzled((16, 64), 16, 128)
    many = swizzled((stages, 16, 64), 16, 128)
    for stage in range(stages):
        np.testing.assert_array_equal(offsets(many)[stage], offsets(one) + stage * 16 * 64)
    assert many.size == stages * one.size


@pytest.mark.parametrize(("shape", "bits", "span"), [
    ((8, 64), 16, 128), ((8, 32), 16, 64), ((8, 16), 16, 32), ((8, 96), 16, 64), ((8, 8), 16, 0), ((7, 64), 16, 0),
    ((8, 80), 16, 32), ((8, 176), 16, 32), ((8, 128), 8, 128), ((8, 32), 32, 128), ((8, 1), 32, 0), ((16, 13), 64, 0),
])  # fmt: skip
def test_widest_span(shape: tuple[int, int], bits: int, span: int) -> None:
    assert swizzle_span(shape, bits) == span


@pytest.mark.parametrize(("shape", "span_bytes"), [((8, 32), 128), ((4, 64), 128), ((8, 64), 16)])
def test_tiles_that_admit_no_swizzle(shape: tuple[int, int], span_bytes: int) -> None:
    with pytest.raises(TileValueError, match="swizzle needs columns in multiples"):
        swizzled(shape, 16, span_bytes)


@pytest.mark.parametrize(("swizzle", "period"), [(Swizzle(), 1), (Swizzle(3, 3, 3), 512), (Swizzle(2, 3, 3), 256)])
def test_the_pattern_repeats_after_its_period(swizzle: Swizzle, period: int) -> None:
    assert swizzle.period == period
    offset = np.arange(period)
    np.testing.assert_array_equal(
        np.asarray(swizzle.apply(offset + 5 * period)), np.asarray(swizzle.apply(offset)) + 5 * period
    )


@pytest.mark.parametrize("steps", [(Step(4, 0, 1, 1),), (Step(4, 0, 1, 1), Step(2, 0, 8, 4))])
def test_steps_must_tile_the_dimension(steps: tuple[Step, ...]) -> None:
    with pytest.raises(TileValueError, match="cover 4 of 8|do not tile"):
        SharedLayout((8,), steps)


def test_a_swizzled_tile_takes_whole_periods() -> None:
    layout = SharedLayout((8, 40), (Step(40, 1, 1, 1), Step(8, 0, 1, 64)), Swizzle(3, 3, 3))
    assert layout.size == 512
