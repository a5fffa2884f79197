"""Errors as lines of text, and their comparison with `expected-error` comments in the manner of `mlir-opt`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.dialect.location import location_notes, python_location
from tilelang_mlir.errors import Location, TileError
from tilelang_mlir.mlir import ir

# MLIR's name for a module that was parsed from memory.
_MEMORY = "-"
_EXPECTED = re.compile(
    r"expected-(?P<severity>error|warning|remark|note)(?P<regex>-re)?"
    r"(?:@(?P<where>[+-]?\d+|above|below|unknown))?\s*(?P<count>\d+)?\s*"
    r"\{\{(?P<text>(?:[^{}]|\{\{.*?\}\}|[{}](?![{}]))*)\}\}"
)


@dataclass(frozen=True)
class Diagnostic:
    """One message. `location` is None where there is no position in a file."""

    severity: str
    message: str
    location: Location | None = None

    def line_in(self, file: str) -> int:
        """The line in the tested file, or 0 for a position elsewhere."""
        return self.location.line if self.location and self.location.file in (_MEMORY, file) else 0

    def render(self, file: str) -> str:
        """`file:line:column: error: message`; positions in the parsed text get the file's name."""
        where = "<unknown>"
        if self.location:
            name = file if self.location.file == _MEMORY else self.location.file
            where = str(Location(name, self.location.line, self.location.column))
        return f"{where}: {self.severity}: {self.message}"


def from_tile_error(error: TileError) -> list[Diagnostic]:
    """An error of ours with its notes and hint."""
    notes = [Diagnostic("note", text, where) for text, where in error.notes]
    hint = [Diagnostic("note", f"hint: {error.hint}", error.location)] if error.hint else []
    return [Diagnostic("error", error.message, error.location), *notes, *hint]


def from_mlir_error(error: ir.MLIRError) -> list[Diagnostic]:
    """All diagnostics that MLIR captured, with their notes."""
    found: list[Diagnostic] = []
    for item in error.error_diagnostics:
        found.append(Diagnostic("error", item.message.strip(), python_location(item.location)))
        for note in item.notes:
            if not note.message.startswith("see current operation"):
                found.append(Diagnostic("note", note.message.strip(), python_location(note.location)))
        found.extend(Diagnostic("note", text, where) for text, where in location_notes(item.location))
    return found or [Diagnostic("error", str(error))]


def from_mlir(item: ir.Diagnostic) -> Diagnostic:
    """A warning or remark that reached the context's handler."""
    return Diagnostic(str(item.severity).rsplit(".", 1)[-1].lower(), item.message, python_location(item.location))


@dataclass
class _Expectation:
    severity: str
    pattern: str
    line: int  # 0: a diagnostic with no position in the file
    at: int
    count: int

    def matches(self, diagnostic: Diagnostic, file: str) -> bool:
        return (
            self.severity == diagnostic.severity
            and self.line == diagnostic.line_in(file)
            and re.search(self.pattern, diagnostic.message, re.DOTALL) is not None
        )


def verify(text: str, file: str, found: Sequence[Diagnostic]) -> list[str]:
    """What differs between the diagnostics and the `expected-...` comments of a text; empty when they agree.

    `text` has the line numbers of the file (leading parts may be blank lines). Notes need not be expected.
    """
    expected = list(_expectations(text))
    problems: list[str] = []
    for diagnostic in found:
        match = next((e for e in expected if e.count and e.matches(diagnostic, file)), None)
        if match is not None:
            match.count -= 1
        elif diagnostic.severity != "note":
            problems.append(
                f"{file}:{diagnostic.line_in(file)}: error: unexpected {diagnostic.severity}: {diagnostic.message}"
            )
    for rest in expected:
        if rest.count:
            problems.append(f'{file}:{rest.at}: error: expected {rest.severity} "{rest.pattern}" was not produced')
    return problems


def _expectations(text: str) -> list[_Expectation]:
    result: list[_Expectation] = []
    for number, line in enumerate(text.splitlines(), 1):
        for match in _EXPECTED.finditer(line):
            pattern = match["text"] if match["regex"] else re.escape(match["text"])
            if match["regex"]:
                pattern = re.sub(r"\{\{(.*?)\}\}", r"\1", pattern)
            count = int(match["count"] or 1)
            result.append(_Expectation(match["severity"], pattern, _line(match["where"], number), number, count))
    return result


def _line(where: str | None, number: int) -> int:
    """The line an expectation speaks of; `above` and `below` mean the neighbouring line."""
    if where is None:
        return number
    if where in ("above", "below"):
        return number + (1 if where == "below" else -1)
    if where == "unknown":
        return 0
    return number + int(where) if where[0] in "+-" else int(where)
