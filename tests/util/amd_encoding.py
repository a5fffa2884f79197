"""The instructions of an AMD code object, told apart by their encodings: where each ends, which are matrix products and
which use scratch memory. An account of the final binary that owes nothing to LLVM's listing.

Sources: "AMD Instinct MI200", "MI300" and "CDNA4" ISA, chapter "Microcode formats"; "RDNA3" and "RDNA4" ISA, the same.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_FUNCTION, _SYMBOLS = 2, 11  # types of a symbol and of the section of dynamic ones
_LITERAL = 255  # an operand that stands behind the instruction
_DPP = (233, 234, 249, 250)  # operands that a word behind the instruction describes; 249 is SDWA
_SOP2_LITERALS = {False: (), True: (69, 70)}  # s_fmaak_f32, s_fmamk_f32, by whether memory instructions have 96 bits
_VOP2_LITERALS = {True: (23, 24, 36, 37), False: (44, 45, 55, 56)}  # v_fmamk, v_fmaak and kin, by whether it is CDNA
_FIRST_MFMA = 45  # v_mfma_f32_16x16x128_f8f6f4; 44 loads the scales of the one that follows
_OTHERS = (48, 49, 50, 51, 52, 88, 89)  # v_pk_fma_f32 to v_pk_mov_b32 and kin; v_accvgpr_read_b32, v_accvgpr_write_b32
_SETREG_LITERAL = {True: 20, False: 19}  # s_setreg_imm32_b32


@dataclass(frozen=True)
class Decoded:
    """How many instructions code objects have, and how many of these are products or use scratch memory."""

    instructions: int
    products: int
    scratch: int


def decode(code: bytes, arch: str) -> Decoded:
    """All functions of a code object.

    Raises:
        ValueError: an encoding that is not known, or a function that does not end where an instruction does.
    """
    cdna, wide = arch.startswith("gfx9"), arch.startswith("gfx12")
    count = products = scratch = 0
    for start, size in _functions(code):
        at = start
        while at < start + size:
            word, next_word = struct.unpack_from("<II", code, at)
            at += 4 * _words(word, next_word, cdna=cdna, wide=wide)
            count += 1
            products += _is_product(word, cdna=cdna)
            scratch += _is_scratch(word, cdna=cdna, wide=wide)
        if at != start + size:
            raise ValueError(f"the last instruction ends {at - start - size} bytes behind its function")
    return Decoded(count, products, scratch)


def _functions(code: bytes) -> Iterator[tuple[int, int]]:
    """(offset in the file, size) of the functions among the dynamic symbols."""
    sections = struct.unpack_from("<Q", code, 40)[0]
    entry, count = struct.unpack_from("<HH", code, 58)
    for at in range(sections, sections + entry * count, entry):
        if struct.unpack_from("<I", code, at + 4)[0] != _SYMBOLS:
            continue
        offset, size = struct.unpack_from("<QQ", code, at + 24)
        for symbol in range(offset, offset + size, 24):
            info, _, section, value, length = struct.unpack_from("<BBHQQ", code, symbol + 4)
            if info & 15 == _FUNCTION and section:
                home = sections + entry * section
                address, place = struct.unpack_from("<QQ", code, home + 16)
                yield value - address + place, length


def _words(word: int, second: int, *, cdna: bool, wide: bool) -> int:
    """How many words of 32 bits an instruction has."""
    if word >> 30 == 0b10:
        return _scalar_words(word, cdna=cdna, wide=wide)
    if word >> 31 == 0:
        operation, source = word >> 25 & 63, word & 511
        if operation < 62 and operation in _VOP2_LITERALS[cdna]:
            return 2
        return 2 if source == _LITERAL or source in _DPP else 1
    family = word >> 26
    if cdna:
        return _known(2, word, family in (0b110000, 0b110100, 0b110110, 0b110111, 0b111000, 0b111010))
    if family == 0b110010:  # VOPD: two operations at once
        literals = (word & 511, second & 511)
        return 3 if _LITERAL in literals or {word >> 22 & 15, word >> 17 & 31} & {1, 2} else 2
    if family == 0b110101 or word >> 24 == 0b11001100:  # VOP3, VOP3P
        sources = (second & 511, second >> 9 & 511, second >> 18 & 511)
        return 3 if _LITERAL in sources or sources[0] in _DPP else 2
    if wide and (family in (0b110001, 0b110100, 0b111001) or word >> 24 in (0xEC, 0xED, 0xEE)):  # VBUFFER and kin
        return 3
    if word >> 24 == 0b11001110:  # LDSDIR
        return 1
    return _known(2, word, family in (0b110011, 0b110110, 0b110111, 0b111000, 0b111010, 0b111101, 0b111110))


def _known(words: int, word: int, known: bool) -> int:
    if not known:
        raise ValueError(f"the word {word:#010x} begins no instruction that is known")
    return words


def _scalar_words(word: int, *, cdna: bool, wide: bool) -> int:
    first, second = word & 255, word >> 8 & 255
    if word >> 23 == 0b101111111:  # SOPP
        return 1
    if word >> 23 == 0b101111110:  # SOPC
        return 2 if _LITERAL in (first, second) else 1
    if word >> 23 == 0b101111101:  # SOP1
        return 2 if first == _LITERAL else 1
    if word >> 28 == 0b1011:  # SOPK
        return 2 if word >> 23 & 31 == _SETREG_LITERAL[cdna] else 1
    return 2 if _LITERAL in (first, second) or word >> 23 & 127 in _SOP2_LITERALS[wide] else 1


def _is_product(word: int, *, cdna: bool) -> bool:
    """MFMA: what of VOP3P is no packed arithmetic and no move of an accumulator; WMMA: operations from 64 to 95."""
    operation = word >> 16 & 127
    if cdna:
        return word >> 23 == 0b110100111 and operation >= _FIRST_MFMA and operation not in _OTHERS
    return word >> 24 == 0b11001100 and 64 <= operation < 96


def _is_scratch(word: int, *, cdna: bool, wide: bool) -> bool:
    """FLAT instructions of the scratch segment."""
    if wide:
        return word >> 24 == 0xED
    return word >> 26 == 0b110111 and (word >> 14 if cdna else word >> 16) & 3 == 1
