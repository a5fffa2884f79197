"""Keeps ptxas from reading registers that were never written.

ptxas merges a conversion to 8-bit floats (cvt.rn.satfinite.e4m3x2.f32 and its like) with the `mov.b32 %r1, {%rs1,
%rs2}` that packs its result as the lower half: one instruction converts and takes the upper half from another register.
Up to 13.0 it takes a register with something else in it where that half has none of its own:

* the upper half is written by nothing (LLVM widens 16 bits so where the rest does not matter), and the result is read
  a second time: that reader gets the wrong register;
* the upper half is the result of a conversion that is the lower half of a pack, too, which may be this one.

Measured on an H200 and visible in the machine code. Zeros in place of the half that nothing writes cost nothing; a pack
by prmt is not merged.
"""

from __future__ import annotations

import re
from collections import Counter

_NARROW = re.compile(r"cvt\.rn\.satfinite\.e\dm\dx2\.\w+ \t?(%rs\d+),")
_PACK = re.compile(r"mov\.b32 \t?(%r\d+), \{(%rs\d+), (%rs\d+)\};")
_FUNCTION = re.compile(r"^(?=(?:\.visible |\.weak )?\.(?:entry|func)\b)", re.MULTILINE)


def spell_packs(ptx: str) -> str:
    """The PTX with the packs of converted values that ptxas must not merge spelled otherwise."""
    return "".join(_of_function(part) for part in _FUNCTION.split(ptx)) if _NARROW.search(ptx) else ptx


def _of_function(text: str) -> str:
    narrow = set(_NARROW.findall(text))
    lower = {low for _, low, _ in _PACK.findall(text)} & narrow
    if not lower:
        return text
    uses = Counter(re.findall(r"%rs\d+", text))

    def spell(match: re.Match[str]) -> str:
        result, low, high = match.groups()
        if low in narrow and uses[high] == 1:
            return f"cvt.u32.u16 \t{result}, {low};"
        if low in narrow and high in lower:
            widened = f".reg .b32 low, high; cvt.u32.u16 low, {low}; cvt.u32.u16 high, {high};"
            return f"{{ {widened} prmt.b32 {result}, low, high, 0x5410; }}"
        return match.group()

    return _PACK.sub(spell, text)
