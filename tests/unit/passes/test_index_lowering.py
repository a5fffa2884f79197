"""Arithmetic on lane indices: what is emitted, evaluated for random bases, gives the integers it stands for.

Every result is also checked against the facts it carries, since guards and access widths rely on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tilelang_mlir.dialect import context
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.lowering.emitter import Emitter
from tilelang_mlir.passes.lowering.index import Index, IndexMath

LIMIT = 2**31
_EVALUATE: dict[str, Callable[[int, int], int]] = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.shli": lambda a, b: a << b,
    "arith.shrui": lambda a, b: (a % 2**32) >> b,
    "arith.divui": lambda a, b: (a % 2**32) // b,
    "arith.remui": lambda a, b: (a % 2**32) % b,
    "arith.andi": lambda a, b: a & b,
    "arith.xori": lambda a, b: a ^ b,
}


class Machine:
    """A block with one i32 argument per base, and the values of those arguments."""

    def __init__(self) -> None:
        self.module = ir.Module.create()
        kind = ir.IntegerType.get_signless(32)
        holder = ir.Operation.create("test.function", regions=1)
        self.module.body.append(holder)
        self.block = holder.regions[0].blocks.append(*[kind] * 4)
        self.emitter = Emitter(self.block)
        self.math = IndexMath(self.emitter)
        self.values: dict[ir.Value, int] = {}

    def evaluate(self, value: ir.Value | int) -> int:
        if isinstance(value, int):
            return value
        if value in self.values:
            return self.values[value]
        op = value.owner.operation
        if op.name == "arith.constant":
            return ir.IntegerAttr(op.attributes["value"]).value
        raw = _EVALUATE[op.name](*(self.evaluate(v) for v in op.operands))
        self.values[value] = (raw + LIMIT) % 2**32 - LIMIT
        return self.values[value]


@dataclass
class Known:
    """An index and the numbers that its lanes stand for."""

    index: Index
    lanes: list[int]

    def check(self, machine: Machine) -> None:
        index = self.index
        base = 0 if index.base is None else machine.evaluate(index.base)
        assert [base + c for c in index.constants] == self.lanes
        if index.base is None:
            return
        assert base % index.divisor == 0 if index.divisor else base == 0
        assert index.lo is None or index.lo <= base
        assert index.hi is None or base <= index.hi
        assert index.bits is None or base >= 0 and base & ~index.bits == 0
        low, high = index.minimum(), index.maximum()
        assert low is None or low <= min(self.lanes)
        assert high is None or high >= max(self.lanes)
        for lane, number in enumerate(self.lanes):
            multiple = index.multiple_of(lane)
            assert number % multiple == 0 if multiple else number == 0


@pytest.fixture(scope="module")
def one_context() -> Iterator[None]:
    """One context for all examples: making one takes longer than an example."""
    with context(), ir.Location.unknown():
        yield


@st.composite
def leaves(draw: st.DrawFn, machine: Machine, argument: int) -> Known:
    """A run-time base with facts that hold for its value, or a constant, over 1 to 8 lanes."""
    constants = draw(
        st.sampled_from(([0], [3], [0, 1], [0, 1, 2, 3], [8, 9, 10, 11], [0, 4, 8, 12], [5, 2], list(range(8))))
    )
    if draw(st.booleans()) and draw(st.booleans()):
        return Known(Index(None, tuple(constants), 0, 0, 0, 0), list(constants))
    divisor = draw(st.sampled_from((1, 2, 3, 4, 8, 16, 40)))
    value = draw(st.integers(0, 60)) * divisor
    hi = draw(st.sampled_from((None, value, value + 1, value + 37)))
    lo = draw(st.sampled_from((None, 0, value // 2)))
    base = machine.block.arguments[argument]
    machine.values[base] = value
    index = machine.math.uniform(base, lo=lo, hi=hi, divisor=divisor)
    index = Index(index.base, tuple(constants), index.divisor, index.lo, index.hi, index.bits)
    return Known(index, [value + c for c in constants])


def step(draw: st.DrawFn, machine: Machine, pool: list[Known]) -> Known | None:
    """One random operation on indices of the pool; None where the form base + constants does not exist."""
    ix = machine.math
    a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
    name = draw(st.sampled_from(("add", "subtract", "scale", "multiply", "divide", "remainder")))
    if name in ("add", "subtract", "multiply"):
        width = max(len(a.lanes), len(b.lanes))
        assume(len(a.lanes) in (1, width) and len(b.lanes) in (1, width))
        left, right = (k.lanes if len(k.lanes) == width else k.lanes * width for k in (a, b))
    if name == "add":
        return Known(ix.add(a.index, b.index), [x + y for x, y in zip(left, right, strict=True)])
    if name == "subtract":
        return Known(ix.add(a.index, b.index, -1), [x - y for x, y in zip(left, right, strict=True)])
    if name == "multiply":
        found = ix.multiply(a.index, b.index)
        return None if found is None else Known(found, [x * y for x, y in zip(left, right, strict=True)])
    if name == "scale":
        factor = draw(st.sampled_from((-4, -1, 0, 1, 2, 3, 8, 24)))
        return Known(ix.scale(a.index, factor), [x * factor for x in a.lanes])
    k = draw(st.sampled_from((1, 2, 3, 4, 8, 13, 16, 64)))
    function = ix.try_divide if name == "divide" else ix.try_remainder
    found = function(a.index, k)
    return None if found is None else Known(found, [x // k if name == "divide" else x % k for x in a.lanes])


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_random_arithmetic(one_context: object, data: st.DataObject) -> None:
    machine = Machine()
    with ir.InsertionPoint(machine.block):
        pool = [data.draw(leaves(machine, argument)) for argument in range(3)]
        for known in pool:
            known.check(machine)
        for _ in range(data.draw(st.integers(1, 6))):
            made = data.draw(st.composite(lambda draw: step(draw, machine, pool))())
            if made is None or any(abs(x) >= 2**24 for x in made.lanes):
                continue
            made.check(machine)
            pool.append(made)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_swizzle(one_context: object, data: st.DataObject) -> None:
    bits, base, shift = data.draw(st.sampled_from(((1, 3, 3), (2, 3, 3), (3, 3, 3), (3, 2, 3), (3, 4, 3), (2, 2, 4))))
    mask = ((1 << bits) - 1) << base
    machine = Machine()
    with ir.InsertionPoint(machine.block):
        known = data.draw(leaves(machine, 0))
        if data.draw(st.booleans()):
            factor = data.draw(st.sampled_from((8, 16, 64)))
            known = Known(machine.math.scale(known.index, factor), [x * factor for x in known.lanes])
        for lane, number in enumerate(known.lanes):
            place, constant = machine.math.swizzle(known.index.lane(lane), bits, base, shift)
            got = machine.evaluate(place) + constant
            assert got == number ^ ((number >> shift) & mask)


@pytest.mark.usefixtures("ctx")
def test_what_folds_emits_nothing() -> None:
    machine = Machine()
    with ir.InsertionPoint(machine.block):
        thread = machine.math.uniform(machine.block.arguments[0], lo=0, hi=31)
        assert machine.math.divide(thread, 32) == Index(None, (0,), 0, 0, 0, 0)
        assert machine.math.remainder(thread, 32) == thread
        assert machine.math.scale(thread, 1).base == thread.base
        assert machine.math.add(thread, Index.of(5)).base == thread.base
        scaled = machine.math.scale(thread, 8)
        lanes = machine.math.add(scaled.spread(8), Index(None, tuple(range(8)), 0, 0, 0, 0))
        quotient, rest = machine.math.divide(lanes, 8), machine.math.remainder(lanes, 8)
        assert quotient is not None and quotient.is_uniform and (quotient.lo, quotient.hi) == (0, 31)
        assert rest == Index(None, tuple(range(8)), 0, 0, 0, 0)
    names = [op.operation.name for op in machine.block.operations if op.operation.name != "arith.constant"]
    assert names == ["arith.shli", "arith.shrui"]


@pytest.mark.usefixtures("ctx")
@pytest.mark.parametrize("lo", [None, -4])
def test_division_of_what_may_be_negative_keeps_no_form(lo: int | None) -> None:
    machine = Machine()
    with ir.InsertionPoint(machine.block):
        index = machine.math.uniform(machine.block.arguments[0], lo=lo, hi=100)
        assert machine.math.try_divide(index, 8) is None
        assert machine.math.try_remainder(index, 8) is None


@pytest.mark.usefixtures("ctx")
@pytest.mark.parametrize(("hi", "fits"), [(6, True), (7, False)])
def test_constants_that_may_carry_into_the_quotient_keep_no_form(hi: int, fits: bool) -> None:
    """With a base of at most 6, base + 1 is below 8; with 7 it may be 8."""
    machine = Machine()
    with ir.InsertionPoint(machine.block):
        base = machine.math.uniform(machine.block.arguments[0], lo=0, hi=hi)
        lanes = machine.math.add(base.spread(2), Index(None, (0, 1), 0, 0, 0, 0))
        assert (machine.math.try_divide(lanes, 8) is not None) == fits
        assert (machine.math.try_remainder(lanes, 8) is not None) == fits


@pytest.mark.usefixtures("ctx")
def test_digits_that_lie_apart_are_divided_by_themselves() -> None:
    """The row of an accumulator, of a thread and its second register: lane / 4 % 8 + warp * 16 + (0, 8)."""
    machine = Machine()
    with ir.InsertionPoint(machine.block):
        math, thread = machine.math, machine.math.uniform(machine.block.arguments[0], lo=0, hi=127)
        machine.values[machine.block.arguments[0]] = 93
        quarter, warp = math.divide(thread, 4), math.divide(thread, 32)
        assert quarter is not None and warp is not None
        octet = math.remainder(quarter, 8)
        assert octet is not None
        row = math.add(math.add(octet, math.scale(warp, 16)), Index(None, (0, 8), 0, 0, 0, 0))
        eighth, inside = math.divide(row, 8), math.remainder(row, 16)
        assert eighth is not None and inside is not None
        Known(eighth, [(93 // 4 % 8 + 93 // 32 * 16 + c) // 8 for c in (0, 8)]).check(machine)
        Known(inside, [(93 // 4 % 8 + 93 // 32 * 16 + c) % 16 for c in (0, 8)]).check(machine)
        half = math.remainder(eighth, 2)
        assert half is not None and half.is_constant and half.constants == (0, 1), "no register depends on the thread"
