"""Online softmax, recognised.

Per block of scores S, with running maximum m and sum l per row and accumulators O (names of the buffers are free):

    before = m
    m = max(m, row maximum of S)                  one reduction, or one into a cleared m and a maximum with `before`
    factor = exp2((before - m) c)
    S = exp2((S - m) c)
    part = row sum of S
    l = l factor + part
    P = S                                         converted to 16 bits
    O = O factor                                  for every O
    O += P V

`exp2` may be `exp`, `exp10` or a fast form of theirs, products with the positive constant c may be distributed. Nothing
else in the kernel may touch `before`, `factor` or `part`; nothing else in the loop may touch m, l, O, P or S as
exponentials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import Effect, region_effects, root
from ...dialect.tl import FRAGMENT, scope_of
from ..elementwise import ElementLoop, defining, element_loop, float_constant
from .powers import exponential


@dataclass(frozen=True)
class OnlineSoftmax:
    """The operations of one block of scores; `scale` is c of base two."""

    scores: ir.Value
    maximum: ir.Value
    before: ir.Value
    factor: ir.Value
    part: ir.Value
    total: ir.Value
    accumulators: tuple[ir.Value, ...]
    scale: float
    updates: tuple[ir.Operation, ...]  # of the maximum, the copy to `before` first
    factor_loop: ElementLoop
    total_loop: ElementLoop
    rescaling: tuple[ElementLoop, ...]


def match(maximum: ir.Operation, launch: ir.Operation) -> OnlineSoftmax | None:
    """The pattern around a reduction to row maxima, or None."""
    scores, top = maximum.operands
    if not _is_row_maximum(maximum):
        return None
    block = _Block(maximum.block, launch)
    steps = [op for op in block.operations if block.touches(op, top)]
    split = steps.index(maximum)
    starts_afresh = ir.BoolAttr(maximum.attributes["clear"]).value or _is_reset(steps, split, top)
    combined = split + 2 if starts_afresh else split + 1
    updates, rest = steps[:combined], [loop for loop in map(element_loop, steps[combined:]) if loop is not None]
    if len(rest) != 2 or len(steps) != combined + 2 or updates[0].name != "tl.copy":
        return None
    factor_loop, exponentials = rest
    before, factor = updates[0].operands[1], factor_loop.target
    if updates[0].operands[0] != top or not _updates_maximum(updates, maximum, top, before):
        return None
    scale = _difference_scale(factor_loop, (before, (0,)), (top, (0,)))
    if scale is None or scale != _difference_scale(exponentials, (scores, (0, 1)), (top, (0,))):
        return None
    if exponentials.target != scores or exponentials.dims != (0, 1):
        return None
    if block.between(maximum, exponentials.op, scores):
        return None
    return _consumers(block, scores, top, before, factor, scale, updates, factor_loop, exponentials)


class _Block:
    """The operations of the loop's body and who touches what."""

    def __init__(self, block: ir.Block, launch: ir.Operation) -> None:
        self.operations = [op.operation for op in block.operations]
        self.launch = launch
        self._effects: dict[ir.Operation, list[Effect]] = {op: region_effects(op) for op in self.operations}
        self._all = region_effects(launch)

    def touches(self, op: ir.Operation, buffer: ir.Value) -> bool:
        return any(e.value == buffer for e in self._effects[op])

    def touching(self, buffer: ir.Value) -> list[ir.Operation]:
        """Operations of the block that access a buffer, in order."""
        return [op for op in self.operations if self.touches(op, buffer)]

    def only(self, buffer: ir.Value, allowed: list[ir.Operation]) -> bool:
        """Whether nothing in the whole kernel but some operations of the block accesses a buffer."""
        known = {e.op for op in allowed for e in self._effects[op]}
        return all(e.op in known for e in self._all if e.value == buffer)

    def between(self, first: ir.Operation, last: ir.Operation, buffer: ir.Value) -> bool:
        """Whether an operation strictly between two accesses a buffer."""
        start, end = self.operations.index(first), self.operations.index(last)
        return any(self.touches(op, buffer) for op in self.operations[start + 1 : end])


