"""`layout-inference`: give every fragment, shared tile and parallel loop a layout.

Input: the tile program. Output: the same with `layout` on each fragment and shared allocation, fragment view and
parallel loop. Three steps, in fixed order:

STRICT   operations that dictate: layouts annotated by the user, matrix products (accumulators, register operands,
         swizzled shared operands).
SPREAD   to a fixpoint: copies between fragments, reductions (source to result), parallel loops (a fragment that every
         loop variable indexes fixes the loop; the loop fixes the others).
FREE     the largest fragment without a layout gets a coalesced one; then SPREAD again.

A fragment that two operations want in different layouts is an error that shows both. The result of a reduction that has
to lie in other threads than its source is reduced into a fragment beside the source and copied (`reductions.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..base import Pass
from ..walk import launches, nested
from .reductions import stage_result
from .solve import Solver


@dataclass(frozen=True)
class LayoutInference(Pass):
    """Infer the layouts of fragments, shared tiles and parallel loops."""

    name: ClassVar[str] = "layout-inference"

    wgmma: bool = True
    wide_accesses: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context, launch.location:
                wide = self.wide_accesses and target.supports(Feature.VECTOR_256)
                solver = Solver(launch, target, list(nested(launch)), wgmma=self.wgmma, wide=wide)
                solver.solve()
                solver.assign()
                for op in [op for op in nested(launch) if op.name == "tl.reduce"]:
                    stage_result(op)


