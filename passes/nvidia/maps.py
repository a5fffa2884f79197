"""Tensor maps of a kernel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MapKey:
    """One tensor map of a kernel: the tensor's argument, and the boxes it is read or written in.

    `walk`, of im2col mode: the lower and upper corner of the box of output positions and the step, in both directions;
    `box` is then pixels and channels.
    """

    param: int
    box: tuple[int, ...]
    swizzle: str
    walk: tuple[int, ...] = ()
