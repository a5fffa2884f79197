"""`take-turns`: consumer warpgroups start their products one after the other.

Input: a warp-specialised kernel with two or three consumer warpgroups and a loop that `overlap-products` has rotated,
or one whose products give results that the threads compute with in every iteration.
Output: each warpgroup takes its turn before its first product and passes it on when its second one has started, so that
one warpgroup's products run while the others compute, and the warpgroups cannot fall into step:

    start S = A B[k]; start O += P V[k - 1]; wait S; ...
    =>
    take turn; start S = A B[k]; start O += P V[k - 1]; pass turn; wait S; ...

Three warpgroups whose threads add up products keep the tensor cores busy without turns: two of them have products under
way while one adds (see `nvidia/effort.py`), and turns cost 1 to 2 % on an H200.

A turn is a named barrier of two warpgroups, one that waits and one that arrives. All warpgroups run all iterations, so
every turn that is taken has been passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import region_effects, root
from . import build
from .base import Pass
from .delay_waits import is_worked_on
from .uniformity import is_uniform
from .walk import launches, nested


@dataclass(frozen=True)
class TakeTurns(Pass):
    """Let consumer warpgroups start their products in turn."""

    name: ClassVar[str] = "take-turns"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled:
            return
        for launch in launches(module):
            for split in [op for op in nested(launch) if op.name == "tl.specialize"]:
                warpgroups = ir.IntegerAttr(split.attributes["consumers"]).value // 128
                block = split.regions[1].blocks[0]
                groups = _groups(block)
                if not groups and warpgroups == 2:
                    groups = [(first, _next(last)) for first, last in _worked_on(split)]
                if warpgroups > 1 and groups and all(_is_together(first, split) for first, _ in groups):
                    with module.context, split.location:
                        _insert(block, groups)


def _groups(block: ir.Block) -> list[tuple[ir.Operation, ir.Operation]]:
    """Per group of products that are started together: the first of them, and the wait behind the last."""
    found: list[tuple[ir.Operation, ir.Operation]] = []
    first: ir.Operation | None = None
    for outer in block.operations:
        op = outer.operation
        if op.name == "tl.gemm" and "asynchronous" in op.attributes:
            first = first or op
        elif op.name == "tl.wait_products" and first is not None:
            found.append((first, op))
            first = None
        for region in op.regions:
            found += [group for inner in region.blocks for group in _groups(inner)]
    return found


def _worked_on(split: ir.Operation) -> list[tuple[ir.Operation, ir.Operation]]:
    """Runs of products, first and last, whose results the threads compute with in every iteration."""
    found: list[tuple[ir.Operation, ir.Operation]] = []
    for loop in [op for op in nested(split) if op.name == "scf.for"]:
        products = [op for op in nested(loop) if op.name == "tl.gemm"]
        if not all(is_worked_on(loop, op) for op in products):
            continue
        body = [op.operation for op in loop.regions[0].blocks[0].operations]
        for product in products:
            between = body[body.index(found[-1][1]) + 1 : body.index(product)] if found and found[-1][1] in body else []
            if between and not any(_touches(op, products) for op in between):
                found[-1] = found[-1][0], product
            else:
                found.append((product, product))
    return found


def _touches(op: ir.Operation, products: list[ir.Operation]) -> bool:
    sums = [root(product.operands[2]) for product in products]
    return any(e.value in sums for e in region_effects(op))


def _next(op: ir.Operation) -> ir.Operation:
    """The operation behind another one that is not the last of its block."""
    following = [other.operation for other in op.block.operations]
    return following[following.index(op) + 1]


def _is_together(op: ir.Operation, split: ir.Operation) -> bool:
    """Whether all consumers run an operation equally often."""
    parent = op.parent.operation
    while parent != split:
        if not all(is_uniform(v) for v in parent.operands):
            return False
        parent = parent.parent.operation
    return True


def _insert(block: ir.Block, groups: list[tuple[ir.Operation, ir.Operation]]) -> None:
    with ir.InsertionPoint.at_block_begin(block):
        build.turn("open")
    for first, wait in groups:
        with ir.InsertionPoint(first):
            build.turn("take")
        with ir.InsertionPoint(wait):
            build.turn("pass")
