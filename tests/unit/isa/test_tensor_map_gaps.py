"""Boxes of elements with gaps, element by element: CUDA Driver API, cuTensorMapEncodeTiled (16U4_ALIGN16B,
16U6_ALIGN16B); PTX ISA, section 5.5.5 (128-byte swizzle: bits 4 to 6 of an address are those XOR bits 7 to 9)."""

from __future__ import annotations

import numpy as np
import pytest

from tilelang_mlir.errors import SimulationError
from tilelang_mlir.simulator import TensorMap


@pytest.mark.parametrize("bits", [4, 6])
@pytest.mark.parametrize("swizzle", [0, 128])
def test_every_bit_goes_where_the_format_says(bits: int, swizzle: int) -> None:
    """A tensor of 5 rows of 256 elements; a box of 4 rows that starts at element 128 of row 2."""
    rows, columns, box_rows = 5, 256, 4
    pitch = columns * bits // 8 + 32
    memory = np.random.default_rng(bits).integers(0, 256, rows * pitch).astype(np.uint8)
    shared = np.full(box_rows * 128, 0xEE, np.uint8)
    found = TensorMap(memory, 1, (columns, rows), (pitch,), (128, box_rows), swizzle, bits=bits)
    place, source, inside, unit = found.places(np.array([0]), [np.array([128]), np.array([2])])
    for here, there, within in zip(place[0], source[0], inside[0], strict=True):
        shared[here : here + unit] = memory[there : there + unit] if within else 0
    read = np.unpackbits(memory, bitorder="little")
    want = np.unpackbits(np.full_like(shared, 0xEE), bitorder="little")
    for row in range(box_rows):
        for element in range(128):
            byte = row * 128 + element // 16 * 16
            if swizzle:
                byte ^= (byte >> 7 & 7) << 4
            for bit in range(bits):
                source_bit = (row + 2) * pitch * 8 + (128 + element) * bits + bit
                want[byte * 8 + element % 16 * bits + bit] = read[source_bit] if row + 2 < rows else 0
    assert np.array_equal(np.unpackbits(shared, bitorder="little"), want)
    assert found.nbytes == box_rows * 128 * bits // 8


def test_places_that_the_format_does_not_have() -> None:
    memory = np.zeros(4096, np.uint8)
    with pytest.raises(SimulationError, match="rows of multiples of 128 elements"):
        TensorMap(memory, 1, (192, 4), (96,), (128, 4), bits=4)
    with pytest.raises(SimulationError, match="no multiple of 128 elements"):
        TensorMap(memory, 1, (256, 4), (128,), (128, 4), bits=4).places(np.array([0]), [np.array([64]), np.array([0])])
