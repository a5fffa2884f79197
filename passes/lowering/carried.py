"""Which fragments a region writes: their registers are what loops and branches carry."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tilelang_mlir.mlir import ir

from ...dialect.effects import Effect, effects
from ..walk import nested
from .buffers import FragmentBuffer
from .context import Context


def accesses(ctx: Context, op: ir.Operation) -> list[Effect]:
    """The accesses of an operation and of everything nested in it; loops and branches around ask for the same again."""
    found = ctx.accesses.get(op)
    if found is None:
        found = effects(op)
        for region in op.regions:
            for block in region:
                for inner in block.operations:
                    nested_op = inner.operation
                    found += accesses(ctx, nested_op) if len(nested_op.regions) else effects(nested_op)
        ctx.accesses[op] = found
    return found


def written_fragments(ctx: Context, op: ir.Operation) -> list[FragmentBuffer]:
    """Fragments of outside that something in the op's regions writes, in the order of their first write."""
    found: dict[FragmentBuffer, None] = {}
    for effect in accesses(ctx, op):
        if effect.kind == "write":
            buffer = ctx.buffers.get(effect.value)
            if not isinstance(buffer, FragmentBuffer) or buffer not in ctx.registers:
                continue
            if not _made_inside(effect.value, op):  # an earlier trip of an unrolled loop may have left it
                found[buffer] = None
    if ctx.in_flight:
        found.update(dict.fromkeys(_completed(ctx, op)))
    return list(found)


def _completed(ctx: Context, op: ir.Operation) -> list[FragmentBuffer]:
    """Accumulators of products under way, where the op's regions wait for all of those: they flow through the wait."""
    inside = list(nested(op))
    if not any(o.name == "tl.wait_products" and not len(o.operands) for o in inside):
        return []
    local = {ctx.buffers.get(result) for o in inside if o.name == "tl.alloc" for result in o.results}
    return [b for b in ctx.in_flight if b in ctx.registers and b not in local and not is_undefined(ctx.registers[b])]


def forget_inner(ctx: Context, outer: Collection[FragmentBuffer]) -> None:
    """At the end of a region, products into fragments that it made itself: no wait behind it is for those."""
    ctx.in_flight = {buffer: None for buffer in ctx.in_flight if buffer in outer}


def is_undefined(registers: Sequence[ir.Value]) -> bool:
    return all(isinstance(v, ir.OpResult) and v.owner.name == "llvm.mlir.undef" for v in registers)


def _made_inside(value: ir.Value, op: ir.Operation) -> bool:
    parent = value.owner.operation.parent if not isinstance(value.owner, ir.Block) else None
    while parent is not None and parent.operation != op:
        parent = parent.operation.parent
    return parent is not None


def flatten(ctx: Context, fragments: Sequence[FragmentBuffer]) -> list[ir.Value]:
    return [value for fragment in fragments for value in ctx.registers[fragment]]


def unflatten(ctx: Context, fragments: Sequence[FragmentBuffer], values: Sequence[ir.Value]) -> None:
    start = 0
    for fragment in fragments:
        ctx.registers[fragment] = list(values[start : start + fragment.count])
        start += fragment.count
