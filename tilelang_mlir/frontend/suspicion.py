"""Warnings about programs that are legal and hardly meant. What finds them is `suspicions`, or tracing itself."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from tilelang_mlir.errors import Location, TileWarning


@dataclass(frozen=True)
class Suspicion:
    """What is suspicious, where, and what may help."""

    message: str
    location: Location | None
    hint: str
    notes: tuple[tuple[str, Location | None], ...] = ()

    def __str__(self) -> str:
        from tilelang_mlir.errors import TileError

        return str(TileError(self.message, self.location, hint=self.hint, notes=self.notes))


def issue(suspicion: Suspicion) -> None:
    """Issue a `TileWarning` at its place."""
    place = suspicion.location or Location("<kernel>", 1)
    warnings.warn_explicit(str(suspicion), TileWarning, place.file, place.line)
