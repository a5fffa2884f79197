"""`tl.load_words` and `tl.store_words`: one access of 4 to 32 bytes, in a branch where its predicate may fail."""

from __future__ import annotations

import math

from tilelang_mlir.errors import PassError, UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, targets_with

from ...dialect.location import python_location
from ...dialect.ops.raw import store_count
from .buffers import GlobalBuffer, PrivateBuffer, SharedBuffer, element_bits
from .context import Context, rule
from .memory import global_pointer, private_pointer, shared_pointer

_WIDE = 4  # words; more need another generation of machines


@rule("llvm.inttoptr")
def lower_address(ctx: Context, op: ir.Operation) -> None:
    """An address that the program read from a table of pointers."""
    address = ctx.ssa(op.operands[0])
    ctx.values[op.results[0]] = ctx.e.pure("llvm.inttoptr", op.results[0].type, [address])


@rule("llvm.ptrtoint")
def lower_address_of_argument(ctx: Context, op: ir.Operation) -> None:
    ctx.values[op.results[0]] = ctx.e.pure("llvm.ptrtoint", ctx.e.i64, [ctx.ssa(op.operands[0])])


@rule("tl.load_words")
def lower_load_words(ctx: Context, op: ir.Operation) -> None:
    words = len(op.results)
    if isinstance(ctx.buffers[op.operands[0]], PrivateBuffer):
        pointers, align = _own_words(ctx, op, list(op.operands)[2:], words)
        for result, pointer in zip(op.results, pointers, strict=True):
            ctx.values[result] = ctx.e.load(pointer, ctx.e.i32, align)
        return
    kind = ctx.e.vector_type(words, ctx.e.i32)
    pointer = _pointer(ctx, op, words, list(op.operands)[2:])
    branch = ctx.e.op("scf.if", [kind], [_predicate(ctx, op)], regions=2)
    attrs = {"alignment": ir.IntegerAttr.get(ctx.e.i64, 4 * words)}
    with ctx.e.scope(branch.regions[0].blocks.append()):
        ctx.e.end_region([ctx.e.op("llvm.load", [kind], [pointer], attrs).result])
    with ctx.e.scope(branch.regions[1].blocks.append()):
        zero = ctx.e.constant(ctx.e.i32, 0)
        ctx.e.end_region([ctx.e.pack([zero] * words) if words > 1 else ctx.e.broadcast(zero, 1)])
    for position, result in enumerate(op.results):
        ctx.values[result] = ctx.e.extract(branch.results[0], position)


@rule("tl.store_words")
def lower_store_words(ctx: Context, op: ir.Operation) -> None:
    words = store_count(op)
    places, values = list(op.operands)[2:-words], [ctx.ssa(v) for v in list(op.operands)[-words:]]
    if isinstance(ctx.buffers[op.operands[0]], PrivateBuffer):
        pointers, align = _own_words(ctx, op, places, words)
        for value, pointer in zip(values, pointers, strict=True):
            ctx.e.store(value, pointer, align)
        return
    pointer = _pointer(ctx, op, words, places)
    whole = ctx.e.pack(values) if words > 1 else ctx.e.broadcast(values[0], 1)
    branch = ctx.e.op("scf.if", [], [_predicate(ctx, op)], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        ctx.e.op("llvm.store", [], [whole, pointer], {"alignment": ir.IntegerAttr.get(ctx.e.i64, 4 * words)})
        ctx.e.end_region()


def _predicate(ctx: Context, op: ir.Operation) -> ir.Value:
    own = ctx.ssa(op.operands[1])
    around = ctx.predicate
    return own if around is None else ctx.e.binary("andi", own, around)


def _own_words(
    ctx: Context, op: ir.Operation, places: list[ir.Value], words: int
) -> tuple[list[ir.Value], int]:
    """Where the words of a thread's own array are, and their alignment in bytes. Each is an access of its own: code
    generation keeps such arrays in registers when no index depends on the thread."""
    always = op.operands[1].owner.operation
    if always.name != "arith.constant" or not ir.IntegerAttr(always.attributes["value"]).value:
        raise PassError("an access of words to a thread's own array has no predicate", python_location(op.location))
    buffer = ctx.buffers[op.operands[0]]
    assert isinstance(buffer, PrivateBuffer)
    indices = [ctx.index(v) for v in places]
    start = private_pointer(ctx, buffer, indices)
    steps = [math.prod(buffer.shape[dim + 1 :]) for dim in range(len(indices))]
    unit = math.gcd(*(i.multiple_of() * step for i, step in zip(indices, steps, strict=True)), 4)
    align = min(4, element_bits(buffer.element) // 8 * unit)
    return [ctx.e.gep(start, word, ctx.e.i32) for word in range(words)], align


def _pointer(ctx: Context, op: ir.Operation, words: int, places: list[ir.Value]) -> ir.Value:
    if ctx.width != 1:
        raise PassError("an access of words runs one iteration at a time", python_location(op.location))
    if words > _WIDE and not ctx.target.supports(Feature.VECTOR_256):
        raise UnsupportedError(
            f"an access of {4 * words} bytes needs {Feature.VECTOR_256.value}, which {ctx.target} lacks",
            python_location(op.location),
            hint=f"targets that have it: {', '.join(targets_with(Feature.VECTOR_256))}",
        )
    buffer, indices = ctx.buffers[op.operands[0]], [ctx.index(v) for v in places]
    if isinstance(buffer, GlobalBuffer):
        return global_pointer(ctx, buffer, indices)
    assert isinstance(buffer, SharedBuffer)
    return shared_pointer(ctx, buffer, indices)
