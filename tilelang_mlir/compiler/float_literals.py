"""Rewrites floating-point literals of LLVM IR text into the form every LLVM version reads.

MLIR's LLVM is newer than the one that generates code: it prints `f0x3F8CCCCD`, `+inf`, `-nan`, and decimals that are
not exact, which older parsers reject. All become the hexadecimal forms of the LLVM Language Reference ("Simple
Constants"): 16 digits for float and double, `0xH` for half, `0xR` for bfloat.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"'  # strings hold no literals
    r"|(?P<type>\b(?:half|bfloat|float|double)\b)"
    r"|(?P<raw>\bf0x[0-9A-Fa-f]+\b)"
    r"|(?P<special>(?<![\w.%@$!])[+-](?:inf|qnan|nan|snan)(?:\(0x[0-9A-Fa-f]+\))?)"
    r"|(?P<decimal>(?<![\w.%@$!#])[+-]?\d+\.\d*(?:[eE][+-]?\d+)?)"
)
_OTHER = ("!", ";", "source_filename", "target ", "attributes ")  # lines without values
_WORDS = ("f0x", "+inf", "-inf", "+nan", "-nan", "+qnan", "-qnan", "+snan", "-snan")
_FRACTION = re.compile(r"\.\d")
_ZERO = " 0.000000e+00"


def rewrite_float_literals(text: str) -> str:
    """LLVM IR text with portable float literals. Metadata lines are left alone."""
    pieces: list[str] = []
    done = 0
    for start in sorted({text.rfind("\n", 0, place) + 1 for place in _places(text)}):
        end = text.find("\n", start)
        line = text[start:] if end < 0 else text[start:end]
        if not line.startswith(_OTHER):
            pieces += [text[done:start], _rewrite_line(line)]
            done = start + len(line)
    return "".join(pieces) + text[done:]


def _places(text: str) -> Iterator[int]:
    """Where literals may be: found by their letters and points, since few of thousands of lines hold one."""
    for word in _WORDS:
        place = text.find(word)
        while place >= 0:
            yield place
            place = text.find(word, place + 1)
    for point in _FRACTION.finditer(text):
        place = point.start()
        first = place
        while text[first - 1].isdigit():
            first -= 1
        in_name = text[first - 1].isalnum() or text[first - 1] in "_.%@$!#"
        # Zero is exact, and written alike by all: cleared accumulators have many.
        if first < place and not in_name and not text.startswith(_ZERO, first - 1):
            yield place


def _rewrite_line(line: str) -> str:
    # The type of a literal is the nearest float type before it: `fadd float %x, 1.0`, `<float 1.0, float 2.0>`.
    kind = "double"

    def replace(match: re.Match[str]) -> str:
        nonlocal kind
        if match["type"]:
            kind = match["type"]
        elif match["raw"]:
            return _spell_bits(kind, int(match["raw"][3:], 16))
        elif match["special"]:
            return _spell_special(kind, match["special"])
        elif match["decimal"]:
            return _spell(kind, float(match["decimal"]))
        return match[0]

    return _TOKEN.sub(replace, line)


def _spell_bits(kind: str, bits: int) -> str:
    if kind == "half":
        return f"0xH{bits:04X}"
    if kind == "bfloat":
        return f"0xR{bits:04X}"
    if kind == "float":
        return f"0x{_float_bits_as_double(bits):016X}"
    return f"0x{bits:016X}"


def _float_bits_as_double(bits: int) -> int:
    exponent, fraction = bits >> 23 & 0xFF, bits & 0x7FFFFF
    if exponent == 0xFF and fraction:  # keep NaN payloads: a conversion by the host would quieten them
        return (bits >> 31) << 63 | 0x7FF << 52 | fraction << 29
    value = struct.unpack(">f", bits.to_bytes(4, "big"))[0]
    return int.from_bytes(struct.pack(">d", value), "big")


def _spell(kind: str, value: float) -> str:
    if kind == "half":
        return f"0xH{int.from_bytes(struct.pack('>e', value), 'big'):04X}"
    if kind == "bfloat":
        # A printed bfloat is exact to within its own precision: round its float bits to nearest.
        bits = int.from_bytes(struct.pack(">f", value), "big")
        return f"0xR{(bits + 0x7FFF + (bits >> 16 & 1)) >> 16:04X}"
    if kind == "float":
        value = struct.unpack(">f", struct.pack(">f", value))[0]
    return f"0x{int.from_bytes(struct.pack('>d', value), 'big'):016X}"


_QUIET = {"half": (0x7C00, 9), "bfloat": (0x7F80, 6), "float": (0x7F800000, 22), "double": (0x7FF << 52, 51)}
_SIGN = {"half": 1 << 15, "bfloat": 1 << 15, "float": 1 << 31, "double": 1 << 63}


def _spell_special(kind: str, text: str) -> str:
    sign = _SIGN[kind] if text[0] == "-" else 0
    infinity, quiet_bit = _QUIET[kind]
    name, _, payload = text[1:].rstrip(")").partition("(")
    if name == "inf":
        return _spell_bits(kind, sign | infinity)
    bits = int(payload, 16) if payload else 0
    if name != "snan":
        bits |= 1 << quiet_bit
    return _spell_bits(kind, sign | infinity | bits)
