"""Instruction tables: what each machine instruction is called, does, reads, writes and needs.

A leaf package. Lowering calls the emitters, the simulator calls the semantics; neither knows how the other does it.
`table()` maps an op name, or the `tl.instr` name of an inline assembly op, to its `Instruction`.
"""

from __future__ import annotations

from functools import cache

from tilelang_mlir.isa.instruction import Effect, Instruction, Machine, Semantics
from tilelang_mlir.mlir import ir

__all__ = ["Effect", "Instruction", "Machine", "Semantics", "key_of", "table"]

_INLINE = ("nvvm.inline_ptx", "llvm.inline_asm", "llvm.call")


@cache
def table() -> dict[str, Instruction]:
    """All instructions by key: the op name, or the value of `tl.instr` where one op stands for several instructions."""
    from tilelang_mlir.isa import amd, nvidia

    return {entry.name: entry for vendor in (nvidia, amd) for entry in vendor.INSTRUCTIONS}


def key_of(op: ir.Operation) -> str:
    """The table key of an op: its name, or of inline assembly and calls the `tl.instr` attribute."""
    if op.name in _INLINE and "tl.instr" in op.attributes:
        return ir.StringAttr(op.attributes["tl.instr"]).value
    return op.name
