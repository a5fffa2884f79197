"""Layouts chosen freely: all elements covered, all threads used, neighbours in neighbouring threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilelang_mlir.passes.layout_inference.plan import plan_fragment

SHAPES = st.lists(st.sampled_from((1, 2, 3, 5, 7, 13, 16, 17, 31, 64, 80, 176)), min_size=1, max_size=3).filter(
    lambda s: math.prod(s) <= 8192
)
THREADS = st.sampled_from((1, 32, 64, 96, 128, 160, 256, 384))
BITS = st.sampled_from((8, 16, 32, 64))


@given(SHAPES, BITS, THREADS)
def test_all_elements_are_held_by_the_threads_there_are(shape: list[int], bits: int, threads: int) -> None:
    layout = plan_fragment(shape, bits, threads)
    assert layout.num_threads == threads
    grid = list(np.indices(shape).reshape(len(shape), -1))
    thread, value = layout.thread_of(grid), layout.value_of(grid)
    assert thread.max() < threads
    assert value.max() < layout.num_values
    assert layout.holds(thread, grid).all()
    assert len(np.unique(thread * layout.num_values + value)) == math.prod(shape)


@given(SHAPES, BITS, THREADS, st.sampled_from((0, 1, 2, 4)))
def test_vectors_are_as_wide_as_16_bytes_allow(shape: list[int], bits: int, threads: int, limit: int) -> None:
    """The widest power of two that divides the rows and leaves each thread a vector; each starts at a multiple."""
    layout = plan_fragment(shape, bits, threads, limit=limit)
    most = min(128 // bits, limit or 128)
    fits = [w for w in (1, 2, 4, 8, 16) if w <= most and shape[-1] % w == 0 and math.prod(shape) // w >= threads]
    width = max(fits, default=1)
    inside = [[int(c) for c in layout.coordinates(0, value)] for value in range(width)]
    assert inside == [[*[0] * (len(shape) - 1), value] for value in range(width)]
    starts = layout.thread_part(np.arange(threads))[-1]
    assert (starts % width == 0).all()


@given(SHAPES, BITS, THREADS)
def test_no_thread_holds_twice_its_share(shape: list[int], bits: int, threads: int) -> None:
    """Padding may idle some threads, by less than one doubling per dimension."""
    layout = plan_fragment(shape, bits, threads)
    share = max(1, -(-math.prod(shape) // threads))
    exact = math.prod(math.gcd(n, threads) for n in shape) >= threads
    assert layout.num_values <= share * 2 ** len(shape) or not exact


@pytest.mark.parametrize(("shape", "bits", "threads", "width"), [
    ((64, 64), 16, 128, 8), ((64, 64), 32, 128, 4), ((64, 64), 8, 128, 16),
    ((128,), 32, 32, 4), ((64,), 32, 32, 2), ((32,), 32, 32, 1),
])  # fmt: skip
def test_pinned_vectors(shape: tuple[int, ...], bits: int, threads: int, width: int) -> None:
    layout = plan_fragment(shape, bits, threads)
    assert layout.value[0].size == width if width > 1 else layout.num_values == 1
    assert [int(c) for c in layout.coordinates(1, 0)][-1] == width


@pytest.mark.parametrize(("shape", "bits", "threads", "text"), [
    ((1,), 32, 128, "fragment [1] threads (128) registers ()"),
    ((80,), 32, 128, "fragment [80] threads (128@0*1) registers ()"),
    ((176,), 32, 32, "fragment [176] threads (32@0*4) registers (4@0*1, 2@0*128)"),
    ((13, 7), 32, 32, "fragment [13, 7] threads (8@1*1, 4@0*1) registers (4@0*4)"),
])  # fmt: skip
def test_pinned_odd_sizes(shape: tuple[int, ...], bits: int, threads: int, text: str) -> None:
    assert str(plan_fragment(shape, bits, threads)) == text


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_limit_caps_the_vector(limit: int) -> None:
    layout = plan_fragment((64, 64), 16, 128, limit=limit)
    assert [int(c) for c in layout.coordinates(1, 0)] == [0, limit]
