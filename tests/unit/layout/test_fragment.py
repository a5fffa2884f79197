"""The fragment algebra against enumeration of all threads, registers and elements."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.layout.strategies import fragments
from tilelang_mlir.dialect.layout import REPLICATE, Digit, Fragment, from_table, replicated
from tilelang_mlir.errors import TileValueError

Element = tuple[int, ...]


def by_hand(layout: Fragment) -> dict[tuple[int, int], Element]:
    """(thread, register) to element, digit by digit; places past the shape are left out."""
    out: dict[tuple[int, int], Element] = {}
    for thread, value in itertools.product(range(layout.num_threads), range(layout.num_values)):
        place = [0] * len(layout.shape)
        for digits, rest in ((layout.thread, thread), (layout.value, value)):
            for digit in digits:
                if digit.dim != REPLICATE:
                    place[digit.dim] += rest % digit.size * digit.stride
                rest //= digit.size
        if all(p < s for p, s in zip(place, layout.shape, strict=True)):
            out[thread, value] = tuple(place)
    return out


def holders(layout: Fragment) -> dict[Element, list[tuple[int, int]]]:
    out: defaultdict[Element, list[tuple[int, int]]] = defaultdict(list)
    for place, element in by_hand(layout).items():
        out[element].append(place)
    return out


@given(fragments())
def test_coordinates_are_the_digits(layout: Fragment) -> None:
    threads, values = np.indices((layout.num_threads, layout.num_values))
    tables = layout.coordinates(threads, values)
    for (thread, value), element in by_hand(layout).items():
        assert tuple(int(t[thread, value]) for t in tables) == element


@given(fragments())
def test_every_element_has_its_holders(layout: Fragment) -> None:
    found = holders(layout)
    assert sorted(found) == list(np.ndindex(layout.shape))
    assert {len(places) for places in found.values()} == {layout.replication}


@given(fragments())
def test_inverse_gives_the_first_holder(layout: Fragment) -> None:
    for element, places in holders(layout).items():
        assert int(layout.thread_of(element)) == min(thread for thread, _ in places)
        assert {int(layout.value_of(element))} == {value for _, value in places}


@given(fragments())
def test_inverse_of_arrays_is_that_of_elements(layout: Fragment) -> None:
    grid = np.indices(layout.shape).reshape(len(layout.shape), -1)
    threads, values = layout.thread_of(list(grid)), layout.value_of(list(grid))
    for position, element in enumerate(np.ndindex(layout.shape)):
        assert (threads[position], values[position]) == (layout.thread_of(element), layout.value_of(element))


@given(fragments())
def test_holds_names_all_holders(layout: Fragment) -> None:
    threads = np.arange(layout.num_threads)
    for element, places in holders(layout).items():
        assert set(np.flatnonzero(layout.holds(threads, element))) == {thread for thread, _ in places}
        assert not layout.holds(layout.num_threads, element)


@given(fragments(), st.data())
def test_reduce_leaves_the_result_where_parts_were(layout: Fragment, data: st.DataObject) -> None:
    dim = data.draw(st.integers(0, len(layout.shape) - 1))
    keep = data.draw(st.booleans())
    result = layout.reduce(dim, keep=keep)
    kept = [s for d, s in enumerate(layout.shape) if d != dim]
    assert list(result.shape) == ([1 if d == dim else s for d, s in enumerate(layout.shape)] if keep else kept or [1])
    assert result.num_threads == layout.num_threads
    wanted: defaultdict[Element, set[int]] = defaultdict(set)
    for (thread, _), element in by_hand(layout).items():
        wanted[tuple(0 if d == dim else e for d, e in enumerate(element))].add(thread)
    for element, threads in holders(result).items():
        whole = element if keep else (*element[:dim], 0, *element[dim:])[: len(layout.shape)]
        # In a padded dimension a thread may hold no part and still gets the result.
        assert wanted[whole] <= {thread for thread, _ in threads}


@given(fragments(padded=False), st.data())
def test_project_keeps_threads_and_merges_registers(layout: Fragment, data: st.DataObject) -> None:
    dims = data.draw(st.permutations(range(len(layout.shape))))[: data.draw(st.integers(1, len(layout.shape)))]
    result = layout.project(dims)
    for (thread, _), element in by_hand(layout).items():
        assert bool(result.holds(thread, [element[d] for d in dims]))
    assert result.shape == tuple(layout.shape[d] for d in dims)
    assert result.num_threads == layout.num_threads


@given(fragments(max_rank=2), st.integers(0, 3))
def test_with_dims_adds_unit_dimensions(layout: Fragment, where: int) -> None:
    where = min(where, len(layout.shape))
    shape = (*layout.shape[:where], 1, *layout.shape[where:])
    result = layout.with_dims(shape, [d if d < where else d + 1 for d in range(len(layout.shape))])
    moved = by_hand(result)
    for place, element in by_hand(layout).items():
        assert moved[place] == (*element[:where], 0, *element[where:])


@given(fragments())
def test_canonical_is_the_same_map(layout: Fragment) -> None:
    assert by_hand(layout.canonical()) == by_hand(layout)
    assert layout.same_map(layout.canonical())
    assert layout.canonical().canonical() == layout.canonical()


@given(fragments(padded=False, max_rank=2), fragments(padded=False, max_rank=2))
def test_same_map_is_equality_of_maps(a: Fragment, b: Fragment) -> None:
    same = a.shape == b.shape and a.num_threads == b.num_threads and by_hand(a) == by_hand(b)
    assert a.same_map(b) == same


@given(fragments(padded=False, replicate=False))
def test_from_table_recovers_a_fragment(layout: Fragment) -> None:
    grid = list(np.indices(layout.shape))
    found = from_table(layout.shape, layout.thread_of(grid), layout.value_of(grid), threads=layout.num_threads)
    assert by_hand(found) == by_hand(layout)


@given(st.lists(st.sampled_from((1, 2, 3, 5)), min_size=1, max_size=3), st.sampled_from((1, 2, 32, 96)))
def test_replicated_gives_every_thread_all_in_row_major_order(shape: list[int], threads: int) -> None:
    layout = replicated(shape, threads)
    found = by_hand(layout)
    for thread in (0, threads - 1):
        assert [found[thread, value] for value in range(layout.num_values)] == list(np.ndindex(*shape))


@pytest.mark.parametrize("size", [1, 2, 7, 80, 176])
def test_pinned_row_per_thread(size: int) -> None:
    layout = Fragment((32, size), (Digit(32, 0, 1),), (Digit(size, 1, 1),))
    assert (layout.num_threads, layout.num_values, layout.replication, layout.is_padded) == (32, size, 1, False)
    assert (int(layout.thread_of((31, size - 1))), int(layout.value_of((31, size - 1)))) == (31, size - 1)


def test_pinned_padding() -> None:
    layout = Fragment((5, 3), (Digit(4, 0, 1), Digit(4, 1, 1)), (Digit(2, 0, 4),))
    assert layout.padded_shape == (8, 4)
    assert layout.padded_dims() == [0, 1]
    assert len(by_hand(layout)) == 15


def test_text_names_every_digit() -> None:
    layout = Fragment((16, 8), ((4, 1, 2), (8, 0, 1), (2, -1, 1)), ((2, 1, 1), (2, 0, 8)))  # type: ignore[arg-type]
    assert str(layout) == "fragment [16, 8] threads (4@1*2, 8@0*1, 2) registers (2@1*1, 2@0*8)"


@pytest.mark.parametrize(("thread", "value", "message"), [
    (((4, 0, 1),), ((2, 0, 2),), "do not tile it"),
    (((4, 0, 1),), (), "cover 4 of 8"),
    (((8, 0, 1),), ((2, -1, 1),), "registers cannot replicate"),
])  # fmt: skip
def test_digits_that_are_no_layout(thread: tuple, value: tuple, message: str) -> None:
    with pytest.raises(TileValueError, match=message):
        Fragment((8,), thread, value)


@pytest.mark.parametrize(("function", "message"), [
    (lambda i, j: (i ^ j, 0 * i), "overlap"),
    (lambda i, j: (i + j, i + j), "moves|overlap"),
    (lambda i, j: (i, 0 * j), "neither"),
    (lambda i, j: (i, 2 * j), "unused"),
])  # fmt: skip
def test_functions_that_are_no_fragment(function, message: str) -> None:
    i, j = np.indices((4, 4))
    with pytest.raises(TileValueError, match=message):
        from_table((4, 4), *function(i, j), threads=4)
