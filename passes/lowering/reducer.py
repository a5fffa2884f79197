"""Reducers: partial values in the threads' registers until they are combined.

A reducer has the fragment that the loops updating it give it: threads that differ in other loop variables only hold
partial values of the same element. An update acts in one replica of an iteration; finalising combines all replicas.
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import REPLICATE
from .buffers import FragmentBuffer, value_type
from .context import Context, rule
from .fragments import lane_places, register_number, write_registers
from .parallel import replica_guard
from .reduce import combine, exchange, exchange_far, neutral, split_digits, split_threads
from .structure import allocate_fragment


@rule("tl.alloc_reducer")
def lower_alloc_reducer(ctx: Context, op: ir.Operation) -> None:
    allocate_fragment(ctx, op)


def _kind(value: ir.Value) -> str:
    return ir.StringAttr(root(value).owner.operation.attributes["kind"]).value


@rule("tl.reducer_init")
def lower_reducer_init(ctx: Context, op: ir.Operation) -> None:
    """Neutral everywhere; an initial value counts in one replica."""
    buffer = ctx.buffers[op.operands[0]]
    assert isinstance(buffer, FragmentBuffer)
    element = value_type(ctx.e, buffer.element)
    start = ctx.e.splat(element, neutral(element, _kind(op.operands[0])))
    if len(op.operands) == 2:
        guard = replica_guard(ctx, buffer.layout)
        init = ctx.ssa(op.operands[1])
        start = init if guard is None else ctx.e.pure("arith.select", element, [guard, init, start])
    registers = range(buffer.layout.num_values)
    write_registers(ctx, buffer, registers, ctx.e.pack([start] * len(registers)))


@rule("tl.reducer_update")
def lower_reducer_update(ctx: Context, op: ir.Operation) -> None:
    buffer = ctx.buffers[op.operands[0]]
    assert isinstance(buffer, FragmentBuffer)
    kind = _kind(op.operands[0])
    indices = list(op.operands)[2:]
    places = lane_places(ctx, buffer, op, indices)
    value = ctx.ssa(op.operands[1])
    if ctx.predicate is not None:
        unchanged = ctx.e.splat(value.type, neutral(value.type, kind))
        value = ctx.e.pure("arith.select", value.type, [ctx.predicate, value, unchanged])
    for lane, place in enumerate(places):
        number = None if isinstance(place, int) else register_number(ctx, buffer, indices, lane)
        for register in [place] if isinstance(place, int) else place:
            part = value
            if number is not None:  # which register it is depends on the thread
                chosen = ctx.e.compare("eq", number, register)
                rest = ctx.e.splat(value.type, neutral(value.type, kind))
                part = ctx.e.pure("arith.select", value.type, [chosen, value, rest])
            old = ctx.e.extract(ctx.registers[buffer][register // buffer.chunk], register % buffer.chunk)
            write_registers(ctx, buffer, [register], combine(ctx, kind, old, part))


@rule("tl.finalize_reducer")
def lower_finalize_reducer(ctx: Context, op: ir.Operation) -> None:
    source, target = (ctx.buffers[v] for v in op.operands)
    assert isinstance(source, FragmentBuffer) and isinstance(target, FragmentBuffer)
    kind = _kind(op.operands[0])
    layout = split_digits(source.layout, ctx.target.warp_size)
    split = split_threads(layout, REPLICATE, ctx.target.warp_size)
    file = ctx.registers[source]
    values = [ctx.e.extract(file[r // source.chunk], r % source.chunk) for r in range(source.layout.num_values)]
    values = [exchange(ctx, kind, v, split.lanes) for v in values]
    if split.far:
        values = exchange_far(ctx, op, layout, split, kind, values, combine)
    write_registers(ctx, target, range(len(values)), ctx.e.pack(values))
