"""Every exception this package raises on purpose, and the source locations they carry.

A user error names what went wrong, where (file, line, column, with a caret under the text), what was expected
and what came. `Location` doubles as a context manager: any `TileError` that passes through a `with location:`
block without a location of its own is stamped with it, so inner layers need not thread locations around.
"""

from __future__ import annotations

import linecache
import unicodedata
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True)
class Location:
    """A position in a user's Python source. `line` is 1-based, `column` 0-based (-1: unknown)."""

    file: str
    line: int
    column: int = -1
    end_column: int = -1
    function: str = ""

    def __str__(self) -> str:
        column = f":{self.column + 1}" if self.column >= 0 else ""
        return f"{self.file}:{self.line}{column}"

    def render(self) -> str:
        """The source line with a caret under the column, or an empty string when the source is gone."""
        text = linecache.getline(self.file, self.line).rstrip("\n")
        if not text:
            return ""
        prefix = f"{self.line:5d} | "
        if self.column < 0:
            return prefix + text
        # Columns count code points; wide characters take two cells on a terminal.
        lead = "".join("\t" if c == "\t" else " " * _cell_width(c) for c in text[: self.column])
        end = self.end_column if self.end_column > self.column else self.column + 1
        span = sum(_cell_width(c) for c in text[self.column : end]) or 1
        return f"{prefix}{text}\n{' ' * (len(prefix) - 2)}| {lead}{'^' * span}"

    def expression(self) -> str:
        """The text that the caret marks, or the whole line where columns are not known; empty without the source."""
        text = linecache.getline(self.file, self.line).rstrip("\n")
        return text[self.column : self.end_column] if 0 <= self.column < self.end_column else text

    def __enter__(self) -> Location:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(error, TileError) and error.location is None:
            error.location = self


def _cell_width(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


class TileError(Exception):
    """Base of all errors of this package.

    `notes` are (text, location) pairs that point at other places the reader needs, `hint` is one suggestion.
    """

    def __init__(
        self,
        message: str,
        location: Location | None = None,
        *,
        hint: str = "",
        notes: tuple[tuple[str, Location | None], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.hint = hint
        self.notes = notes

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.location, self.hint, self.notes))

    def __str__(self) -> str:
        lines = [f"{self.location}: {self.message}" if self.location else self.message]
        if self.location and (source := self.location.render()):
            lines.append(source)
        for text, where in self.notes:
            lines.append(f"note: {where}: {text}" if where else f"note: {text}")
            if where and (source := where.render()):
                lines.append(source)
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Finding:
    """Something to tell about a program that is no error: what, where, what may help. Printed as errors are."""

    message: str
    location: Location | None
    hint: str = ""
    notes: tuple[tuple[str, Location | None], ...] = ()

    def __str__(self) -> str:
        return str(TileError(self.message, self.location, hint=self.hint, notes=self.notes))


class TileWarning(UserWarning):
    """A program that is legal and hardly meant, with its place and a hint."""


def _rebuild(
    kind: type[TileError],
    message: str,
    location: Location | None,
    hint: str,
    notes: tuple[tuple[str, Location | None], ...],
) -> TileError:
    error = kind.__new__(kind)
    TileError.__init__(error, message, location, hint=hint, notes=notes)
    return error


class TileSyntaxError(TileError):
    """Python the kernel language does not have."""


class TileNameError(TileError):
    """An undefined name, or a value used outside the block that defines it."""


class TileAttributeError(TileError, AttributeError):
    """A name that the language or one of its objects does not have."""


class TileTypeError(TileError, TypeError):
    """A value of the wrong kind, dtype or rank."""


class TileValueError(TileError, ValueError):
    """A value of the right kind that is out of range or inconsistent with another."""


class LayoutError(TileError, ValueError):
    """No layout satisfies all uses of a buffer; the notes show the uses that disagree."""


class ResourceError(TileError):
    """A kernel needs more shared memory, registers or threads than the target has; the message shows the sum."""


class UnsupportedError(TileError, NotImplementedError):
    """A feature the chosen target lacks; the message names the feature and the targets that have it."""


class PassError(TileError):
    """A pass failed or produced IR outside its level's spec. `reproducer` is a command that shows it again."""

    def __init__(self, message: str, location: Location | None = None, *, hint: str = "",
                 notes: tuple[tuple[str, Location | None], ...] = (), reproducer: str = "") -> None:
        super().__init__(message, location, hint=hint, notes=notes)
        self.reproducer = reproducer


class CompileError(TileError):
    """Code generation failed: LLVM, ptxas or the driver rejected the program, crashed or timed out."""


class ToolchainError(TileError):
    """An external tool is missing or too old; the message lists where it was looked for."""


class TargetError(TileError, ValueError):
    """An unknown or unusable target string."""


class CacheError(TileError):
    """The kernel cache folder cannot be used."""


class ArgumentError(TileError, TypeError):
    """A launch argument does not match the kernel's signature; the message names the parameter."""


class AssumptionError(ArgumentError, RuntimeError):
    """What a kernel states of its sizes and scalar arguments (assertions, `T.assume`) does not hold in a call."""


class DriverError(TileError, RuntimeError):
    """The GPU driver reported an error."""


class SimulationError(TileError, RuntimeError):
    """The simulated program did something a GPU gives no meaning to.

    Where it did so in an operation that completes by itself, `started` is the place in the simulator's program that
    started it.
    """

    started: int = 0


class OutOfBoundsError(SimulationError):
    """An access outside its allocation, or misaligned."""


class UninitializedReadError(SimulationError):
    """A read of memory that nothing has written."""


class RaceError(SimulationError):
    """Two accesses, at least one a write, with nothing that orders them."""


class InFlightError(RaceError):
    """An access to memory into which an asynchronous copy is under way."""


class ProxyFenceError(RaceError):
    """An asynchronous read of what ordinary stores wrote, without fence.proxy.async between."""


class UnfinishedError(RaceError):
    """A block ends before asynchronous work on its shared memory has been waited for."""


class AccumulatorError(SimulationError):
    """Accumulators of an asynchronous product are used before it has been waited for; `site` is that of the product in
    the simulator's program."""

    site: int = 0

    def __init__(self, message: str, location: Location | None = None, *, hint: str = "", site: int = 0) -> None:
        super().__init__(message, location, hint=hint)
        self.site = site


class BarrierError(SimulationError):
    """An mbarrier is used against its rules: not initialised, or by more arrivals than its count."""


class DeadlockError(SimulationError):
    """No thread can move; the message shows who waits on what, and for whom."""


class TransactionBytesError(DeadlockError):
    """No thread can move because copies bring fewer or more bytes than an mbarrier was told to expect."""


class ArrivalCountError(DeadlockError):
    """No thread can move because only a part of the arrivals that an mbarrier or barrier counts has come."""


class DeviceAssertError(SimulationError):
    """A `T.device_assert` failed."""
