"""Subscripts of fragments: which loop variables an index is made of, digit by digit.

An index such as `k * 8 + j`, with j a variable of the parallel loop and k one of a loop around or inside it, takes its
low digit from j; the rest must lie in registers, since a thread may only touch what it holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tilelang_mlir.mlir import ir


@dataclass(frozen=True)
class Term:
    """A variable of the parallel loop that runs through `extent` steps of `coefficient` elements."""

    variable: int
    coefficient: int
    extent: int

    @property
    def reach(self) -> int:
        return self.coefficient * self.extent


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
        if len(self.terms) == 1 and self.terms[0].coefficient == 1 and not self.rest:
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


def subscript(index: ir.Value, variables: dict[ir.Value, int], extents: list[int]) -> Subscript | None:
    """The digits of an index; None where it is no such number."""
    found = _affine(index, variables)
    if found is None:
        return None
    coefficients, rest, bound = found
    terms = sorted((Term(v, c, extents[v]) for v, c in coefficients.items()), key=lambda t: t.coefficient)
    reach = 1
    for term in terms:
        if term.coefficient < reach or term.coefficient % reach or term.extent <= 0:
            return None
        reach = term.reach
    if rest and terms and not _fits(terms, rest, bound):
        return None
    return Subscript(tuple(terms), rest)


def _fits(terms: list[Term], rest: int, bound: int | None) -> bool:
    """Whether what is no term cannot carry into a term's digit: all above the terms, or all below the first."""
    if rest % terms[-1].reach == 0:
        return True
    return bound is not None and bound < terms[0].coefficient


def _affine(value: ir.Value, variables: dict[ir.Value, int]) -> tuple[dict[int, int], int, int | None] | None:
    """Coefficients of the loop's variables, the divisor of the rest, and the rest's bound where it is known."""
    if value in variables:
        return {variables[value]: 1}, 0, 0
    owner = value.owner
    if isinstance(owner, ir.Block):
        return {}, 1, _loop_bound(owner)
    op = owner.operation
    if op.name.startswith("arith.index_cast") or op.name == "tl.cast":
        return _affine(op.operands[0], variables)
    if (constant := _constant(value)) is not None:
        return {}, abs(constant), constant if constant >= 0 else None
    if op.name == "arith.addi":
        a, b = (_affine(v, variables) for v in op.operands)
        if a is None or b is None or set(a[0]) & set(b[0]):
            return None
        bound = None if a[2] is None or b[2] is None else a[2] + b[2]
        return {**a[0], **b[0]}, math.gcd(a[1], b[1]), bound
    if op.name in ("arith.muli", "arith.shli"):
        a, factor = _affine(op.operands[0], variables), _constant(op.operands[1])
        if factor is None and op.name == "arith.muli":
            a, factor = _affine(op.operands[1], variables), _constant(op.operands[0])
        if factor is not None and op.name == "arith.shli":
            factor = 1 << factor
        if a is not None and factor is not None and factor > 0:
            return {v: c * factor for v, c in a[0].items()}, a[1] * factor, None if a[2] is None else a[2] * factor
    return _opaque(op, variables)


def _opaque(op: ir.Operation, variables: dict[ir.Value, int]) -> tuple[dict[int, int], int, int | None] | None:
    """Anything else: one unknown, provided that no variable of the loop is in it."""
    return None if depends(op, variables) else ({}, 1, None)


def depends(op: ir.Operation, variables: dict[ir.Value, int]) -> bool:
    """Whether an operation's value is computed from one of the variables."""
    for operand in op.operands:
        if operand in variables:
            return True
        if not isinstance(operand.owner, ir.Block) and depends(operand.owner.operation, variables):
            return True
    return False


def _constant(value: ir.Value) -> int | None:
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return None
    attribute = owner.operation.attributes["value"]
    return ir.IntegerAttr(attribute).value if isinstance(attribute, ir.IntegerAttr) else None


def _loop_bound(block: ir.Block) -> int | None:
    """The last value of a serial loop's variable that starts at 0 or more; None where it is not known."""
    op = block.owner.operation
    if op.name != "scf.for":
        return None
    lower, upper = (_constant(v) for v in list(op.operands)[:2])
    return upper - 1 if lower is not None and upper is not None and lower >= 0 and upper > 0 else None
