"""Shuffles, votes and matches of a wave.

A shuffle over a fixed distance is one or two DPP moves where the pattern stays within a row of 16 lanes, a row or half
swap where the target has one, else a permute through the LDS crossbar (`ds_swizzle`, `ds_bpermute`), which takes no
memory. DPP and swaps need all lanes active, as shuffles do in the tile program.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.amd import lane as isa
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ..lowering.context import Context

_ROW = 16


def shuffle(ctx: Context, kind: str, value: ir.Value, lane: int | ir.Value, width: int) -> ir.Value:
    """The 32-bit value of another lane: `xor`, `up`, `down` or `idx` within groups of `width` lanes."""
    width = min(width, ctx.target.warp_size)
    word = value if value.type == ctx.e.i32 else ctx.e.pure("arith.bitcast", ctx.e.i32, [value])
    moved = _xor(ctx, word, lane) if kind == "xor" and isinstance(lane, int) and lane < width else None
    if moved is None:
        moved = isa.bpermute(ctx.e.value(ctx.e.mul(_source(ctx, kind, lane, width), 4)), word)
    return moved if moved.type == value.type else ctx.e.pure("arith.bitcast", value.type, [moved])


def _xor(ctx: Context, word: ir.Value, mask: int) -> ir.Value | None:
    """The value of lane xor `mask` by moves within the wave; None where only a permute can."""
    if mask == 0:
        return word
    if mask >= 2 * _ROW:
        if mask != 2 * _ROW or not ctx.target.supports(Feature.PERMLANE_SWAP):
            return None
        low, high = isa.swap_halves(word, word)  # the lower half twice, the upper half twice
        half = ctx.e.binary("andi", lane_id(ctx), 2 * _ROW)
        return ctx.e.pure("arith.select", word.type, [ctx.e.compare("eq", half, 0), high, low])
    row_exchange = ctx.target.supports(Feature.ROW_XMASK)
    if mask >= _ROW:
        if not row_exchange:
            return isa.swizzle_xor(word, mask)
        word, mask = isa.swap_rows(word), mask - _ROW
        return word if mask == 0 else isa.dpp(word, isa.ROW_XMASK + mask)
    if row_exchange:
        return isa.dpp(word, isa.ROW_XMASK + mask)
    for part, control in ((8, isa.ROW_ROR + 8), (7, isa.ROW_HALF_MIRROR), (15, isa.ROW_MIRROR)):
        rest = mask ^ part
        if rest == 0:
            return isa.dpp(word, control)
        if rest < 4 and mask >= 4:
            return isa.dpp(isa.dpp(word, control), _quad(rest))
    return isa.dpp(word, _quad(mask)) if mask < 4 else isa.swizzle_xor(word, mask)


def _quad(mask: int) -> int:
    """DPP_CTRL of quad_perm for lane xor `mask`."""
    return isa.QUAD_PERM | sum((i ^ mask) << (2 * i) for i in range(4))


def _source(ctx: Context, kind: str, lane: int | ir.Value, width: int) -> int | ir.Value:
    """The lane to read: the own one where the wanted one is outside the group."""
    e, own = ctx.e, lane_id(ctx)
    first = e.binary("andi", own, -width)
    if kind == "idx":
        return e.binary("ori", first, e.value(e.binary("andi", e.value(lane), width - 1)))
    if kind == "xor":
        wanted = e.binary("xori", own, e.value(lane))
        inside = e.compare("eq", e.binary("andi", wanted, -width), first)
    elif kind == "up":
        wanted = e.binary("subi", own, e.value(lane))
        inside = e.compare("sge", wanted, first)
    elif kind == "down":
        wanted = e.binary("addi", own, e.value(lane))
        inside = e.compare("slt", wanted, e.add(first, width))
    else:
        raise UnsupportedError(f"no shuffle {kind!r} on {ctx.target}")
    return e.pure("arith.select", e.i32, [inside, wanted, own])


def lane_id(ctx: Context) -> ir.Value:
    """The lane's number in its wave."""
    found = ctx.ix.remainder(ctx.thread, ctx.target.warp_size)
    assert found is not None
    return ctx.e.value(ctx.ix.scalar(found))


def vote(ctx: Context, kind: str, args: Sequence[ir.Value], result: ir.Type) -> ir.Value:
    """`any`, `all`, `ballot`, `activemask`, and votes of a whole block.

    Member masks are not needed: a wave's active lanes are those that execute the vote. A mask of 64 lanes that goes
    into 32 bits keeps the lower half.
    """
    e, wave = ctx.e, ctx.target.warp_size
    word = ir.IntegerType.get_signless(wave)
    true = e.constant(e.i1, 1)
    if kind == "activemask":
        value = isa.ballot(true, wave)
    elif kind in ("ballot", "any", "all", "uni"):
        votes = isa.ballot(args[0], wave)
        value = votes if kind == "ballot" else _decide(ctx, kind, votes, isa.ballot(true, wave), word)
    else:
        raise UnsupportedError(f"no vote {kind!r} on {ctx.target}", hint="reduce the predicate with T.reduce instead")
    if value.type == result:
        return value
    name = "arith.extui" if value.type.width < result.width else "arith.trunci"
    return e.pure(name, result, [value])


def _decide(ctx: Context, kind: str, votes: ir.Value, active: ir.Value, word: ir.Type) -> ir.Value:
    some = ctx.e.compare("ne", votes, ctx.e.constant(word, 0))
    if kind == "any":
        return some
    every = ctx.e.compare("eq", votes, active)
    if kind == "all":
        return every
    none = ctx.e.compare("eq", votes, ctx.e.constant(word, 0))
    return ctx.e.pure("arith.ori", ctx.e.i1, [every, none])
