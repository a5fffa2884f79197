"""tcgen05 against literal transcriptions of the ISA's figures and tables, lane by lane and bit by bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tilelang_mlir.isa.nvidia import tcgen05, tcgen05_descriptors, tcgen05_mma


def _figure(shape: str, thread: int, register: int) -> tuple[int, int]:
    """Lane and column of a register, read off the figures of section 9.7.16.2.3.1."""
    if shape == "32x32b":
        return thread, register
    if shape == "16x128b":
        block, half = register // 2, register % 2
        return (thread // 4 if half == 0 else thread // 4 + 8), block * 4 + thread % 4
    block, part = register // 4, register % 4
    lane = thread // 4 if part in (0, 1) else thread // 4 + 8
    column = thread % 4 * 2 + (0 if part in (0, 2) else 1)
    return lane, block * 8 + column


@pytest.mark.parametrize(
    ("shape", "repeat"), [("32x32b", 1), ("32x32b", 8), ("16x128b", 4), ("16x256b", 1), ("16x256b", 4)]
)
def test_places_follow_the_figures(shape: str, repeat: int) -> None:
    lanes, columns = tcgen05.places(shape, repeat)
    cells = set()
    for thread, register in itertools.product(range(32), range(lanes.shape[1])):
        assert (lanes[thread, register], columns[thread, register]) == _figure(shape, thread, register)
        cells.add(_figure(shape, thread, register))
    piece = tcgen05.Piece(shape, repeat, 0)
    assert len(cells) == 32 * piece.registers and max(c for _, c in cells) == piece.columns - 1


@pytest.mark.parametrize("shape", ["32x32b", "16x128b", "16x256b"])
def test_packed_places(shape: str) -> None:
    """.pack::16b: a register is the 16-bit elements of columns 2 c and 2 c + 1, the first one low (9.7.16.8.2)."""
    lanes, columns = tcgen05.packed_places(shape, 2)
    cells = set()
    for thread, register, half in itertools.product(range(32), range(lanes.shape[1] // 2), range(2)):
        lane, column = _figure(shape, thread, register)
        assert (lanes[thread, 2 * register + half], columns[thread, 2 * register + half]) == (lane, 2 * column + half)
        cells.add((lane, 2 * column + half))
    piece = tcgen05.Piece(shape, 2, 0, packed=True)
    assert len(cells) == 64 * piece.registers and max(c for _, c in cells) == piece.columns - 1


# Table 42 and 43: the bits of each field, by hand.
DESCRIPTORS = [
    (tcgen05_descriptors.Shape(128, 256, "f16", "bf16", "bf16", "f32", False, True), {},
     "00 0 01000 0 100000 1 0 0 0 001 001 0 01 0 0 00"),
    (tcgen05_descriptors.Shape(64, 16, "tf32", "tf32", "tf32"), {}, "00 0 00100 0 000010 0 0 0 0 010 010 0 01 0 0 00"),
    (tcgen05_descriptors.Shape(128, 64, "f8f6f4", "e5m2", "e4m3", "f32", True, False), {},
     "00 0 01000 0 001000 0 1 0 0 000 001 0 01 0 0 00"),
    (tcgen05_descriptors.Shape(128, 64, "f16", "f16", "f16", "f16", False, True), {},
     "00 0 01000 0 001000 1 0 0 0 000 000 0 00 0 0 00"),
    (tcgen05_descriptors.Shape(128, 64, "i8", "s8", "u8", "s32"), {},
     "00 0 01000 0 001000 0 0 0 0 000 001 0 10 0 0 00"),
    (tcgen05_descriptors.Shape(128, 128, "mxf8f6f4", "e4m3", "e5m2"), {"a_id": 2, "b_id": 3},
     "0 10 01 000 1 010000 0 0 0 0 001 000 0 11 0 0 00"),
    (tcgen05_descriptors.Shape(128, 96, "mxf4nvf4", "e2m1", "e2m1"), {"scale": "ue4m3"},
     "0 00 01 000 0 001100 0 0 0 0 001 001 0 00 0 0 00"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "scales", "bits"), DESCRIPTORS, ids=[d[0].kind for d in DESCRIPTORS])
def test_instruction_descriptors(shape: tcgen05_descriptors.Shape, scales: dict[str, object], bits: str) -> None:
    word = tcgen05_descriptors.instruction(shape, **scales)  # type: ignore[arg-type]
    assert f"{word:032b}" == bits.replace(" ", "")
    back, scale, a_id, b_id = tcgen05_mma.parse(word, shape.kind)
    assert back == shape
    if shape.is_scaled:
        assert (scale, a_id, b_id) == (scales.get("scale", "ue8m0"), scales.get("a_id", 0), scales.get("b_id", 0))


def test_shared_descriptors() -> None:
    """Section 9.7.16.4.1: bits 32 to 45 stride, 46 to 48 the constant 1, 61 to 63 the swizzle mode."""
    for span, mode in ((16, 0), (128, 2), (64, 4), (32, 6)):
        word = tcgen05_descriptors.high_word(1024, span) << 32 | tcgen05_descriptors.low_word(4096)
        assert word >> 32 & 0x3FFF == 64 and word >> 46 & 7 == 1 and word >> 61 == mode and word >> 16 & 0x3FFF == 256
        assert word >> 49 & 0xFFF == 0


def _byte_of(row: int, byte: int, rows: int, span: int) -> int:
    """Where byte `byte` of a row of a K-major tile lies: panels of `span` bytes, 16-byte units exchanged."""
    panel, inside = divmod(byte, span)
    linear = panel * rows * span + row * span + inside
    unit = {32: row // 4 % 2, 64: row // 2 % 4, 128: row % 8}[span]
    return linear ^ unit << 4


@pytest.mark.parametrize("span", [32, 64, 128])
def test_addresses_along_k(span: int) -> None:
    rows, start = 64, 4096
    word = np.array([start])
    for step in range(2):
        move = step * 32 // span * rows * span + step * 32 % span
        place = tcgen05_descriptors.addresses(word + move, np.array([16]), np.array([8 * span]), span, rows, 16, False)
        for row, unit in itertools.product(range(rows), range(2)):
            assert place[0, row, unit] == start + _byte_of(row, step * 32 + unit * 16, rows, span)


def test_addresses_along_mn() -> None:
    """128 elements of 16 bits wide, 128-byte swizzle: k rows of 128 bytes, the second 64 elements a panel further."""
    k, span, start = 64, 128, 8192
    first, leading, stride = np.array([start + 16 * span]), np.array([k * span]), np.array([8 * span])
    place = tcgen05_descriptors.addresses(first, leading, stride, span, 128, 16, True)
    for row, unit in itertools.product(range(16), range(16)):
        panel, inside = divmod(unit, 8)
        depth = 16 + row
        assert place[0, row, unit] == start + panel * k * span + depth * span + (inside ^ depth % 8) * 16


def test_rows_of_an_accumulator() -> None:
    """Section 9.7.16.10.5, layouts D and F."""
    assert list(tcgen05_mma.lanes_of(128)) == list(range(128))
    table = {0: 0, 15: 15, 16: 32, 31: 47, 32: 64, 48: 96, 63: 111}
    assert {row: int(tcgen05_mma.lanes_of(64)[row]) for row in table} == table


def test_halves_of_an_accumulator() -> None:
    """Layout B of section 9.7.16.10.5, M = 128 of two CTAs: warps 0 and 1 have the left half of 64 rows' columns."""
    lane, column = tcgen05_mma.result_places(64, 96, halves=True)
    for row, place, there, at in ((0, 0, 0, 0), (63, 47, 63, 47), (0, 48, 64, 0), (37, 95, 101, 47)):
        assert (lane[row, place], column[row, place]) == (there, at)
    assert len({(x, y) for x, y in zip(lane.flat, column.flat, strict=True)}) == 64 * 96


