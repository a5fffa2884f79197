"""Keeps ptxas from reading registers that were never written.

LLVM widens a 16-bit value whose upper half does not matter by packing it with a register that nothing writes:
`mov.b32 %r3, {%rs1, %rs2}`. Where the value comes from a conversion to 8-bit floats (cvt.rn.satfinite.e4m3x2.f32) and
is read a second time, ptxas 12.8 to 13.0 give that second reader a register with something else in it. Measured on an
H200, visible in the machine code. With zeros in the other half, which are free, they do not.
"""

from __future__ import annotations

import re
from collections import Counter

_PACK = re.compile(r"mov\.b32 \t?(%r\d+), \{(%rs\d+), (%rs\d+)\};")
_FUNCTION = re.compile(r"^(?=(?:\.visible |\.weak )?\.(?:entry|func)\b)", re.MULTILINE)


def define_halves(ptx: str) -> str:
    """The PTX with no half of a packed register undefined."""
    return "".join(_of_function(part) for part in _FUNCTION.split(ptx)) if _PACK.search(ptx) else ptx


def _of_function(text: str) -> str:
    if not _PACK.search(text):
        return text
    uses = Counter(re.findall(r"%rs\d+", text))

    def spell(match: re.Match[str]) -> str:
        result, low, high = match.groups()
        if uses[high] == 1:
            return f"cvt.u32.u16 \t{result}, {low};"
        return f"mov.b32 \t{result}, {{{high}, {high}}};" if uses[low] == 1 else match.group()

    return _PACK.sub(spell, text)
