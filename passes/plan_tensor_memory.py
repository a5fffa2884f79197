"""`plan-tensor-memory`: give every buffer in tensor memory its columns.

Input: laid-out, scheduled program. Output: `tl.arena` and `tl.column` on each allocation in scope `tmem`; a
`tl.tmem_arena` at the start of the kernel and a `tl.tmem_free` at its end. All buffers share one arena of a power of
two columns, but for those that the program frees itself: these have arenas of their own.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class PlanTensorMemory(Pass):
    """Place buffers in tensor memory, and allocate it."""

    name: ClassVar[str] = "plan-tensor-memory"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            allocs = [op for op in nested(launch) if op.name == "tl.alloc" and scope_of(op.results[0]) == TMEM]
            if allocs:
                with module.context, launch.location:
                    _plan(launch, allocs)


def _plan(launch: ir.Operation, allocs: list[ir.Operation]) -> None:
    frees = {root(op.operands[0]): op for op in nested(launch) if op.name == "tl.dealloc_tmem"}
    shared = [op for op in allocs if op.results[0] not in frees]
    arenas = ([shared] if shared else []) + [[op] for op in allocs if op.results[0] in frees]
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


def _i32(value: int) -> ir.Attribute:
    return ir.IntegerAttr.get(build.i32(), value)


def _place(number: int, arena: list[ir.Operation]) -> int:
    """One buffer after another; returns the columns of the arena."""
    column = 0
    for op in arena:
        op.attributes["tl.arena"], op.attributes["tl.column"] = _i32(number), _i32(column)
        column += tensor_from_attr(op.attributes["layout"]).columns
    return arena_columns(column)


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
