"""Registers of a fragment seen as elements of another width."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from .emitter import Emitter


class RecastRegisters(list[ir.Value]):
    """The values of a view, whose changes go back to the values of the fragment that it views.

    Both hold the same bits in the same order; `chunk` elements make a value. Where the values of one side are wider,
    several of the other share one.
    """

    def __init__(
        self, e: Emitter, source: list[ir.Value], own: tuple[ir.Type, int], viewed: tuple[ir.Type, int]
    ) -> None:
        """`own` and `viewed` are element and chunk of the view and of the fragment."""
        self.e, self.source, self.own, self.viewed = e, source, own, viewed
        widths = [kind.width * chunk for kind, chunk in (viewed, own)]
        self.taken, self.made = (math.lcm(*widths) // width for width in widths)
        super().__init__(
            value
            for start in range(0, len(source), self.taken)
            for value in self._convert(source[start : start + self.taken], self.made, own)
        )

    def __setitem__(self, slot: int, value: ir.Value) -> None:  # type: ignore[override]
        super().__setitem__(slot, value)
        group = slot // self.made
        changed = self._convert(self[group * self.made : (group + 1) * self.made], self.taken, self.viewed)
        self.source[group * self.taken : (group + 1) * self.taken] = changed

    def _convert(self, values: Sequence[ir.Value], count: int, to: tuple[ir.Type, int]) -> list[ir.Value]:
        """The bits of some values as `count` others."""
        e, (kind, chunk) = self.e, to
        widths = [v.type.shape[0] if isinstance(v.type, ir.VectorType) else 1 for v in values]
        elements = [e.extract(v, i) for v, width in zip(values, widths, strict=True) for i in range(width)]
        packed = e.pure("vector.from_elements", ir.VectorType.get([len(elements)], elements[0].type), elements)
        cast = e.pure("vector.bitcast", ir.VectorType.get([count * chunk], kind), [packed])
        return [e.gather([(cast, i * chunk + lane) for lane in range(chunk)]) for i in range(count)]
