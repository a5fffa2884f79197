"""Element accesses to fragments: which register holds what the lanes ask for.

The register of an access must not depend on the thread: inside a parallel loop its position is found by evaluating the
indices for every thread and every iteration of the loop's layout, and checked against the fragment's layout.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tilelang_mlir.errors import LayoutError
from tilelang_mlir.mlir import ir

from ...dialect.location import name_of, python_location
from .buffers import FragmentBuffer
from .context import Context
from .index import Index

IntArray = npt.NDArray[np.int64]

_EVALUATE = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.divui": lambda a, b: a // b,
    "arith.divsi": lambda a, b: a // b,
    "arith.floordivsi": lambda a, b: a // b,
    "arith.remui": lambda a, b: a % b,
    "arith.remsi": lambda a, b: a % b,
    "arith.andi": lambda a, b: a & b,
    "arith.ori": lambda a, b: a | b,
    "arith.xori": lambda a, b: a ^ b,
    "arith.shli": lambda a, b: a << b,
    "arith.shrsi": lambda a, b: a >> b,
    "arith.shrui": lambda a, b: a >> b,
    "arith.minsi": np.minimum,
    "arith.maxsi": np.maximum,
    "arith.index_cast": lambda a: a,
    "arith.index_castui": lambda a: a,
    "tl.cast": lambda a: a,
}


def load_fragment(ctx: Context, buffer: FragmentBuffer, op: ir.Operation) -> ir.Value:
    """The registers of the lanes' elements, as a scalar when all lanes read one element."""
    registers = lane_registers(ctx, buffer, op, list(op.operands)[1:])
    file = ctx.registers[buffer]
    sources = [(file[r // buffer.chunk], r % buffer.chunk) for r in registers]
    if all(s == sources[0] for s in sources):
        sources = sources[:1]
    return ctx.e.gather(sources)


def store_fragment(ctx: Context, buffer: FragmentBuffer, op: ir.Operation) -> None:
    """Replace the registers of the lanes' elements."""
    registers = lane_registers(ctx, buffer, op, list(op.operands)[2:])
    varying = len(set(registers)) > 1
    value = ctx.ssa(op.operands[0], varying=varying)
    if not varying and isinstance(value.type, ir.VectorType):
        value = ctx.e.extract(value, len(registers) - 1)
    write_registers(ctx, buffer, registers if varying else registers[-1:], value)


def write_registers(ctx: Context, buffer: FragmentBuffer, registers: Sequence[int], value: ir.Value) -> None:
    """Put lane i of `value` into element register `registers[i]`."""
    file, chunk = ctx.registers[buffer], buffer.chunk
    for slot in dict.fromkeys(r // chunk for r in registers):
        lanes = {r % chunk: i for i, r in enumerate(registers) if r // chunk == slot}
        if chunk == 1:
            file[slot] = ctx.e.extract(value, lanes[0])
            continue
        sources = [(value, lanes[i]) if i in lanes else (file[slot], i) for i in range(chunk)]
        if not isinstance(value.type, ir.VectorType):
            file[slot] = ctx.e.pack([ctx.e.extract(v, i) for v, i in sources])
        else:
            file[slot] = ctx.e.gather(sources)


def lane_registers(ctx: Context, buffer: FragmentBuffer, op: ir.Operation, indices: Sequence[ir.Value]) -> list[int]:
    """The element register of each lane."""
    table = ctx.register_tables.get(op)
    if table is None:
        table = ctx.register_tables[op] = _known_table(ctx, buffer, op, indices)
    if len(table) == 1:
        return table * ctx.width
    return table[ctx.chunk_start : ctx.chunk_start + ctx.width]


def _known_table(ctx: Context, buffer: FragmentBuffer, op: ir.Operation, indices: Sequence[ir.Value]) -> list[int]:
    """The register table, computed once for accesses that are alike: indexed with the loop's own variables."""
    if ctx.iteration_layout is None:
        return register_table(ctx, buffer, op, indices)
    variables = list(ctx.iteration_tables)
    places: list[int] = []
    for index in indices:
        while not isinstance(index.owner, ir.Block) and index.owner.operation.name == "arith.index_cast":
            index = index.owner.operation.operands[0]
        if index not in ctx.iteration_tables:
            return register_table(ctx, buffer, op, indices)
        places.append(variables.index(index))
    key = (ctx.iteration_layout, buffer.layout, ctx.num_threads, *places)
    table = ctx.known_registers.get(key)
    if table is None:
        table = ctx.known_registers[key] = register_table(ctx, buffer, op, indices)
    return table


def register_table(ctx: Context, buffer: FragmentBuffer, op: ir.Operation, indices: Sequence[ir.Value]) -> list[int]:
    """Element registers by iteration register of the enclosing parallel loop; one entry outside of one."""
    grid = ctx.iteration_tables
    threads = np.arange(ctx.num_threads, dtype=np.int64)[:, None]
    count = next(iter(grid.values())).shape[1] if grid else 1
    values = [np.broadcast_to(evaluate(ctx, v, grid, op), (ctx.num_threads, count)) for v in indices]
    registers = buffer.layout.value_of(values)
    held = buffer.layout.holds(threads % buffer.layout.num_threads, values)
    if ctx.iteration_valid is not None:  # iterations past the extents of a padded loop touch nothing
        held = held | ~ctx.iteration_valid
        registers = np.where(ctx.iteration_valid, registers, registers.max(axis=0, keepdims=True))
    if not held.all():
        thread, register = (int(x) for x in np.argwhere(~held)[0])
        element = [int(v[thread, register]) for v in values]
        raise LayoutError(
            f"thread {thread} accesses element {element} of a fragment that it does not hold: {buffer.layout}",
            python_location(op.location),
            hint="copy the fragment to shared memory to exchange elements between threads",
        )
    if (registers != registers[:1]).any():
        raise LayoutError(
            f"the register of a fragment element differs between threads: {buffer.layout}",
            python_location(op.location),
            hint="index fragments with the loop's own variables",
        )
    return [int(r) for r in registers[0]]


def evaluate(ctx: Context, value: ir.Value, grid: dict[ir.Value, IntArray], op: ir.Operation) -> IntArray:
    """An integer of the tile program as numbers, for every thread and iteration."""
    if value in grid:
        return grid[value]
    known = None if _in_parallel(value) else ctx.values.get(value)
    if isinstance(known, Index) and known.is_constant and known.is_uniform:
        return np.asarray(known.constants[0], np.int64)
    owner = value.owner
    if isinstance(owner, ir.OpView | ir.Operation):
        inner = owner.operation
        if inner.name == "arith.constant":
            return np.asarray(ir.IntegerAttr(inner.attributes["value"]).value, np.int64)
        if inner.name == "tl.thread_id":
            return thread_coordinate(ctx, ir.IntegerAttr(inner.attributes["dim"]).value)[:, None]
        if (function := _EVALUATE.get(inner.name)) is not None:
            return function(*(evaluate(ctx, v, grid, op) for v in inner.operands))
    name = name_of(value.location) if hasattr(value, "location") else ""
    raise LayoutError(
        f"a fragment is indexed with a run-time value{f' ({name})' if name else ''}",
        python_location(op.location),
        hint="fragments are registers: index them with loop variables of T.Parallel or T.unroll and constants",
    )


def _in_parallel(value: ir.Value) -> bool:
    """Whether a parallel loop's body computes it: what is known of it then holds for the current iterations only."""
    op = None if isinstance(value.owner, ir.Block) else value.owner.operation.parent
    while op is not None and op.name != "tl.parallel":
        op = op.operation.parent
    return op is not None


def thread_coordinate(ctx: Context, dim: int) -> IntArray:
    """threadIdx along a dimension, by linear thread index."""
    linear = np.arange(ctx.num_threads, dtype=np.int64)
    for size in ctx.threads[:dim]:
        linear = linear // size
    return linear % ctx.threads[dim]


