"""`plan-tensor-memory`: give every buffer in tensor memory its columns.

Input: laid-out, scheduled program. Output: `tl.arena` and `tl.column` on each allocation in scope `tmem`; a
`tl.tmem_arena` at the start of the kernel and a `tl.tmem_free` at its end. All buffers share one arena of a power of
two columns, but for those that the program frees itself: these have arenas of their own. Sums that only pass through
(`PASSING`) share columns with others that do at other times: first fit, in the order of the program.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import ResourceError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import root
from ..dialect.layout.attrs import tensor_from_attr
from ..dialect.layout.tensor import COLUMNS, arena_columns
from ..dialect.location import name_of, python_location
from ..dialect.tl import TMEM, scope_of
from . import build
from .base import Pass
from .walk import launches, nested

PASSING = "tl.passing"
"""Marks buffers that keep nothing from one iteration of a loop to the next."""
THREADS = 2048
"""Of the blocks that are on a multiprocessor with tensor memory at one time, at most."""


@dataclass(frozen=True)
class PlanTensorMemory(Pass):
    """Place buffers in tensor memory, and allocate it."""

    name: ClassVar[str] = "plan-tensor-memory"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            allocs = _allocations(launch)
            if allocs:
                with module.context, launch.location:
                    _plan(launch, allocs)


def _plan(launch: ir.Operation, allocs: list[ir.Operation]) -> None:
    frees = {root(op.operands[0]): op for op in nested(launch) if op.name == "tl.dealloc_tmem"}
    arenas = _arenas(allocs, frees)
    sizes = [_place(number, arena) for number, arena in enumerate(arenas)]
    _check(allocs, sizes)
    block = launch.regions[0].blocks[0]
    with ir.InsertionPoint.at_block_begin(block):
        for number, columns in enumerate(sizes):
            ir.Operation.create("tl.tmem_arena", attributes={"columns": _i32(columns), "id": _i32(number)})
    with ir.InsertionPoint(block):
        for number, arena in enumerate(arenas):
            if arena[0].results[0] not in frees:
                ir.Operation.create("tl.tmem_free", attributes={"id": _i32(number)})
    for buffer, op in frees.items():
        with ir.InsertionPoint(op), op.location:
            number = buffer.owner.operation.attributes["tl.arena"]
            ir.Operation.create("tl.tmem_free", attributes={"id": number})
        op.erase()


def _arenas(allocs: list[ir.Operation], freed: Collection[ir.Value]) -> list[list[ir.Operation]]:
    """What is allocated together."""
    shared = [op for op in allocs if op.results[0] not in freed]
    return ([shared] if shared else []) + [[op] for op in allocs if op.results[0] in freed]


def arena_with(launch: ir.Operation, kept: dict[ir.Value, int]) -> int:
    """Columns that a kernel allocates, if buffers which would pass through are `kept`, in so many versions."""
    allocs = _allocations(launch)
    freed = {root(op.operands[0]) for op in nested(launch) if op.name == "tl.dealloc_tmem"}
    return sum(arena_columns(_places(arena, kept)[1]) for arena in _arenas(allocs, freed))


def _allocations(launch: ir.Operation) -> list[ir.Operation]:
    return [op for op in nested(launch) if op.name == "tl.alloc" and scope_of(op.results[0]) == TMEM]


def _i32(value: int) -> ir.Attribute:
    return ir.IntegerAttr.get(build.i32(), value)


def _place(number: int, arena: list[ir.Operation]) -> int:
    """Place the buffers of an arena; returns its columns."""
    places, end = _places(arena, {})
    for op, column in places:
        op.attributes["tl.arena"], op.attributes["tl.column"] = _i32(number), _i32(column)
    return arena_columns(end)


def _places(arena: list[ir.Operation], kept: dict[ir.Value, int]) -> tuple[list[tuple[ir.Operation, int]], int]:
    """One buffer after another, then those that pass through; also where they end."""
    column = 0
    places: list[tuple[ir.Operation, int]] = []
    passing: list[tuple[_Life, ir.Operation]] = []
    for op in arena:
        buffer = op.results[0]
        life = _life(buffer) if PASSING in op.attributes and buffer not in kept else None
        if life is not None:
            passing.append((life, op))
            continue
        places.append((op, column))
        column += _columns(op) * kept.get(buffer, 1)
    taken: list[tuple[_Life, range]] = []
    for life, op in sorted(passing, key=lambda one: one[0].steps.start):
        start = column
        for there in sorted((there for other, there in taken if other.meets(life)), key=lambda there: there.start):
            if start + _columns(op) > there.start:
                start = max(start, there.stop)
        places.append((op, start))
        taken.append((life, range(start, start + _columns(op))))
    return places, max([column, *(there.stop for _, there in taken)])


@dataclass(frozen=True)
class _Life:
    """The operations of a block in which a buffer has something to keep."""

    block: ir.Block
    steps: range

    def meets(self, other: _Life) -> bool:
        apart = self.steps.stop <= other.steps.start or other.steps.stop <= self.steps.start
        return self.block != other.block or not apart


def _life(buffer: ir.Value) -> _Life | None:
    """From the first to the last use, which are in one block."""
    users: list[ir.Operation] = []
    for use in buffer.uses:
        user = use.owner.operation
        users += [u.owner.operation for u in user.results[0].uses] if user.name == "tl.slice" else [user]
    blocks = [op.block for op in users]
    if not users or any(block != blocks[0] for block in blocks):
        return None
    body = [view.operation for view in blocks[0].operations]
    places = [body.index(op) for op in users]
    return _Life(blocks[0], range(min(places), max(places) + 1))


def _columns(op: ir.Operation) -> int:
    return tensor_from_attr(op.attributes["layout"]).columns


def columns_at_once(launch: ir.Operation) -> int:
    """Columns of a kernel's tiles in tensor memory, if all are in use at once."""
    return sum(_columns(op) for op in _allocations(launch))


def _check(allocs: list[ir.Operation], sizes: list[int]) -> None:
    if sum(sizes) <= COLUMNS:
        return
    parts = [
        (f"{name_of(op.location) or 'buffer'}: {tensor_from_attr(op.attributes['layout']).columns} columns",
         python_location(op.location))
        for op in allocs
    ]  # fmt: skip
    raise ResourceError(
        f"the kernel needs {sum(sizes)} columns of tensor memory, a multiprocessor has {COLUMNS}",
        python_location(allocs[-1].location),
        notes=tuple(parts),
        hint="allocations are powers of two of at least 32 columns of 32 bits: use fewer columns or fewer versions",
    )
