"""Calls that threads have to reach together.

LLVM may copy a call into both arms of a branch, or move it into one, unless it is marked as convergent. Its intrinsics
of barriers, shuffles and votes are; inline assembly and products of matrices are not, yet all lanes of a warp have to
execute the same one (PTX ISA, sections 9.7.13.1, bar, and 9.7.14.5.14, mma: `.sync`, `.aligned`).
"""

from __future__ import annotations

import re

_ASSEMBLY, _PRODUCT = " asm ", "@llvm.nvvm.mma."
_TOGETHER = re.compile(r"\bbar\.|\bbarrier\.|\.sync\b|\.aligned\b|\bactivemask\b")
# The end of a call: attributes by number and metadata follow the parentheses.
_END = re.compile(r"\)(?=(?: #\d+)?(?:, ![\w.]+ !\d+)*$)")


def mark_convergent(llvm_ir: str) -> str:
    """LLVM IR text in which assembly and products that threads execute together are marked as convergent."""
    if _ASSEMBLY not in llvm_ir and _PRODUCT not in llvm_ir:
        return llvm_ir
    lines = llvm_ir.split("\n")
    for number, line in enumerate(lines):
        if _PRODUCT in line and " call " in line or _ASSEMBLY in line and _TOGETHER.search(line):
            lines[number] = _END.sub(") convergent", line, count=1)
    return "\n".join(lines)
