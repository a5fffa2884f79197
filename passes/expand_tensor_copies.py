"""`expand-tensor-copies`: copies to and from tensor memory go through fragments that its accesses have.

Input: laid-out, scheduled program. Output: tensor memory only in products, `tl.tcgen05_cp`, and copies to or from
fragments of the same element type in a layout that loads and stores have.

    tl.copy T -> S   =>   for each part of the columns: tl.copy T[part] -> F; tl.copy F -> S[part]
    tl.fill T, v     =>   tl.fill F, v; tl.copy F -> T

The parts keep the registers of a thread few: an epilogue in sub-tiles.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import LayoutError, UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import root
from ..dialect.layout import Fragment
from ..dialect.layout.attrs import from_attr, to_attr
from ..dialect.layout.tensor import TensorLayout
from ..dialect.location import python_location
from ..dialect.tl import FRAGMENT, TMEM, buffer_type, scope_of
from . import build
from .base import Pass
from .nvidia.tensor_memory import access_plan
from .nvidia.tensor_rules import meeting_fragment
from .nvidia.tensor_views import layout_of
from .walk import launches, nested, threads_of

PART_REGISTERS = 64  # of a thread, for a part of a tile that passes through


@dataclass(frozen=True)
class ExpandTensorCopies(Pass):
    """Route copies of tensor memory through fragments."""

    name: ClassVar[str] = "expand-tensor-copies"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context:
                for op in [op for op in nested(launch) if op.name in ("tl.copy", "tl.fill")]:
                    if TMEM in map(scope_of, _tiles(op)) and _has_versions(op):
                        _expand_versions(op)
                for op in [op for op in nested(launch) if op.name in ("tl.copy", "tl.fill")]:
                    if op.name == "tl.copy" and TMEM in (scope_of(v) for v in list(op.operands)[:2]):
                        with ir.InsertionPoint(op), op.location:
                            _expand(op)
                    elif op.name == "tl.fill" and scope_of(op.operands[0]) == TMEM:
                        with ir.InsertionPoint(op), op.location:
                            _expand_fill(op)


def _tiles(op: ir.Operation) -> list[ir.Value]:
    return list(op.operands)[: 2 if op.name == "tl.copy" else 1]


def _has_versions(op: ir.Operation) -> bool:
    return any(math.prod(ir.MemRefType(v.type).shape[:-2]) > 1 for v in _tiles(op) if scope_of(v) == TMEM)


def _expand_versions(op: ir.Operation) -> None:
    """Tiles in front of a tile are copied one by one: they lie beside one another in the columns."""
    tiles = _tiles(op)
    lead = [size for size in ir.MemRefType(next(v for v in tiles if scope_of(v) == TMEM).type).shape[:-2] if size != 1]
    with ir.InsertionPoint(op), op.location:
        for place in itertools.product(*map(range, lead)):
            parts = [_version(tile, place) for tile in tiles]
            rest = list(op.operands)[len(tiles) :]
            ir.Operation.create(op.name, [], [*parts, *rest], build.attributes_of(op))
    op.erase()


def _version(tile: ir.Value, place: Sequence[int]) -> ir.Value:
    """The part of a tile at a place of its first dimensions, units not counted."""
    sizes = list(ir.MemRefType(tile.type).shape)
    long = [dim for dim, size in enumerate(sizes) if size != 1]
    starts = [0] * len(sizes)
    for dim, start in zip(long, place, strict=False):
        starts[dim], sizes[dim] = start, 1
    return build.slice_of(tile, [build.constant(start) for start in starts], sizes)


def _expand(op: ir.Operation) -> None:
    source, target, *condition = op.operands
    if condition:
        raise UnsupportedError("a conditional copy of tensor memory", python_location(op.location),
                               hint="put the copy under an `if`")
    stores = scope_of(target) == TMEM
    tensor, other = (target, source) if stores else (source, target)
    if scope_of(other) == TMEM:
        raise UnsupportedError("a copy inside tensor memory", python_location(op.location),
                               hint="copy through a fragment")
    if _is_direct(op, tensor, other):
        return
    rows, columns = list(ir.MemRefType(tensor.type).shape)[-2:]
    threads = threads_of(op)
    whole = scope_of(other) == FRAGMENT or _layout(tensor).parts > 1
    part = columns if whole else _part(columns, rows, threads)
    for start in range(0, columns, part):
        staged = _fragment(op, tensor, part, threads)
        pair = build.columns_of(tensor, start, part), build.columns_of(other, start, part)
        if stores:
            ir.Operation.create("tl.copy", [], [pair[1], staged], _attributes(op))
            ir.Operation.create("tl.copy", [], [staged, pair[0]])
        else:
            ir.Operation.create("tl.copy", [], [pair[0], staged])
            ir.Operation.create("tl.copy", [], [staged, pair[1]], _attributes(op))
    op.erase()


def _attributes(op: ir.Operation) -> dict[str, ir.Attribute]:
    return {name: value for name, value in build.attributes_of(op).items() if name != "loop_layout"}


def _part(columns: int, rows: int, threads: int) -> int:
    """Columns that pass through at once: a divisor of all, at most `PART_REGISTERS` of a thread."""
    most = max(1, PART_REGISTERS * threads // max(rows, 1))
    part = columns
    while part > most and part % 2 == 0:
        part //= 2
    return part


def _layout(tensor: ir.Value) -> TensorLayout:
    return layout_of(tensor)


def _is_direct(op: ir.Operation, tensor: ir.Value, other: ir.Value) -> bool:
    """Whether loads and stores move the fragment as it is."""
    if scope_of(other) != FRAGMENT or root(other) != other:
        return False
    if ir.MemRefType(tensor.type).element_type != ir.MemRefType(other.type).element_type:
        return False
    layout = from_attr(other.owner.operation.attributes["layout"])
    assert isinstance(layout, Fragment)
    return access_plan(layout, _layout(tensor), threads_of(op)) is not None


def _fragment(op: ir.Operation, tensor: ir.Value, columns: int, threads: int) -> ir.Value:
    """A fragment for `columns` of a tile of tensor memory."""
    kind = ir.MemRefType(tensor.type)
    layout = meeting_fragment(_layout(tensor), columns, threads)
    if layout is None:
        raise LayoutError(
            f"{threads} threads cannot access {columns} columns of a tensor memory tile of {list(kind.shape)}",
            python_location(op.location),
            hint="whole warpgroups of 128 threads access tiles of 128 (or, for accumulators, 64) rows together",
        )
    shape = [layout.shape[0], columns]
    result = buffer_type(shape, kind.element_type, FRAGMENT)
    return ir.Operation.create("tl.alloc", [result], attributes={"layout": to_attr(layout)}).result


def _expand_fill(op: ir.Operation) -> None:
    tensor, value = op.operands
    rows, columns = list(ir.MemRefType(tensor.type).shape)[-2:]
    threads = threads_of(op)
    part = columns if _layout(tensor).parts > 1 else _part(columns, rows, threads)
    staged = _fragment(op, tensor, part, threads)
    ir.Operation.create("tl.fill", [], [staged, value])
    for start in range(0, columns, part):
        ir.Operation.create("tl.copy", [], [staged, build.columns_of(tensor, start, part)])
    op.erase()
