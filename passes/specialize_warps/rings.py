"""Tiles that are used together, the barriers that hand them over, and the count of their rounds."""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import Effect, region_effects
from ...dialect.layout import REPLICATE, Digit, Fragment
from ...dialect.layout.attrs import to_attr
from ...dialect.products import PRODUCTS, TENSOR_PRODUCTS, factors
from ...dialect.tl import FRAGMENT, buffer_type
from .. import build
from ..walk import nested


@dataclass(frozen=True)
class Use:
    """Tiles that are used together: their copies, the first and last operation that uses them, whether threads access
    them (not only products)."""

    copies: list[ir.Operation]
    first: ir.Operation
    last: ir.Operation
    accessed: bool


@dataclass(frozen=True)
class Ring(Use):
    """Tiles that are used together, and their barriers."""

    full: ir.Value
    empty: ir.Value


def by_use(copies: list[ir.Operation], loop: ir.Operation) -> list[Use]:
    """Copies grouped by the span of the body in which their tiles are used, in the order of first use."""
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    effects, ends = [region_effects(op) for op in body], ends_of_use(body)
    spans: dict[tuple[int, int], list[ir.Operation]] = {}
    accessed: set[tuple[int, int]] = set()
    for copy in copies:
        tile = copy.operands[1]
        others = [
            (i, e) for i, op in enumerate(body) if op != copy for e in effects[i] if e.value == tile
        ]
        uses = [i for i, _ in others]
        last = max((ends[i] or 0 for i in uses), default=0)  # `candidate` has seen that each one ends
        span = (uses[0], last) if uses else (len(body) - 1, len(body) - 1)
        spans.setdefault(span, []).append(copy)
        if any(is_access(e) for _, e in others):
            accessed.add(span)
    return [Use(spans[span], body[span[0]], body[span[1]], span in accessed) for span in sorted(spans)]


def ends_of_use(body: list[ir.Operation]) -> list[int | None]:
    """By operation, the position of the one behind which no product that it starts is under way; None: it is later.

    The program waits for the products that it makes asynchronous; at a wait, as many as it says may be unfinished.
    """
    run = [(place, op) for place, outer in enumerate(body) for op in (outer, *nested(outer))]
    marks = [(place, op) for place, op in run if _is_started(op) or op.name == "tl.wait_products"]
    last = {place: i for i, (place, op) in enumerate(marks) if _is_started(op)}
    return [_end_of_use(marks[last[place] + 1 :]) if place in last else place for place in range(len(body))]


def _end_of_use(marks: list[tuple[int, ir.Operation]]) -> int | None:
    """Where what was started before these starts and waits is complete."""
    later = 0
    for place, op in marks:
        later += _is_started(op)
        if op.name == "tl.wait_products" and ir.IntegerAttr(op.attributes["pending"]).value <= later:
            return place
    return None


def _is_started(op: ir.Operation) -> bool:
    return op.name in PRODUCTS and "wgmma" in op.attributes


def is_access(effect: Effect) -> bool:
    """Whether threads access a tile themselves: all but what products of warpgroups take from shared memory."""
    is_taken = effect.op.name in TENSOR_PRODUCTS or effect.op.name in PRODUCTS and "instr" in effect.op.attributes
    return not is_taken or all(effect.tile != v for v in factors(effect.op))


class Rounds:
    """The number of rounds that a role has taken through the rings before a loop that runs several times.

    It lives in a register of the role's threads. Create it at the start of the role's region.
    """

    def __init__(self, threads: int, start: ir.Value) -> None:
        layout = {"layout": to_attr(Fragment((1,), (Digit(threads, REPLICATE, 1),), ()))}
        kind = buffer_type([1], build.i32(), FRAGMENT)
        self.count = ir.Operation.create("tl.alloc", [kind], attributes=layout).result
        build.store(start, self.count, [build.constant(0)])

    def before(self) -> ir.Value:
        return build.load(self.count, [build.constant(0)])

    def advance(self, before: ir.Value, trips: ir.Value) -> None:
        self.set(build.binary("addi", before, trips))

    def set(self, value: ir.Value) -> None:
        build.store(value, self.count, [build.constant(0)])


def trip_count(lower: ir.Value, upper: ir.Value, step: ir.Value) -> ir.Value:
    """How often a loop runs."""
    span = build.binary("maxsi", build.binary("subi", upper, lower), build.constant(0))
    last = build.binary("subi", step, build.constant(1))
    return build.binary("divui", build.binary("addi", span, last), step)
