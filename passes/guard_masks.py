"""`guard-masks`: mask scores only in the blocks that a mask can change.

Input: laid-out program. A parallel loop that replaces elements of a fragment where a comparison of indices fails is put
behind a test of the comparison's worst case over the tile, so that blocks in which all elements pass skip it:

    parallel (i, j) { S[i, j] = k * 64 + j <= q + i ? S[i, j] : -inf }
    =>
    if not (k * 64 + 63 <= q) { parallel (i, j) { ... } }

A mask given as the initial value of a product, `S = c ? 0 : -inf; S += A B`, becomes one behind the product first:
adding to minus infinity and replacing by it are the same for finite products, and the product then starts from zero.

Each side of a comparison must be monotone in each variable of the loop; its extreme is then the side itself at a corner
of the tile. Conjunctions are tested term by term. Loops whose worst case is no such expression keep their form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Target

from ..dialect.effects import region_effects
from ..dialect.tl import FRAGMENT, scope_of
from . import build
from .base import Pass
from .elementwise import ElementLoop, defining, element_loop, float_constant, outside
from .walk import launches, nested

_SLT, _SLE, _SGT, _SGE = 2, 3, 4, 5
_NEGATED = {_SLT: _SGE, _SLE: _SGT, _SGT: _SLE, _SGE: _SLT}
_INCREASING = ("arith.addi", "arith.minsi", "arith.maxsi")
_SCALED = ("arith.muli", "arith.divui", "arith.divsi", "arith.floordivsi", "arith.shrui", "arith.shrsi")


@dataclass(frozen=True)
class GuardMasks(Pass):
    """Apply masks only to tiles that have masked elements."""

    name: ClassVar[str] = "guard-masks"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled:
            return
        for launch in launches(module):
            for op in [op for op in nested(launch) if op.name == "tl.parallel"]:
                loop = element_loop(op)
                if loop is not None and loop.covers_target and scope_of(loop.target) == FRAGMENT:
                    with module.context, op.location:
                        _guard(loop)


@dataclass(frozen=True)
class _Comparison:
    """`left < right` or `left <= right` on signed integers, or its negation in the program."""

    predicate: int
    left: ir.Value
    right: ir.Value


def _guard(loop: ElementLoop) -> None:
    choice = defining(loop.value, "arith.select")
    if choice is None:
        return
    condition, kept, replaced = choice.operands
    product = _product_after(loop) if float_constant(kept) == 0.0 else None
    if product is not None and float_constant(replaced) != -math.inf:
        return
    if product is None and loop.load(kept) != (loop.target, loop.dims):
        return
    terms = _terms(condition)
    variables = list(loop.op.regions[0].blocks[0].arguments)
    if terms is None or not any(_depends(t.left, variables) or _depends(t.right, variables) for t in terms):
        return
    sides = [side for term in terms for side in (term.left, term.right)]
    if any(_reads_memory(side, loop.op) or None in [_direction(side, v) for v in variables] for side in sides):
        return
    if product is not None:
        _move_behind(loop, choice, product)
    _branch(loop, terms)


def _product_after(loop: ElementLoop) -> ir.Operation | None:
    """The product that adds to the stored values, where it is the next to touch them."""
    operations = [op.operation for op in loop.op.block.operations]
    for op in operations[operations.index(loop.op) + 1 :]:
        if any(e.value == loop.target for e in region_effects(op)):
            adds = op.name == "tl.gemm" and op.operands[2] == loop.target and len(op.operands) == 3
            others = adds and loop.target not in list(op.operands)[:2]
            return op if others and not ir.BoolAttr(op.attributes["clear"]).value else None
    return None


def _terms(condition: ir.Value) -> list[_Comparison] | None:
    """The comparisons of a conjunction."""
    both = defining(condition, "arith.andi")
    if both is not None:
        parts = [_terms(v) for v in both.operands]
        return None if any(p is None for p in parts) else [t for p in parts if p is not None for t in p]
    compare = defining(condition, "arith.cmpi")
    if compare is None:
        return None
    predicate = ir.IntegerAttr(compare.attributes["predicate"]).value
    left, right = compare.operands
    if predicate in (_SGT, _SGE):
        predicate, left, right = {_SGT: _SLT, _SGE: _SLE}[predicate], right, left
    return [_Comparison(predicate, left, right)] if predicate in (_SLT, _SLE) else None


def _direction(value: ir.Value, variable: ir.Value) -> int | None:
    """1, 0 or -1: whether a value grows with a variable, does not depend on it, or falls; None when unknown."""
    if value == variable:
        return 1
    if not _depends(value, [variable]):
        return 0
    op = value.owner.operation
    directions = [_direction(v, variable) for v in op.operands]
    if op.name in _SCALED:
        factor = defining(op.operands[1], "arith.constant")
        number = ir.IntegerAttr(factor.attributes["value"]).value if factor is not None else 0
        sign = (number > 0) - (number < 0)
        if op.name != "arith.muli" and sign < 1:
            return None
        return directions[0] * sign if directions[0] is not None and factor is not None else None
    if op.name == "arith.index_cast":
        return directions[0]
    if op.name == "arith.subi" and directions[1] is not None:
        directions[1] = -directions[1]
    elif op.name not in _INCREASING and op.name != "arith.subi":
        return None
    found = set(directions) - {0}
    return found.pop() if len(found) == 1 else None


def _depends(value: ir.Value, variables: list[ir.Value]) -> bool:
    if value in variables:
        return True
    if isinstance(value.owner, ir.Block):
        return False
    op = value.owner.operation
    return any(_depends(v, variables) for v in op.operands)


def _reads_memory(value: ir.Value, loop: ir.Operation) -> bool:
    """Whether the loop's body loads something to compute a value."""
    if isinstance(value.owner, ir.Block) or value.owner.operation.parent.operation != loop:
        return False
    op = value.owner.operation
    return op.name == "memref.load" or any(_reads_memory(v, loop) for v in op.operands)


def _move_behind(loop: ElementLoop, choice: ir.Operation, product: ir.Operation) -> None:
    """Start the product from zero and let the mask follow it."""
    product.attributes["clear"] = ir.BoolAttr.get(True)
    loop.op.move_after(product)
    choice.move_before(loop.store)  # behind the indices
    with ir.InsertionPoint(choice):
        choice.operands[1] = build.load(loop.target, list(loop.store.operands)[2:])


def _branch(loop: ElementLoop, terms: list[_Comparison]) -> None:
    """Run the loop only where a comparison fails at its worst corner."""
    with ir.InsertionPoint(loop.op):
        needed: ir.Value | None = None
        for term in terms:
            left, right = (_corner(loop, side, up) for side, up in ((term.left, True), (term.right, False)))
            fails = build.compare(_NEGATED[term.predicate], left, right)
            needed = fails if needed is None else build.binary("ori", needed, fails)
        assert needed is not None
        branch = ir.Operation.create("scf.if", [], [needed], regions=2)
    inside = branch.regions[0].blocks.append()
    inside.append(loop.op)
    with ir.InsertionPoint(inside):
        ir.Operation.create("scf.yield")


def _corner(loop: ElementLoop, value: ir.Value, largest: bool) -> ir.Value:
    """The value where it is largest or smallest over the tile."""
    extents = int_array(loop.op.attributes["extents"])
    variables = list(loop.op.regions[0].blocks[0].arguments)
    replaced: dict[ir.Value, ir.Value] = {}
    for variable, extent in zip(variables, extents, strict=True):
        direction = _direction(value, variable)
        replaced[variable] = build.constant(extent - 1 if (direction == 1) == largest else 0)
    return outside(value, loop.op, replaced)
