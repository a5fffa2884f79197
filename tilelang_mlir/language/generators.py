"""The generators of random words behind `T.rng_init`, each with the streams that cuRAND gives for a seed, a sequence
and an offset.

* Philox4x32-10: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011). A counter of four words and a
  key of two; sequences are the counter's upper half.
* XORWOW: Marsaglia, "Xorshift RNGs" (2003). A state of 160 bits that every step maps linearly, and a Weyl sequence.
  Sequences are 2^67 steps apart. To go n steps ahead, x^n modulo the map's polynomial is applied to the state.
* MRG32k3a: L'Ecuyer, "Good Parameters and Implementations for Combined Multiple Recursive Random Number Generators"
  (1999). Two recurrences of order three; sequences are 2^76 steps apart, and matrices go ahead.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, Element, store
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.control import branch
from tilelang_mlir.frontend.expr import FLOAT32, Expr, as_expr, typed_constant
from tilelang_mlir.language import math as tile_math
from tilelang_mlir.language.alloc import alloc_local, alloc_var
from tilelang_mlir.language.function import macro
from tilelang_mlir.language.loops import serial

UINT32, UINT64, FLOAT64 = DType("uint32"), DType("uint64"), DType("float64")


def word32(value: int) -> Expr:
    return typed_constant(value & 0xFFFFFFFF, UINT32)


def word64(value: Any) -> Any:
    """An integer as uint64."""
    return typed_constant(value, UINT64) if isinstance(value, int) else arith.cast(as_expr(value), UINT64)


def _halves(value: Any) -> list[Any]:
    return [arith.cast(value, UINT32), arith.cast(arith.shift_right(value, 32), UINT32)]


class Generator(ABC):
    """A generator of each thread; `word` and the others draw its next numbers."""

    def __init__(self) -> None:
        self.spares = {bits: (alloc_var(f"float{bits}", init=0.0), alloc_var("bool", init=False)) for bits in (32, 64)}

    @abstractmethod
    def word(self) -> Any:
        """The next word, uint32."""

    def unit(self, bits: int) -> Any:
        """Uniform in (0, 1]."""
        return _unit32(self.word(), 2.0**-32) if bits == 32 else self.unit64()

    def unit64(self) -> Any:
        """Of two words: 53 random bits."""
        low, high = self.word(), self.word()
        return _unit53(low, high, 2.0**-53)

    def normal(self, bits: int) -> Any:
        """Mean 0 and variance 1, by the method of Box and Muller: every second number is kept for the next call."""
        spare, there = self.spares[bits]
        result = alloc_var(f"float{bits}", init=0.0)
        for kept in branch(require("T.rng_rand_float"), there.read(), has_else=True):
            if kept:
                store(result.element, spare.read())
                store(there.element, False)
                continue
            u, v = self.circle(bits)
            radius = tile_math.sqrt(arith.mul(typed_constant(-2.0, DType(f"float{bits}")), tile_math.log(u)))
            store(result.element, arith.mul(tile_math.sin(v), radius))
            store(spare.element, arith.mul(tile_math.cos(v), radius))
            store(there.element, True)
        return result.read()

    def circle(self, bits: int) -> tuple[Any, Any]:
        """A number in (0, 1] and an angle."""
        if bits == 32:
            first, second = self.word(), self.word()
            return _unit32(first, 2.0**-32), _unit32(second, 2.0**-32 * 2 * math.pi)
        a, b, c, d = self.word(), self.word(), self.word(), self.word()
        return _unit53(a, b, 2.0**-53), _unit53(c, d, 2.0**-53 * 2 * math.pi)


def _unit32(word: Any, scale: float) -> Any:
    """`word * scale + scale / 2`"""
    value = arith.mul(arith.cast(word, FLOAT32), typed_constant(scale, FLOAT32))
    return arith.add(value, typed_constant(scale / 2, FLOAT32))


def _unit53(low: Any, high: Any, scale: float) -> Any:
    bits = arith.bit_xor(word64(low), arith.shift_left(word64(high), 21))
    value = arith.mul(arith.cast(bits, FLOAT64), typed_constant(scale, FLOAT64))
    return arith.add(value, typed_constant(scale / 2, FLOAT64))


# Philox.

_MULTIPLIERS, _WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


class Philox(Generator):
    """Seed, sequence, how many words each thread has drawn, offset included, and the block of four words it is in."""

    def __init__(self, seed: Any, sequence: Any, offset: Any) -> None:
        super().__init__()
        self.seed, self.sequence = alloc_var("uint64", init=word64(seed)), alloc_var("uint64", init=word64(sequence))
        self.drawn = alloc_var("uint64", init=word64(offset))
        self.words = alloc_local((4,), "uint32")
        self.block = alloc_var("uint64", init=word64(2**64 - 1))  # whose words `words` holds

    def word(self) -> Any:
        drawn = self.drawn.read()
        block = arith.shift_right(drawn, 2)
        for _ in branch(require("T.rng_rand"), arith.compare("NotEq", block, self.block.read()), has_else=False):
            for position, word in enumerate(self._words(block)):
                store(Element(self.words, [position]), word)
            store(self.block.element, block)
        place = arith.cast(arith.bit_and(drawn, 3), DType("int32"))
        word = Element(self.words, [place]).read()
        store(self.drawn.element, arith.add(drawn, 1))
        return word

    def unit64(self) -> Any:
        """Of one word, as cuRAND has it for this generator."""
        scale = typed_constant(2.0**-32, FLOAT64)
        return arith.add(arith.mul(arith.cast(self.word(), FLOAT64), scale), scale)

    def _words(self, block: Any) -> list[Any]:
        """Ten rounds on the counter (block of four words, sequence), the key growing by the Weyl constants."""
        counter = [*_halves(block), *_halves(self.sequence.read())]
        keys = _halves(self.seed.read())
        for step in range(_ROUNDS):
            if step:
                keys = [arith.add(key, word32(weyl)) for key, weyl in zip(keys, _WEYL, strict=True)]
            products = [
                arith.mul(word64(counter[place]), word64(factor))
                for place, factor in zip((0, 2), _MULTIPLIERS, strict=True)
            ]
            (low0, high0), (low1, high1) = (_halves(product) for product in products)
            counter = [
                arith.bit_xor(arith.bit_xor(high1, counter[1]), keys[0]), low1,
                arith.bit_xor(arith.bit_xor(high0, counter[3]), keys[1]), low0,
            ]  # fmt: skip
        return counter


# XORWOW.

_BITS, _STEP = 160, 362437


class Xorwow(Generator):
    """Five words that a step maps linearly over GF(2), and a counter."""

    def __init__(self, seed: Any, sequence: Any, offset: Any) -> None:
        super().__init__()
        self.v, self.d = alloc_local((5,), "uint32"), alloc_var("uint32")
        low, high = _halves(word64(seed))
        t0 = arith.mul(arith.bit_xor(low, word32(0xAAD26B49)), word32(1099087573))
        t1 = arith.mul(arith.bit_xor(high, word32(0xF7DCEFDD)), word32(2591861531))
        start = (
            arith.add(word32(123456789), t0), arith.bit_xor(word32(362436069), t0), arith.add(word32(521288629), t1),
            arith.bit_xor(word32(88675123), t1), arith.add(word32(5783321), t0),
        )  # fmt: skip
        _set(self.v, start)
        steps = arith.mul(arith.cast(word64(offset), UINT32), word32(_STEP))
        store(self.d.element, arith.add(arith.add(arith.add(word32(6615241), t1), t0), steps))
        for count, base in ((sequence, _jump(67)), (offset, 2)):
            known = count.const if isinstance(count, Expr) else count
            if isinstance(known, int):
                if known:
                    power = alloc_local((5,), "uint32")
                    _set(power, _words_of(_power(base, known)))
                    _apply(self.v, power)
            else:
                _ahead(self.v, word64(count), _words_of(base))

    def word(self) -> Any:
        _step(self.v)
        store(self.d.element, arith.add(self.d.read(), word32(_STEP)))
        return arith.add(Element(self.v, [4]).read(), self.d.read())


def _next(v: list[int]) -> list[int]:
    t = v[0] ^ v[0] >> 2
    return [*v[1:], (v[4] ^ v[4] << 4 ^ t ^ t << 1) & 0xFFFFFFFF]


@functools.cache
def _polynomial() -> int:
    """The polynomial of the step's map, bit i for x^i, from the recurrence of one bit (Berlekamp and Massey)."""
    v, bits = [1, 0, 0, 0, 0], []
    for _ in range(2 * _BITS):
        bits.append(v[4] & 1)
        v = _next(v)
    current, previous, length, gap = 1, 1, 0, 1
    for n in range(len(bits)):
        discrepancy = sum(bits[n - i] for i in range(length + 1) if current >> i & 1) & 1
        if discrepancy:
            saved = current
            current ^= previous << gap
            if 2 * length <= n:
                length, previous, gap = n + 1 - length, saved, 0
        gap += 1
    return sum(1 << length - i for i in range(length + 1) if current >> i & 1)


