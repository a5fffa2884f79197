"""Tensor maps of a kernel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MapKey:
    """One tensor map of a kernel: the tensor's argument, and the boxes it is read or written in."""

    param: int
    box: tuple[int, ...]
    swizzle: str
