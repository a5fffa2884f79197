"""Layouts of views: the same places under another shape, against enumeration."""

import numpy as np
import pytest

from tilelang_mlir.dialect.layout import Fragment, reshaped, row_major, swizzled, viewed
from tilelang_mlir.errors import TileValueError

ACCUMULATOR = Fragment((64, 64), thread=((4, 1, 2), (8, 0, 1), (4, 0, 16)), value=((2, 1, 1), (2, 0, 8), (8, 1, 8)))


@pytest.mark.parametrize("shape", [(64, 4, 16), (64, 1, 64), (4096,), (8, 8, 2, 32), (4, 16, 64)])
def test_a_fragment_under_another_shape_holds_the_same_elements(shape):
    view = reshaped(ACCUMULATOR, shape)
    threads, registers = np.arange(128)[:, None], np.arange(32)[None, :]
    want = np.ravel_multi_index(ACCUMULATOR.coordinates(threads, registers), (64, 64))
    assert np.array_equal(np.ravel_multi_index(view.coordinates(threads, registers), shape), want)
    assert reshaped(view, (64, 64)).same_map(ACCUMULATOR)


def test_a_digit_across_an_edge_is_refused():
    with pytest.raises(TileValueError, match="straddles an edge"):
        reshaped(Fragment((6,), thread=((3, 0, 2),), value=((2, 0, 1),)), (3, 2)[::-1])


@pytest.mark.parametrize(
    ("shape", "bits", "view", "view_bits"),
    [((64, 64), 16, (32, 64), 32), ((64, 128), 16, (8, 8, 128), 16), ((64, 32), 32, (128, 32), 16),
     ((16, 64), 16, (1024,), 16), ((64, 128), 8, (16, 128), 32)],
)  # fmt: skip
def test_a_shared_view_has_the_same_bytes(shape, bits, view, view_bits):
    source = swizzled(shape, bits, 128)
    layout = viewed(source, view, bits, view_bits)

    def places(tile, sizes, width):
        """The byte of every byte of the tile, in row-major order."""
        grid = np.indices(sizes).reshape(len(sizes), -1)
        start = np.asarray(tile.offset(list(grid))) * width // 8
        return (start[:, None] + np.arange(width // 8)).reshape(-1)

    assert np.array_equal(places(layout, view, view_bits), places(source, shape, bits))


def test_rows_that_are_not_aligned_have_no_wider_view():
    with pytest.raises(TileValueError, match="elements of 32 bits are not aligned"):
        viewed(row_major((8, 6), pad=1), (4, 6), 16, 32)


def test_views_there_and_back_are_one_map():
    """A step that is split at an edge of the other shape is put together again."""
    source = swizzled((64, 128), 16, 128)
    there = viewed(source, (4, 16, 128), 16, 16)
    assert there.shape == (4, 16, 128) and not there.same_map(swizzled((4, 16, 128), 16, 128))
    assert viewed(there, (64, 128), 16, 16).same_map(source)
    assert not source.same_map(swizzled((64, 128), 16, 64))