def _times(a: int, b: int) -> int:
    """The product of polynomials over GF(2) modulo that of the step."""
    product, modulus = 0, _polynomial()
    for i in range(a.bit_length() - 1, -1, -1):
        product = product << 1 ^ (b if a >> i & 1 else 0)
        product ^= modulus if product >> _BITS & 1 else 0
    return product


def _power(base: int, exponent: int) -> int:
    result = 1
    while exponent:
        result = _times(result, base) if exponent & 1 else result
        base, exponent = _times(base, base), exponent >> 1
    return result


@functools.cache
def _jump(bits: int) -> int:
    """x to the power of 2^bits."""
    result = 2
    for _ in range(bits):
        result = _times(result, result)
    return result


def _words_of(polynomial: int) -> list[Expr]:
    return [word32(polynomial >> 32 * i) for i in range(5)]


def _get(array: Buffer) -> list[Any]:
    return [Element(array, [place]).read() for place in range(len(array))]


def _set(array: Buffer, values: Sequence[Any]) -> None:
    for place, value in enumerate(values):
        store(Element(array, [place]), value)


def _step(v: Buffer) -> None:
    words = _get(v)
    t = words[0] ^ (words[0] >> 2)
    _set(v, [*words[1:], (words[4] ^ (words[4] << 4)) ^ (t ^ (t << 1))])


