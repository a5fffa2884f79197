"""Subscripts of fragments: which loop variables an index is made of, digit by digit.

An index such as `k * 8 + j`, with j a variable of the parallel loop and k one of a loop around or inside it, takes its
low digit from j; the rest must lie in registers, since a thread may only touch what it holds. `j // 2` takes the high
digits of j (two iterations read one element, as of packed numbers) and `j % 2` the low one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tilelang_mlir.mlir import ir

from .. import build
from ..facts import facts_of

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Term:
    """A digit of a variable of the parallel loop, `variable // divisor % extent`, times `coefficient` elements.

    `top` says that no digit of the variable is above it: it is `variable // divisor`.
    """

    variable: int
    coefficient: int
    extent: int
    divisor: int = 1
    top: bool = True

    @property
    def reach(self) -> int:
        return self.coefficient * self.extent

    @property
    def whole(self) -> bool:
        """It is the variable itself."""
        return self.divisor == 1 and self.top

    def of(self, values: IntArray) -> IntArray:
        """What the term adds to the index, for values of the variable."""
        digit = values // self.divisor
        return (digit if self.top else digit % self.extent) * self.coefficient

    def overlaps(self, other: Term) -> bool:
        """Whether the two have digits of a variable in common."""
        if self.variable != other.variable:
            return False
        low, high = sorted((self, other), key=lambda t: t.divisor)
        return low.top or low.divisor * low.extent > high.divisor

    def splits_at(self, divisor: int) -> bool:
        """Whether a number that the term reaches past lies between two of its digits, or below all."""
        if self.coefficient % divisor == 0:
            return True
        return divisor % self.coefficient == 0 and (self.top or self.reach % divisor == 0)

    def above(self, divisor: int) -> Term:
        """The term divided by a number that it reaches past: a factor of its coefficient, or a multiple."""
        if self.coefficient % divisor == 0:
            return replace(self, coefficient=self.coefficient // divisor)
        steps = divisor // self.coefficient
        return Term(self.variable, 1, -(-self.extent // steps), self.divisor * steps, self.top)

    def below(self, divisor: int) -> Term:
        """The term's remainder, for a number that it reaches past."""
        return replace(self, extent=divisor // self.coefficient, top=False)


@dataclass(frozen=True)
class Subscript:
    """An index as a mixed-radix number: terms by rising coefficient, and whether something else fills the gaps.

    `rest` is the greatest number that divides everything in the index that is no term (0: nothing else is there).
    """

    terms: tuple[Term, ...]
    rest: int

    @property
    def plain(self) -> int | None:
        """The loop variable that is the whole index; None where there is more or less to it."""
        if len(self.terms) == 1 and self.terms[0].coefficient == 1 and self.terms[0].whole and not self.rest:
            return self.terms[0].variable
        return None

    @property
    def serial(self) -> bool:
        """No variable of the parallel loop takes part."""
        return not self.terms

    def gaps(self, size: int) -> list[tuple[int, int]] | None:
        """The digits (size, stride) of a dimension that no term walks; None where the terms leave no such digits."""
        if not self.terms:
            return [(size, 1)] if size > 1 else []
        found: list[tuple[int, int]] = []
        reach = 1
        for term in self.terms:
            if term.coefficient % reach:
                return None
            found.append((term.coefficient // reach, reach))
            reach = term.reach
        if reach < size:
            if not self.rest:
                return None  # the loop runs through a part of the dimension
            found.append((-(-size // reach), reach))
        return [(count, stride) for count, stride in found if count > 1]


@dataclass(frozen=True)
class _Sum:
    """A sum of terms and of something else: the greatest known divisor of that, and its bound where it is known."""

    terms: tuple[Term, ...]
    rest: int
    bound: int | None

    def times(self, factor: int) -> _Sum:
        terms = tuple(replace(t, coefficient=t.coefficient * factor) for t in self.terms)
        return _Sum(terms, self.rest * factor, None if self.bound is None else self.bound * factor)


def subscript(index: ir.Value, variables: dict[ir.Value, int], extents: list[int]) -> Subscript | None:
    """The digits of an index; None where it is no such number."""
    found = _affine(index, variables, extents)
    return None if found is None else _ordered(found)


def _ordered(found: _Sum) -> Subscript | None:
    """The terms by rising coefficient; None where two of them overlap."""
    terms = sorted(found.terms, key=lambda t: t.coefficient)
    if len(terms) > 1:  # variables that take one value add nothing
        terms = [t for t in terms if t.extent != 1] or terms[:1]
    reach = 1
    for term in terms:
        if term.coefficient < reach or term.coefficient % reach or term.extent <= 0:
            return None
        reach = term.reach
    if found.rest and terms and not _fits(terms, found.rest, found.bound):
        return None
    return Subscript(tuple(terms), found.rest)


def _fits(terms: list[Term], rest: int, bound: int | None) -> bool:
    """Whether what is no term cannot carry into a term's digit: all above the terms, or all below the first."""
    if rest % terms[-1].reach == 0:
        return True
    return bound is not None and bound < terms[0].coefficient


def _affine(value: ir.Value, variables: dict[ir.Value, int], extents: list[int]) -> _Sum | None:
    """An index as a sum; None where variables of the loop take part otherwise."""
    if value in variables:
        return _Sum((Term(variables[value], 1, extents[variables[value]]),), 0, 0)
    owner = value.owner
    if isinstance(owner, ir.Block):
        return _stated(value) if owner.owner.operation.name == "func.func" else _Sum((), 1, _loop_bound(owner))
    op = owner.operation
    if op.name.startswith("arith.index_cast") or op.name == "tl.cast":
        return _affine(op.operands[0], variables, extents)
    if (constant := build.known_constant(value)) is not None:
        return _Sum((), abs(constant), constant if constant >= 0 else None)
    if op.name == "arith.addi":
        a, b = (_affine(v, variables, extents) for v in op.operands)
        if a is None or b is None or any(s.overlaps(t) for s in a.terms for t in b.terms):
            return None
        bound = None if a.bound is None or b.bound is None else a.bound + b.bound
        return _Sum(a.terms + b.terms, math.gcd(a.rest, b.rest), bound)
    if (scaled := _scaled(op)) is not None:
        inner, factor = scaled
        found = _affine(inner, variables, extents)
        return None if found is None else found.times(factor)
    if (cut := _cut(op)) is not None:
        inner, divisor, remainder = cut
        found = _affine(inner, variables, extents)
        if found is not None and found.terms:
            return _divided(found, divisor, remainder=remainder)
    return None if depends(op, variables) else _stated(value)


def _stated(value: ir.Value) -> _Sum:
    """A number of which only what the program states is known."""
    facts = facts_of(value)
    return _Sum((), facts.divisor, facts.hi if facts.lo is not None and facts.lo >= 0 else None)


def _scaled(op: ir.Operation) -> tuple[ir.Value, int] | None:
    """The value that an operation multiplies by a positive number, and the number."""
    if op.name == "arith.muli":
        for value, other in (tuple(op.operands), tuple(op.operands)[::-1]):
            if (factor := build.known_constant(other)) is not None and factor > 0:
                return value, factor
    shift = build.known_constant(op.operands[1]) if op.name == "arith.shli" else None
    if shift is not None and 0 <= shift < _INDEX_BITS:
        return op.operands[0], 1 << shift
    return None


def _cut(op: ir.Operation) -> tuple[ir.Value, int, bool] | None:
    """The value that an operation divides by a positive number, the number, and whether it keeps the remainder."""
    if op.name not in _DIVISIONS + _REMAINDERS + ("arith.shrui", "arith.shrsi"):
        return None
    number = build.known_constant(op.operands[1])
    if number is not None and op.name.startswith("arith.shr") and 0 <= number < _INDEX_BITS:
        return op.operands[0], 1 << number, False
    return None if number is None or number <= 0 else (op.operands[0], number, op.name in _REMAINDERS)


_INDEX_BITS = 31
_DIVISIONS = ("arith.divui", "arith.divsi", "arith.floordivsi")
_REMAINDERS = ("arith.remui", "arith.remsi")


def _divided(found: _Sum, divisor: int, *, remainder: bool) -> _Sum | None:
    """Quotient or remainder of a mixed-radix number; None where the divisor cuts through one of its digits."""
    below = found.bound is not None and found.bound < min(divisor, *(t.coefficient for t in found.terms))
    if _ordered(found) is None or (found.rest % divisor and not below):
        return None
    terms: list[Term] = []
    for term in found.terms:
        inside = term.reach <= divisor
        if not inside and not term.splits_at(divisor):
            return None
        if remainder and inside:
            terms.append(term)
        elif remainder and term.coefficient % divisor:
            terms.append(term.below(divisor))
        elif not remainder and not inside:
            terms.append(term.above(divisor))
    if remainder:
        return _Sum(tuple(terms), found.rest, found.bound) if below else _Sum(tuple(terms), 0, 0)
    if below:
        return _Sum(tuple(terms), 0, 0)
    return _Sum(tuple(terms), found.rest // divisor, None if found.bound is None else found.bound // divisor)


def depends(op: ir.Operation, variables: dict[ir.Value, int]) -> bool:
    """Whether an operation's value is computed from one of the variables."""
    for operand in op.operands:
        if operand in variables:
            return True
        if not isinstance(operand.owner, ir.Block) and depends(operand.owner.operation, variables):
            return True
    return False


def _loop_bound(block: ir.Block) -> int | None:
    """The last value of a serial loop's variable that starts at 0 or more; None where it is not known."""
    op = block.owner.operation
    if op.name != "scf.for":
        return None
    lower, upper = (build.known_constant(v) for v in list(op.operands)[:2])
    return upper - 1 if lower is not None and upper is not None and lower >= 0 and upper > 0 else None
