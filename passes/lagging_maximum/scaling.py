"""What a kernel may do with the results of an online softmax whose reference is not the exact maximum.

If the reference lies d / c below the maximum (in units of the scores), then l and O are 2**d times what they are with
the exact one, and m is less by d / c. A program does not notice when what it stores depends on none of that: O / l,
log2(l) + m c, exp2(x - m c) / l. `is_invariant` follows the powers of 2**d through the operations behind the loop: a
value is `factor`: multiplied by 2**(d * power), or `shift`: greater by d * amount.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import effects, region_effects, root
from ...dialect.tl import FRAGMENT, scope_of
from ..elementwise import float_constant, stores_all
from .pattern import OnlineSoftmax
from .powers import exponential, logarithm

_TOLERANCE = 1e-5  # of exponents: constants of a program are rounded


@dataclass(frozen=True)
class Scaling:
    """How a value changes with d: times 2**(d * power), plus d * amount; at most one of them is not zero."""

    power: float = 0.0
    amount: float = 0.0

    @property
    def is_invariant(self) -> bool:
        return abs(self.power) < _TOLERANCE and abs(self.amount) < _TOLERANCE


class _Unknown(Exception):
    """A value depends on d in no way that is followed."""


def is_invariant(loop: ir.Operation, found: OnlineSoftmax, launch: ir.Operation) -> bool:
    """Whether nothing outside of the loop depends on how far the reference is from the maximum."""
    buffers = {
        found.maximum: Scaling(amount=-1 / found.scale),
        found.total: Scaling(power=1.0),
        **{a: Scaling(power=1.0) for a in found.accumulators},
    }
    operations = [op.operation for op in loop.block.operations]
    position = operations.index(loop)
    if not _starts_afresh(operations[:position], buffers):
        return False
    here = {e.op for op in operations for e in region_effects(op)}
    if any(e.value in buffers and e.op not in here for e in region_effects(launch)):
        return False
    state = dict(buffers)
    try:
        for op in operations[position + 1 :]:
            if any(e.value in state for e in region_effects(op)):
                _follow(op, state)
    except _Unknown:
        return False
    return True


def _starts_afresh(before: list[ir.Operation], buffers: dict[ir.Value, Scaling]) -> bool:
    """Before the loop the buffers are only filled."""
    return all(op.name == "tl.fill" for op in before if any(e.value in buffers for e in region_effects(op)))


def _follow(op: ir.Operation, state: dict[ir.Value, Scaling]) -> None:
    """Bring the state of the buffers behind one operation."""
    if op.name == "tl.fill":
        state.pop(op.operands[0], None)
    elif op.name == "tl.copy":
        source, target = list(op.operands)[:2]
        _write(target, _converted(state.get(root(source), Scaling()), ir.MemRefType(target.type).element_type), state)
    elif op.name == "tl.parallel" and not any(len(inner.operation.regions) for inner in op.regions[0].blocks[0]):
        _follow_loop(op, state)
    else:
        raise _Unknown


def _follow_loop(op: ir.Operation, state: dict[ir.Value, Scaling]) -> None:
    """A body is straight-line code: what one iteration writes and reads again is followed in order."""
    values: dict[ir.Value, Scaling] = {}
    inside = dict(state)
    for inner in (o.operation for o in op.regions[0].blocks[0]):
        if inner.name == "memref.store":
            scaling = values.get(inner.operands[0], Scaling())
            if scaling != inside.get(inner.operands[1], Scaling()) and not stores_all(op, inner):
                raise _Unknown  # elements that are not stored keep theirs
            _write(inner.operands[1], scaling, inside)
        elif inner.name == "memref.load":
            values[inner.results[0]] = inside.get(root(inner.operands[0]), Scaling())
        elif any(e.value in state for e in effects(inner)):
            raise _Unknown
        elif len(inner.results) == 1:
            operands = [values.get(v, Scaling()) for v in inner.operands]
            values[inner.results[0]] = _result(inner, operands)
    state.clear()
    state.update(inside)


def _write(target: ir.Value, scaling: Scaling, state: dict[ir.Value, Scaling]) -> None:
    """Fragments take the scaling along, memory must not depend on it. Part of a fragment cannot change its scaling."""
    buffer = root(target)
    if scaling.is_invariant:
        scaling = Scaling()
    if scope_of(buffer) != FRAGMENT:
        if scaling != Scaling():
            raise _Unknown
        return
    if list(ir.MemRefType(target.type).shape) != list(ir.MemRefType(buffer.type).shape):
        raise _Unknown
    if scaling == Scaling():
        state.pop(buffer, None)
    else:
        state[buffer] = scaling


def _result(op: ir.Operation, operands: list[Scaling]) -> Scaling:
    if all(o.is_invariant for o in operands):
        return Scaling()
    first = operands[0]
    if op.name in ("arith.extf", "arith.truncf", "tl.cast"):
        return _converted(first, op.results[0].type)
    if op.name == "arith.negf":
        return Scaling(first.power, -first.amount)
    if op.name in ("arith.addf", "arith.subf"):
        return _sum(operands, 1.0 if op.name == "arith.addf" else -1.0)
    if op.name in ("arith.mulf", "arith.divf"):
        return _product(op, operands, 1.0 if op.name == "arith.mulf" else -1.0)
    if op.name == "arith.cmpf" and _is_sign_test(op, operands):
        return Scaling()
    if op.name == "arith.select" and operands[0].is_invariant:
        return _choice(op, operands)
    if (base := exponential(op)) is not None and not first.power:
        return Scaling(power=first.amount * base)
    if (base := logarithm(op)) is not None and not first.amount:
        return Scaling(amount=first.power * base)
    raise _Unknown


def _converted(scaling: Scaling, kind: ir.Type) -> Scaling:
    """A value in another format. What is multiplied by a power of two may leave the range of formats whose exponents
    have fewer bits than those of float32: programs that round their sums to one of these count on the exact maximum."""
    if scaling.power and not isinstance(kind, ir.F32Type | ir.BF16Type | ir.F64Type):
        raise _Unknown
    return scaling


def _is_sign_test(op: ir.Operation, operands: list[Scaling]) -> bool:
    """A comparison of something multiplied by a power of two with zero."""
    zeros = [float_constant(v) == 0.0 for v in op.operands]
    return any(zero and not other.amount for zero, other in zip(zeros, operands[::-1], strict=True))


def _choice(op: ir.Operation, operands: list[Scaling]) -> Scaling:
    """One of two values that scale alike; zero stays zero, however it is multiplied."""
    sides = [
        s for s, v in zip(operands[1:], list(op.operands)[1:], strict=True) if s.amount or float_constant(v) != 0.0
    ]
    if len(sides) == 2 and abs(sides[0].power - sides[1].power) < _TOLERANCE and sides[0].amount == sides[1].amount:
        return sides[0]
    if len(sides) == 1:
        return sides[0]
    raise _Unknown


def _sum(operands: list[Scaling], sign: float) -> Scaling:
    a, b = operands
    if abs(a.power - b.power) < _TOLERANCE and not a.amount and not b.amount:
        return a
    if a.power or b.power:
        raise _Unknown
    return Scaling(amount=a.amount + sign * b.amount)


def _product(op: ir.Operation, operands: list[Scaling], sign: float) -> Scaling:
    a, b = operands
    if not a.amount and not b.amount:
        return Scaling(power=a.power + sign * b.power)
    left, right = (float_constant(v) for v in op.operands)
    if a.amount and right is not None and right:
        return Scaling(amount=a.amount * right**sign)
    if b.amount and left is not None and sign > 0:
        return Scaling(amount=b.amount * left)
    raise _Unknown