def _is_row_maximum(op: ir.Operation) -> bool:
    scores, top = op.operands
    kinds = [ir.MemRefType(v.type) for v in (scores, top)]
    return (
        ir.StringAttr(op.attributes["kind"]).value == "max"
        and "nan_propagate" not in op.attributes
        and all(scope_of(v) == FRAGMENT and root(v) == v for v in (scores, top))
        and [k.rank for k in kinds] == [2, 1]
        and ir.IntegerAttr(op.attributes["dim"]).value == 1
        and all(str(k.element_type) == "f32" for k in kinds)
    )


def _is_reset(steps: list[ir.Operation], position: int, top: ir.Value) -> bool:
    """Whether the maximum is set to minus infinity right before the reduction."""
    before = steps[position - 1] if position else None
    return (
        before is not None
        and before.name == "tl.fill"
        and before.operands[0] == top
        and float_constant(before.operands[1]) == -math.inf
    )


def _updates_maximum(updates: list[ir.Operation], reduction: ir.Operation, top: ir.Value, before: ir.Value) -> bool:
    """`before = m; m = max(m, rows of S)`, in one of its forms."""
    rest = [op for op in updates[1:] if op != reduction]
    if updates[-1] == reduction:
        return not rest
    rest = rest[1:] if len(rest) == 2 and rest[0].name == "tl.fill" else rest
    loop = element_loop(rest[0]) if len(rest) == 1 else None
    join = defining(loop.value, "arith.maxnumf", "arith.maximumf") if loop is not None else None
    if loop is None or join is None or loop.target != top or not loop.covers_target:
        return False
    found = [loop.load(v) for v in join.operands]
    return found in ([(top, (0,)), (before, (0,))], [(before, (0,)), (top, (0,))])


def _difference_scale(
    loop: ElementLoop, left: tuple[ir.Value, tuple[int, ...]], right: tuple[ir.Value, tuple[int, ...]]
) -> float | None:
    """c of `exp2((left - right) c)` or `exp2(left c - right c)`, positive."""
    power = defining(loop.value, "math.exp2", "math.exp", "tl.math")
    base = exponential(power) if power is not None else None
    if power is None or base is None or not loop.covers_target:
        return None
    scale = _difference(loop, power.operands[0], left, right)
    return scale * base if scale is not None and scale > 0 and math.isfinite(scale) else None


def _difference(
    loop: ElementLoop,
    value: ir.Value,
    left: tuple[ir.Value, tuple[int, ...]],
    right: tuple[ir.Value, tuple[int, ...]],
) -> float | None:
    product = defining(value, "arith.mulf")
    if product is not None:
        inner, factor = _with_constant(product)
        known = _difference(loop, inner, left, right) if factor is not None else None
        return known * factor if known is not None and factor is not None else None
    minus = defining(value, "arith.subf")
    if minus is None:
        return None
    terms = [_scaled_load(loop, v) for v in minus.operands]
    if terms[0] is None or terms[1] is None or terms[0][1] != terms[1][1]:
        return None
    return terms[0][1] if (terms[0][0], terms[1][0]) == (left, right) else None


def _scaled_load(loop: ElementLoop, value: ir.Value) -> tuple[tuple[ir.Value, tuple[int, ...]], float] | None:
    product, factor = defining(value, "arith.mulf"), 1.0
    if product is not None:
        value, known = _with_constant(product)
        if known is None:
            return None
        factor = known
    found = loop.load(value)
    return (found, factor) if found is not None else None


def _with_constant(product: ir.Operation) -> tuple[ir.Value, float | None]:
    """The factor that is no constant, and the one that is."""
    a, b = product.operands
    return (a, float_constant(b)) if float_constant(b) is not None else (b, float_constant(a))


