"""`materialize-schedule`: write out the warp roles of a kernel whose program gives their schedule.

Input: tile program as traced, with `tl.ws_schedule` at the top of a kernel whose statements have names (`tl.ws_op`).
Output: no schedule and no names; a region of warps or warpgroups per role (`tl.warpgroups`), versions of the buffers of
pipelines, two mbarriers per version, waits and arrivals where the schedule has them:

    schedule: pipeline tile [S] depth 2; load: acquire, copy_in, commit; use: wait, copy_out, release
    for k: copy A[k] -> S [copy_in]; copy S -> B[k] [copy_out]
    =>
    warps 0:      for k: wait empty[r % 2]; load A[k] -> S[r % 2] at full[r % 2]; arrive full[r % 2]; r += 1
    warpgroups 1: for k: wait full[r % 2]; copy S[r % 2] -> B[k]; arrive empty[r % 2]; r += 1

Every thread counts the versions it has had in a register of its own, so loops of any kind and depth need no arithmetic
on their variables. Steps of later stages run in later iterations, under a condition instead of in copies of the body
before and after the loop: code stays small, and loops of any length are right.

A kernel without a schedule keeps its form; `tl.versions` of its tiles (`T.annotate_ws_pipeline_depth`) become the
`num_stages` of the loop that loads them. It runs before everything else: later passes see a kernel as if its program
had been written with roles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target, targets_with

from ...dialect.location import python_location
from ..base import Pass
from ..walk import launches
from .depths import apply_depths


@dataclass(frozen=True)
class MaterializeSchedule(Pass):
    """Write out the warp roles that a program's schedule describes."""

    name: ClassVar[str] = "materialize-schedule"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context:
                apply_depths(launch)
            found = [view.operation for view in launch.regions[0].blocks[0].operations
                     if view.operation.name == "tl.ws_schedule"]
            for op in found:
                if not target.supports(Feature.MBARRIER):
                    raise UnsupportedError(
                        f"a schedule of warp roles needs {Feature.MBARRIER.value}, which {target} lacks",
                        python_location(op.location),
                        hint=f"targets that have it: {', '.join(targets_with(Feature.MBARRIER))}",
                    )
                with module.context:
                    _write_out(launch, op)


def _write_out(launch: ir.Operation, schedule: ir.Operation) -> None:
    from .check import check  # here, for few kernels have a schedule, and the first one of a process waits for imports
    from .emit import Emitter
    from .kernel import Kernel

    kernel = Kernel(launch, schedule)
    check(kernel)
    Emitter(kernel).run()
