"""AMD instructions, by family.

Sections refer to "AMD Instinct MI300 Instruction Set Architecture" (CDNA3) and "RDNA3.5" / "RDNA4 Instruction Set
Architecture", by chapter; the CDNA4 document has the same chapters.
"""

from __future__ import annotations

from tilelang_mlir.isa.amd import barrier, buffer, convert, grid, lane, lds, lds_dma, mfma, schedule, thread, wmma
from tilelang_mlir.isa.instruction import Instruction

_FAMILIES = (thread, barrier, buffer, grid, lane, mfma, wmma, convert, lds, lds_dma, schedule)
INSTRUCTIONS: tuple[Instruction, ...] = tuple(entry for family in _FAMILIES for entry in family.INSTRUCTIONS)

__all__ = [
    "INSTRUCTIONS", "barrier", "buffer", "convert", "grid", "lane", "lds", "lds_dma", "mfma", "schedule", "thread",
    "wmma",
]  # fmt: skip