def _consumers(
    block: _Block, scores: ir.Value, top: ir.Value, before: ir.Value, factor: ir.Value, scale: float,
    updates: list[ir.Operation], factor_loop: ElementLoop, exponentials: ElementLoop,
) -> OnlineSoftmax | None:  # fmt: skip
    """The sums, the accumulators and the weights: what the exponentials and the factor flow into."""
    after = block.operations[block.operations.index(exponentials.op) + 1 :]
    readers = [op for op in after if block.touches(op, scores)]
    sums = [op for op in readers if op.name == "tl.reduce"]
    casts = [op for op in readers if op.name == "tl.copy"]
    if len(sums) != 1 or len(casts) != 1 or len(readers) != 2 or not _is_row_sum(sums[0]):
        return None
    part, weights = sums[0].operands[1], casts[0].operands[1]
    users = [element_loop(op) for op in block.touching(factor) if op != factor_loop.op]
    totals = [u for u in users if u is not None and u.target != factor and _is_total(u, factor, part)]
    scaled = [u for u in users if u is not None and _is_rescaling(u, factor)]
    if len(totals) != 1 or not scaled or len(totals) + len(scaled) != len(users):
        return None
    total, accumulators = totals[0].target, [u.target for u in scaled]
    first = updates[0]
    own = [(before, [*updates, factor_loop.op]), (factor, [factor_loop.op, *(u.op for u in users if u is not None)])]
    own.append((part, [sums[0], totals[0].op]))
    moved = [(total, totals[0].op), *((u.target, u.op) for u in scaled)]
    if not all(block.only(buffer, ops) for buffer, ops in own) or any(block.between(first, op, b) for b, op in moved):
        return None
    if not _weighs(block, weights, casts[0], accumulators) or block.touching(total) != [totals[0].op]:
        return None
    if not _only_in_block(block, scores):
        return None
    return OnlineSoftmax(
        scores, top, before, factor, part, total, tuple(accumulators), scale, tuple(updates), factor_loop, totals[0],
        tuple(scaled),
    )  # fmt: skip


def _is_row_sum(op: ir.Operation) -> bool:
    kind, clear = ir.StringAttr(op.attributes["kind"]).value, ir.BoolAttr(op.attributes["clear"]).value
    return kind == "sum" and clear and ir.IntegerAttr(op.attributes["dim"]).value == 1


def _is_total(loop: ElementLoop, factor: ir.Value, part: ir.Value) -> bool:
    """`l = l factor + part`."""
    plus = defining(loop.value, "arith.addf")
    if plus is None or not loop.covers_target:
        return False
    for product, other in (tuple(plus.operands), tuple(plus.operands)[::-1]):
        times = defining(product, "arith.mulf")
        if times is not None and loop.load(other) == (part, (0,)):
            found = [loop.load(v) for v in times.operands]
            return found in ([(loop.target, (0,)), (factor, (0,))], [(factor, (0,)), (loop.target, (0,))])
    return False


def _is_rescaling(loop: ElementLoop, factor: ir.Value) -> bool:
    """`O = O factor`."""
    times = defining(loop.value, "arith.mulf")
    if times is None or not loop.covers_target or loop.dims != (0, 1):
        return False
    found = [loop.load(v) for v in times.operands]
    return found in ([(loop.target, (0, 1)), (factor, (0,))], [(factor, (0,)), (loop.target, (0, 1))])


def _weighs(block: _Block, weights: ir.Value, cast: ir.Operation, accumulators: list[ir.Value]) -> bool:
    """Whether the weights, of 16 bits, are used by products into the accumulators only, and those by nothing else."""
    if str(ir.MemRefType(weights.type).element_type) not in ("f16", "bf16") or scope_of(weights) != FRAGMENT:
        return False
    products = [op for op in block.touching(weights) if op != cast]
    if not all(op.name == "tl.gemm" and op.operands[0] == weights for op in products):
        return False
    if not block.only(weights, [cast, *products]) or {op.operands[2] for op in products} != set(accumulators):
        return False
    known = {"tl.gemm", "tl.parallel"}
    return all(op.name in known and len(block.touching(a)) == 2 for a in accumulators for op in block.touching(a))


def _only_in_block(block: _Block, buffer: ir.Value) -> bool:
    return block.only(buffer, block.touching(buffer))
