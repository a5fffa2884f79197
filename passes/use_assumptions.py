"""`use-assumptions`: what the program states of integers becomes facts about them.

Input: a traced program. `tl.assume` in a kernel and `tl.assert` in a host function, which is checked at each call, take
conditions apart into comparisons, and each comparison of a value with a constant into a divisor or a bound:

    assume off % 8 == 0 and off < 128
    =>
    off = load S[b] {tl.facts = {divisor = 8, hi = 127}}

A fact is attached to the value and follows it through later passes, so that it has to hold wherever the value exists:
an assumption inside a loop or a branch counts only for values that are made there. Facts about a 64-bit number hold for
the 32 bits of it that index a tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from . import build
from .base import Pass
from .facts import Facts, state
from .walk import launches, nested

_EQ, _SLT, _SLE, _SGT, _SGE, _ULT, _ULE = 0, 2, 3, 4, 5, 6, 7
_MIRRORED = {_EQ: _EQ, _SLT: _SGT, _SLE: _SGE, _SGT: _SLT, _SGE: _SLE}
_REMAINDERS = ("arith.remui", "arith.remsi")
_QUOTIENTS = ("arith.divui", "arith.divsi", "arith.floordivsi")


@dataclass(frozen=True)
class UseAssumptions(Pass):
    """Attach what the program states of integers to them."""

    name: ClassVar[str] = "use-assumptions"

    def run(self, module: ir.Module, target: Target) -> None:
        with module.context:
            for function in [op.operation for op in module.body.operations if op.operation.name == "func.func"]:
                for op in [op for op in function.regions[0].blocks[0].operations if op.operation.name == "tl.assert"]:
                    _use(op.operands[0], op.operation)
            for launch in launches(module):
                for op in [op for op in nested(launch) if op.name == "tl.assume"]:
                    _use(op.operands[0], op)


def _use(condition: ir.Value, statement: ir.Operation) -> None:
    for value, facts in _stated(condition):
        for place in (value, *_narrowed(value)):
            if _always_reached(statement, place):
                state(place, facts)


def _stated(condition: ir.Value) -> Iterator[tuple[ir.Value, Facts]]:
    """The values that a condition speaks of, and what it says of them."""
    owner = condition.owner
    if isinstance(owner, ir.Block):
        return
    op = owner.operation
    if op.name == "arith.andi":
        for part in op.operands:
            yield from _stated(part)
    if op.name != "arith.cmpi":
        return
    predicate = ir.IntegerAttr(op.attributes["predicate"]).value
    left, right = op.operands
    if build.known_constant(right) is None and predicate in _MIRRORED:
        left, right, predicate = right, left, _MIRRORED[predicate]
    number = build.known_constant(right)
    if number is None:
        return
    if predicate == _EQ and number == 0 and (parts := _remainder(left)) is not None:
        yield parts[0], Facts(parts[1])
    elif (bounds := _bounds(predicate, number)) is not None:
        yield left, bounds


def _bounds(predicate: int, number: int) -> Facts | None:
    if predicate in (_SLT, _ULT):
        number, predicate = number - 1, {_SLT: _SLE, _ULT: _ULE}[predicate]
    if predicate == _SGT:
        number, predicate = number + 1, _SGE
    lows = {_EQ: number, _SGE: number, _ULE: 0}
    highs = {_EQ: number, _SLE: number, _ULE: number}
    found = Facts(1, lows.get(predicate), highs.get(predicate))
    return found or None


def _remainder(value: ir.Value) -> tuple[ir.Value, int] | None:
    """x and k where a value is x % k: an operation of its own, `x & (k - 1)`, or `x - x // k * k`."""
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.operation
    if op.name == "arith.subi":
        product = op.operands[1].owner
        if isinstance(product, ir.Block) or product.operation.name != "arith.muli":
            return None
        quotient, number = product.operation.operands[0].owner, build.known_constant(product.operation.operands[1])
        if isinstance(quotient, ir.Block) or quotient.operation.name not in _QUOTIENTS:
            return None
        whole, by = quotient.operation.operands
        return (whole, number) if number and whole == op.operands[0] and build.known_constant(by) == number else None
    if op.name not in (*_REMAINDERS, "arith.andi"):
        return None
    number = build.known_constant(op.operands[1])
    if number is not None and op.name == "arith.andi":
        number = number + 1 if number & (number + 1) == 0 else None
    return (op.operands[0], number) if number is not None and number > 0 else None


def _narrowed(value: ir.Value) -> Iterator[ir.Value]:
    """The 32 bits of a 64-bit value that programs index with."""
    if str(value.type) != "i64":
        return
    for use in value.uses:
        op = use.owner.operation
        if op.name in ("tl.cast", "arith.trunci") and str(op.results[0].type) == "i32":
            yield op.results[0]


def _always_reached(statement: ir.Operation, value: ir.Value) -> bool:
    """Whether a statement is made whenever a value exists: in its block, or outside of all loops and branches."""
    block = value.owner if isinstance(value.owner, ir.Block) else value.owner.operation.block
    place = statement
    while place.block != block:
        place = place.parent.operation
        if place.name != "tl.launch":
            return False
    return True
