"""Element accesses to fragments: which register holds what the lanes ask for.

Inside a parallel loop the register's position is found by evaluating the indices for every thread and every iteration
of the loop's layout, and checked against the fragment's layout. Where it is the same for all threads the access is the
register itself; where it depends on the thread or on a value at run time, one of a few candidates is selected.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tilelang_mlir.errors import LayoutError
from tilelang_mlir.mlir import ir

from ...dialect.layout.lookup import found_registers
from ...dialect.location import name_of, python_location
from ..walk import members_of
from .buffers import FragmentBuffer
from .context import Context
from .index import Index

IntArray = npt.NDArray[np.int64]

ARITHMETIC = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.divui": lambda a, b: a // b,
    "arith.divsi": lambda a, b: (a - np.fmod(a, b)) // b,
    "arith.floordivsi": lambda a, b: a // b,
    "arith.remui": lambda a, b: a % b,
    "arith.remsi": np.fmod,
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


Place = int | tuple[int, ...]  # a register, or the candidates of an access that decides at run time
MOST_CANDIDATES = 64


def load_fragment(ctx: Context, buffer: FragmentBuffer, op: ir.Operation) -> ir.Value:
    """The registers of the lanes' elements, as a scalar when all lanes read one element."""
    indices = list(op.operands)[1:]
    places = lane_places(ctx, buffer, op, indices)
    file = ctx.registers[buffer]
    if (slot := _whole_register(buffer, places)) is not None:
        return file[slot]
    if any(isinstance(place, tuple) for place in places):
        return ctx.e.pack([_pick(ctx, buffer, place, indices, lane) for lane, place in enumerate(places)])
    sources = [(file[r // buffer.chunk], r % buffer.chunk) for r in places if isinstance(r, int)]
    if all(s == sources[0] for s in sources):
        sources = sources[:1]
    return ctx.e.gather(sources)


def _whole_register(buffer: FragmentBuffer, places: Sequence[Place]) -> int | None:
    """The number of the register whose elements these are, in their order, if they are those of one vector."""
    first, chunk = places[0], buffer.chunk
    if chunk == 1 or len(places) != chunk or isinstance(first, tuple) or first % chunk:
        return None
    return first // chunk if all(place == first + lane for lane, place in enumerate(places)) else None


def store_fragment(ctx: Context, buffer: FragmentBuffer, op: ir.Operation) -> None:
    """Replace the registers of the lanes' elements."""
    indices = list(op.operands)[2:]
    places = lane_places(ctx, buffer, op, indices)
    if any(isinstance(place, tuple) for place in places):
        value = ctx.ssa(op.operands[0], varying=True)
        for lane, place in enumerate(places):
            _replace_one(ctx, buffer, place, indices, lane, ctx.e.extract(value, lane))
        return
    registers = [r for r in places if isinstance(r, int)]
    varying = len(set(registers)) > 1
    value = ctx.ssa(op.operands[0], varying=varying)
    if not varying:
        registers = registers[-1:]
        if isinstance(value.type, ir.VectorType):
            value = ctx.e.extract(value, ctx.width - 1)
    if ctx.inside is not None and _outlive(ctx, buffer, op, places):
        file = ctx.registers[buffer]
        old = ctx.e.gather([(file[r // buffer.chunk], r % buffer.chunk) for r in registers])
        value = ctx.e.pure("arith.select", value.type, [ctx.inside, value, old])
    write_registers(ctx, buffer, registers, value)


def _outlive(ctx: Context, buffer: FragmentBuffer, op: ir.Operation, places: Sequence[Place]) -> bool:
    """Whether iterations past the loop's extents would replace elements: the fragment may be larger than the loop."""
    loop = op.parent
    while loop.name != "tl.parallel":
        loop = loop.operation.parent
    if ctx.iteration_valid is None or len(loop.operation.operands):  # extents at run time
        return True
    threads = np.arange(ctx.num_threads, dtype=np.int64) % buffer.layout.num_threads
    for lane, register in enumerate(places):
        idle = ~ctx.iteration_valid[:, ctx.chunk_start + lane]
        element = buffer.layout.coordinates(threads[idle], np.asarray(register, np.int64))
        if np.logical_and.reduce([c < size for c, size in zip(element, buffer.layout.shape, strict=True)]).any():
            return True
    return False


def _pick(ctx: Context, buffer: FragmentBuffer, place: Place, indices: Sequence[ir.Value], lane: int) -> ir.Value:
    """One lane's element: the candidate whose number the indices give."""
    file = ctx.registers[buffer]
    at = lambda r: ctx.e.extract(file[r // buffer.chunk], r % buffer.chunk)
    if isinstance(place, int):
        return at(place)
    number = register_number(ctx, buffer, indices, lane)
    found = at(place[0])
    for register in place[1:]:
        found = ctx.e.pure("arith.select", found.type, [ctx.e.compare("eq", number, register), at(register), found])
    return found


def _replace_one(
    ctx: Context, buffer: FragmentBuffer, place: Place, indices: Sequence[ir.Value], lane: int, value: ir.Value
) -> None:
    if isinstance(place, int):
        write_registers(ctx, buffer, [place], value)
        return
    number = register_number(ctx, buffer, indices, lane)
    for register in place:
        chosen = ctx.e.both(ctx.inside, ctx.e.compare("eq", number, register))
        old = ctx.e.extract(ctx.registers[buffer][register // buffer.chunk], register % buffer.chunk)
        write_registers(ctx, buffer, [register], ctx.e.pure("arith.select", value.type, [chosen, value, old]))


def register_number(ctx: Context, buffer: FragmentBuffer, indices: Sequence[ir.Value], lane: int) -> int | ir.Value:
    """The number of a lane's register, computed from its indices."""
    total: int | ir.Value = 0
    weight = 1
    for digit in buffer.layout.value:
        found = ctx.get(indices[digit.dim])
        if isinstance(found, Index):
            here = ctx.ix.scalar(found.spread(ctx.width), lane)
        else:
            here = ctx.e.extract(found, lane) if isinstance(found.type, ir.VectorType) else found
        if digit.stride * digit.size < buffer.layout.padded_shape[digit.dim]:
            here = ctx.e.rem(here, digit.stride * digit.size)
        total = ctx.e.add(total, ctx.e.mul(ctx.e.div(here, digit.stride), weight))
        weight *= digit.size
    return total


def write_registers(ctx: Context, buffer: FragmentBuffer, registers: Sequence[int], value: ir.Value) -> None:
    """Put lane i of `value` into element register `registers[i]`."""
    file, chunk = ctx.registers[buffer], buffer.chunk
    if (whole := _whole_register(buffer, registers)) is not None and isinstance(value.type, ir.VectorType):
        file[whole] = value
        return
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


def lane_places(ctx: Context, buffer: FragmentBuffer, op: ir.Operation, indices: Sequence[ir.Value]) -> list[Place]:
    """The element register of each lane, or its candidates."""
    table = ctx.register_tables.get(op)
    if table is None:
        table = ctx.register_tables[op] = _known_table(ctx, buffer, op, indices)
    if len(table) == 1:
        return table * ctx.width
    return table[ctx.chunk_start : ctx.chunk_start + ctx.width]


def _known_table(ctx: Context, buffer: FragmentBuffer, op: ir.Operation, indices: Sequence[ir.Value]) -> list[Place]:
    """The register table; that of accesses which are indexed with the loop's own variables depends on layouts only."""
    dims = _loop_dimensions(ctx, indices)
    if ctx.iteration_layout is not None and dims is not None:
        found = found_registers(ctx.iteration_layout, buffer.layout, ctx.num_threads, dims)
        if found is not None:
            return list(found)
    return register_table(ctx, buffer, op, indices)


def _loop_dimensions(ctx: Context, indices: Sequence[ir.Value]) -> tuple[int, ...] | None:
    """The numbers of the parallel loop's variables that are the indices, None where one is not a variable."""
    dims: list[int] = []
    variables = list(ctx.iteration_tables)
    for index in indices:
        while not isinstance(index.owner, ir.Block) and index.owner.operation.name == "arith.index_cast":
            index = index.owner.operation.operands[0]
        if index not in ctx.iteration_tables:
            return None
        dims.append(variables.index(index))
    return tuple(dims)


def register_table(ctx: Context, buffer: FragmentBuffer, op: ir.Operation, indices: Sequence[ir.Value]) -> list[Place]:
    """Element registers by iteration register of the enclosing parallel loop; one entry outside of one."""
    grid = ctx.iteration_tables
    threads = np.arange(ctx.num_threads, dtype=np.int64)[:, None]
    count = next(iter(grid.values())).shape[1] if grid else 1
    free, known = _evaluate_all(ctx, buffer, op, indices)
    values = [np.broadcast_to(v, (ctx.num_threads, count)) for v in known]
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
    if not free and (registers == registers[:1]).all():
        return [int(r) for r in registers[0]]
    return [_candidates(buffer, free, registers[:, column], op) for column in range(count)]


def _evaluate_all(
    ctx: Context, buffer: FragmentBuffer, op: ir.Operation, indices: Sequence[ir.Value]
) -> tuple[set[int], list[IntArray]]:
    """The indices as numbers, and the dimensions (0 there) whose index is only known at run time: every thread must
    hold all of such a dimension."""
    free: set[int] = set()
    values: list[IntArray] = []
    for dim, index in enumerate(indices):
        try:
            values.append(evaluate(ctx, index, ctx.iteration_tables, op))
        except LayoutError:
            if any(digit.dim == dim for digit in buffer.layout.thread):
                raise
            free.add(dim)
            values.append(np.zeros((), np.int64))
    return free, values


def _candidates(buffer: FragmentBuffer, free: set[int], registers: IntArray, op: ir.Operation) -> Place:
    """The registers that an iteration may touch, in any thread and for any run-time index."""
    offsets, weight = [0], 1
    for digit in buffer.layout.value:
        if digit.dim in free:
            offsets = [o + weight * i for o in offsets for i in range(digit.size)]
        weight *= digit.size
    found = sorted({int(r) + o for r in np.unique(registers) for o in offsets})
    if len(found) > MOST_CANDIDATES:
        raise LayoutError(
            f"an index at run time selects from {len(found)} registers, at most {MOST_CANDIDATES}: {buffer.layout}",
            python_location(op.location),
            hint="keep the tile in shared memory, or index it with loop variables of T.Parallel or T.unroll",
        )
    return tuple(found) if len(found) > 1 else found[0]


def evaluate(ctx: Context, value: ir.Value, grid: dict[ir.Value, IntArray], op: ir.Operation) -> IntArray:
    """An integer of the tile program as numbers, for every thread and iteration."""
    if value in grid:
        return grid[value]
    known = None if in_parallel(value) else ctx.values.get(value)
    if isinstance(known, Index) and known.is_constant and known.is_uniform:
        return np.asarray(known.constants[0], np.int64)
    owner = value.owner
    if isinstance(owner, ir.OpView | ir.Operation):
        inner = owner.operation
        if inner.name == "arith.constant":
            return np.asarray(ir.IntegerAttr(inner.attributes["value"]).value, np.int64)
        if inner.name == "tl.thread_id":
            mine = thread_coordinate(ctx, ir.IntegerAttr(inner.attributes["dim"]).value)[:, None]
            return mine + members_of(op).start - members_of(inner).start  # it counts from the region it is taken in
        if (function := ARITHMETIC.get(inner.name)) is not None:
            return function(*(evaluate(ctx, v, grid, op) for v in inner.operands))
    name = name_of(value.location) if hasattr(value, "location") else ""
    raise LayoutError(
        f"a fragment is indexed with a run-time value{f' ({name})' if name else ''}",
        python_location(op.location),
        hint="fragments are registers: index them with loop variables of T.Parallel or T.unroll and constants",
    )


def in_parallel(value: ir.Value) -> bool:
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


