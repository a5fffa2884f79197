"""Votes of a block on machines whose barriers do not count predicates.

Each wave counts its votes by a ballot, its first thread puts the number into shared memory, everyone adds them up.

    %n = tl.vote(%p) {block_count}   =>   %w = ctpop(tl.vote(%p) {ballot})
                                          if lane == 0 { s[wave] = %w };  barrier;  %n = s[0] + s[1] + ...
"""

from __future__ import annotations

from functools import reduce

from tilelang_mlir.mlir import int_array, ir

from ..dialect.tl import SHARED, buffer_type
from . import build
from .walk import threads_of

_EQUAL, _DIFFERENT = 0, 1  # arith.cmpi


def expand_block_vote(op: ir.Operation, launch: ir.Operation, wave: int) -> None:
    """Replace a `tl.vote` of kind block_count, block_and or block_or."""
    kind = ir.StringAttr(op.attributes["kind"]).value
    threads = threads_of(op)
    waves = -(-threads // wave)
    with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]), op.location:
        counts = ir.Operation.create("tl.alloc", [buffer_type([waves], build.i32(), SHARED)]).result
    with ir.InsertionPoint(op), op.location:
        thread = _linear_thread(launch)
        first = build.compare(_EQUAL, build.binary("remui", thread, build.constant(wave)), build.constant(0))
        own = _votes(op.operands[0])
        with ir.InsertionPoint(build.terminator(build.branch(first))):
            build.store(own, counts, [build.binary("divui", thread, build.constant(wave))])
        build.sync_threads()
        total = reduce(
            lambda sum, i: build.binary("addi", sum, build.load(counts, [build.constant(i)])),
            range(1, waves),
            build.load(counts, [build.constant(0)]),
        )
        build.sync_threads()  # before anyone's next vote
        if kind != "block_count":
            every = kind == "block_and"
            wanted = build.constant(threads if every else 0)
            decided = build.compare(_EQUAL if every else _DIFFERENT, total, wanted)
            total = ir.Operation.create("arith.extui", [build.i32()], [decided]).result
    if op.results[0].type != total.type:
        with ir.InsertionPoint(op), op.location:
            total = ir.Operation.create("arith.trunci", [op.results[0].type], [total]).result
    op.results[0].replace_all_uses_with(total)
    op.erase()


def _votes(predicate: ir.Value) -> ir.Value:
    """How many of the wave's threads vote yes."""
    i64 = ir.IntegerType.get_signless(64)
    mask = ir.Operation.create("tl.vote", [i64], [predicate], {"kind": ir.StringAttr.get("ballot")}).result
    count = ir.Operation.create("math.ctpop", [i64], [mask]).result
    return ir.Operation.create("arith.trunci", [build.i32()], [count]).result


def _linear_thread(launch: ir.Operation) -> ir.Value:
    """The thread's number in its block."""
    extents = int_array(launch.attributes["threads"])
    total, weight = build.constant(0), 1
    for dim, extent in enumerate(extents):
        if extent > 1:
            attributes = {"dim": ir.IntegerAttr.get(build.i32(), dim)}
            part = ir.Operation.create("tl.thread_id", [build.i32()], [], attributes).result
            total = build.binary("addi", total, build.binary("muli", part, build.constant(weight)))
        weight *= extent
    return total
