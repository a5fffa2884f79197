"""Decoders of packed integers by the names that TileLang's quantisation gives them, as functions of the language.

A decoder reads a word of `T.alloc_local` or another buffer and writes its elements, in an order that lets two or four
of them be taken out of the word at once (`tilelang.quantize.interleave_weight` brings weights into it):

    decode_i4u_to_f16(word, out)                      8 numbers of 4 bits
    decode_i2s_to_f16_scale(word, out, scale)         8 numbers of 2 bits, times scale[0]
    decode_i4u_to_f16_scale_zeros_rescale(word, out, scale, zeros)
    decode_i4s_to_i8s(word, out)                      16 numbers
    decode_fp4_to_bf16_twiddling(words, out, n)       n times 8 numbers of e2m1

They need no source in C++, and mean the same in the simulator and on every target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Element, store
from tilelang_mlir.frontend.expr import as_expr
from tilelang_mlir.language.math import cast, reinterpret
from tilelang_mlir.language.pointers import place_of

_HALVES = 0x64006400  # two float16 of 1024: a number below 1024 in the low bits of each adds itself
_OFFSETS = {4: 8, 2: 2}  # what signed numbers are stored above their value, for float16
_BYTE_OFFSETS = {4: 7, 2: 2}  # and for int8
_TINY = 2.0**126  # from the exponents of e2m1 as they are to those of bfloat16


def bit_of(element: int, bits: int, target: str) -> int:
    """The lowest bit of an element in the bits of its unit: 8 elements for float16; for int8 8 of 4 bits, else 16."""
    if target == "float16":  # pairs: the even elements in the lower half, the odd ones in the upper half
        return bits * (element // 2 + 4 * (element % 2))
    if bits == 1:  # fours, whose second and third lie the other way round
        return element // 4 + (0, 8, 4, 12)[element % 4]
    return bits * (element // 4) + 8 * (element % 4)


def _shifted(place: Element, by: Any) -> Element:
    return Element(place.buffer, [*place.indices[:-1], arith.add(place.indices[-1], by)])


def _word(name: str, source: Any, bits: int, skip: int = 0) -> Any:
    """`bits` bits from a place on, after `skip` of them, as a uint32."""
    place = place_of(name, source)
    size = place.buffer.dtype.bits
    if not place.buffer.dtype.is_integer or size > 32:
        raise TileTypeError(f"{name} reads packed integers of up to 32 bits, got {place.buffer!r}")
    word: Any = None
    for number in range(max(bits // size, 1)):
        read = as_expr(_shifted(place, number + skip // size)).read()
        part = cast(reinterpret(read, DType(f"uint{size}")), "uint32")
        word = part if word is None else arith.bit_or(word, arith.shift_left(part, number * size))
    return word


def _count(name: str, given: tuple[Any, ...], most: int) -> int:
    count = int(given[0]) if given else most
    if not 0 < count <= most:
        raise TileValueError(f"{name} decodes up to {most} numbers, got {count}")
    return count


def _to_half(bits: int, signed: bool, scaling: str) -> Callable[..., None]:
    """The decoder to float16: `scaling` is empty, "scale", or the way of taking zeros off."""
    name = "T.call_extern"

    def decode(source: Any, target: Any, *given: Any) -> None:
        factors = [_value(name, g) for g in given[: 0 if not scaling else 1 if scaling == "scale" else 2]]
        count = _count(name, given[len(factors) :], 8)
        word, out = _word(name, source, 8 * bits), place_of(name, target)
        if bits < 4:  # the halves apart, as those of 4 bits are
            low = (1 << 4 * bits) - 1
            upper = arith.shift_left(arith.bit_and(word, low << 4 * bits), 16 - 4 * bits)
            word = arith.bit_or(arith.bit_and(word, low), upper)
        mask = ((1 << bits) - 1) * 0x10001
        for pair in range(count // 2):
            both = arith.bit_or(arith.bit_and(arith.shift_right(word, bits * pair), mask), _HALVES)
            for lane in range(2):
                half = reinterpret(cast(arith.shift_right(both, 16 * lane), "uint16"), "float16")
                store(_shifted(out, 2 * pair + lane), _scaled(half, bits, signed, scaling, factors))

    return decode


def _value(name: str, given: Any) -> Any:
    return as_expr(place_of(name, given)).read()


def _scaled(half: Any, bits: int, signed: bool, scaling: str, factors: list[Any]) -> Any:
    """A number that stands above 1024, as it is meant."""
    if scaling == "quantized":  # zeros are integers of the numbers' own width
        zero = cast(cast(factors[1], "int32"), "float16")
        return arith.mul(arith.sub(half, arith.add(zero, 1024)), cast(factors[0], "float16"))
    number = arith.sub(half, 1024 + (_OFFSETS.get(bits, 0) if signed else 0))
    if signed and bits == 1:
        number = arith.sub(arith.add(number, number), 1)
    factors = [cast(factor, "float16") for factor in factors]
    if scaling == "original":
        number = arith.sub(number, factors[1])
    if scaling:
        number = arith.mul(number, factors[0])
    return arith.sub(number, factors[1]) if scaling == "rescale" else number


def _to_bytes(bits: int, signed: bool) -> Callable[..., None]:
    name = "T.call_extern"

    def decode(source: Any, target: Any, *given: Any) -> None:
        count, out = _count(name, given, 16), place_of(name, target)
        unit = 8 if bits == 4 else 16
        for start in range(0, count, unit):
            word = _word(name, source, unit * bits, start * bits)
            for element in range(min(unit, count - start)):
                field = arith.shift_right(word, bit_of(element, bits, "int8"))
                number = cast(arith.bit_and(field, (1 << bits) - 1), "int32")
                if signed:
                    number = arith.sub(arith.mul(number, 2), 1) if bits == 1 else arith.sub(number, _BYTE_OFFSETS[bits])
                store(_shifted(out, start + element), number)

    return decode


def _twiddled(source: Any, target: Any, groups: Any = 8) -> None:
    """8 numbers of e2m1 from four bytes: sign, exponent and mantissa lie where those of bfloat16 can be masked out."""
    name, mask = "T.call_extern", 0x81C081C0
    for group in range(int(groups)):
        word = _word(name, source, 32, 32 * group)
        parts = [arith.shift_left(arith.bit_and(arith.shift_right(word, 24 - 8 * k), 255), 8 * k) for k in range(4)]
        word = arith.bit_or(arith.bit_or(parts[0], parts[1]), arith.bit_or(parts[2], parts[3]))
        fields = [arith.bit_and(arith.shift_left(word, 3 * k), mask) for k in range(3)]
        rest = [(arith.shift_left(word, 1), 0x80008000), (arith.shift_right(word, 3), 0x01800180),
                (arith.shift_right(word, 7), 0x00400040)]  # fmt: skip
        sign, exponent, mantissa = (arith.bit_and(x, bits) for x, bits in rest)
        fields.append(arith.bit_or(sign, arith.bit_or(exponent, mantissa)))
        out = place_of(name, target)
        for number, field in enumerate(fields):
            for half, place in ((16, number), (0, number + 4)):
                bits = arith.shift_left(arith.shift_right(field, half), 16)  # a bfloat16 is the upper half of a float32
                store(_shifted(out, 8 * group + place), arith.mul(reinterpret(bits, "float32"), _TINY))


def _decoders() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {"decode_fp4_to_bf16_twiddling": _twiddled}
    for bits in (1, 2, 4):
        for sign in "us":
            found[f"decode_i{bits}{sign}_to_i8s"] = _to_bytes(bits, sign == "s")
            for tail, scaling in (("", ""), ("_scale", "scale")):
                found[f"decode_i{bits}{sign}_to_f16{tail}"] = _to_half(bits, sign == "s", scaling)
        for zeros in ("original", "rescale", "quantized"):
            found[f"decode_i{bits}u_to_f16_scale_zeros_{zeros}"] = _to_half(bits, False, zeros)
    return found


DECODERS = _decoders()
