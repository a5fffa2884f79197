"""Shuffles, votes and matches of a wave.

A shuffle over a fixed distance is one or two DPP moves where the pattern stays within a row of 16 lanes, a row or half
swap where the target has one, else a permute through the LDS crossbar (`ds_swizzle`, `ds_bpermute`), which takes no
memory. DPP and swaps need all lanes active, as shuffles do in the tile program.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from tilelang_mlir.errors import PassError, UnsupportedError
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
    swaps = ctx.target.supports(Feature.PERMLANE_SWAP)
    if mask >= 2 * _ROW:
        return _swapped(ctx, word, mask) if mask == 2 * _ROW and swaps else None
    row_exchange = ctx.target.supports(Feature.ROW_XMASK)
    if mask >= _ROW:
        if not row_exchange:
            return _swapped(ctx, word, mask) if mask == _ROW and swaps else isa.swizzle_xor(word, mask)
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


def _swapped(ctx: Context, word: ir.Value, mask: int) -> ir.Value:
    """The value of lane xor 16 or 32: a swap with itself gives the even rows twice, and the odd rows twice."""
    even, odd = (isa.swap_odd_rows if mask == _ROW else isa.swap_halves)(word, word)
    own = ctx.e.binary("andi", lane_id(ctx), mask)
    return ctx.e.pure("arith.select", word.type, [ctx.e.compare("eq", own, 0), odd, even])


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
    return ctx.e.value(ctx.ix.scalar(ctx.ix.remainder(ctx.thread, ctx.target.warp_size)))


def vote(ctx: Context, kind: str, args: Sequence[ir.Value], result: ir.Type) -> ir.Value:
    """`any`, `all`, `ballot`, `activemask`, `match_any` and `match_all` of a wave.

    A wave's active lanes are those that execute the vote. A mask of 64 lanes that goes
    into 32 bits keeps the lower half.
    """
    e, wave = ctx.e, ctx.target.warp_size
    word = ir.IntegerType.get_signless(wave)
    true = e.constant(e.i1, 1)
    if len(args) > 1:
        raise UnsupportedError(
            f"a vote of the lanes of a mask on {ctx.target}, where all active lanes of a wave vote",
            hint="leave the mask out, and let the lanes that vote be those that reach it",
        )
    if kind.startswith("match_"):
        value = _match(ctx, kind, args[0])
        if result.width < wave:
            raise UnsupportedError(
                f"a mask of the {wave} lanes of a wave on {ctx.target} has more bits than its type, {result}",
                hint=f'ask for a wider one: T.{kind}_sync(value, dtype="uint64")',
            )
    elif kind == "activemask":
        value = isa.ballot(true, wave)
    elif kind in ("ballot", "any", "all", "uni"):
        votes = isa.ballot(args[0], wave)
        value = votes if kind == "ballot" else _decide(ctx, kind, votes, isa.ballot(true, wave), word)
    else:
        raise PassError(f"a vote {kind!r} reached lowering")
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


def _match(ctx: Context, kind: str, value: ir.Value) -> ir.Value:
    """The lanes with the same value. One by one, the bits of the value part those that differ; with `match_all`, all
    lanes or none are compared with the first one."""
    e, wave = ctx.e, ctx.target.warp_size
    word, true = ir.IntegerType.get_signless(wave), e.constant(e.i1, 1)
    active = isa.ballot(true, wave)
    words = _words(ctx, value)
    if kind == "match_all":
        same = [e.compare("eq", w, isa.first(w)) for w, _ in words]
        every = e.compare("eq", isa.ballot(functools.reduce(lambda a, b: e.binary("andi", a, b), same), wave), active)
        return e.pure("arith.select", word, [every, active, e.constant(word, 0)])
    found = active
    for bits, count in words:
        for position in range(count):
            bit = e.compare("ne", e.binary("andi", bits, 1 << position if position < 31 else -(1 << 31)), 0)
            votes = isa.ballot(bit, wave)
            others = e.binary("xori", votes, e.constant(word, -1))
            found = e.binary("andi", found, e.pure("arith.select", word, [bit, votes, others]))
    return found


def _words(ctx: Context, value: ir.Value) -> list[tuple[ir.Value, int]]:
    """A scalar as i32 words, each with the number of its bits that count."""
    e, width = ctx.e, value.type.width
    integer = ir.IntegerType.get_signless(width)
    raw = value if value.type == integer else e.pure("arith.bitcast", integer, [value])
    if width <= 32:
        return [(raw if width == 32 else e.pure("arith.extui", e.i32, [raw]), width)]
    halves = e.pure("vector.bitcast", e.vector_type(2, e.i32), [e.broadcast(raw, 1)])
    return [(e.extract(halves, i), 32) for i in (0, 1)]
