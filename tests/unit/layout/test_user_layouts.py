"""`tilelang.layout`: functions become the compiler's layouts, and wrong ones are named."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given

import tilelang_mlir.layout as L
from tests.unit.layout.strategies import fragments, shared_layouts
from tilelang_mlir.dialect import layout as values
from tilelang_mlir.dialect.layout.attrs import from_attr
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError


@dataclass
class Tile:
    shape: tuple[int, ...]
    dtype: str


# -- Layout -----------------------------------------------------------------------------------------------------------
@given(shared_layouts())
def test_a_layout_is_recovered_from_its_function(layout: values.SharedLayout) -> None:
    found = L.Layout(layout.shape, lambda *i: layout.offset(i)).layout
    grid = list(np.indices(layout.shape))
    np.testing.assert_array_equal(np.asarray(found.offset(grid)), np.asarray(layout.offset(grid)))


@pytest.mark.parametrize(("dtype", "columns", "rows", "maker", "span"), [
    ("float16", 64, 16, L.make_full_bank_swizzled_layout, 8), ("float16", 96, 8, L.make_half_bank_swizzled_layout, 4),
    ("float16", 80, 24, L.make_quarter_bank_swizzled_layout, 2), ("int8", 128, 8, L.make_full_bank_swizzled_layout, 8),
    ("float32", 64, 80, L.make_full_bank_swizzled_layout, 8),
])  # fmt: skip
def test_bank_patterns(dtype: str, columns: int, rows: int, maker, span: int) -> None:
    """[col / (vec * span), row / 8, (s * span + c') * vec + col % vec] with s = row % 8 and c' = c ^ (s * span / 8)."""
    vec = 16 // np.dtype(dtype).itemsize
    place = maker(Tile((rows, columns), dtype)).get_linearized_forward_index()
    i, j = np.indices((rows, columns))
    s, c = i % 8, j // vec % span
    wanted = (
        (j // (vec * span) * (rows // 8) + i // 8) * 8 * span * vec + (s * span + (c ^ (s * span // 8))) * vec + j % vec
    )
    np.testing.assert_array_equal(place, wanted)


@pytest.mark.parametrize(("shape", "dtype", "size", "swizzled"), [
    ((64, 64), "float16", 64 * 64, True), ((64, 24), "float16", 64 * 24, False), ((64, 48), "float32", 64 * 48, True),
    ((7, 64), "float16", 7 * 72 - 8, False), ((7, 13), "float16", 7 * 13, False), ((8, 80), "float16", 8 * 80, True),
])  # fmt: skip
def test_swizzled_layout_takes_the_widest_pattern_or_pads(
    shape: tuple[int, int], dtype: str, size: int, swizzled: bool
) -> None:
    layout = L.make_swizzled_layout(Tile(shape, dtype)).layout
    assert (layout.size, bool(layout.swizzle.bits)) == (size, swizzled)
    assert layout.is_injective()


def test_swizzled_layout_without_padding() -> None:
    assert L.make_swizzled_layout(Tile((7, 64), "float16"), allow_pad=False).layout.size == 7 * 64
    with pytest.raises(TileValueError, match="not whole 16-byte chunks"):
        L.make_swizzled_layout(Tile((7, 13), "float16"), allow_pad=False)
    assert L.make_swizzled_layout(Tile((64, 128), "int8"), k_major=False).layout.size == 64 * 144 - 16


def test_methods_of_layout() -> None:
    layout = L.Layout((4, 6), lambda i, j: (j // 3, i, j % 3))
    assert (layout.get_input_shape(), layout.get_output_shape()) == ((4, 6), (2, 4, 3))
    assert (layout(3, 4), layout.map_forward_index((0, 5))) == ((1, 3, 1), (1, 0, 2))
    back = layout.inverse()
    assert all(back(*layout(i, j)) == (i, j) for i, j in np.ndindex(4, 6))
    assert layout.reshape((24,)).map_forward_index((9,)) == layout(1, 3)
    assert layout.expand((2,))(1, 3, 4) == (1, 1, 3, 1)
    assert layout.expand(2).is_equal(layout.expand([2])) and layout.expand([]) is layout
    with pytest.raises(TileTypeError, match="must be integers"):
        layout.expand("2")  # type: ignore[arg-type]
    assert layout.repeat(1, 2)(3, 10) == (1, 1, 3, 1)
    assert layout.is_equal(L.Layout((4, 6), lambda i, j: j // 3 * 12 + i * 3 + j % 3))
    assert not layout.is_equal(L.make_linear_layout((4, 6)))
    with pytest.raises(TileValueError, match="outside of shape"):
        layout(4, 0)


@pytest.mark.parametrize(("function", "message"), [
    (lambda i, j: i + j, "two elements into one place"),
    (lambda i, j: (i * 8 + j) * 5 % 67, "no mixed-radix map"),
    (lambda i, j: i * 8 + j + 1, "no mixed-radix map"),
])  # fmt: skip
def test_functions_that_are_no_layout(function, message: str) -> None:
    with pytest.raises(TileValueError, match=message):
        _ = L.Layout((8, 8), function).layout


def test_a_layout_without_inverse() -> None:
    with pytest.raises(TileValueError, match="no inverse"):
        L.Layout((4,), lambda i: i * 2).inverse()


def test_unsupported_makers_say_so() -> None:
    for maker in (L.make_volta_swizzled_layout, L.make_cutlass_metadata_layout):
        with pytest.raises(UnsupportedError, match=maker.__name__):
            maker(Tile((8, 8), "float16"))
    assert L.make_cutlass_metadata_layout(Tile((8, 8), "uint8"), arch="9.0").layout == values.row_major((8, 8))


# -- Fragment ---------------------------------------------------------------------------------------------------------
@given(fragments(padded=False))
def test_a_fragment_round_trips(layout: values.Fragment) -> None:
    fragment = L.Fragment.of(layout)
    assert fragment.layout == layout
    assert fragment.replicas == layout.replication
    again = L.Fragment(
        layout.shape, forward_thread_fn=lambda *i: layout.thread_of(i[: len(layout.shape)]) + _replica(fragment, i),
        replicate=fragment.replicas, forward_index_fn=lambda *i: layout.value_of(i),
    )  # fmt: skip
    np.testing.assert_array_equal(again.thread, fragment.thread)
    np.testing.assert_array_equal(again.index_table(), fragment.index_table())


def _replica(fragment: L.Fragment, indices: tuple) -> np.ndarray | int:
    if fragment.replicas == 1:
        return 0
    offsets = (
        fragment.thread.reshape(fragment.replicas, -1)[:, 0] - fragment.thread.reshape(fragment.replicas, -1)[0, 0]
    )
    return offsets[indices[-1]]


def test_both_ways_to_give_the_functions() -> None:
    one = L.Fragment((8, 8), lambda i, j: (i * 4 + j // 2, j % 2))
    two = L.Fragment((8, 8), forward_thread_fn=lambda i, j: i * 4 + j // 2, forward_index_fn=lambda i, j: j % 2)
    assert one.is_equal(two) and one.is_equal(L.make_gemm_fragment_8x8())
    assert not one.is_equal(L.make_gemm_fragment_8x8_transposed())
    assert (one.get_thread_size(), one.map_forward_thread((3, 5)), one.map_forward_index((3, 5))) == (32, (14,), (1,))
    with pytest.raises(TileTypeError, match="needs forward_fn"):
        L.Fragment((8, 8), forward_index_fn=lambda i, j: i)
    spread = L.Fragment((8, 4), forward_thread_fn=lambda i, j: i * 4 + j)
    assert spread.layout == values.Fragment((8, 4), ((4, 1, 1), (8, 0, 1)), ())  # type: ignore[arg-type]
    assert not spread.is_equal(L.Fragment((8, 4), forward_thread_fn=lambda i, j: i + 8 * j))
    rows = L.Fragment((8, 4), forward_thread_fn=lambda i, j: i)  # the elements of a thread: its registers in order
    assert rows.is_equal(L.Fragment((8, 4), lambda i, j: (i, j)))
    quads = L.Fragment((8, 4), forward_thread_fn=lambda i, j: i % 4 + 4 * (j // 2))
    assert quads.is_equal(L.Fragment((8, 4), lambda i, j: (i % 4 + 4 * (j // 2), i // 4 * 2 + j % 2)))
    twice = L.Fragment((8, 4), forward_thread_fn=lambda i, j, rep: i + 8 * rep, replicate=2)
    assert twice.index_table()[5].tolist() == [0, 1, 2, 3] and twice.replicas == 2


def test_replicas_take_one_more_argument() -> None:
    fragment = L.Fragment((32,), lambda i, rep: (i + 32 * rep, 0 * i), replicate=4)
    assert fragment.map_forward_thread((5,)) == (5, 37, 69, 101)
    assert fragment.layout == values.Fragment((32,), ((32, 0, 1), (4, -1, 1)), ())  # type: ignore[arg-type]


def test_repeat_builds_the_accumulator_of_a_product() -> None:
    """8x8 tiles twice down in registers, then along the columns and rows of the warp, then over the warps."""
    base = L.make_gemm_fragment_8x8()
    warp = base.repeat([2, 1]).repeat([2, 4], lower_dim_first=True)
    block = warp.repeat([2, 2], repeat_on_thread=True, lower_dim_first=False)
    assert block.is_equal(L.make_mma_accumulator_fragment(64, 64, (2, 2)))


def test_replicate_builds_an_operand_that_warps_share() -> None:
    layout = L.make_mma_operand_a_fragment(32, 8, 16, (2, 1))
    assert layout.replicate(3).is_equal(L.make_mma_operand_a_fragment(32, 24, 16, (2, 3)))


@pytest.mark.parametrize("transposed", [False, True])
def test_operand_b(transposed: bool) -> None:
    fragment = L.make_mma_operand_b_fragment(32, 16, 32, (2, 2), transposed=transposed)
    assert fragment.shape == ((16, 32) if transposed else (32, 16))
    assert (fragment.get_thread_size(), fragment.replicas) == (128, 2)


def test_fully_replicated() -> None:
    fragment = L.make_fully_replicated_layout_fragment(Tile((3, 2), "float32"), 64)
    assert fragment.map_forward_thread((2, 1)) == tuple(range(64))
    assert fragment.map_forward_index((2, 1)) == (5,)


def test_uneven_warps_are_an_error() -> None:
    with pytest.raises(TileValueError, match="48x8 is no multiple of 2x1 warps"):
        L.make_mma_accumulator_fragment(48, 8, (2, 1))


@pytest.mark.parametrize("layout", [
    L.make_swizzled_layout(Tile((64, 64), "float16")), L.make_mma_accumulator_fragment(32, 16, (2, 1)),
])  # fmt: skip
@pytest.mark.usefixtures("ctx")
def test_attributes_carry_the_layout(layout: L.Layout | L.Fragment) -> None:
    assert from_attr(layout.to_attr()) == layout.layout


@pytest.mark.parametrize("shape", [(), (0, 4), ("n", 4)])
def test_shapes_must_be_positive_integers(shape: tuple) -> None:
    with pytest.raises(TileTypeError, match="positive integers"):
        L.Layout(shape, lambda *i: i[0])