def test_padded_elements() -> None:
    """9.7.16.10.2: 16 elements of 4 (6) bits in the first 8 (12) of 16 bytes, the first in the lowest bits."""
    rng = np.random.default_rng(0)
    for kind, bits, bias, mantissa in (("e2m1", 4, 1, 1), ("e2m3", 6, 1, 3), ("e3m2", 6, 3, 2)):
        codes = rng.integers(0, 1 << bits, (3, 2, 16))
        raw, want = np.zeros((3, 2, 2 * bits), np.uint8), np.zeros((3, 2, 16))
        for place in np.ndindex(3, 2, 16):
            code, first = int(codes[place]), place[2] * bits
            for bit in range(bits):
                raw[place[0], place[1], (first + bit) // 8] |= (code >> bit & 1) << (first + bit) % 8
            exponent, fraction = code >> mantissa & (1 << bits - 1 - mantissa) - 1, code & (1 << mantissa) - 1
            value = fraction / 2**mantissa * 2.0 ** (1 - bias)
            if exponent:
                value = (1 + fraction / 2**mantissa) * 2.0 ** (exponent - bias)
            want[place] = -value if code >> bits - 1 else value
        assert (tcgen05_mma.decode_padded(raw, kind) == want.reshape(3, 32)).all()


def test_fp4_values() -> None:
    """e2m1 without infinities: two exponent bits of bias 1, one mantissa bit."""
    for byte in range(16):
        sign, exponent, mantissa = byte >> 3, byte >> 1 & 3, byte & 1
        value = mantissa * 0.5 if exponent == 0 else (1 + mantissa * 0.5) * 2.0 ** (exponent - 1)
        assert tcgen05_mma.decode(np.array([byte], np.uint8), "e2m1")[0] == (-value if sign else value)
