"""Atomic operations on elements."""

from __future__ import annotations

import contextlib

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from .buffers import FragmentBuffer, Memory, PrivateBuffer, value_type
from .context import Context, rule
from .index import Index
from .memory import plan_pieces
from .neighbours import added_together
from .structure import scattered_indices

# llvm.atomicrmw kinds (LLVM::AtomicBinOp) by operation, for integers and floats.
_INTEGER = {"exchange": 0, "add": 1, "and": 3, "or": 5, "xor": 6, "max": 7, "min": 8, "umax": 9, "umin": 10, "store": 0}
_FLOAT = {"exchange": 0, "add": 11, "max": 13, "min": 14, "store": 0}
# LLVM::AtomicOrdering; consume is treated as acquire.
_ORDER = {"relaxed": 2, "consume": 4, "acquire": 4, "release": 5, "acq_rel": 6, "seq_cst": 7}


@rule("tl.atomic")
def lower_atomic(ctx: Context, op: ir.Operation) -> None:
    buffer = ctx.buffers[op.operands[0]]
    if isinstance(buffer, FragmentBuffer | PrivateBuffer):
        raise UnsupportedError("atomic operation on registers", python_location(op.location))
    value = ctx.ssa(op.operands[1], varying=ctx.width > 1)
    if (scattered := scattered_indices(ctx, list(op.operands)[2:])) is not None:
        results: list[ir.Value] = []
        for lane, places in enumerate(scattered):
            with ctx.lanes(1):
                results += _at(ctx, op, buffer, places, ctx.e.extract(value, lane))
    else:
        results = _at(ctx, op, buffer, [ctx.index(v) for v in list(op.operands)[2:]], value)
    if len(op.results):
        ctx.values[op.results[0]] = ctx.e.pack(results)


def _at(ctx: Context, op: ir.Operation, buffer: Memory, indices: list[Index], value: ir.Value) -> list[ir.Value]:
    """The operation at one place per lane; returns the old values, where they are wanted."""
    kind = ir.StringAttr(op.attributes["kind"]).value
    order = _ORDER[ir.StringAttr(op.attributes["order"]).value]
    element = value_type(ctx.e, buffer.element)
    results: list[ir.Value] = []
    if kind == "add" and (most := added_together(ctx, op, buffer, element)) > 1:
        _add_floats(ctx, buffer, indices, value, most, element)
        return []
    for piece in plan_pieces(ctx, buffer, indices, limit=1):
        part = ctx.e.extract(value, piece.start)
        predicate = ctx.e.both(ctx.predicate, piece.predicate)
        wanted = len(op.results) > 0
        if predicate is None:
            results.append(_update(ctx, op, kind, order, piece.pointer, part, element))
            continue
        branch = ctx.e.op("scf.if", [element] if wanted else [], [predicate], regions=2)
        with ctx.e.scope(branch.regions[0].blocks.append()):
            old = _update(ctx, op, kind, order, piece.pointer, part, element)
            ctx.e.end_region([old] if wanted else [])
        if wanted:
            with ctx.e.scope(branch.regions[1].blocks.append()):
                ctx.e.end_region([ctx.e.splat(element, 0.0 if "f" in str(element) else 0)])
            results.append(branch.results[0])
    return results


def _add_floats(
    ctx: Context, buffer: Memory, indices: list[Index], value: ir.Value, most: int, element: ir.Type
) -> None:
    for piece in plan_pieces(ctx, buffer, indices, limit=most):
        values = [ctx.e.extract(value, piece.start + i) for i in range(piece.width)]
        predicate = ctx.e.both(ctx.predicate, piece.predicate)
        with contextlib.ExitStack() as stack:
            if predicate is not None:
                branch = ctx.e.op("scf.if", [], [predicate], regions=2)
                stack.enter_context(ctx.e.scope(branch.regions[0].blocks.append()))
            if len(values) == 1:
                _rmw(ctx, _FLOAT["add"], _ORDER["relaxed"], piece.pointer, values[0], element)
            else:
                ctx.hardware.add_together(ctx, piece.pointer, values)
            if predicate is not None:
                ctx.e.end_region()


def _update(
    ctx: Context, op: ir.Operation, kind: str, order: int, pointer: ir.Value, value: ir.Value, element: ir.Type
) -> ir.Value:
    e = ctx.e
    is_float = not isinstance(element, ir.IntegerType)
    if kind == "load":  # an atomic or with zero reads at every memory order and width
        raw = element if not is_float else ir.IntegerType.get_signless(element.width)
        old = _rmw(ctx, _INTEGER["or"], order, pointer, e.splat(raw, 0), raw)
        return old if raw == element else e.pure("arith.bitcast", element, [old])
    table = _FLOAT if is_float else _INTEGER
    if kind not in table:
        raise UnsupportedError(f"atomic {kind} of {element}", python_location(op.location))
    return _rmw(ctx, table[kind], order, pointer, value, element)


def _rmw(ctx: Context, kind: int, order: int, pointer: ir.Value, value: ir.Value, element: ir.Type) -> ir.Value:
    i64 = ctx.e.i64
    attrs = {
        "bin_op": ir.IntegerAttr.get(i64, kind),
        "ordering": ir.IntegerAttr.get(i64, order),
        **ctx.hardware.atomic_attributes(ctx, element),
    }
    return ctx.e.op("llvm.atomicrmw", [element], [pointer, value], attrs).result
