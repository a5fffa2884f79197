"""Float literals of newer LLVM text: checked bit by bit against what LLVM itself reads back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilelang_mlir.compiler.float_literals import rewrite_float_literals


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  %1 = fadd float %0, 1.100000e+00", "  %1 = fadd float %0, 0x3FF19999A0000000"),
        ("  %1 = fadd float %0, f0x40490000", "  %1 = fadd float %0, 0x4009200000000000"),
        ("  %1 = fadd double %0, f0x4009200000000000", "  %1 = fadd double %0, 0x4009200000000000"),
        ("  store half 6.550400e+04, ptr %p", "  store half 0xH7BFF, ptr %p"),
        ("  store bfloat 1.000980e-01, ptr %p", "  store bfloat 0xR3DCD, ptr %p"),
        ("  store float -inf, ptr %p", "  store float 0xFFF0000000000000, ptr %p"),
        ("  store double +inf, ptr %p", "  store double 0x7FF0000000000000, ptr %p"),
        ("  store half +qnan, ptr %p", "  store half 0xH7E00, ptr %p"),
        ("  store float +snan(0x1), ptr %p", "  store float 0x7FF0000020000000, ptr %p"),
        ("  store <2 x half> <half 9.997550e-02, half +inf>, ptr %p",
         "  store <2 x half> <half 0xH2E66, half 0xH7C00>, ptr %p"),
        ("  %s = insertvalue { float, half } %x, half 1.5, 1",
         "  %s = insertvalue { float, half } %x, half 0xH3E00, 1"),
        ("  %v = load <4 x float>, ptr %p.2.0, align 16", "  %v = load <4 x float>, ptr %p.2.0, align 16"),
        ('@s = constant [4 x i8] c"1.5\\00"', '@s = constant [4 x i8] c"1.5\\00"'),
        ("!0 = !{float 1.5}", "!0 = !{float 1.5}"),
    ],
)  # fmt: skip
def test_spelling(line: str, expected: str) -> None:
    assert rewrite_float_literals(line) == expected


@given(st.integers(0, 2**32 - 1))
def test_every_float_keeps_its_bits(bits: int) -> None:
    text = rewrite_float_literals(f"  store float f0x{bits:08X}, ptr %p")
    wide = int(text.split("0x")[1].split(",")[0], 16)
    sign, exponent, fraction = wide >> 63, wide >> 52 & 0x7FF, wide & (1 << 52) - 1
    if exponent == 0x7FF:
        assert bits == sign << 31 | 0xFF << 23 | fraction >> 29
    else:
        value = struct.unpack(">d", wide.to_bytes(8, "big"))[0]
        assert struct.pack(">f", value) == bits.to_bytes(4, "big")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_shortest_decimals_read_as_the_same_float(value: float) -> None:
    text = rewrite_float_literals(f"  store float {value:.9e}, ptr %p")
    wide = int(text.split("0x")[1].split(",")[0], 16)
    assert struct.unpack(">d", wide.to_bytes(8, "big"))[0] == value
