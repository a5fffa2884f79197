"""`overlap-iterations`: the product of one iteration may still run while the next one is issued.

Input: a warp-specialised kernel in which one warpgroup computes at a time, and whose loop adds one product per
iteration to an accumulator. Output: every product is left unfinished until the next one is under way, and its tiles are
given back then:

    for k: wait full[k]; C += A[k] B[k]; arrive empty[k]
    =>
    for k: wait full[k]; C += A[k] B[k] {pending = 1}; if k > 0: arrive empty[k - 1]
    wait C; arrive empty[last]

With two warpgroups that compute together one fills the tensor cores while the other one waits: there products end at
once, and the tiles are free earlier. Rings of one version, and loops whose step is not one, keep finished products.

The first iteration stays in the loop, although peeling it would spare the accumulator its clearing: a second copy of
the product, which is one piece of assembly with all accumulators as operands, takes a third of the time that assembling
the kernel takes, and the clearing runs under the products of the other warpgroup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import root
from . import build, raster
from .base import Pass
from .clone import clone_ops
from .nvidia.wgmma_layout import WARPGROUP
from .walk import launches, nested


@dataclass(frozen=True)
class OverlapIterations(Pass):
    """Keep one product of a sum in flight across iterations."""

    name: ClassVar[str] = "overlap-iterations"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            for split in [op for op in nested(launch) if op.name == "tl.specialize"]:
                if ir.IntegerAttr(split.attributes["consumers"]).value != WARPGROUP:
                    continue
                for op in [op for op in nested(split) if op.name == "scf.for"]:
                    found = _sum(op)
                    if found is not None:
                        with module.context, op.location:
                            _Overlap(found).run()


@dataclass(frozen=True)
class _Sum:
    """A loop that adds products to an accumulator: the product and what gives its tiles back."""

    loop: ir.Operation
    product: ir.Operation
    releases: list[ir.Operation]


def _sum(loop: ir.Operation) -> _Sum | None:
    body = [op.operation for op in loop.regions[0].blocks[0].operations][:-1]
    products = [op for op in body if op.name == "tl.gemm"]
    if len(products) != 1 or "instr" not in products[0].attributes:
        return None
    product = products[0]
    after = body[body.index(product) + 1 :]
    before = [op for op in body[: body.index(product)] if not op.name.startswith("arith.")]
    plain = all(op.name in ("tl.mbarrier_wait", "tl.slice") for op in before)
    if not plain or not after or any(op.name != "tl.mbarrier_arrive" for op in after):
        return None
    if ir.BoolAttr(product.attributes["clear"]).value or raster.known(loop.operands[2]) != 1:
        return None
    single = ir.Type.parse("!tl.barrier<1 : i64>")
    if any(ir.Type(op.operands[0].type) == single for op in after):
        return None
    return _Sum(loop, product, after)


class _Overlap:
    """The rewriting of one loop."""

    def __init__(self, found: _Sum) -> None:
        self.found = found
        self.loop = found.loop
        self.body = found.loop.regions[0].blocks[0]
        self.variable = self.body.arguments[0]
        self.lower, self.upper = list(found.loop.operands)[:2]

    def run(self) -> None:
        product = self.found.product
        accumulator = root(product.operands[2])
        accumulator.owner.operation.attributes["scalars"] = build.unit()
        product.attributes["pending"] = ir.IntegerAttr.get(build.i32(), 1)
        with ir.InsertionPoint.after(product):
            self._release_if(build.compare(2, self.lower, self.variable), self.variable)
        following = [op.operation for op in self.loop.block.operations]
        following = following[following.index(self.loop) + 1 :]
        turns = [op for op in following[:1] if op.name == "tl.turn"]
        with ir.InsertionPoint.after(turns[-1] if turns else self.loop):
            pending = {"pending": ir.IntegerAttr.get(build.i32(), 0)}
            ir.Operation.create("tl.wait_products", [], [accumulator], pending)
            lower, upper = raster.known(self.lower), raster.known(self.upper)
            if isinstance(lower, int) and isinstance(upper, int) and lower < upper:
                self._release(self.upper)
            else:
                self._release_if(build.compare(2, self.lower, self.upper), self.upper)
        for op in self.found.releases:
            op.erase()

    def _release_if(self, condition: ir.Value, following: ir.Value) -> None:
        guard = ir.Operation.create("scf.if", [], [condition], regions=2)
        with ir.InsertionPoint(guard.regions[0].blocks.append()):
            self._release(following)
            ir.Operation.create("scf.yield")

    def _release(self, following: ir.Value) -> None:
        """Give the tiles of the iteration before `following` back."""
        trip = build.binary("subi", following, build.constant(1))
        arithmetic = [op.operation for op in self.body.operations if op.operation.name.startswith("arith.")]
        own = [op for op in arithmetic if _reaches(op, self.found.releases)]
        clone_ops([*own, *self.found.releases], {self.variable: trip})


def _reaches(op: ir.Operation, users: list[ir.Operation]) -> bool:
    """Whether operations use a result of `op`, directly or through other operations."""
    return any(
        use.owner.operation in users or _reaches(use.owner.operation, users) for r in op.results for use in r.uses
    )
