"""IR decoded once into instructions, so that running it many times touches no MLIR object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.dialect.location import location_notes, name_of, python_location
from tilelang_mlir.errors import Location, TileError, UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.reference.types import dtype_of

if TYPE_CHECKING:
    from tilelang_mlir.reference.machine import Frame

Run = Callable[["Instruction", "Frame"], "Iterator[str] | None"]
"""Executes an instruction; a generator yields whenever it has to wait for other threads."""


@dataclass(eq=False)
class Instruction:
    """One op: slots of operands and results, decoded attributes, dtypes and shapes of results, nested code."""

    name: str
    run: Run
    operands: tuple[int, ...]
    results: tuple[int, ...]
    attributes: dict[str, Any]
    dtypes: tuple[np.dtype, ...]
    types: tuple[ir.Type, ...]
    location: ir.Location
    regions: list[Code] = field(default_factory=list)
    waits: bool = False  # some op in its regions waits for a barrier
    captures: tuple[int, ...] = ()  # scalar slots its regions take from outside

    def where(self) -> Location | None:
        return python_location(self.location)

    def label(self) -> str:
        return name_of(self.location)

    def stamp(self, error: TileError) -> None:
        """Give an error without a position this op's."""
        if error.location is None:
            error.location = self.where()
            error.notes += location_notes(self.location)


@dataclass(eq=False)
class Code:
    """A block: argument slots and instructions."""

    arguments: tuple[int, ...]
    instructions: list[Instruction] = field(default_factory=list)


class Compiler:
    """Decodes a function. `table` maps op names to what executes them."""

    def __init__(self, table: dict[str, Run]) -> None:
        self.table = table
        self.slots: dict[ir.Value, int] = {}
        self.scalars: set[int] = set()

    def block(self, block: ir.Block) -> Code:
        """Decode a block and everything in it.

        Raises:
            UnsupportedError: an op has no meaning here; the location is the Python line.
        """
        code = Code(tuple(self._define(argument) for argument in block.arguments))
        for op in block.operations:
            code.instructions.append(self._instruction(op.operation))
        return code

    def _define(self, value: ir.Value) -> int:
        slot = self.slots[value] = len(self.slots)
        if isinstance(value.type, ir.IntegerType | ir.FloatType | ir.IndexType):
            self.scalars.add(slot)
        return slot

    def _instruction(self, op: ir.Operation) -> Instruction:
        run = self.table.get(op.name)
        if run is None:
            raise UnsupportedError(
                f"the reference evaluator does not know the op {op.name}", python_location(op.location)
            )
        operands = tuple(self.slots[value] for value in op.operands)
        try:
            types = tuple(result.type for result in op.results)
            dtypes = tuple(_dtype_or_object(kind) for kind in types)
        except TileError as error:
            error.location = error.location or python_location(op.location)
            raise
        attributes = {name: decode(op.attributes[name]) for name in op.attributes}
        outside = len(self.slots)
        regions = [self.block(block) for region in op.regions for block in region.blocks]
        results = tuple(self._define(result) for result in op.results)
        return Instruction(
            op.name, run, operands, results, attributes, dtypes, types, op.location, regions,
            waits=any(i.waits or i.name == "tl.mbarrier_wait" for r in regions for i in r.instructions),
            captures=tuple(sorted(self._captures(regions, outside))),
        )  # fmt: skip

    def _captures(self, regions: list[Code], outside: int) -> set[int]:
        """Scalar slots below `outside` that nested code reads."""
        used: set[int] = set()
        for code in regions:
            for instruction in code.instructions:
                used.update(
                    s for s in (*instruction.operands, *instruction.captures) if s < outside and s in self.scalars
                )
        return used


def _dtype_or_object(kind: ir.Type) -> np.dtype:
    """The dtype of a value; barriers and pointers are Python objects."""
    scalar = isinstance(kind, ir.IntegerType | ir.FloatType | ir.IndexType | ir.VectorType | ir.MemRefType)
    return dtype_of(kind) if scalar else np.dtype(object)


def decode(attribute: ir.Attribute) -> object:
    """An attribute as a plain Python value; what has none stays an attribute."""
    if isinstance(attribute, ir.UnitAttr):
        return True
    if isinstance(attribute, ir.BoolAttr | ir.IntegerAttr | ir.FloatAttr | ir.StringAttr):
        return attribute.value
    if isinstance(attribute, ir.DenseI32ArrayAttr | ir.DenseI64ArrayAttr):
        return tuple(attribute)
    return attribute
