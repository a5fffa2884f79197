"""Integers in the lanes of a vector: one run-time base plus a constant per lane.

A loop over elements is lowered several iterations at a time. An index of those iterations is `base + constants[lane]`,
where the base is one SSA value about which some facts are known: a divisor, bounds, and the bits that may be set. The
facts decide how wide a memory access may be, whether a guard can be left out, and whether a swizzle splits into a part
computed once and a constant.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from tilelang_mlir.mlir import ir

from .emitter import Emitter

_MAX = 2**31 - 1

Parts = tuple[int | ir.Value, int]
"""A number as the part known at run time and the constant that is added to it."""


class Index(NamedTuple):
    """`base + constants[lane]`; `base` None is zero. Facts speak of the base: `divisor` divides it, lo <= base <= hi,
    and only bits of `bits` are set in it (None: unknown).

    A kernel takes thousands, and a frozen dataclass costs six times as much to make.
    """

    base: ir.Value | None
    constants: tuple[int, ...]
    divisor: int = 1
    lo: int | None = None
    hi: int | None = None
    bits: int | None = None

    @staticmethod
    def of(value: int, width: int = 1) -> Index:
        return Index(None, (value,) * width, 0, 0, 0, 0)

    @staticmethod
    def lanes(values: Iterable[int]) -> Index:
        """A known number per lane."""
        return Index(None, tuple(int(v) for v in values), 0, 0, 0, 0)

    @property
    def is_constant(self) -> bool:
        """All lanes known."""
        return self.base is None

    @property
    def is_uniform(self) -> bool:
        """All lanes equal."""
        return len(self.constants) < 2 or self.constants.count(self.constants[0]) == len(self.constants)

    @property
    def width(self) -> int:
        return len(self.constants)

    def with_constants(self, constants: tuple[int, ...]) -> Index:
        """The same base with other constants."""
        return Index(self.base, constants, self.divisor, self.lo, self.hi, self.bits)

    def lane(self, lane: int) -> Index:
        return self.with_constants((self.constants[lane],))

    def take(self, lanes: range) -> Index:
        return self.with_constants(tuple(self.constants[i] for i in lanes))

    def spread(self, width: int) -> Index:
        return self if len(self.constants) == width else self.with_constants(self.constants * width)

    def minimum(self) -> int | None:
        return None if self.lo is None else self.lo + min(self.constants)

    def maximum(self) -> int | None:
        return None if self.hi is None else self.hi + max(self.constants)

    def multiple_of(self, lane: int = 0) -> int:
        """The greatest known divisor of one lane's value (0 for zero)."""
        return math.gcd(self.divisor, self.constants[lane])