def _add(total: Buffer, words: Sequence[Any], mask: Any) -> None:
    """Add a polynomial where the mask is all ones."""
    _set(total, [old ^ (word & mask) for old, word in zip(_get(total), words, strict=True)])


def _times_x(p: Buffer) -> None:
    """Multiply a polynomial by x, modulo that of the step."""
    words = _get(p)
    carry = word32(0) - (words[4] >> 31)
    _set(p, [words[0] << 1, *((high << 1) | (low >> 31) for low, high in zip(words, words[1:], strict=False))])
    _add(p, _words_of(_polynomial()), carry)


@macro
def _apply(v: Any, p: Any) -> None:
    """The polynomial `p`, an array of five words, of the step's map applied to the state."""
    total = alloc_local((5,), "uint32")
    _set(total, _words_of(0))
    for place in serial(160):
        _add(total, _get(v), word32(0) - ((p[place // 32] >> (place % 32)) & 1))
        _step(v)
    _set(v, _get(total))


@macro
def _multiply(a: Any, b: Any, product: Any) -> None:
    """`_times` at run time, on arrays of five words."""
    _set(product, _words_of(0))
    for turn in serial(160):
        _times_x(product)
        _add(product, _get(b), word32(0) - ((a[4 - turn // 32] >> (31 - turn % 32)) & 1))


@macro
def _ahead(v: Any, count: Any, base: Any) -> None:
    """`base` to the power of a run-time number, applied to the state."""
    power, square, product = alloc_local((5,), "uint32"), alloc_local((5,), "uint32"), alloc_local((5,), "uint32")
    left = alloc_var("uint64", init=count)
    _set(power, _words_of(1))
    _set(square, base)
    while left != 0:
        if (left & 1) != 0:
            _multiply(power, square, product)
            _set(power, _get(product))
        _multiply(square, square, product)
        _set(square, _get(product))
        left = left >> 1
    _apply(v, power)


# MRG32k3a.

_MODULI = (4294967087, 4294944443)
_MATRICES = (  # of the two recurrences on (x[n-3], x[n-2], x[n-1])
    ((0, 1, 0), (0, 0, 1), (-810728, 1403580, 0)),
    ((0, 1, 0), (0, 0, 1), (-1370589, 0, 527612)),
)
_NORM, _WORD_NORM = 2.3283065498378288e-10, 1.000000048662
Matrix = tuple[int, ...]


class Mrg(Generator):
    """Two states of three numbers below their moduli."""

    def __init__(self, seed: Any, sequence: Any, offset: Any) -> None:
        super().__init__()
        low, high = _halves(word64(seed))
        x1, x2 = word64(arith.bit_xor(low, word32(0x55555555))), word64(arith.bit_xor(high, word32(0xAAAAAAAA)))
        zero = arith.compare("Eq", word64(seed), 0)
        self.states = [alloc_local((3,), "uint64") for _ in range(2)]
        for state, modulus, factors in zip(self.states, _MODULI, ((x1, x2, x1), (x2, x1, x2)), strict=True):
            for place, factor in enumerate(factors):
                start = arith.floormod(arith.mul(factor, word64(12345)), word64(modulus))
                store(Element(state, [place]), arith.select(zero, word64(12345), start))
        for count, bits in ((sequence, 76), (offset, 0)):
            known = count.const if isinstance(count, Expr) else count
            for state, matrix, modulus in zip(self.states, _MATRICES, _MODULI, strict=True):
                base = _flat(matrix, modulus)
                for _ in range(bits):
                    base = _square(base, modulus)
                if not isinstance(known, int):
                    _steps_ahead(state, word64(count), base, modulus)
                elif known:
                    _turn(state, [word64(x) for x in _matrix_power(base, known, modulus)], modulus)

    def _next(self) -> Any:
        """A number from 1 to the first modulus, uint64."""
        (x, y), (m1, m2) = self.states, _MODULI
        a = _combined(word64(1403580), Element(x, [1]).read(), word64(m1 - 810728), Element(x, [0]).read(), m1)
        b = _combined(word64(527612), Element(y, [2]).read(), word64(m2 - 1370589), Element(y, [0]).read(), m2)
        for state, last in ((x, a), (y, b)):
            _set(state, [*_get(state)[1:], last])
        wrapped = arith.sub(arith.add(a, word64(m1)), b)
        return arith.select(arith.compare("LtE", a, b), wrapped, arith.sub(a, b))

    def _scaled(self, factor: float) -> Any:
        signed = arith.cast(self._next(), DType("int64"))
        return arith.mul(arith.cast(signed, FLOAT64), typed_constant(factor, FLOAT64))

    def word(self) -> Any:
        return arith.cast(arith.cast(self._scaled(_WORD_NORM), DType("int64")), UINT32)

    def unit(self, bits: int) -> Any:
        return arith.cast(self._scaled(_NORM), DType(f"float{bits}"))

    def circle(self, bits: int) -> tuple[Any, Any]:
        first, second = self.unit(bits), self.unit(bits)
        return first, arith.mul(second, typed_constant(2 * math.pi, DType(f"float{bits}")))


def _combined(p: Any, x: Any, q: Any, y: Any, modulus: int) -> Any:
    """`(p x + q y) % modulus`, each product below 2^64."""
    parts = [arith.floormod(arith.mul(a, b), word64(modulus)) for a, b in ((p, x), (q, y))]
    return arith.floormod(arith.add(*parts), word64(modulus))


def _flat(matrix: Any, modulus: int) -> Matrix:
    return tuple(x % modulus for row in matrix for x in row)


def _matrix_product(a: Matrix, b: Matrix, modulus: int) -> Matrix:
    return tuple(
        sum(a[3 * i + k] * b[3 * k + j] for k in range(3)) % modulus for i in range(3) for j in range(3)
    )


def _square(a: Matrix, modulus: int) -> Matrix:
    return _matrix_product(a, a, modulus)


def _matrix_power(base: Matrix, exponent: int, modulus: int) -> Matrix:
    result: Matrix = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    while exponent:
        result = _matrix_product(result, base, modulus) if exponent & 1 else result
        base, exponent = _square(base, modulus), exponent >> 1
    return result


def _product(a: Sequence[Any], b: Sequence[Any], columns: int, modulus: int) -> list[Any]:
    """Three rows of three numbers times so many columns, at run time."""
    result: list[Any] = []
    for i in range(3):
        for j in range(columns):
            total: Any = 0
            for k in range(3):
                total = (total + a[3 * i + k] * b[columns * k + j] % word64(modulus)) % word64(modulus)
            result.append(total)
    return result


def _turn(state: Buffer, matrix: Sequence[Any], modulus: int) -> None:
    """The matrix times the state."""
    _set(state, _product(matrix, _get(state), 1, modulus))


@macro
def _steps_ahead(state: Any, count: Any, base: Any, modulus: Any) -> None:
    """The matrix `base` to the power of a run-time number times the state."""
    power = alloc_local((9,), "uint64")
    left = alloc_var("uint64", init=count)
    _set(power, [word64(x) for x in base])
    while left != 0:
        if (left & 1) != 0:
            _turn(state, _get(power), modulus)
        _set(power, _product(_get(power), _get(power), 3, modulus))
        left = left >> 1


GENERATORS: dict[str, Callable[[Any, Any, Any], Generator]] = {  # of seed, stream and place
    "curandStatePhilox4_32_10_t": Philox,
    "curandStateXORWOW_t": Xorwow,
    "curandStateMRG32k3a_t": Mrg,
}
