"""`prefetch-tiles`: load the next tiles into registers while the current ones are used.

Input: laid-out program for a target whose copies into shared memory all go through registers; a loop marked
`tl.pipeline` with two stages or more whose body copies tiles from device to shared memory. Output:

    for k: copy A[k] -> S; use S
    =>
    if lb < ub: copy A[lb] -> R
    for k: copy R -> S
           if k + 1 < ub: copy A[k + 1] -> R
           use S

The loads of the next iteration are under way while this one computes, and are waited for where they are stored: a
machine that counts its outstanding loads needs no other hint. One version of each tile is enough, as the registers are
the second. A copy qualifies as in `pipeline-loops`; a loop whose tiles would take more than an eighth of a thread's
registers keeps its plain form, as does every loop on targets with asynchronous copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..dialect.layout.attrs import to_attr
from ..dialect.tl import FRAGMENT, buffer_type
from . import build
from .base import Pass
from .layout_inference.plan import plan_fragment
from .pipeline_loops import producers, runs_ahead
from .versions import Versions
from .walk import launches, nested, num_threads

_SHARE = 8  # of a thread's registers: one part for tiles on their way


@dataclass(frozen=True)
class PrefetchTiles(Pass):
    """Load the next tiles of pipelined loops into registers, on targets without asynchronous copies."""

    name: ClassVar[str] = "prefetch-tiles"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled or target.supports(Feature.CP_ASYNC):
            return
        for launch in launches(module):
            threads = num_threads(launch)
            limit = 4 * target.thread_registers // _SHARE * threads  # bytes
            for loop in [op for op in nested(launch) if op.name == "scf.for" and "tl.pipeline" in op.attributes]:
                options = ir.DictAttr(loop.attributes["tl.pipeline"])
                stages = ir.IntegerAttr(options["num_stages"]).value if "num_stages" in options else 0
                copies = producers(loop) if stages > 1 else []
                if copies and runs_ahead(copies, threads, target):
                    continue  # `pipeline-loops` has them copied asynchronously
                if copies and sum(_bytes(copy.operands[1]) for copy in copies) <= limit:
                    del loop.attributes["tl.pipeline"]
                    with module.context, loop.location:
                        _expand(launch, loop, copies, threads)


def _bytes(tile: ir.Value) -> int:
    kind = ir.MemRefType(tile.type)
    return math.prod(kind.shape) * max(kind.element_type.width, 8) // 8


def _expand(launch: ir.Operation, loop: ir.Operation, copies: list[ir.Operation], threads: int) -> None:
    """Registers for every copied tile; the copies of an iteration one iteration ahead."""
    registers = [_registers(launch, copy, threads) for copy in copies]
    lower, upper, step = list(loop.operands)[:3]
    variable = loop.regions[0].blocks[0].arguments[0]
    with ir.InsertionPoint(loop):
        _load(loop, copies, registers, lower, upper)
    with ir.InsertionPoint(copies[0]):
        for copy, held in zip(copies, registers, strict=True):
            with copy.location:
                ir.Operation.create("tl.copy", [], [held, copy.operands[1]], build.attributes_of(copy))
        _load(loop, copies, registers, build.binary("addi", variable, step), upper)
    for copy in copies:
        copy.erase()


def _registers(launch: ir.Operation, copy: ir.Operation, threads: int) -> ir.Value:
    """A fragment that the tile is copied into by coalesced loads."""
    kind = ir.MemRefType(copy.operands[1].type)
    layout = plan_fragment(list(kind.shape), max(kind.element_type.width, 8), threads)
    result = buffer_type(list(kind.shape), kind.element_type, FRAGMENT)
    with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]), copy.location:
        return ir.Operation.create("tl.alloc", [result], attributes={"layout": to_attr(layout)}).result


def _load(
    loop: ir.Operation, copies: list[ir.Operation], registers: list[ir.Value], variable: ir.Value, upper: ir.Value
) -> None:
    """All copies of the iteration with loop variable `variable`, if there is one."""
    branch = ir.Operation.create("scf.if", [], [build.compare(2, variable, upper)], regions=2)
    versions = Versions(loop, [], 1)
    with ir.InsertionPoint(branch.regions[0].blocks.append()):
        cloned: dict[ir.Value, ir.Value] = {versions.body.arguments[0]: variable}
        for copy, held in zip(copies, registers, strict=True):
            with copy.location:
                source = versions.clone(copy.operands[0], cloned)
                ir.Operation.create("tl.copy", [], [source, held], build.attributes_of(copy))
        ir.Operation.create("scf.yield")
