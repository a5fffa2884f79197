"""Fences, cache hints, dependent launches: what changes no value.

PTX ISA 8.7, sections 9.7.13.4 (membar, fence), 9.7.9.15 (prefetch), 9.7.13.13 (griddepcontrol), 9.7.19.2
(nanosleep). A simulated launch starts when the one before has ended, so there is nothing to wait for.
"""

from __future__ import annotations

from typing import Any

from tilelang_mlir.isa.instruction import GLOBAL, Access, Effect, Instruction, Run, create, flags
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature


def fence(scope: str = "gpu") -> None:
    """`fence.acq_rel` / `membar`: order this thread's memory accesses as seen by "cta", "gpu" or "sys"."""
    create("nvvm.memory.barrier", scope=f"#nvvm.mem_scope<{scope}>")


def grid_dependency(kind: str) -> None:
    """`griddepcontrol`: "wait" for the kernels ahead to end, or "launch_dependents": let those behind start.

    Needs sm_90 and a launch that allows it (`tl.programmatic`).
    """
    create("nvvm.griddepcontrol", kind=f"#nvvm<grid_dep_action {kind}>")


def sleep(nanoseconds: ir.Value) -> None:
    """`nanosleep.u32`: the thread does nothing for up to twice that time. A hint; at most a millisecond."""
    create("nvvm.nanosleep", [nanoseconds])


def _fence(op: ir.Operation) -> Run:
    scope = flags(op, "scope").partition("<")[2].rstrip(">")
    return lambda machine: machine.fence(scope)


def _nothing(op: ir.Operation) -> Run:
    def run(machine: Any, *operands: Any) -> None:
        """No effect on values."""

    return run


INSTRUCTIONS = (
    Instruction(
        "nvvm.memory.barrier",
        "fence.acq_rel.scope",
        "9.7.13.4 membar, fence",
        _fence,
        emit=fence,
        effects=(Effect(Access.FENCE, GLOBAL),),
    ),
    Instruction(
        "nvvm.griddepcontrol",
        "griddepcontrol.{wait,launch_dependents}",
        "9.7.13.13 griddepcontrol",
        _nothing,
        emit=grid_dependency,
        feature=Feature.PDL,
        effects=(Effect(Access.FENCE),),
    ),
    Instruction("nvvm.nanosleep", "nanosleep.u32 t", "9.7.19.2 nanosleep", _nothing, emit=sleep),
    Instruction("nvvm.prefetch", "prefetch.level [a]", "9.7.9.15 prefetch", _nothing),
)
