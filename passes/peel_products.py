"""`peel-products`: the first product of a sum starts it, and the last one may still run while the next is issued.

Input: a warp-specialised kernel whose consumers clear an accumulator and add one product per iteration to it. Output:
the first iteration in front of the loop, as a product that clears; where one warpgroup computes at a time, every
product but the last is left unfinished until the next one is under way, and its tiles are given back then:

    fill C, 0; for k: wait full[k]; C += A[k] B[k]; arrive empty[k]
    =>
    wait full[0]; C = A[0] B[0] {pending = 1}
    for k = 1 ...: wait full[k]; C += A[k] B[k] {pending = 1}; arrive empty[k - 1]
    wait C; arrive empty[last]

With two warpgroups that compute together one fills the tensor cores while the other one waits: there products end at
once, and the tiles are free earlier. Rings of one version, and loops whose step is not one, keep finished products.
A loop that may run no iteration is guarded; the accumulator is cleared on the other side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import region_effects, root
from . import build, raster
from .base import Pass
from .clone import clone_ops
from .nvidia.wgmma_layout import WARPGROUP
from .walk import launches, nested


@dataclass(frozen=True)
class PeelProducts(Pass):
    """Start sums with their first product and keep one product in flight."""

    name: ClassVar[str] = "peel-products"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            for split in [op for op in nested(launch) if op.name == "tl.specialize"]:
                alone = ir.IntegerAttr(split.attributes["consumers"]).value == WARPGROUP
                for op in [op for op in nested(split) if op.name == "scf.for"]:
                    found = _sum(op)
                    if found is not None:
                        with module.context, op.location:
                            _Peeling(found, alone).run()


@dataclass(frozen=True)
class _Sum:
    """A loop that adds products to a cleared accumulator: the clearing, the product and what gives tiles back."""

    loop: ir.Operation
    fill: ir.Operation
    product: ir.Operation
    releases: list[ir.Operation]


def _sum(loop: ir.Operation) -> _Sum | None:
    body = [op.operation for op in loop.regions[0].blocks[0].operations][:-1]
    products = [op for op in body if op.name == "tl.gemm"]
    if len(products) != 1 or "instr" not in products[0].attributes or len(products[0].operands) != 3:
        return None
    product = products[0]
    after = body[body.index(product) + 1 :]
    before = [op for op in body[: body.index(product)] if not op.name.startswith("arith.")]
    plain = all(op.name in ("tl.mbarrier_wait", "tl.slice") for op in before)
    if not plain or not after or any(op.name != "tl.mbarrier_arrive" for op in after):
        return None
    if ir.BoolAttr(product.attributes["clear"]).value:
        return None
    fill = _clearing(loop, root(product.operands[2]))
    return _Sum(loop, fill, product, after) if fill is not None else None


def _clearing(loop: ir.Operation, accumulator: ir.Value) -> ir.Operation | None:
    """The last operation before a loop that touches its accumulator, when it sets it to zero."""
    before = [op.operation for op in loop.block.operations]
    for op in reversed(before[: before.index(loop)]):
        if not any(e.value == accumulator for e in region_effects(op)):
            continue
        if op.name != "tl.fill" or op.operands[0] != accumulator:
            return None
        return op if _is_zero(op.operands[1]) else None
    return None


def _is_zero(value: ir.Value) -> bool:
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return False
    attribute = owner.operation.attributes["value"]
    return isinstance(attribute, ir.FloatAttr | ir.IntegerAttr) and attribute.value == 0


class _Peeling:
    """The rewriting of one loop."""

    def __init__(self, found: _Sum, alone: bool) -> None:
        self.found = found
        self.loop = found.loop
        self.body = found.loop.regions[0].blocks[0]
        self.variable = self.body.arguments[0]
        self.lower, self.upper, self.step = list(found.loop.operands)[:3]
        single = ir.Type.parse("!tl.barrier<1 : i64>")
        deep = all(ir.Type(op.operands[0].type) != single for op in found.releases)
        self.overlaps = alone and deep and raster.known(self.step) == 1

    def run(self) -> None:
        lower, upper = raster.known(self.lower), raster.known(self.upper)
        certain = isinstance(lower, int) and isinstance(upper, int) and lower < upper
        following = [op.operation for op in self.loop.block.operations]
        following = following[following.index(self.loop) + 1 :]
        turns = [op for op in following[:1] if op.name == "tl.turn"]
        if certain:
            with ir.InsertionPoint(self.loop):
                self._first()
            self._rest(turns)
            self.found.fill.erase()
            return
        with ir.InsertionPoint(self.loop):
            condition = build.compare(2, self.lower, self.upper)
            guard = ir.Operation.create("scf.if", [], [condition], regions=2)
        inside, otherwise = (region.blocks.append() for region in guard.regions)
        with ir.InsertionPoint(inside):
            self._first()
        for op in (self.loop, *turns):
            inside.append(op)
        self._rest(turns)
        with ir.InsertionPoint(inside):
            ir.Operation.create("scf.yield")
        otherwise.append(self.found.fill)
        with ir.InsertionPoint(otherwise):
            clone_ops(turns, {})
            ir.Operation.create("scf.yield")

    def _first(self) -> None:
        """The iteration in front of the loop."""
        ops = [op.operation for op in self.body.operations][:-1]
        kept = [op for op in ops if not (self.overlaps and op in self.found.releases)]
        for copy in clone_ops(kept, {self.variable: self.lower}):
            if copy.name == "tl.gemm":
                copy.attributes["clear"] = ir.BoolAttr.get(True)
                self._leave_unfinished(copy)
        self.loop.operands[0] = build.binary("addi", self.lower, self.step)

    def _rest(self, turns: list[ir.Operation]) -> None:
        """The loop, and what completes the last product."""
        if not self.overlaps:
            return
        product = self.found.product
        accumulator = root(product.operands[2])
        accumulator.owner.operation.attributes["scalars"] = build.unit()
        self._leave_unfinished(product)
        with ir.InsertionPoint.after(product):
            self._release(build.binary("subi", self.variable, build.constant(1)))
        with ir.InsertionPoint.after(turns[-1] if turns else self.loop):
            pending = {"pending": ir.IntegerAttr.get(build.i32(), 0)}
            ir.Operation.create("tl.wait_products", [], [accumulator], pending)
            self._release(build.binary("subi", self.upper, build.constant(1)))
        for op in self.found.releases:
            op.erase()

    def _leave_unfinished(self, product: ir.Operation) -> None:
        if self.overlaps:
            product.attributes["pending"] = ir.IntegerAttr.get(build.i32(), 1)

    def _release(self, trip: ir.Value) -> None:
        """Give the tiles of an iteration back."""
        arithmetic = [op.operation for op in self.body.operations if op.operation.name.startswith("arith.")]
        own = [op for op in arithmetic if _reaches(op, self.found.releases)]
        clone_ops([*own, *self.found.releases], {self.variable: trip})


def _reaches(op: ir.Operation, users: list[ir.Operation]) -> bool:
    """Whether operations use a result of `op`, directly or through other operations."""
    return any(
        use.owner.operation in users or _reaches(use.owner.operation, users) for r in op.results for use in r.uses
    )
