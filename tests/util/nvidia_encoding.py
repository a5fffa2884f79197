"""The instructions of a cubin that matter here, by their encodings: matrix products and accesses of local memory.

An instruction has 128 bits, the lowest nine of which say what it does, on all architectures from sm_80 on (read off
nvdisasm's listings; `test_target_matrix` compares). Reading them so takes a hundredth of the disassembler's time, and
works for sm_103a, which the one at hand does not know.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator

_NAMES = {
    0x03C: "HMMA", 0x07A: "QMMA", 0x1F0: "HGMMA", 0x1F3: "QGMMA", 0x1EA: "UTCMMA", 0x183: "LDL", 0x187: "STL",
}  # fmt: skip
_SIZE = 16  # bytes of an instruction


def instructions(code: bytes) -> Counter[str]:
    """How often they occur in all functions of a cubin; products into tensor memory are UTCMMA, whatever their type."""
    found: Counter[str] = Counter()
    for start, size in executable(code):
        for at in range(start, start + size, _SIZE):
            name = _NAMES.get(struct.unpack_from("<H", code, at)[0] & 511)
            if name:
                found[name] += 1
    return found


def executable(code: bytes) -> Iterator[tuple[int, int]]:
    """(offset, size) of the sections with instructions of an ELF file."""
    sections, (entry, count) = struct.unpack_from("<Q", code, 40)[0], struct.unpack_from("<HH", code, 58)
    for at in range(sections, sections + entry * count, entry):
        kind, traits = struct.unpack_from("<IQ", code, at + 4)
        if kind == 1 and traits & 4:
            yield struct.unpack_from("<QQ", code, at + 24)
