"""Hints to the hardware, which change no value. CDNA3 ISA, SOPP: S_SETPRIO."""

from __future__ import annotations

from tilelang_mlir.isa.instruction import Instruction, Machine, Run, create
from tilelang_mlir.mlir import ir


def set_priority(level: int) -> None:
    """`s_setprio`: the wave's priority at issue, 0 (lowest) to 3."""
    create("rocdl.s.setprio", priority=f"{level} : i16")


def _nothing(op: ir.Operation) -> Run:
    def run(machine: Machine) -> None:
        """No effect on values."""

    return run


INSTRUCTIONS = (Instruction("rocdl.s.setprio", "s_setprio n", "SOPP S_SETPRIO", _nothing, emit=set_priority),)
