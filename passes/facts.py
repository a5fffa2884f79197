"""What is known of integers: a number that divides them, and bounds. The attribute `tl.facts` of the operation that
makes a value, or of the argument of a host function, serialises it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tilelang_mlir.mlir import ir

ATTRIBUTE = "tl.facts"
_ARGUMENTS = "arg_attrs"


@dataclass(frozen=True)
class Facts:
    """`divisor` divides the value, and lo <= value <= hi where they are known."""

    divisor: int = 1
    lo: int | None = None
    hi: int | None = None

    def __bool__(self) -> bool:
        return self != Facts()

    def both(self, other: Facts) -> Facts:
        """What two statements about one value say together."""
        lows = [x for x in (self.lo, other.lo) if x is not None]
        highs = [x for x in (self.hi, other.hi) if x is not None]
        divisor = math.lcm(self.divisor, other.divisor)
        return Facts(divisor, max(lows, default=None), min(highs, default=None))


def facts_of(value: ir.Value) -> Facts:
    """What is stated of a value itself."""
    if not isinstance(value.owner, ir.Block):
        attributes = value.owner.operation.attributes
        return _read(attributes[ATTRIBUTE]) if ATTRIBUTE in attributes else Facts()
    function = value.owner.owner.operation
    if function.name != "func.func" or _ARGUMENTS not in function.attributes:
        return Facts()
    argument = ir.DictAttr(ir.ArrayAttr(function.attributes[_ARGUMENTS])[ir.BlockArgument(value).arg_number])
    return _read(argument[ATTRIBUTE]) if ATTRIBUTE in argument else Facts()


def state(value: ir.Value, facts: Facts) -> None:
    """Add facts about a value: of an operation, or an argument of a host function; those about others are dropped."""
    facts = facts_of(value).both(facts)
    if not isinstance(value.owner, ir.Block):
        value.owner.operation.attributes[ATTRIBUTE] = _written(facts)
        return
    function = value.owner.owner.operation
    if function.name != "func.func":
        return
    number, count = ir.BlockArgument(value).arg_number, len(value.owner.arguments)
    before = function.attributes[_ARGUMENTS] if _ARGUMENTS in function.attributes else None
    arguments = [ir.DictAttr.get({})] * count if before is None else list(ir.ArrayAttr(before))
    kept = {named.name: named.attr for named in ir.DictAttr(arguments[number])}
    arguments[number] = ir.DictAttr.get({**kept, ATTRIBUTE: _written(facts)})
    function.attributes[_ARGUMENTS] = ir.ArrayAttr.get(arguments)


def _read(attribute: ir.Attribute) -> Facts:
    fields = ir.DictAttr(attribute)
    lo, hi = (ir.IntegerAttr(fields[name]).value if name in fields else None for name in ("lo", "hi"))
    return Facts(ir.IntegerAttr(fields["divisor"]).value if "divisor" in fields else 1, lo, hi)


def _written(facts: Facts) -> ir.Attribute:
    i64 = ir.IntegerType.get_signless(64)
    fields = {"divisor": None if facts.divisor == 1 else facts.divisor, "lo": facts.lo, "hi": facts.hi}
    return ir.DictAttr.get({name: ir.IntegerAttr.get(i64, n) for name, n in fields.items() if n is not None})
