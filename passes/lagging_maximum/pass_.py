"""`lagging-maximum`: online softmax that rescales only when the row maximum has grown a lot.

Input: laid-out program. Online softmax (`pattern`) keeps per row a reference m and multiplies its sums by
exp2((m_old - m_new) c) whenever the maximum grows, in practice in every block for some row. Any reference near the
maximum serves as well, since results are quotients in which it cancels. Output: the reference stays until an element
exceeds it by more than a factor of 2**8 in the exponentials, decided by a vote of each warp:

    before = m; m = max(m, rows of S); factor = exp2((before - m) c); S = exp2((S - m) c)
    part = sum of S; l = l factor + part; P = S; O = O factor
    =>
    if any element of S the warp holds exceeds m by more than 8 / c:
        before = m; m = max(m, rows of S); factor = exp2((before - m) c); l = l factor; O = O factor
    S = exp2((S - m) c); part = sum of S; l = l + part; P = S

Exponentials are then at most 256: exact enough in 16 bits (their relative precision does not depend on the size), and
far from overflow. What is saved per block is the exchange between lanes, the latency from maximum to exponentials, and
the multiplication of O. Values that a kernel stores must not depend on the reference (`scaling` decides); rows must lie
within warps, so that a warp can decide alone. Everything else keeps the exact maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ...dialect.layout import Fragment
from ...dialect.layout.attrs import from_attr
from ..base import Pass
from ..elementwise import defining
from ..walk import launches, nested
from .pattern import OnlineSoftmax, match
from .scaling import is_invariant

_MARGIN = 8.0  # powers of two that exponentials may exceed one by


@dataclass(frozen=True)
class LaggingMaximum(Pass):
    """Rescale online softmax only when a row maximum has grown by more than a factor of 256."""

    name: ClassVar[str] = "lagging-maximum"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled:
            return
        for launch in launches(module):
            for op in [op for op in nested(launch) if op.name == "tl.reduce"]:
                loop = op.parent.operation
                found = match(op, launch) if loop.name == "scf.for" else None
                if found is None or not _within_warps(found, target) or not is_invariant(loop, found, launch):
                    continue
                with module.context, op.location:
                    _rewrite(found)


def _within_warps(found: OnlineSoftmax, target: Target) -> bool:
    """Whether the lanes of a warp hold whole rows, and no other warp holds them too."""
    for buffer in (found.scores, found.maximum):
        layout = from_attr(buffer.owner.operation.attributes["layout"])
        assert isinstance(layout, Fragment)
        weight = 1
        for digit in layout.thread:
            weight *= digit.size
            if weight > target.warp_size and digit.dim != 0:
                return False
        if layout.is_padded:
            return False
    return True


def _rewrite(found: OnlineSoftmax) -> None:
    first = found.updates[0]
    with ir.InsertionPoint(first):
        margin = ir.FloatAttr.get(ir.F32Type.get(), _MARGIN / found.scale)
        i1 = ir.IntegerType.get_signless(1)
        grown = ir.Operation.create("tl.outgrows", [i1], [found.scores, found.maximum], {"margin": margin})
        branch = ir.Operation.create("scf.if", [], [grown.result], regions=2)
    inside = branch.regions[0].blocks.append()
    for buffer in (found.before, found.factor):
        inside.append(buffer.owner.operation)
    rescaled = _split_total(found)
    for op in (*found.updates, found.factor_loop.op, rescaled, *(loop.op for loop in found.rescaling)):
        inside.append(op)
    with ir.InsertionPoint(inside):
        ir.Operation.create("scf.yield")


def _split_total(found: OnlineSoftmax) -> ir.Operation:
    """`l = l factor + part` becomes `l = l + part`; returns a new loop `l = l factor`."""
    loop = found.total_loop.op
    with ir.InsertionPoint(loop):
        rescaled = loop.clone().operation
    for op, kept_is_product in ((rescaled, True), (loop, False)):
        body = [inner.operation for inner in op.regions[0].blocks[0].operations]
        plus = next(inner for inner in body if inner.name == "arith.addf")
        product = next(p for p in (defining(v, "arith.mulf") for v in plus.operands) if p is not None)
        if kept_is_product:
            plus.results[0].replace_all_uses_with(product.results[0])
            plus.erase()
        else:
            total = next(v for v in product.operands if v.owner.operation.operands[0] == found.total)
            product.results[0].replace_all_uses_with(total)
            product.erase()
        body = [inner.operation for inner in op.regions[0].blocks[0].operations]
        for load in [inner for inner in body if inner.name == "memref.load" and not list(inner.results[0].uses)]:
            load.erase()
    return rescaled