class IndexMath:
    """Arithmetic on indices, emitting what cannot be folded."""

    def __init__(self, emitter: Emitter) -> None:
        self.e = emitter

    def uniform(self, value: ir.Value, *, lo: int | None = None, hi: int | None = None, divisor: int = 1) -> Index:
        """An index of one run-time value."""
        return Index(value, (0,), divisor, lo, hi, _mask(lo, hi, divisor))

    def scalar(self, index: Index, lane: int = 0) -> int | ir.Value:
        """The value of one lane."""
        if index.base is None:
            return index.constants[lane]
        return self.e.add(index.base, index.constants[lane])

    @staticmethod
    def parts(index: Index) -> Parts:
        """What an index of one lane adds at run time, and the constant."""
        return 0 if index.base is None else index.base, index.constants[0]

    def add(self, a: Index, b: Index, sign: int = 1) -> Index:
        if len(a.constants) == len(b.constants) == 1:
            constants = (a.constants[0] + sign * b.constants[0],)
        else:
            width = max(a.width, b.width)
            a, b = a.spread(width), b.spread(width)
            constants = tuple(x + sign * y for x, y in zip(a.constants, b.constants, strict=True))
        if b.base is None:
            return a.with_constants(constants)
        if a.base is None and sign == 1:
            return b.with_constants(constants)
        left = 0 if a.base is None else a.base
        base = self.e.add(left, b.base) if sign == 1 else self.e.sub(left, b.base)
        lo, hi = (b.lo, b.hi) if sign == 1 else (_neg(b.hi), _neg(b.lo))
        lo, hi = _plus(a.lo, lo), _plus(a.hi, hi)
        divisor = math.gcd(a.divisor, b.divisor)
        disjoint = sign == 1 and a.bits is not None and b.bits is not None and not a.bits & b.bits
        bits = (a.bits or 0) | (b.bits or 0) if disjoint else _mask(lo, hi, divisor)
        return Index(_known(base), constants, divisor, lo, hi, bits)

    def scale(self, a: Index, factor: int) -> Index:
        if factor == 1:
            return a
        constants = tuple([c * factor for c in a.constants])
        if a.base is None or factor == 0:
            return Index(None, constants, 0, 0, 0, 0)
        lo, hi = None, None
        if a.lo is not None and a.hi is not None:
            lo, hi = sorted((a.lo * factor, a.hi * factor))
        power = factor > 0 and factor & (factor - 1) == 0
        bits = (
            a.bits << (factor.bit_length() - 1)
            if power and a.bits is not None
            else _mask(lo, hi, a.divisor * abs(factor))
        )
        return Index(_known(self.e.mul(a.base, factor)), constants, a.divisor * abs(factor), lo, hi, bits)

    def multiply(self, a: Index, b: Index) -> Index | None:
        """The product, where it stays of the form base + constants."""
        for x, y in ((a, b), (b, a)):
            if y.is_constant and y.is_uniform:
                return self.scale(x.spread(max(a.width, b.width)), y.constants[0])
        if not (a.is_uniform and b.is_uniform):
            return None
        value = self.e.mul(self.scalar(a), self.scalar(b))
        lo, hi = _product_bounds((a.minimum(), a.maximum()), (b.minimum(), b.maximum()))
        divisor = a.multiple_of() * b.multiple_of()
        width = max(a.width, b.width)
        return Index(_known(value), (0,) * width, divisor, lo, _cap(hi), _mask(lo, hi, divisor))

    def divide(self, a: Index, k: int) -> Index:
        """a // k of a number that always has a quotient: of one part, known not to be negative, as threads' are."""
        return _existing(self.try_divide(a, k), a, k)

    def remainder(self, a: Index, k: int) -> Index:
        """a % k of such a number."""
        return _existing(self.try_remainder(a, k), a, k)

    def digit(self, a: Index, weight: int, size: int) -> Index:
        """a // weight % size of such a number."""
        return self.remainder(self.divide(a, weight), size)

    def try_divide(self, a: Index, k: int) -> Index | None:
        """a // k, rounding down, where it stays of the form base + constants."""
        if a.base is None:
            return a.with_constants(tuple(c // k for c in a.constants))
        split = self._split(a, k)
        if split is None or a.lo is None or a.lo < 0:
            return None
        base, high, _ = split
        if a.hi is not None and a.hi < k:
            return Index(None, high, 0, 0, 0, 0)
        lo, hi = a.lo // k, None if a.hi is None else a.hi // k
        divisor = a.divisor // k if a.divisor % k == 0 else 1
        power = k & (k - 1) == 0
        bits = a.bits >> (k.bit_length() - 1) if power and a.bits is not None else _mask(lo, hi, divisor)
        return Index(_known(self.e.div(base, k)), high, divisor, lo, hi, bits)

    def try_remainder(self, a: Index, k: int) -> Index | None:
        """a % k, not negative, where it stays of the form base + constants."""
        if a.base is None:
            return a.with_constants(tuple(c % k for c in a.constants))
        split = self._split(a, k)
        if split is None or a.lo is None or a.lo < 0:
            return None
        base, _, low = split
        if a.hi is not None and a.hi < k:
            return a.with_constants(low)
        power = k & (k - 1) == 0
        if a.divisor % k == 0 or (power and a.bits is not None and not a.bits & (k - 1)):
            return Index(None, low, 0, 0, 0, 0)
        divisor = math.gcd(a.divisor, k)
        bits = a.bits & (k - 1) if power and a.bits is not None else _mask(0, k - divisor, divisor)
        return Index(_known(self.e.rem(base, k)), low, divisor, 0, k - divisor, bits)

    def _split(self, a: Index, k: int) -> tuple[ir.Value, tuple[int, ...], tuple[int, ...]] | None:
        """Constants as multiples of k and rests that cannot carry into the base's quotient."""
        assert a.base is not None
        room = math.gcd(a.divisor, k)
        if a.hi is not None and a.hi < k and a.lo is not None and a.lo >= 0:
            room = max(room, k - a.hi)
        if a.bits is not None and k & (k - 1) == 0:
            room = max(room, k - (a.bits & (k - 1)))
        low = tuple([c % k for c in a.constants])
        return (a.base, tuple([c // k for c in a.constants]), low) if max(low, default=0) < room else None

    def swizzle(self, a: Index, bits: int, base: int, shift: int) -> Parts:
        """One lane's value with `x ^ ((x >> shift) & mask)` applied, the constant part folded where no bits meet."""
        mask = ((1 << bits) - 1) << base
        constant = a.constants[0]
        twisted = constant ^ ((constant >> shift) & mask)
        if a.base is None:
            return 0, twisted
        if a.bits is not None and not a.bits & constant:
            period = 1 << (bits + base + shift)
            low, high = twisted % period, twisted // period * period
            return self.e.xor(self._twist(a.base, mask, shift), low), high
        return self._twist(self.e.value(self.e.add(a.base, constant)), mask, shift), 0

    def _twist(self, x: ir.Value, mask: int, shift: int) -> ir.Value:
        source = self.e.binary("andi", self.e.binary("shrui", x, shift), mask)
        return self.e.binary("xori", x, source)


def _mask(lo: int | None, hi: int | None, divisor: int) -> int | None:
    if lo is None or hi is None or lo < 0 or hi > _MAX:
        return None
    low = (divisor & -divisor) - 1 if divisor else 0
    return ((1 << hi.bit_length()) - 1) & ~low


_Bounds = tuple[int | None, int | None]


def _product_bounds(a: _Bounds, b: _Bounds) -> _Bounds:
    """Least and greatest product of two numbers within bounds, where neither can be negative."""
    (a_lo, a_hi), (b_lo, b_hi) = a, b
    if a_lo is None or a_hi is None or b_lo is None or b_hi is None or min(a_lo, b_lo) < 0:
        return None, None
    return a_lo * b_lo, a_hi * b_hi


def _existing(found: Index | None, a: Index, k: int) -> Index:
    assert found is not None, f"{a} has no parts at {k}"
    return found


def _known(value: int | ir.Value) -> ir.Value | None:
    return None if isinstance(value, int) else value


def _neg(x: int | None) -> int | None:
    return None if x is None else -x


def _plus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _cap(x: int | None) -> int | None:
    return x if x is not None and x <= _MAX else None
