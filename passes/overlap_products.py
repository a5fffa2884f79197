"""`overlap-products`: run the second of two chained products under the computation between them.

Input: a warp-specialised kernel whose consumer loop computes S = A B, something on S that ends in a register operand P, and
O += P V (attention). Output: the loop rotated by half an iteration, so that the tensor cores have a product to do while the
threads compute:

    for k: S = A B[k]; f(S) -> P; g(O); O += P V[k]
    =>
    S = A B[0]; f(S) -> P; g(O)
    for k = 1 ...: start S = A B[k]; start O += P V[k - 1]; wait S; f(S) ...; wait O; ... -> P; g(O)
    O += P V[last]

The wait for O comes before the first operation that touches O or writes P: what precedes it runs under the product. The
version of V that a product reads is given back after its wait, one iteration later than the version of B; rings of one
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
                for op in list(split.regions[1].blocks[0].operations):
                    parts = _parts(op.operation)
                    if parts is not None:
                        with module.context, op.location:
                            _Rotation(op.operation, parts).run()


@dataclass(frozen=True)
class _Parts:
    """The pieces of a loop body: before the first product, the products, between them, and the release of the version."""

    before: list[ir.Operation]
    first: ir.Operation
    between: list[ir.Operation]
    second: ir.Operation
    release: ir.Operation


def _parts(loop: ir.Operation) -> _Parts | None:
    if loop.name != "scf.for" or not _is_constant(loop.operands[2], 1):
        return None
    body = [op.operation for op in loop.regions[0].blocks[0].operations][:-1]
    products = [i for i, op in enumerate(body) if op.name == "tl.gemm" and "instr" in op.attributes]
    releases = [i for i, op in enumerate(body) if op.name == "tl.mbarrier_arrive"]
    if len(products) != 2 or len(releases) != 1 or sum(op.name == "tl.gemm" for op in nested(loop)) != 2:
        return None
    one, two = products
    if releases[0] != two + 1 or releases[0] != len(body) - 1:
        return None
    barrier = body[releases[0]].operands[0]
    if ir.Type(barrier.type) == ir.Type.parse("!tl.barrier<1 : i64>"):
        return None
    second = body[two]
    if scope_of(second.operands[0]) != FRAGMENT or ir.BoolAttr(second.attributes["clear"]).value:
        return None
    between = body[one + 1 : two]
    touched = {e.value for op in between for e in region_effects(op) if e.kind == "write"}
    return _Parts(body[:one], body[one], between, second, body[-1]) if root(second.operands[0]) in touched else None


def _is_constant(value: ir.Value, number: int) -> bool:
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return False
    return ir.IntegerAttr(owner.operation.attributes["value"]).value == number


class _Rotation:
    """The rewriting of one loop."""

    def __init__(self, loop: ir.Operation, parts: _Parts) -> None:
        self.loop = loop
        self.parts = parts
        self.variable = loop.regions[0].blocks[0].arguments[0]

    def run(self) -> None:
        parts = self.parts
        lower, upper = list(self.loop.operands)[:2]
        with ir.InsertionPoint(self.loop):
            guard = ir.Operation.create("scf.if", [], [build.compare(2, lower, upper)], regions=2)
        inside = guard.regions[0].blocks.append()
        with ir.InsertionPoint(inside):
            _clone([*parts.before, parts.first, *parts.between], {self.variable: lower})
            start = build.binary("addi", lower, build.constant(1))
        inside.append(self.loop)
        self.loop.operands[0] = start
        with ir.InsertionPoint(inside):
            last = build.binary("subi", upper, build.constant(1))
            _clone(self._tail(), {self.variable: last})
            ir.Operation.create("scf.yield")
        self._rotate()

    def _tail(self) -> list[ir.Operation]:
        """The second product, the release, and the arithmetic they need."""
        chain: list[ir.Operation] = []
        _collect([*self.parts.second.operands, *self.parts.release.operands], self.loop, chain)
        return [*chain, self.parts.second, self.parts.release]

    def _rotate(self) -> None:
        parts = self.parts
        accumulator, operand = root(parts.second.operands[2]), root(parts.second.operands[0])
        after_first = parts.between[0]
        with ir.InsertionPoint(after_first), parts.second.location:
            before = build.binary("subi", self.variable, build.constant(1))
            *chain, release = _clone(self._tail(), {self.variable: before})
            second = chain[-1]
            wait(root(parts.first.operands[2]), 1)
        parts.first.attributes["asynchronous"] = build.unit()
        second.attributes["asynchronous"] = build.unit()
        barrier_point = next(op for op in parts.between if _touches(op, accumulator, operand))
        with ir.InsertionPoint(barrier_point):
            wait(accumulator, 0)
        release.move_before(barrier_point)
        parts.release.erase()
        parts.second.erase()


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


def _clone(ops: list[ir.Operation], replaced: dict[ir.Value, ir.Value]) -> list[ir.Operation]:
    """Copies of operations at the insertion point, with values replaced and their own results following."""
    copies: list[ir.Operation] = []
    for op in ops:
        copy = op.clone().operation
        for inner in [copy, *nested(copy)]:
            for position, operand in enumerate(inner.operands):
                if operand in replaced:
                    inner.operands[position] = replaced[operand]
        replaced.update(zip(op.results, copy.results, strict=True))
        copies.append(copy)
    return copies
