"""Which tile has which number: arithmetic on integers that may be known, folded where they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tilelang_mlir.mlir import int_array, ir

from . import build
from .facts import facts_of

Int = int | ir.Value


def known(value: ir.Value) -> Int:
    """The number of a constant, else the value itself."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return value
    return ir.IntegerAttr(owner.operation.attributes["value"]).value


def divisor(value: ir.Value) -> int:
    """A number that divides a value whatever else it is; 0 where the value is zero."""
    number = known(value)
    return abs(number) if isinstance(number, int) else math.lcm(facts_of(value).divisor, _computed_divisor(value))


def _computed_divisor(value: ir.Value) -> int:
    """What follows from how a value is computed."""
    if isinstance(value.owner, ir.Block):
        loop = value.owner.owner.operation
        if loop.name != "scf.for" or value != value.owner.arguments[0]:
            return 1
        return math.gcd(divisor(loop.operands[0]), divisor(loop.operands[2]))
    op = value.owner.operation
    if op.name in _CONVERSIONS:
        return divisor(op.operands[0])
    if op.name in _NARROWED and str(op.results[0].type)[0] == str(op.operands[0].type)[0] == "i":
        whole = divisor(op.operands[0])
        return whole & -whole  # what wraps around keeps its powers of two
    if op.name == "arith.select":
        return math.gcd(divisor(op.operands[1]), divisor(op.operands[2]))
    if op.name == "arith.muli":
        return divisor(op.operands[0]) * divisor(op.operands[1])
    if op.name in _DIVISIONS:
        by, whole = known(op.operands[1]), divisor(op.operands[0])
        return whole // by if isinstance(by, int) and by > 0 and whole % by == 0 else 1
    if op.name in _OF_BOTH:
        return math.gcd(divisor(op.operands[0]), divisor(op.operands[1]))
    return 1


_OF_BOTH = (  # what divides both operands divides the result
    "arith.addi", "arith.subi", "arith.remsi", "arith.remui",
    "arith.minsi", "arith.minui", "arith.maxsi", "arith.maxui",
)  # fmt: skip
_DIVISIONS = ("arith.divsi", "arith.divui", "arith.floordivsi", "arith.ceildivsi", "arith.ceildivui")
_NARROWED = ("tl.cast", "arith.trunci")
_CONVERSIONS = ("arith.index_cast", "arith.index_castui", "arith.extsi", "arith.extui")


def stride_divisors(tensor: ir.Operation) -> list[int]:
    """What is known to divide each stride of a `tl.tensor`: itself, or what divides one of run time."""
    sizes, strides = (int_array(tensor.attributes[name]) for name in ("shape", "strides"))
    dynamic = iter(list(tensor.operands)[1 + sizes.count(-1) :])
    return [divisor(next(dynamic)) if stride == -1 else stride for stride in strides]


def value(number: Int) -> ir.Value:
    return build.constant(number) if isinstance(number, int) else number


def _fold(name: str, function: Callable[[int, int], int], a: Int, b: Int) -> Int:
    if isinstance(a, int) and isinstance(b, int):
        return function(a, b)
    return build.binary(name, value(a), value(b))


def multiply(a: Int, b: Int) -> Int:
    return b if a == 1 else a if b == 1 else _fold("muli", lambda x, y: x * y, a, b)


def minimum(a: Int, b: Int) -> Int:
    return _fold("minsi", min, a, b)


def divide(a: Int, b: Int) -> tuple[Int, Int]:
    """Quotient and remainder of numbers that are not negative."""
    if b == 1:
        return a, 0
    quotient = _fold("divui", lambda x, y: x // y, a, b)
    return quotient, _fold("remui", lambda x, y: x % y, a, b)


def product(factors: Sequence[Int]) -> Int:
    """The product; nothing is built where it is known or has one factor."""
    if all(isinstance(f, int) for f in factors):
        return math.prod(f for f in factors if isinstance(f, int))
    total: Int = 1
    for factor in factors:
        total = multiply(total, factor)
    return total


def tile_coordinates(tile: ir.Value, extents: Sequence[Int], panel: int, tall: int) -> list[Int]:
    """The coordinates of a tile, first dimension first.

    In the first two dimensions tiles are numbered in groups of `panel` along dimension `tall` across the other one; the
    last group is as tall as what is left. Further dimensions follow as they are.
    """
    rest: Int = tile
    if len(extents) == 1:
        return [tile]
    further: list[Int] = []
    for position in range(len(extents) - 1, 1, -1):
        number, rest = divide(rest, product(extents[:position]))
        further.insert(0, number)
    wide = 1 - tall
    if panel <= 1:
        along, across = divide(rest, extents[0])
        return [across, along, *further]
    group, inside = divide(rest, multiply(extents[wide], panel))
    first = multiply(group, panel)
    size = extents[tall]
    if isinstance(size, int) and size % panel == 0:
        height: Int = panel
    else:
        height = minimum(build.binary("subi", value(size), value(first)), panel)
    across, along = divide(inside, height)
    along = build.binary("addi", value(first), value(along))
    return [across, along, *further] if tall == 1 else [along, across, *further]
