"""Hints to the hardware and to the compiler's scheduler, which change no value. CDNA3 ISA, SOPP: S_SETPRIO; LLVM, "User
Guide for AMDGPU": llvm.amdgcn.sched.barrier.
"""

from __future__ import annotations

from tilelang_mlir.isa.instruction import Instruction, Machine, Run, create
from tilelang_mlir.mlir import ir


def set_priority(level: int) -> None:
    """`s_setprio`: the wave's priority at issue, 0 (lowest) to 3."""
    create("rocdl.s.setprio", priority=f"{level} : i16")


def fence() -> None:
    """No instruction is scheduled across this point; it takes no time itself."""
    create("rocdl.sched.barrier", mask="#rocdl<sched_group_mask none>")


def _nothing(op: ir.Operation) -> Run:
    def run(machine: Machine) -> None:
        """No effect on values."""

    return run


INSTRUCTIONS = (
    Instruction("rocdl.s.setprio", "s_setprio n", "SOPP S_SETPRIO", _nothing, emit=set_priority),
    Instruction("rocdl.sched.barrier", "; sched_barrier", "LLVM llvm.amdgcn.sched.barrier", _nothing, emit=fence),
)
