"""`take-turns`: consumer warpgroups start their products one after the other.

Input: a warp-specialised kernel with two or three consumer warpgroups and a loop that `overlap-products` has rotated.
Output: each warpgroup takes its turn before its first product and passes it on when its second one has started, so that
one warpgroup's products run while the others compute, and the warpgroups cannot fall into step:

    start S = A B[k]; start O += P V[k - 1]; wait S; ...
    =>
    take turn; start S = A B[k]; start O += P V[k - 1]; pass turn; wait S; ...

A turn is a named barrier of two warpgroups, one that waits and one that arrives. All warpgroups run all iterations, so
every turn that is taken has been passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from .base import Pass
from .insert_barriers import is_uniform
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
                waits = _first_waits(split.regions[1].blocks[0])
                if warpgroups > 1 and waits and all(_is_together(op, split) for op in waits):
                    with module.context, split.location:
                        _insert(split.regions[1].blocks[0], waits)


def _first_waits(block: ir.Block) -> list[ir.Operation]:
    """The waits behind both products of rotated loops, in innermost loops of the block."""
    return [
        op
        for outer in block.operations
        for op in nested(outer.operation)
        if op.name == "tl.wait_products" and ir.IntegerAttr(op.attributes["pending"]).value == 1
    ]


def _is_together(op: ir.Operation, split: ir.Operation) -> bool:
    """Whether all consumers run an operation equally often."""
    parent = op.parent.operation
    while parent != split:
        if not all(is_uniform(v) for v in parent.operands):
            return False
        parent = parent.parent.operation
    return True


def _insert(block: ir.Block, waits: list[ir.Operation]) -> None:
    with ir.InsertionPoint.at_block_begin(block):
        _turn("open")
    for wait in waits:
        body = [op.operation for op in wait.block.operations]
        products = [op for op in body[: body.index(wait)] if op.name == "tl.gemm"]
        with ir.InsertionPoint(products[-2]):
            _turn("take")
        with ir.InsertionPoint(wait):
            _turn("pass")


def _turn(action: str) -> None:
    ir.Operation.create("tl.turn", attributes={"action": ir.StringAttr.get(action)})
