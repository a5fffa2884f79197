"""`carry-products`: start the first two products of the next iteration before this one ends.

Input: a warp-specialised kernel after `delay-waits`. In a loop of three or more products that are started and waited
for, the tensor cores run dry between two iterations: the first product of the next one is started only when the last
one of this one has ended. Output: the first two products are started an iteration ahead. The second stays under way
across the end of the iteration, under the computation on the first one's result:

    for k: start S = A[k] B; start R = C[k] D; wait S; f(S); start T; wait R; g(R); start U; wait T; h(T); wait U
    =>
    start S = A[0] B; start R = C[0] D; wait S
    for k: f(S); wait R; start T; g(R); start U; wait T; start S = A[k + 1] B; h(T);
           wait U; start R = C[k + 1] D; wait S
    wait R

The first one starts when all but the last product of the iteration have ended, so that their operands need no registers
any more, the second one when that has ended, too. No wait counts products of two iterations: ptxas would give up on the
overlap.

Both products must clear their sums and read only tiles of the rings and tiles that the loop does not write. The last
iteration starts the products of its own tiles once more, and nothing uses them: that is cheaper than a branch around
products, or the loop's code a second time. Loops inside of other loops are left alone, because there the tiles would be
given back while those products still read them. So are rings of one version.
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
from .overlap_products import tiles_by_barrier, wait
from .walk import launches, nested

_LEAST = 3  # products: with two there is little left to run meanwhile
_SETUP = ("tl.slice", "tl.mbarrier_wait")  # what may precede the first product, besides arithmetic


@dataclass(frozen=True)
class CarryProducts(Pass):
    """Start the first product of the next iteration before this one ends."""

    name: ClassVar[str] = "carry-products"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled:
            return
        for launch in launches(module):
            for split in [op for op in nested(launch) if op.name == "tl.specialize"]:
                rings = set[ir.Value]().union(*tiles_by_barrier(split).values())
                for outer in list(split.regions[1].blocks[0].operations):
                    found = _parts(outer.operation, rings) if outer.operation.name == "scf.for" else None
                    if found is not None:
                        with module.context, found.loop.location:
                            _carry(found)


@dataclass(frozen=True)
class _Parts:
    """A loop, what leads to its first and to its second product (these included), and all its products."""

    loop: ir.Operation
    ahead: tuple[list[ir.Operation], list[ir.Operation]]
    products: list[ir.Operation]


def _parts(loop: ir.Operation, rings: set[ir.Value]) -> _Parts | None:
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    products = [op for op in body if op.name == "tl.gemm" and "asynchronous" in op.attributes]
    if len(products) < _LEAST or raster.known(loop.operands[2]) != 1:
        return None
    one, two, last = (body.index(products[i]) for i in (0, 1, -1))
    ahead = body[: one + 1], body[one + 1 : two + 1]
    setup = [op for ops in ahead for op in ops[:-1]]
    if any(op.name not in _SETUP and not op.name.startswith("arith.") for op in setup):
        return None
    single = ir.Type.parse("!tl.barrier<1 : i64>")
    if any(op.name == "tl.mbarrier_wait" and op.operands[0].type == single for op in setup):
        return None
    written = {e.value for e in region_effects(loop) if e.kind == "write"}
    late = [e.value for op in body[last:] for e in region_effects(op)]
    for product in products[:2]:
        left, right, accumulator = (root(v) for v in list(product.operands)[:3])
        if not ir.BoolAttr(product.attributes["clear"]).value or len(product.operands) != 3 or accumulator in late:
            return None
        if not rings & {left, right} or {left, right} & written:
            return None
    return _Parts(loop, ahead, products)


def _carry(found: _Parts) -> None:
    loop, products = found.loop, found.products
    lower, upper = list(loop.operands)[:2]
    variable = loop.regions[0].blocks[0].arguments[0]
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    one, two = (product.operands[2] for product in products[:2])
    waits = {op.operands[0]: op for op in body if op.name == "tl.wait_products"}
    if not _certain(lower, upper):
        _guard(loop, lower, upper)
    with ir.InsertionPoint(loop):
        replaced = {variable: lower}
        _start(found.ahead[0], replaced, 1)
        _start(found.ahead[1], replaced, 2)
        wait(one, 1)
    last, own = products[-1], waits[products[-1].operands[2]]
    between = body[body.index(last) : body.index(own)]
    with ir.InsertionPoint.after([op for op in between if op == last or op.name == "tl.wait_products"][-1]):
        following = build.binary("addi", variable, build.constant(1))
        final = build.binary("subi", upper, build.constant(1))
        replaced = {variable: build.binary("minsi", following, final)}
        _start(found.ahead[0], replaced, 2)
    _set_pending(own, 1)
    with ir.InsertionPoint(body[-1]):
        _start(found.ahead[1], replaced, 2)
        wait(one, 1)
    if body.index(waits[two]) > body.index(products[2]):
        waits[two].move_before(products[2])
    _set_pending(waits[two], 0)
    waits[one].erase()
    with ir.InsertionPoint.after(loop):
        wait(two, 0)
    for accumulator in (one, two):
        accumulator.owner.operation.attributes["scalars"] = build.unit()
    for op in reversed([op for ops in found.ahead for op in ops]):
        if not any(True for result in op.results for _ in result.uses):
            op.erase()


def _certain(lower: ir.Value, upper: ir.Value) -> bool:
    """Whether a loop is known to run."""
    first, end = raster.known(lower), raster.known(upper)
    return isinstance(first, int) and isinstance(end, int) and first < end


def _start(ahead: list[ir.Operation], replaced: dict[ir.Value, ir.Value], count: int) -> None:
    """Start a product here, for the iteration that `replaced` says, with up to `count` products under way."""
    product = clone_ops(ahead, replaced)[-1]
    del product.attributes["asynchronous"]
    _set_pending(product, count)


def _set_pending(op: ir.Operation, count: int) -> None:
    op.attributes["pending"] = ir.IntegerAttr.get(build.i32(), count)


def _guard(loop: ir.Operation, lower: ir.Value, upper: ir.Value) -> None:
    """Put a loop that may not run at all into a branch."""
    with ir.InsertionPoint(loop):
        branch = ir.Operation.create("scf.if", [], [build.compare(2, lower, upper)], regions=2)
    inside = branch.regions[0].blocks.append()
    inside.append(loop)
    with ir.InsertionPoint(inside):
        ir.Operation.create("scf.yield")
