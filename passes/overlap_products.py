"""`overlap-products`: run the second of two chained products under the computation between them.

Input: a warp-specialised kernel whose consumer loop computes S = A B, something on S that ends in a register operand P,
and O += P V (attention). Output: the loop rotated by half an iteration, so that the tensor cores have a product to do
while the threads compute:

    for k: S = A B[k]; f(S) -> P; g(O); O += P V[k]
    =>
    S = A B[0]; f(S) -> P; g(O)
    for k = 1 ...: start S = A B[k]; start O += P V[k - 1]; wait S; f(S) ...; wait O; ... -> P; g(O)
    O += P V[last]

The wait for O comes before the first operation that touches O or writes P: what precedes it runs under the product. The
version of V that a product reads is given back after its wait, one iteration later than the version of B: rings of one
version are therefore left alone, and so are loops whose step is not one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import region_effects, root
from ..dialect.tl import FRAGMENT, scope_of
from . import build
from .base import Pass
from .clone import clone_ops
from .walk import launches, nested


@dataclass(frozen=True)
class OverlapProducts(Pass):
    """Overlap chained products with the computation between them."""

    name: ClassVar[str] = "overlap-products"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled:
            return
        for launch in launches(module):
            for split in [op for op in nested(launch) if op.name == "tl.specialize"]:
                tiles = tiles_by_barrier(split)
                for op in [op for op in nested(split) if op.name == "scf.for"]:
                    parts = _parts(op, set().union(*tiles.values()))
                    if parts is not None:
                        with module.context, op.location:
                            _Rotation(op, parts, tiles).run()


def tiles_by_barrier(split: ir.Operation) -> dict[ir.Value, set[ir.Value]]:
    """The tiles that the producer loads after waiting on a barrier."""
    found: dict[ir.Value, set[ir.Value]] = {}
    barrier: ir.Value | None = None
    for op in nested(split):
        if op.name == "tl.mbarrier_wait":
            barrier = op.operands[0]
        elif op.name == "tl.tma_load" and barrier is not None:
            found.setdefault(barrier, set()).add(root(op.operands[1]))
    return found


@dataclass(frozen=True)
class _Parts:
    """The pieces of a loop body: what precedes the first product, the products, what lies between them, and the waits
    and releases of the tiles that each product reads."""

    before: list[ir.Operation]
    first: ir.Operation
    first_releases: list[ir.Operation]
    between: list[ir.Operation]
    second_waits: list[ir.Operation]
    second: ir.Operation
    second_releases: list[ir.Operation]


def _parts(loop: ir.Operation, rings: set[ir.Value]) -> _Parts | None:
    if loop.name != "scf.for" or not _is_constant(loop.operands[2], 1):
        return None
    body = [op.operation for op in loop.regions[0].blocks[0].operations][:-1]
    products = [i for i, op in enumerate(body) if op.name == "tl.gemm" and "instr" in op.attributes]
    if len(products) != 2 or sum(op.name == "tl.gemm" for op in nested(loop)) != 2:
        return None
    one, two = products
    after, second = body[two + 1 :], body[two]
    if not after or any(op.name != "tl.mbarrier_arrive" for op in after) or len(second.operands) > 3:
        return None
    if any(ir.Type(op.operands[0].type) == ir.Type.parse("!tl.barrier<1 : i64>") for op in after):
        return None
    if scope_of(second.operands[0]) != FRAGMENT or ir.BoolAttr(second.attributes["clear"]).value:
        return None
    middle = body[one + 1 : two]
    releases, waits = ([op for op in middle if op.name == name] for name in ("tl.mbarrier_arrive", "tl.mbarrier_wait"))
    between = [op for op in middle if op not in releases and op not in waits]
    if not _may_rotate(body[:one], between, second, rings):
        return None
    return _Parts(body[:one], body[one], releases, between, waits, second, after)


def _may_rotate(
    before: list[ir.Operation], between: list[ir.Operation], second: ir.Operation, rings: set[ir.Value]
) -> bool:
    """Whether the second product may end as late as the first of the next iteration has begun.

    What runs under it must neither touch its accumulator nor write its operands, and between the products no tile of
    the rings is used: their waits and releases move.
    """
    operand, tile, accumulator = (root(v) for v in list(second.operands)[:3])
    early, middle = ([e for op in ops for e in region_effects(op)] for ops in (before, between))
    if any(e.value == accumulator or (e.kind == "write" and e.value in (operand, tile)) for e in early):
        return False
    if any(e.value in rings or (e.kind == "write" and e.value == tile) for e in middle):
        return False
    return any(e.kind == "write" and e.value == operand for e in middle)


def _is_constant(value: ir.Value, number: int) -> bool:
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return False
    return ir.IntegerAttr(owner.operation.attributes["value"]).value == number


class _Rotation:
    """The rewriting of one loop."""

    def __init__(self, loop: ir.Operation, parts: _Parts, tiles: dict[ir.Value, set[ir.Value]]) -> None:
        self.loop = loop
        self.parts = parts
        self.tiles = tiles
        self.variable = loop.regions[0].blocks[0].arguments[0]

    def run(self) -> None:
        parts = self.parts
        lower, upper = list(self.loop.operands)[:2]
        with ir.InsertionPoint(self.loop):
            guard = ir.Operation.create("scf.if", [], [build.compare(2, lower, upper)], regions=2)
        inside = guard.regions[0].blocks.append()
        with ir.InsertionPoint(inside):
            head = [*parts.before, parts.first, *parts.first_releases, *parts.between]
            copies = clone_ops(head, {self.variable: lower})
            self._start_and_wait(copies[len(parts.before)])
            start = build.binary("addi", lower, build.constant(1))
        inside.append(self.loop)
        self.loop.operands[0] = start
        self._give_back_early(guard)
        with ir.InsertionPoint(inside):
            last = build.binary("subi", upper, build.constant(1))
            clone_ops(self._tail(), {self.variable: last})
            ir.Operation.create("scf.yield")
        self._rotate()

    def _give_back_early(self, guard: ir.Operation) -> None:
        """What only the first products read is given back behind the last of them, before the last second one."""
        operations = [op.operation for op in guard.block.operations]
        operations = operations[operations.index(guard) + 1 :]
        arrivals = [op for op in operations[:2] if op.name == "tl.mbarrier_arrive"]
        read = {root(v) for v in list(self.parts.second.operands)[:2]}
        if not arrivals or self.tiles.get(arrivals[0].operands[0], read) & read:
            return
        moved = operations[: operations.index(arrivals[0]) + 1]
        if any(op.name not in ("tl.sync_warp", "tl.mbarrier_arrive") for op in moved):
            return
        with ir.InsertionPoint(guard.regions[1].blocks.append()):
            clone_ops(moved, {})
            ir.Operation.create("scf.yield")
        for op in moved:
            guard.regions[0].blocks[0].append(op)

    @staticmethod
    def _start_and_wait(product: ir.Operation) -> None:
        product.attributes["asynchronous"] = build.unit()
        with ir.InsertionPoint.after(product), product.location:
            wait(root(product.operands[2]), 0)

    def _tail(self) -> list[ir.Operation]:
        """The second product with its waits and releases, and the arithmetic they need."""
        parts = self.parts
        ops = [*parts.second_waits, parts.second, *parts.second_releases]
        chain: list[ir.Operation] = []
        _collect([v for op in ops for v in op.operands], self.loop, chain)
        return [*chain, *ops]

    def _rotate(self) -> None:
        parts = self.parts
        accumulator, operand = root(parts.second.operands[2]), root(parts.second.operands[0])
        count = len(parts.second_releases)
        with ir.InsertionPoint.after(parts.first), parts.second.location:
            before = build.binary("subi", self.variable, build.constant(1))
            copies = clone_ops(self._tail(), {self.variable: before})
            second, releases = copies[-1 - count], copies[-count:]
            wait(root(parts.first.operands[2]), 1)
        parts.first.attributes["asynchronous"] = build.unit()
        second.attributes["asynchronous"] = build.unit()
        first_after = parts.between[0]
        for release in parts.first_releases:
            release.move_before(first_after)
        barrier_point = next(op for op in parts.between if _touches(op, accumulator, operand))
        with ir.InsertionPoint(barrier_point):
            wait(accumulator, 0)
        for release in releases:
            release.move_before(barrier_point)
        for op in [*parts.second_releases, parts.second, *parts.second_waits]:
            op.erase()


def wait(accumulator: ir.Value, pending: int) -> None:
    ir.Operation.create("tl.wait_products", [], [accumulator], {"pending": ir.IntegerAttr.get(build.i32(), pending)})


def _touches(op: ir.Operation, accumulator: ir.Value, operand: ir.Value) -> bool:
    return any(e.value == accumulator or (e.value == operand and e.kind == "write") for e in region_effects(op))


def _collect(values: list[ir.Value], loop: ir.Operation, chain: list[ir.Operation]) -> None:
    """The operations directly in the loop's body that values depend on, in order."""
    for value in values:
        owner = value.owner
        if isinstance(owner, ir.Block) or owner.operation.parent.operation != loop or owner.operation in chain:
            continue
        _collect(list(owner.operation.operands), loop, chain)
        if owner.operation not in chain:
            chain.append(owner.operation)
