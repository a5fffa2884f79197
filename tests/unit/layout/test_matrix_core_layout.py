"""Fragments of MFMA and WMMA products against the instructions' own layouts, by enumeration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tilelang_mlir.dialect.layout import Fragment
from tilelang_mlir.isa.amd import mfma
from tilelang_mlir.passes.amd.product import Operand, Product, accumulator, blocks_core, cores, operand
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


FEW = [form for form in mfma.FORMS if form.blocks > 1]


def few(form: mfma.Form, size: int, side: int, share: int) -> Product:
    """Four rows (or columns, side 1) per wave by two tiles of `size`, two waves along each."""
    core = blocks_core(form, size, side)
    grid = WarpGrid(2, 2, core.extent(0), 2 * size) if side == 0 else WarpGrid(2, 2, 2 * size, core.extent(1))
    shares = [share if side == which and core.shares_rows else 1 for which in range(2)]
    left, right = Operand(0, 1, True, 1, share=shares[0]), Operand(1, 0, False, 1, share=shares[1])
    return Product(core, grid, 8 * core.per * core.groups, core.per, left, right)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("form", FEW, ids=lambda form: form.name)
def test_fragments_of_blocks_of_four(form: mfma.Form, side: int) -> None:
    """A lane's operands meet where the instruction multiplies them, and the result lies where it puts it."""
    for size in (s for s in (64, 16, 4) if s <= 4 * form.blocks):
        for share in (1, 2, 8):
            product = few(form, size, side, share)
            for layout in (accumulator(product), operand(product, product.a), operand(product, product.b)):
                whole(layout, 256)
            _check_blocks(product, side, form.blocks)


def _check_blocks(product: Product, side: int, blocks: int) -> None:
    lanes = np.arange(64)
    width, block = product.width, lanes // 4 % blocks
    which = (product.a, product.b)
    first, other = operand(product, which[side]), operand(product, which[1 - side])
    share = which[side].share
    for step in range(product.steps):
        source = np.full(64, step % share) if product.core.shares_rows else block  # ABID
        registers = step // share * width + np.arange(width)
        mine = first.coordinates(4 * source[:, None] + lanes[:, None] // (4 * blocks) * 4 * blocks + lanes[:, None] % 4,
                                 registers[None, :])  # fmt: skip
        theirs = other.coordinates(lanes[:, None], step * width + np.arange(width)[None, :])
        np.testing.assert_array_equal(mine[which[side].k_dim], theirs[which[1 - side].k_dim])
    rows = accumulator(product).coordinates(lanes[:, None], np.arange(product.core.sums)[None, :])
    column = other.coordinates(lanes[:, None], 0)[1 - which[1 - side].k_dim]
    np.testing.assert_array_equal(rows[1 - side], np.broadcast_to(column, rows[1 - side].shape))
    row = lanes[:, None] // (4 * blocks) + np.arange(product.core.sums)[None, :]
    np.testing.assert_array_equal(rows[side], row)


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
