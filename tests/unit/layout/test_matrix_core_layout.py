"""Fragments of MFMA and WMMA products against the instructions' own layouts, by enumeration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tilelang_mlir.dialect.layout import Fragment
from tilelang_mlir.passes.amd.product import Operand, Product, accumulator, cores, operand
from tilelang_mlir.passes.warp_grid import WarpGrid
from tilelang_mlir.target import parse_target

CASES = [
    ("gfx90a", "f16"), ("gfx942", "bf16"), ("gfx942", "f32"), ("gfx942", "f64"), ("gfx942", "i8"), ("gfx950", "f16"),
    ("gfx1100", "f16"), ("gfx1201", "bf16"), ("gfx1201", "fp8"),
]  # fmt: skip


def plan(arch: str, kind: str, interleave: int) -> list[Product]:
    """A product of two by two waves per core, with four tiles along N in each wave."""
    out = []
    for core in cores(parse_target(arch), (kind, kind)):
        grid = WarpGrid(2, 2, core.size, 4 * core.size)
        k = 4 * max(core.run, core.per) * core.groups
        left, right = Operand(0, 1, True, 1), Operand(1, 0, False, interleave)
        out.append(Product(core, grid, k, core.per if core.repeats > 1 else core.run, left, right))
    assert out
    return out


def whole(layout: Fragment, threads: int) -> None:
    """Every thread has its registers, and every element lies somewhere."""
    thread = np.arange(threads)[:, None]
    places = layout.coordinates(thread, np.arange(layout.num_values)[None, :])
    assert layout.num_threads == threads
    seen = np.zeros(layout.shape, np.int64)
    np.add.at(seen, tuple(np.broadcast_arrays(*places)), 1)
    assert (seen == threads * layout.num_values // seen.size).all()


@pytest.mark.parametrize("interleave", [1, 4])
@pytest.mark.parametrize(("arch", "kind"), CASES)
def test_fragments_hold_every_element(arch: str, kind: str, interleave: int) -> None:
    for product in plan(arch, kind, interleave):
        threads = 4 * parse_target(arch).warp_size
        for layout in (accumulator(product), operand(product, product.a), operand(product, product.b)):
            whole(layout, threads)


@pytest.mark.parametrize(("arch", "kind"), CASES)
def test_lanes_multiply_what_belongs_together(arch: str, kind: str) -> None:
    """Element e along K of a lane of A meets element e of every lane of B with the same part of K."""
    for product in plan(arch, kind, 4):
        core, width = product.core, product.width
        lanes = np.arange(parse_target(arch).warp_size)[:, None]
        a, b = operand(product, product.a), operand(product, product.b)
        k_of_a = a.coordinates(lanes, np.arange(width)[None, :])[1]
        k_of_b = b.coordinates(lanes, np.arange(width)[None, :])[0]
        np.testing.assert_array_equal(k_of_a, k_of_b)
        group = (lanes // core.size).ravel() if core.repeats == 1 else np.zeros(len(lanes), int)
        assert all((k_of_a[group == g] == k_of_a[group == g][:1]).all() for g in set(group))


CHAINED = [("gfx942", "f16"), ("gfx950", "f16"), ("gfx1201", "f16"), ("gfx942", "f32")]


@pytest.mark.parametrize(("arch", "kind"), CHAINED)
def test_a_result_is_the_next_products_operand(arch: str, kind: str) -> None:
    """C of one product and A of the next lie alike where its K is the first one's N (attention)."""
    for product in plan(arch, kind, 1):
        core = product.core
        tall = WarpGrid(4, 1, core.size, 4 * core.size)
        first = replace(product, grid=tall)
        following = replace(first, k=4 * core.size)
        result, wanted = accumulator(first), operand(following, following.a)
        for thread in (0, 17, 63):
            assert held_by(result, thread) == held_by(wanted, thread)


def held_by(layout: Fragment, thread: int) -> set[tuple[int, int]]:
    """The elements in a thread's registers."""
    return {tuple(int(x) for x in layout.coordinates(thread, value)) for value in range(layout.num_values)}  # type: ignore[misc]
