"""From a running Python frame to a source position.

Rewritten functions keep the positions of the user's text, so the instruction a frame is executing names the
expression an op comes from: no bookkeeping is needed while tracing. Only code objects registered here count as the
user's; frames of the language's own functions are skipped.
"""

from __future__ import annotations

import sys
import weakref
from types import CodeType, FrameType, TracebackType

from tilelang_mlir.errors import Location

Span = tuple[str, int, int, int]  # file, line, first column, end column (0-based, -1 unknown)


_Position = tuple[int | None, int | None, int | None, int | None]  # first and last line, first and end column


class _Entry:
    """A registered code object. `parent` is the id of the code around a lambda or comprehension, 0 for functions."""

    __slots__ = ("parent", "positions", "ref", "spans")

    def __init__(self, ref: weakref.ref[CodeType], parent: int) -> None:
        self.ref, self.parent = ref, parent
        self.positions: list[_Position] | None = None  # by instruction
        self.spans: dict[int, Span] = {}


# Keyed by identity: hashing a code object hashes its bytecode. An entry goes when its code does, so ids stay unique.
_TRACED: dict[int, _Entry] = {}


def register(code: CodeType, parent: int = 0) -> None:
    """Count a code object, and those nested in it, as the user's."""
    key = id(code)
    _TRACED[key] = _Entry(weakref.ref(code, lambda _: _TRACED.pop(key, None)), parent)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            register(const, key if const.co_name.startswith("<") else 0)


def is_traced(code: CodeType) -> bool:
    return id(code) in _TRACED


def span_of(code: CodeType, instruction: int) -> Span:
    """The source span of the instruction at byte offset `instruction`."""
    entry = _TRACED[id(code)]
    span = entry.spans.get(instruction)
    if span is None:
        if entry.positions is None:
            entry.positions = _positions(code)
        index = instruction // 2
        known = 0 <= index < len(entry.positions)
        span = entry.spans[instruction] = _span(code, *entry.positions[index] if known else (None,) * 4)
    return span


def _positions(code: CodeType) -> list[_Position]:
    """The place of every instruction; before Python 3.11 only its line is known."""
    if sys.version_info >= (3, 11):
        return list(code.co_positions())
    positions: list[_Position] = []
    for start, end, line in code.co_lines():
        positions += [(line, None, None, None)] * ((end - start) // 2)
    return positions


def _span(code: CodeType, line: int | None, end_line: int | None, column: int | None, end_column: int | None) -> Span:
    if line is None or column is None:
        return (code.co_filename, line or code.co_firstlineno, -1, -1)
    return (code.co_filename, line, column, end_column if end_line == line and end_column is not None else -1)


def stack(stop: FrameType | None = None) -> list[Span]:
    """Spans of the traced functions that are running, innermost first, up to the frame `stop`.

    A lambda or comprehension counts as part of the function around it.
    """
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    spans: list[Span] = []
    skip = 0
    while frame is not None and frame is not stop:
        code = id(frame.f_code)
        entry = _TRACED.get(code)
        if entry is not None:
            if code != skip:
                spans.append(span_of(frame.f_code, frame.f_lasti))
            skip = entry.parent
        frame = frame.f_back
    return spans


def location_of(span: Span) -> Location:
    """The span as an error location. Columns of the interpreter count UTF-8 bytes; the location's count characters."""
    file, line, column, end = span
    where = Location(file, line)
    text = where.render()
    if column < 0 or text.isascii():
        return Location(file, line, column, end)
    raw = text.split(" | ", 1)[-1].encode()
    return Location(file, line, len(raw[:column].decode(errors="ignore")), len(raw[:end].decode(errors="ignore")))


def here() -> Location | None:
    """Where the innermost traced frame is, as an error location."""
    spans = stack()
    return location_of(spans[0]) if spans else None


def from_traceback(traceback: TracebackType | None) -> list[Location]:
    """Locations of the traced frames an exception passed through, innermost first."""
    entries: list[tuple[CodeType, int]] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if id(code) in _TRACED:
            entries.append((code, traceback.tb_lasti))
        traceback = traceback.tb_next
    found: list[Location] = []
    skip = 0
    for code, instruction in reversed(entries):
        if id(code) != skip:
            found.append(location_of(span_of(code, instruction)))
        skip = _TRACED[id(code)].parent
    return found
