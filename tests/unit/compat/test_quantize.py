"""`tilelang.quantize`: expressions, decoders and packed weights, in the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import quantize
from tilelang_mlir.errors import TileTypeError, TileValueError

ROWS = 32


def decoder(info: dict[str, str], count: int, bits: int, out: str, factors: tuple[str, ...] = ()) -> Any:
    """A kernel whose threads decode a row each."""
    size = count * bits // 8

    @T.prim_func
    def main(B: T.Tensor((ROWS, size), "int8"), F: T.Tensor((2,), "float16"), C: T.Tensor((ROWS, count), out)):
        with T.Kernel(1, threads=ROWS):
            row = T.get_thread_binding()
            packed, numbers = T.alloc_local((size,), "int8"), T.alloc_local((count,), out)
            scale, zeros = T.alloc_local((1,), "float16"), T.alloc_local((1,), factors[1] if factors[1:] else "float16")
            T.import_source(info["c_source"])
            scale[0] = F[0]
            zeros[0] = F[1]
            for i in T.serial(size):
                packed[i] = B[row, i]
            more = [T.access_ptr(scale, "r"), T.access_ptr(zeros, "r")][: len(factors)]
            T.call_extern("handle", info["func_name"], T.access_ptr(packed, "r"), T.access_ptr(numbers, "w"), *more)
            for i in T.serial(count):
                C[row, i] = numbers[i]

    return tilelang.compile(main, target="sim:sm_80")


@pytest.mark.parametrize(
    ("bits", "signed", "out", "zeros", "order", "meant"),
    [
        # Where the numbers of a word come from, as the decoders of the instruction lop3 take them: masks of pairs or
        # fours of the word, shifted by one number each time.
        (4, False, "float16", "rescale", [0, 4, 1, 5, 2, 6, 3, 7], lambda x: x * 0.5 - 3),
        (4, True, "int8", None, [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15], lambda x: x - 7),
        (2, False, "float16", "quantized", [0, 4, 1, 5, 2, 6, 3, 7], lambda x: (x - 3) * 0.5),
        (2, True, "int8", None, [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15], lambda x: x - 2),
        (1, True, "float16", None, [0, 4, 1, 5, 2, 6, 3, 7], lambda x: 2 * x - 1),
        (1, False, "int8", None, [0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15], lambda x: x),
    ],
)
def test_decoders(bits: int, signed: bool, out: str, zeros: str | None, order: list[int], meant: Any) -> None:
    torch = pytest.importorskip("torch")
    info = quantize.get_lop3_intrin_group(
        out, "int" if signed else "uint", bits, with_scaling=zeros is not None, with_zeros=zeros is not None,
        zeros_mode=zeros or "original",
    )  # fmt: skip
    factors = () if zeros is None else ("float16", "int16" if zeros == "quantized" else "float16")
    kernel = decoder(info, len(order), bits, out, factors)
    numbers = np.random.default_rng(bits).integers(0, 1 << bits, (ROWS, len(order)))
    packed = quantize.general_compress(torch.from_numpy(numbers), bits)
    plain, got = packed.numpy(), np.full((ROWS, len(order)), 99, out)
    kernel(plain, np.array([0.5, 3], np.float16), got)
    assert np.array_equal(got, meant(numbers)[:, order])
    woven = quantize.interleave_weight(packed.reshape(-1), bits, out).reshape(plain.shape).numpy()
    kernel(woven, np.array([0.5, 3], np.float16), got)
    assert np.array_equal(got, meant(numbers))


def test_twiddled_floats() -> None:
    """Every half of the four words of a group is a sign, an exponent and a mantissa of bfloat16, times 2**126."""
    info = quantize.get_mxfp_intrin_group(use_twiddling=True)

    @T.prim_func
    def main(B: T.Tensor((ROWS, 4), "uint8"), C: T.Tensor((ROWS, 8), "float32")):
        with T.Kernel(1, threads=ROWS):
            row = T.get_thread_binding()
            packed, numbers = T.alloc_local((4,), "uint8"), T.alloc_local((8,), "bfloat16")
            for i in T.serial(4):
                packed[i] = B[row, i]
            T.call_extern("handle", info["func_name"], T.access_ptr(packed, "r"), T.access_ptr(numbers, "w"), 1)
            for i in T.serial(8):
                C[row, i] = numbers[i]

    data, got = np.random.default_rng(0).integers(0, 256, (ROWS, 4)).astype(np.uint8), np.zeros((ROWS, 8), np.float32)
    tilelang.compile(main, target="sim:sm_80")(data, got)
    for row, bytes_ in enumerate(data):
        word = int.from_bytes(bytes(bytes_), "big")
        bit = lambda n, word=word: word >> n & 1
        for place in range(8):
            top = (31 if place < 4 else 15) - 3 * (place % 4)
            at = [top, top - 7, top - 8, top - 9]  # sign, two of the exponent, one of the mantissa
            if place % 4 == 3:  # what is left over
                at = [n - 16 * (place > 3) for n in (30, 27, 26, 29)]
            sign, high, low, mantissa = (bit(n) for n in at)
            exponent = 2 * high + low
            value = (1 + mantissa / 2) * 2.0 ** (exponent - 1) if exponent else mantissa / 2
            assert got[row, place] == (-value if sign else value)


def test_expressions() -> None:
    unsigned = quantize._tir_packed_to_unsigned_convert("uint", 8)
    signed, offset = quantize._tir_packed_int_to_int_convert("int", 8), quantize._tir_packed_to_signed_convert()
    zeros, fp4 = quantize._tir_packed_to_unsigned_convert_with_zeros("uint", 8), quantize._tir_packed_to_fp4_to_f16()

    @T.prim_func
    def main(B: T.Tensor((256,), "uint8"), S: T.Tensor((256,), "int8"), C: T.Tensor((7, 256), "float32")):
        with T.Kernel(1, threads=128):
            for i in T.Parallel(256):
                C[0, i] = unsigned(4, B[i], 1, "float16")
                C[1, i] = signed(2, S[i], 3, "int8")
                C[2, i] = offset(4, B[i], 0, "float16")
                C[3, i] = zeros(4, B[i], 0, T.uint8(3), "int8")
                C[4, i] = fp4(4, B[i], 1, "float16")
                C[5, i] = quantize._tir_u8_to_f4_to_bf16(4, B[i], 0, T.uint8(2), "bfloat16")
                C[6, i] = quantize._tir_u8_to_f8_e4m3_to_f16(8, B[i] & 0x7E, "float16")

    byte = np.arange(256)
    low, high = byte & 15, byte >> 4
    got = np.full((7, 256), np.nan, np.float32)
    tilelang.compile(main, target="sim:sm_80")(byte.astype(np.uint8), byte.astype(np.uint8).view(np.int8), got)
    sign = lambda x: np.where(x & 8, -1.0, 1.0)
    code = byte & 0x7E
    e4m3 = np.where(code >> 3, (8 + (code & 7)) * 2.0 ** ((code >> 3) - 10.0), (code & 7) * 2.0**-9)
    want = [
        high, np.where(byte >> 7, (byte >> 6) - 4, byte >> 6), low - 8, low - 3,
        np.where(high & 7, sign(high) * 2.0 ** ((high & 7) - 7.0), 0),
        sign(low) * (1 + (low & 1) / 2) * 2.0 ** ((low >> 1 & 3) + 126 + 2 - 127.0), e4m3,
    ]  # fmt: skip
    for row, expected in zip(got, want, strict=True):
        assert np.array_equal(row, expected)


def test_wrong_use() -> None:
    with pytest.raises(TileValueError, match="there is no decoder decode_i3u_to_f16"):
        quantize.get_lop3_intrin_group("float16", source_bit=3)
    with pytest.raises(TileTypeError, match="expected a word of dtype uint8, got one of int8"):

        @T.prim_func
        def main(B: T.Tensor((4,), "int8"), C: T.Tensor((4,), "float16")):
            with T.Kernel(1, threads=32):
                C[0] = quantize._tir_packed_to_unsigned_convert()(4, B[0], 0, "float16")

    numbers, linear, scales, ints = quantize.gen_quant4(32, 4, 16)
    assert (scales.shape, ints.abs().max() <= 8) == ((2, 4), True)
    error = (linear.weight.t() - numbers).abs().max() / numbers.abs().max()
    assert error < 1 / 8
