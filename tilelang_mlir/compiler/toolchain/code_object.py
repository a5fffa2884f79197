"""What an AMD code object says about its kernels: the metadata note of the ELF file.

LLVM, "User Guide for AMDGPU Backend": note record NT_AMDGPU_METADATA (type 32, owner AMDGPU), a MessagePack map. Only
what such notes contain is decoded: maps, arrays, strings, integers, booleans and nil.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from tilelang_mlir.errors import CompileError

_NT_AMDGPU_METADATA = 32
_PT_NOTE = 4
_SHT_NOTE = 7
_SHT_DYNSYM = 11


def metadata(code: bytes) -> dict[str, Any]:
    """The metadata map of a code object or relocatable object, `amdhsa.kernels` among its keys.

    Raises:
        CompileError: the data is no AMD code object.
    """
    if code[:4] != b"\x7fELF":
        raise CompileError("not an ELF file")
    for start, size in _note_ranges(code):
        for kind, owner, description in _notes(code[start : start + size]):
            if kind == _NT_AMDGPU_METADATA and owner == b"AMDGPU":
                return _Reader(description).value()
    raise CompileError("the code object has no AMDGPU metadata")


def undefined_symbols(code: bytes) -> list[str]:
    """Names that a linked code object uses and does not define: no other code will come to define them."""
    sections = struct.unpack_from("<Q", code, 40)[0]
    entry, count = struct.unpack_from("<HH", code, 58)
    found: list[str] = []
    for at in range(sections, sections + entry * count, max(entry, 1)):
        kind, offset, size = struct.unpack_from("<I", code, at + 4)[0], *struct.unpack_from("<QQ", code, at + 24)
        if kind != _SHT_DYNSYM:
            continue
        strings = sections + entry * struct.unpack_from("<I", code, at + 40)[0]
        names = struct.unpack_from("<Q", code, strings + 24)[0]
        for symbol in range(offset, offset + size, 24):
            name, section = struct.unpack_from("<I", code, symbol)[0], struct.unpack_from("<H", code, symbol + 6)[0]
            if name and not section:
                found.append(code[names + name : code.index(b"\0", names + name)].decode())
    return found


def _note_ranges(code: bytes) -> Iterator[tuple[int, int]]:
    """(offset, size) of the note segments, and of the note sections where there are no segments."""
    headers, sections = struct.unpack_from("<QQ", code, 32)
    entry, count = struct.unpack_from("<HH", code, 54)
    for at in range(headers, headers + entry * count, max(entry, 1)):
        if struct.unpack_from("<I", code, at)[0] == _PT_NOTE:
            offset, size = struct.unpack_from("<Q", code, at + 8)[0], struct.unpack_from("<Q", code, at + 32)[0]
            yield offset, size
    entry, count = struct.unpack_from("<HH", code, 58)
    for at in range(sections, sections + entry * count, max(entry, 1)):
        if struct.unpack_from("<I", code, at + 4)[0] == _SHT_NOTE:
            yield struct.unpack_from("<QQ", code, at + 24)


def _notes(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    at = 0
    while at + 12 <= len(data):
        name_size, size, kind = struct.unpack_from("<III", data, at)
        name = at + 12
        body = name + (name_size + 3) // 4 * 4
        yield kind, data[name : name + name_size].rstrip(b"\0"), data[body : body + size]
        at = body + (size + 3) // 4 * 4


class _Reader:
    """One MessagePack value after the other. MessagePack specification, "Formats"."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def _take(self, form: str) -> int:
        value = struct.unpack_from(f">{form}", self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return value

    def _text(self, size: int) -> str:
        self._at += size
        return self._data[self._at - size : self._at].decode()

    def _map(self, size: int) -> dict[str, Any]:
        return {self.value(): self.value() for _ in range(size)}

    def value(self) -> Any:
        head = self._take("B")
        if head < 0x80 or head >= 0xE0:
            return head if head < 0x80 else head - 256
        if head < 0x90:
            return self._map(head & 15)
        if head < 0xA0:
            return [self.value() for _ in range(head & 15)]
        if head < 0xC0:
            return self._text(head & 31)
        if head in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[head]
        if 0xCC <= head <= 0xD3:
            return self._take("BHIQbhiq"[head - 0xCC])
        if 0xD9 <= head <= 0xDB:
            return self._text(self._take("BHI"[head - 0xD9]))
        if head in (0xDC, 0xDD):
            return [self.value() for _ in range(self._take("HI"[head - 0xDC]))]
        if head in (0xDE, 0xDF):
            return self._map(self._take("HI"[head - 0xDE]))
        raise CompileError(f"unexpected MessagePack format {head:#x} in the metadata of a code object")
