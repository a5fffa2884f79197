"""Fences and cache hints. PTX ISA 8.7, sections 9.7.13.4 (membar, fence), 9.7.9.8 (ld), 9.7.9.15 (prefetch)."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.isa.instruction import Access, Effect, Instruction, Run, create, flags
from tilelang_mlir.mlir import ir


def fence(scope: str = "gpu") -> None:
    """`fence.acq_rel` / `membar`: order this thread's memory accesses as seen by "cta", "gpu" or "sys"."""
    create("nvvm.memory.barrier", scope=f"#nvvm.mem_scope<{scope}>")


def _fence(op: ir.Operation) -> Run:
    scope = flags(op, "scope").partition("<")[2].rstrip(">")
    return lambda machine: machine.fence(scope)


def _nothing(op: ir.Operation) -> Run:
    def run(machine: Any, *operands: Any) -> None:
        """A hint has no effect on values."""

    return run


INSTRUCTIONS = (
    Instruction(
        "nvvm.memory.barrier",
        "fence.acq_rel.scope",
        "9.7.13.4 membar, fence",
        _fence,
        emit=fence,
        effects=(Effect(Access.FENCE),),
    ),
    Instruction("nvvm.prefetch", "prefetch.level [a]", "9.7.9.15 prefetch", _nothing),
)
