"""`delay-waits`: warpgroup products run until something needs their results.

Input: a warp-specialised kernel after `overlap-products` and `take-turns`. In every loop of the consumers that has
several products and none under way across iterations, each product is started only, and waited for in front of the
first operation that touches its accumulator or overwrites its operands, at the latest at the end of the iteration:

    S = A B; P = f(S); dP = C D; O += P D; dS = g(P, dP)
    =>
    start S; start dP; wait S; P = f(S); start O; wait dP; dS = g(P, dP); wait O

So is the only product of a loop when the threads read its result there.

Where turns are taken, one that is passed behind several products waits until the first of them has ended: the next
warpgroup's then start behind the last one, not between them.

Products complete in order, so a wait for a later one completes the earlier ones, too: their waits move there. Versions
of tiles are given back behind the wait of the last product that reads them. Only loops are rewritten whose tiles are
allocated outside: those keep their memory for the whole loop, however late a product reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import effects, region_effects, root
from ..dialect.tl import FRAGMENT, scope_of
from . import build
from .base import Pass
from .overlap_products import tiles_by_barrier, wait
from .walk import launches, nested


@dataclass(frozen=True)
class DelayWaits(Pass):
    """Wait for warpgroup products where their results are needed."""

    name: ClassVar[str] = "delay-waits"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled:
            return
        for launch in launches(module):
            for split in [op for op in nested(launch) if op.name == "tl.specialize"]:
                for loop in [op for op in nested(split) if op.name == "scf.for"]:
                    products = _products(loop)
                    if products:
                        with module.context, loop.location:
                            _delay(loop, products, tiles_by_barrier(split))


def _products(loop: ir.Operation) -> list[ir.Operation]:
    """The products of a loop whose waits can move, or none."""
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    inside = [op for op in nested(loop) if op.name == "tl.gemm"]
    products = [op for op in inside if "instr" in op.attributes and op in body]
    if not products or len(products) != len(inside) or any("asynchronous" in op.attributes for op in products):
        return []
    if len(products) == 1 and not is_worked_on(loop, products[0]):
        return []
    buffers = [root(v) for op in products for v in list(op.operands)[:3]]
    homes = [b.owner.operation.parent.operation for b in buffers if not isinstance(b.owner, ir.Block)]
    fragments = all(scope_of(op.operands[2]) == FRAGMENT for op in products)
    return products if fragments and loop not in homes else []


def is_worked_on(loop: ir.Operation, product: ir.Operation) -> bool:
    """Whether a product starts a sum of its own in every iteration of a loop, which the threads read behind it."""
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    if "instr" not in product.attributes or product not in body or not ir.BoolAttr(product.attributes["clear"]).value:
        return False
    accumulator = root(product.operands[2])
    behind = [e for op in body[body.index(product) + 1 :] for e in region_effects(op)]
    return any(e.value == accumulator and e.kind == "read" for e in behind)


def _delay(loop: ir.Operation, products: list[ir.Operation], tiles: dict[ir.Value, set[ir.Value]]) -> None:
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    places = [_needed(body, product) for product in products]
    for index in reversed(range(len(places) - 1)):
        places[index] = min(places[index], max(places[index + 1], body.index(products[index]) + 1))
    moved: list[tuple[ir.Operation, ir.Operation]] = []
    for product, place in zip(products, places, strict=True):
        read = {root(v) for v in list(product.operands)[:2]}
        start = body.index(product)
        moved += [(op, body[place]) for op in body[start:place] if _gives_back(op, read, tiles)]
    for product, place in zip(products, places, strict=True):
        product.attributes["asynchronous"] = build.unit()
        later = [other for other in products if body.index(product) < body.index(other) < place]
        with ir.InsertionPoint(body[place]), product.location:
            wait(product.operands[2], len(later))
    for op, place in dict(moved).items():  # the last product that reads the tiles decides
        op.move_before(place)
    _pass_later(loop)


def _pass_later(loop: ir.Operation) -> None:
    """Turns that are passed behind several products: behind the wait for the first of them, and in front of branches,
    which are code of some iterations only (the store of the tile before)."""
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    turns = [i for i, op in enumerate(body) if op.name == "tl.turn"]
    for take, passed in zip(turns[::2], turns[1::2], strict=True):
        if sum(op.name == "tl.gemm" for op in body[take:passed]) < 2:
            continue
        wait_at = next(i for i in range(passed, len(body)) if body[i].name == "tl.wait_products")
        place = next(i for i in range(passed, wait_at + 1) if body[i].name == "scf.if" or i == wait_at)
        body[wait_at].move_before(body[place])
        body[passed].move_after(body[wait_at])


def _needed(body: list[ir.Operation], product: ir.Operation) -> int:
    """Position of the first operation that cannot run before the product has ended; the terminator's at the latest."""
    left, right, accumulator = (root(v) for v in list(product.operands)[:3])
    for position in range(body.index(product) + 1, len(body)):
        found = region_effects(body[position])
        if any(e.value == accumulator or e.kind == "write" and e.value in (left, right) for e in found):
            return position
    return len(body) - 1


def _gives_back(op: ir.Operation, read: set[ir.Value], tiles: dict[ir.Value, set[ir.Value]]) -> bool:
    return op.name == "tl.mbarrier_arrive" and any(tiles.get(e.value, set()) & read for e in effects(op))
