"""Warnings about programs that are legal and hardly meant. What finds them is `suspicions`, or tracing itself."""

from __future__ import annotations

import warnings

from tilelang_mlir.errors import Finding, Location, TileWarning


class Suspicion(Finding):
    """What is suspicious, where, and what may help."""


def issue(suspicion: Suspicion) -> None:
    """Issue a `TileWarning` at its place."""
    place = suspicion.location or Location("<kernel>", 1)
    warnings.warn_explicit(str(suspicion), TileWarning, place.file, place.line)
