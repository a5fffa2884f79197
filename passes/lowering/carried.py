"""Which fragments a region writes: their registers are what loops and branches carry."""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects
from .buffers import FragmentBuffer
from .context import Context


def written_fragments(ctx: Context, op: ir.Operation) -> list[FragmentBuffer]:
    """Fragments of outside that something in the op's regions writes, in the order of their first write."""
    found: dict[FragmentBuffer, None] = {}
    for effect in region_effects(op):
        if effect.kind == "write":
            buffer = ctx.buffers.get(effect.value)
            if isinstance(buffer, FragmentBuffer) and buffer in ctx.registers:
                found[buffer] = None
    return list(found)


def flatten(ctx: Context, fragments: Sequence[FragmentBuffer]) -> list[ir.Value]:
    return [value for fragment in fragments for value in ctx.registers[fragment]]


def unflatten(ctx: Context, fragments: Sequence[FragmentBuffer], values: Sequence[ir.Value]) -> None:
    start = 0
    for fragment in fragments:
        ctx.registers[fragment] = list(values[start : start + fragment.count])
        start += fragment.count
