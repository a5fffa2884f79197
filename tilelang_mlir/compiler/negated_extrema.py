"""Keeps ptxas from dropping a minus sign.

For sm_90 and newer ptxas 12.8 turns max.s32(max.s32(a, -b), c) into one VIMNMX3 that reads b: the negation is lost,
and so for min. Measured on an H200. A negation spelled as two's complement (not, add 1) is not taken for a modifier,
and costs one instruction.
"""

from __future__ import annotations

import re

_NEGATION = re.compile(r"^([ \t]*)neg\.s32 \t?(%r\d+), (%r\d+);$", re.MULTILINE)
_EXTREMUM = re.compile(r"(?:min|max)\.s32 \t?%r\d+, (%r\d+|-?\d+), (%r\d+|-?\d+);")


def keep_negations(ptx: str) -> str:
    """The PTX with every negation that is an operand of min.s32 or max.s32 spelled out."""
    operands = {operand for pair in _EXTREMUM.findall(ptx) for operand in pair} if "neg.s32" in ptx else set[str]()

    def spell(match: re.Match[str]) -> str:
        indent, result, value = match.groups()
        if result not in operands:
            return match.group()
        return f"{indent}not.b32 \t{result}, {value};\n{indent}add.s32 \t{result}, {result}, 1;"

    return _NEGATION.sub(spell, ptx) if operands else ptx
