"""Random layouts for property tests."""

from __future__ import annotations

import math
import operator
from itertools import accumulate

from hypothesis import strategies as st

from tilelang_mlir.dialect.layout import REPLICATE, Digit, Fragment, SharedLayout, Step, Swizzle

MAX_PLACES = 400


@st.composite
def fragments(draw: st.DrawFn, *, padded: bool = True, replicate: bool = True, max_rank: int = 3) -> Fragment:
    """Fragments of a few hundred places: dimensions factored into digits, dealt to threads and registers at random."""
    shape: list[int] = []
    digits: list[Digit] = []
    left = MAX_PLACES
    for dim in range(draw(st.integers(1, max_rank))):
        factors = draw(st.lists(st.sampled_from((1, 2, 3, 4, 5, 7)), min_size=1, max_size=3))
        factors = [f for f, total in zip(factors, accumulate(factors, operator.mul), strict=True) if total <= left] or [
            1
        ]
        left //= math.prod(factors)
        reach = 1
        for factor in factors:
            digits.append(Digit(factor, dim, reach))
            reach *= factor
        cut = draw(st.integers(0, max(0, reach - reach // factors[-1] - 1))) if padded and draw(st.booleans()) else 0
        shape.append(reach - cut)
    digits = draw(st.permutations(digits))
    split = draw(st.integers(0, len(digits)))
    thread, value = list(digits[:split]), list(digits[split:])
    if replicate and draw(st.booleans()):
        thread.insert(draw(st.integers(0, len(thread))), Digit(draw(st.sampled_from((2, 3, 4))), REPLICATE, 1))
    return Fragment(tuple(shape), tuple(thread), tuple(value))


@st.composite
def shared_layouts(draw: st.DrawFn) -> SharedLayout:
    """Layouts whose steps get offsets in a random order, with random gaps, and sometimes a swizzle of whole chunks."""
    shape: list[int] = []
    parts: list[tuple[int, int, int]] = []
    for dim in range(draw(st.integers(1, 3))):
        reach = 1
        for factor in draw(st.lists(st.sampled_from((1, 2, 3, 4, 8)), min_size=1, max_size=2)):
            parts.append((factor, dim, reach))
            reach *= factor
        shape.append(reach)
    steps: list[Step] = []
    offset = 1
    for size, dim, stride in draw(st.permutations(parts)):
        steps.append(Step(size, dim, stride, offset))
        offset = offset * size + draw(st.sampled_from((0, 0, 0, 8)))
    swizzle = draw(st.sampled_from((Swizzle(), Swizzle(1, 3, 3), Swizzle(2, 3, 3), Swizzle(3, 3, 3), Swizzle(2, 2, 4))))
    return SharedLayout(tuple(shape), tuple(steps), swizzle)
