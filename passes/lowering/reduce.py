"""`tl.reduce`: within a thread's registers, then across the lanes of a warp, then across warps through shared memory.

The source's layout says which registers and which threads hold parts of one result: register digits of the reduced
dimension are combined in place, thread digits within a warp by a butterfly of shuffles, the rest through a scratch area
(`tl.scratch` on the op, bytes from the start of the arena). Sums of 16-bit floats are kept in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tilelang_mlir.errors import LayoutError, PassError
from tilelang_mlir.mlir import ir

from ...dialect.layout import Digit, Fragment
from ...dialect.location import python_location
from ..combining import operation
from ..layout_inference.reductions import result_registers
from .buffers import FragmentBuffer, value_type
from .context import Context, rule
from .fragments import write_registers
from .index import Index
from .parallel import thread_coordinates, thread_digits
from .sync import shuffle

_PROPAGATE = {"arith.maxnumf": "arith.maximumf", "arith.minnumf": "arith.minimumf"}


@dataclass(frozen=True)
class ThreadSplit:
    """The reduced thread digits of a fragment: `lanes` are shuffle distances, `far` digits need shared memory.

    `slots` counts the places in scratch per result: one per thread, the lanes already combined sharing one.
    """

    lanes: tuple[int, ...]
    near: tuple[int, ...]  # positions of the digits that the shuffles combine
    far: tuple[int, ...]
    slots: int


def split_threads(layout: Fragment, dim: int, warp: int) -> ThreadSplit:
    """How the threads that share a reduction over `dim` are combined."""
    lanes: list[int] = []
    near: list[int] = []
    far: list[int] = []
    weight = 1
    for position, digit in enumerate(layout.thread):
        if digit.dim == dim:
            power = digit.size & (digit.size - 1) == 0 and weight & (weight - 1) == 0
            if power and weight * digit.size <= warp:
                lanes += [weight << i for i in range(digit.size.bit_length() - 1)]
                near.append(position)
            else:
                far.append(position)
        weight *= digit.size
    slots = layout.num_threads
    for position in near:
        slots //= layout.thread[position].size
    return ThreadSplit(tuple(lanes), tuple(near), tuple(far), slots)


def split_digits(layout: Fragment, warp: int) -> Fragment:
    """The same fragment with thread digits cut at the warp's edge where they divide."""
    out: list[Digit] = []
    weight = 1
    for digit in layout.thread:
        inner = warp // weight if weight < warp and warp % weight == 0 else 0
        if inner and digit.size > inner and digit.size % inner == 0:
            outer_stride = digit.stride if digit.dim < 0 else digit.stride * inner
            out += [Digit(inner, digit.dim, digit.stride), Digit(digit.size // inner, digit.dim, outer_stride)]
        else:
            out.append(digit)
        weight *= digit.size
    return Fragment(layout.shape, tuple(out), layout.value)


def scratch_bytes(layout: Fragment, result: Fragment, dim: int, bits: int, warp: int) -> int:
    """Shared memory that a reduction of this fragment needs."""
    split = split_threads(split_digits(layout, warp), dim, warp)
    return split.slots * result.num_values * max(bits, 32) // 8 if split.far else 0


@rule("tl.reduce")
def lower_reduce(ctx: Context, op: ir.Operation) -> None:
    source, target = (ctx.buffers[v] for v in op.operands)
    if not isinstance(source, FragmentBuffer) or not isinstance(target, FragmentBuffer):
        raise PassError("a reduction of memory reached lowering", python_location(op.location))
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    kind = ir.StringAttr(op.attributes["kind"]).value
    propagate = "nan_propagate" in op.attributes
    partial = reduce_registers(ctx, op, source, target, dim, kind, propagate)
    layout = split_digits(source.layout, ctx.target.warp_size)
    split = split_threads(layout, dim, ctx.target.warp_size)
    join = lambda c, k, a, b: combine(c, k, a, b, propagate)
    partial = [exchange(ctx, kind, v, split.lanes, join) for v in partial]
    if split.far:
        partial = exchange_far(ctx, op, layout, split, kind, partial, join)
    value = ctx.e.pack(in_element(ctx, partial, value_type(ctx.e, target.element)))
    registers = list(range(len(partial)))
    if not ir.BoolAttr(op.attributes["clear"]).value:
        file = ctx.registers[target]
        before = ctx.e.gather([(file[r // target.chunk], r % target.chunk) for r in registers])
        value = combine(ctx, kind, before, value, propagate)
    write_registers(ctx, target, registers, value)


def in_element(ctx: Context, values: Sequence[ir.Value], element: ir.Type) -> list[ir.Value]:
    """The combined values in the target's type, which may be wider or narrower."""
    if not values or values[0].type == element:
        return list(values)
    longer = element.width > values[0].type.width
    if isinstance(element, ir.FloatType):
        name = "arith.extf" if longer else "arith.truncf"
    else:
        name = "arith.extsi" if longer else "arith.trunci"
    return [ctx.e.pure(name, element, [v]) for v in values]


def reduce_registers(
    ctx: Context, op: ir.Operation, source: FragmentBuffer, target: FragmentBuffer, dim: int, kind: str, propagate: bool
) -> list[ir.Value]:
    """Combine each thread's registers: chunks of one pattern as vectors first, then the lanes of what is left."""
    table = _target_registers(ctx, op, source.layout, target.layout, dim)
    groups: dict[tuple[int, ...], ir.Value] = {}
    for slot, value in enumerate(ctx.registers[source]):
        pattern = table[slot * source.chunk : (slot + 1) * source.chunk]
        value = summand(ctx, source, slot, value, kind)
        groups[pattern] = combine(ctx, kind, groups[pattern], value, propagate) if pattern in groups else value
    results: list[ir.Value | None] = [None] * target.layout.num_values
    for pattern, value in groups.items():
        for lane, register in enumerate(pattern):
            part = ctx.e.extract(value, lane)
            known = results[register]
            results[register] = part if known is None else combine(ctx, kind, known, part, propagate)
    return [r for r in results if r is not None]


def _target_registers(ctx: Context, op: ir.Operation, source: Fragment, target: Fragment, dim: int) -> tuple[int, ...]:
    """The result register that each source register belongs to."""
    registers = result_registers(source, target, dim, ctx.num_threads)
    if registers is None:
        raise LayoutError(
            f"the result of a reduction lies in other threads than its source: {target} from {source}",
            python_location(op.location),
        )
    return registers


def summand(ctx: Context, source: FragmentBuffer, slot: int, value: ir.Value, kind: str) -> ir.Value:
    """Take absolute values, widen sums of 16-bit floats, and neutralise what lies past the shape."""
    e = ctx.e
    element = value.type.element_type if isinstance(value.type, ir.VectorType) else value.type
    shaped = (
        (lambda t: e.vector_type(value.type.shape[0], t)) if isinstance(value.type, ir.VectorType) else (lambda t: t)
    )
    if kind.startswith("abs"):
        name = "math.absi" if isinstance(element, ir.IntegerType) else "math.absf"
        value = e.pure(name, value.type, [value])
    if "sum" in kind and isinstance(element, ir.F16Type | ir.BF16Type):
        element = e.f32
        value = e.pure("arith.extf", shaped(e.f32), [value])
    if source.layout.is_padded:
        value = _mask_padding(ctx, source, slot, value, neutral(element, kind))
    return value


def _mask_padding(ctx: Context, source: FragmentBuffer, slot: int, value: ir.Value, fill: int | float) -> ir.Value:
    part = thread_coordinates(ctx, source.layout)
    lanes = range(slot * source.chunk, (slot + 1) * source.chunk)
    constants = source.layout.value_part(np.asarray(lanes, np.int64))
    out: list[ir.Value] = []
    for lane in range(len(lanes)):
        element = ctx.e.extract(value, lane)
        for dim in source.layout.padded_dims():
            index = ctx.ix.add(part[dim], Index.of(int(constants[dim][lane])))
            inside = ctx.e.compare("slt", ctx.ix.scalar(index), source.layout.shape[dim])
            element = ctx.e.pure("arith.select", element.type, [inside, element, ctx.e.splat(element.type, fill)])
        out.append(element)
    return ctx.e.pack(out)


def neutral(element: ir.Type, kind: str) -> int | float:
    """What leaves a reduction unchanged."""
    if not isinstance(element, ir.IntegerType):
        return {"max": float("-inf"), "min": float("inf")}.get(kind, 0.0)
    bits = element.width
    return {"max": -(2 ** (bits - 1)), "min": 2 ** (bits - 1) - 1, "umin": -1, "and": -1}.get(kind, 0)


def combine(ctx: Context, kind: str, a: ir.Value, b: ir.Value, propagate: bool = False) -> ir.Value:
    """The reduction's operation on two values of one type."""
    element = a.type.element_type if isinstance(a.type, ir.VectorType) else a.type
    name = operation(kind, element)
    return ctx.e.pure(_PROPAGATE.get(name, name) if propagate else name, a.type, [a, b])


Join = Callable[[Context, str, ir.Value, ir.Value], ir.Value]


def exchange(ctx: Context, kind: str, value: ir.Value, distances: Sequence[int], join: Join = combine) -> ir.Value:
    """Butterfly over lanes at the given distances; every lane gets the result."""
    for distance in distances:
        value = join(ctx, kind, value, shuffle(ctx, "xor", value, distance, ctx.target.warp_size))
    return value


def exchange_far(
    ctx: Context,
    op: ir.Operation,
    layout: Fragment,
    split: ThreadSplit,
    kind: str,
    values: Sequence[ir.Value],
    join: Join,
) -> list[ir.Value]:
    """Each thread leaves its partial results in scratch and reads those of all threads that share them."""
    e = ctx.e
    digits = thread_digits(ctx, layout)
    slot, home, guard, weight = Index.of(0), Index.of(0), None, 1
    far: list[tuple[int, int]] = []
    for position, (digit, value) in enumerate(digits):
        if position in split.near:
            guard = e.both(guard, e.compare("eq", ctx.ix.scalar(value), 0))
            continue
        scaled = ctx.ix.scale(value, weight)
        slot = ctx.ix.add(slot, scaled)
        if position in split.far:
            far.append((digit.size, weight))
        else:
            home = ctx.ix.add(home, scaled)
        weight *= digit.size
    kind_type = values[0].type
    start = e.gep(ctx.hardware_arena(), ir.IntegerAttr(op.attributes["tl.scratch"]).value, e.i8)

    def address(place: Index, register: int) -> ir.Value:
        return e.gep(e.gep(start, ctx.ix.scalar(place), kind_type), register * split.slots, kind_type)

    size = kind_type.width // 8
    store_partials(ctx, guard, [(v, address(slot, r)) for r, v in enumerate(values)], size)
    ctx.hardware.barrier(ctx)
    results: list[ir.Value] = []
    for register in range(len(values)):
        total: ir.Value | None = None
        place = lambda offset, register=register: address(ctx.ix.add(home, Index.of(offset)), register)
        for part in partials(ctx, _offsets(far), place, kind_type):
            total = part if total is None else join(ctx, kind, total, part)
        assert total is not None
        results.append(total)
    ctx.hardware.barrier(ctx)
    return results


def store_partials(
    ctx: Context, guard: ir.Value | None, pairs: Sequence[tuple[ir.Value, ir.Value]], size: int
) -> None:
    """Store values at their addresses, in one of the threads that hold the same."""
    if guard is None:
        for value, pointer in pairs:
            ctx.e.store(value, pointer, size)
        return
    branch = ctx.e.op("scf.if", [], [guard], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        for value, pointer in pairs:
            ctx.e.store(value, pointer, size)
        ctx.e.end_region()


def partials(
    ctx: Context, offsets: Sequence[int], address: Callable[[int], ir.Value], kind: ir.Type
) -> list[ir.Value]:
    """The partial results at the given slots, four of 32 bits at a time where they are neighbours.

    The slots of a line then start at a multiple of four: digits behind the first one count whole lines.
    """
    size, width = kind.width // 8, 4
    if size != 4 or list(offsets) != list(range(len(offsets))) or len(offsets) % width:
        return [ctx.e.load(address(offset), kind, size) for offset in offsets]
    several = ctx.e.vector_type(width, kind)
    loaded = [ctx.e.load(address(offset), several, width * size) for offset in offsets[::width]]
    return [ctx.e.extract(vector, lane) for vector in loaded for lane in range(width)]


def _offsets(digits: Sequence[tuple[int, int]]) -> list[int]:
    """All sums of digit values times weights."""
    out = [0]
    for size, weight in digits:
        out = [base + i * weight for i in range(size) for base in out]
    return out
