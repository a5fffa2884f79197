"""Which thread this is: registers that hold the IDs of work-item and work-group when a wave starts.

CDNA3 ISA, chapter 3 (kernel state), "Initial wave state": VGPR0 holds the work-item IDs, SGPRs the work-group IDs.
"""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.isa.instruction import Instruction, Run, create
from tilelang_mlir.mlir import ir

_AXES = "xyz"


def workitem(axis: str, limit: int) -> ir.Value:
    """The thread's index in its block (i32), which is below `limit`."""
    bounds = {"range": f"#llvm.constant_range<i32, 0, {limit}>"} if limit > 0 else {}
    return create(f"rocdl.workitem.id.{axis}", [], [ir.IntegerType.get_signless(32)], **bounds)


def workgroup(axis: str) -> ir.Value:
    """The block's index in the grid (i32)."""
    return create(f"rocdl.workgroup.id.{axis}", [], [ir.IntegerType.get_signless(32)])


def _entry(name: str, register: str, emit: Callable[..., ir.Value], spelling: str) -> Instruction:
    def semantics(op: ir.Operation) -> Run:
        return lambda machine: machine.special(register)

    return Instruction(name, spelling, "3 initial wave state", semantics, emit=emit)


INSTRUCTIONS = (
    *(_entry(f"rocdl.workitem.id.{a}", f"tid.{a}", workitem, "v0") for a in _AXES),
    *(_entry(f"rocdl.workgroup.id.{a}", f"ctaid.{a}", workgroup, "sN") for a in _AXES),
)
