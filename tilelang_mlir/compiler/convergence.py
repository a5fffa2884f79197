"""Calls that threads have to reach together.

LLVM may copy a call into both arms of a branch, merge those of both arms into one, or move one into an arm, unless it
is marked as convergent. Its intrinsics of barriers, shuffles and votes are. These are not:

* inline assembly and products of matrices, yet all lanes of a warp have to execute the same one (PTX ISA, sections
  9.7.13.1, bar, and 9.7.14.5.14, mma: `.sync`, `.aligned`);
* functions that the program brings along, in which there may be any of those (LLVM finds out where it sees them);
* loads into LDS, whose place is one for all lanes of a wave ("AMD Instinct MI300" ISA, 9.1.9, M0): merged loads of two
  arms would take that of the first lane.
"""

from __future__ import annotations

import re

_ASSEMBLY, _MARKED = " asm ", ("@llvm.nvvm.mma.", ".load.lds(")
_TOGETHER = re.compile(r"\bbar\.|\bbarrier\.|\.sync\b|\.aligned\b|\bactivemask\b")
# The end of a call or a declaration: attributes by number and metadata follow the parentheses.
_END = re.compile(r"\)(?=(?: #\d+)?(?:, ![\w.]+ !\d+)*$)", re.MULTILINE)
# Of calls LLVM takes the attribute away again where the function does not have it; only intrinsics may differ.
_DECLARED = re.compile(r"^declare [^@\n]*@(?!llvm\.).*$", re.MULTILINE)


def mark_convergent(llvm_ir: str) -> str:
    """LLVM IR text in which calls that threads execute together, and functions that may hold some, are convergent."""
    first = llvm_ir.find("\ndeclare ") + 1
    if _DECLARED.search(llvm_ir, first):
        llvm_ir = llvm_ir[:first] + _DECLARED.sub(lambda found: _marked(found[0]), llvm_ir[first:])
    called = [text for text in _MARKED if text in llvm_ir]
    if not called and _ASSEMBLY not in llvm_ir:
        return llvm_ir
    lines = llvm_ir.split("\n")
    for number, line in enumerate(lines):
        if " call " not in line:
            continue
        if any(text in line for text in called) or _ASSEMBLY in line and _TOGETHER.search(line):
            lines[number] = _marked(line)
    return "\n".join(lines)


def _marked(line: str) -> str:
    return _END.sub(") convergent", line, count=1)
