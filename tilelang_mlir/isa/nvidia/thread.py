"""Special registers: which thread this is. PTX ISA 8.7, section 10 (special registers)."""

from __future__ import annotations

from tilelang_mlir.isa.instruction import Instruction, Run, create
from tilelang_mlir.mlir import ir

_AXES = "xyz"


def _op_name(register: str) -> str:
    return f"nvvm.read.ptx.sreg.{register}"


def emit(register: str) -> ir.Value:
    """Read a special register as i32: "tid.x", "ctaid.y", "ntid.z", "nctaid.x", "laneid", "warpid"."""
    return create(_op_name(register), [], [ir.IntegerType.get_signless(32)])


def tid(axis: str = "x") -> ir.Value:
    """The thread's index in its CTA (i32)."""
    return emit(f"tid.{axis}")


def ctaid(axis: str = "x") -> ir.Value:
    """The CTA's index in the grid (i32)."""
    return emit(f"ctaid.{axis}")


def _entry(register: str, section: str) -> Instruction:
    def semantics(op: ir.Operation) -> Run:
        return lambda machine: machine.special(register)

    return Instruction(_op_name(register), f"mov.u32 d, %{register}", section, semantics, emit=lambda: emit(register))


INSTRUCTIONS = (
    *(_entry(f"tid.{a}", "10.1 tid") for a in _AXES),
    *(_entry(f"ntid.{a}", "10.2 ntid") for a in _AXES),
    _entry("laneid", "10.3 laneid"),
    _entry("warpid", "10.4 warpid"),
    *(_entry(f"ctaid.{a}", "10.6 ctaid") for a in _AXES),
    *(_entry(f"nctaid.{a}", "10.7 nctaid") for a in _AXES),
)
