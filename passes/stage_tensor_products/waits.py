"""Where the threads wait for products in tensor memory: where they need what these give, or what these read.

A product runs while the threads do other things. Its wait, and the load of its sum, move down to the first operation
that touches the sum or writes one of its operands. Where there is none in the rest of a loop, the wait moves to the
next iteration: behind the first product that is started there, which comes after it anyway, or to the first operation
that needs it. Then tiles that are loaded ahead may be overwritten behind this wait only: it is marked (`RELEASED`).

A barrier starts in the phase before its first one, so that a wait in front of the first product passes.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from .. import build
from ..pipeline_loops import producers, stages_of
from ..versions import RELEASED

_START = ("tl.tcgen05_mma",)


@dataclass(frozen=True)
class Started:
    """A product with its completion: the operations that start it, those that bring its sum to the threads, and that
    fragment."""

    start: tuple[ir.Operation, ...]
    bring: tuple[ir.Operation, ...]
    fragment: ir.Value
    barrier: ir.Value
    phase: ir.Value

    @property
    def product(self) -> ir.Operation:
        return self.start[0]

    def wait(self) -> ir.Operation:
        """A wait at the insertion point."""
        zero = build.constant(0)
        operands = [self.barrier, zero, build.load(self.phase, [zero])]
        return ir.Operation.create("tl.mbarrier_wait", [], operands)


def place_waits(products: list[Started], *, async_copy: bool, at_once: bool) -> None:
    """Wait for a kernel's products.

    `async_copy`: pipelined loops will load their tiles ahead. `at_once`: sums that pass through are brought before
    anything else happens, so that they find room one after the other.
    """
    for one in products:
        block = one.product.block
        beside = [other for other in products if other.product.block == block]
        with one.product.location:
            if not _wait_here(one, at_once=at_once):
                _wait_later(one, beside, async_copy)


def _wait_here(one: Started, *, at_once: bool) -> bool:
    """Wait, and bring the sum, in this iteration or block; whether it has to be there."""
    last = one.bring[-1] if one.bring else one.start[-1]
    rest = _behind(last)
    needs = next((op for op in rest if _conflicts(one, op)), None)
    loop = one.product.parent.operation
    if needs is None and not one.bring and loop.name == "scf.for":
        return False
    needs = None if one.bring and at_once else needs
    at = needs or rest[0]
    with ir.InsertionPoint(at if needs or not one.bring else one.bring[0]):
        one.wait()
    if needs:
        for op in one.bring:
            op.move_before(needs)
    return True


def _wait_later(one: Started, beside: list[Started], async_copy: bool) -> None:
    """Wait for a sum that stays in tensor memory in the next iteration, and behind the loop."""
    loop = one.product.parent.operation
    ahead = producers(loop)
    pipelined = async_copy and "tl.pipeline" in loop.attributes and stages_of(loop) > 1
    body = [view.operation for view in loop.regions[0].blocks[0].operations]
    before = body[: body.index(one.product)]
    needs = next((op for op in before if _conflicts(one, op) and not (pipelined and op in ahead)), one.product)
    if needs in ahead:
        needs = body[0]
    earlier = [other.start[-1] for other in beside if body.index(other.start[-1]) < body.index(needs)]
    at = body[min(map(body.index, earlier)) + 1] if earlier else needs
    with ir.InsertionPoint(at):
        one.wait().attributes[RELEASED] = build.unit()
    with ir.InsertionPoint.after(loop):
        one.wait()


def _behind(op: ir.Operation) -> list[ir.Operation]:
    body = [view.operation for view in op.block.operations]
    return body[body.index(op) + 1 :]


def _conflicts(one: Started, op: ir.Operation) -> bool:
    """Whether an operation may only run when the product is complete. Products run one after the other, so that those
    which add to the same sum need not wait."""
    a, b, tensor = (root(v) for v in list(one.product.operands)[:3])
    if op.name in _START:
        return bool(one.bring) and root(op.operands[2]) == tensor
    found = region_effects(op)
    return any(e.value in (tensor, one.fragment) or (e.kind == "write" and e.value in (a, b)) for e in found)
