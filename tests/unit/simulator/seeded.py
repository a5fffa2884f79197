"""Defects chosen by a seed, and what a report of each must say: its kind, and the Python lines it may name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.unit.simulator.mutants import Mutant, by_key, mutants, walk
from tests.unit.simulator.rings import covered, ring_of
from tilelang_mlir import errors
from tilelang_mlir.dialect import context
from tilelang_mlir.isa import key_of
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator.locations import location_of

Kinds = tuple[type[errors.SimulationError], ...]

# A stage is read before its copy has landed: under way, not yet begun, or landed but not known to have.
_TOO_EARLY: Kinds = (errors.InFlightError, errors.UninitializedReadError, errors.RaceError)
# A stage is filled again while it is read, or its barrier is used again before everyone has come.
_TOO_LATE: Kinds = (errors.RaceError, errors.BarrierError, errors.DeadlockError)
# Memory next to the right one: what is read there is not ready, what is written there is in use, or it is outside.
_ASTRAY: Kinds = (*_TOO_EARLY, errors.OutOfBoundsError, errors.TransactionBytesError)
_BYTES: Kinds = (errors.TransactionBytesError,)
_COUNT: Kinds = (errors.ArrivalCountError,)
_UNFINISHED: Kinds = (errors.UnfinishedError, errors.RaceError)

# By defect and the start of the op's name.
_EXPECTED: dict[tuple[str, str], Kinds] = {
    ("drop", "mbarrier.init"): (errors.BarrierError,),
    ("one arrival more", "mbarrier.init"): _COUNT,
    ("drop", "barrier"): (errors.RaceError,),
    ("late", "barrier"): (errors.RaceError,),
    ("drop", "fence.proxy"): (errors.ProxyFenceError,),
    ("late", "fence.proxy"): (errors.ProxyFenceError,),
    ("drop", "tensormap.cp_fenceproxy"): (errors.ProxyFenceError, errors.UninitializedReadError),
    ("no wait", "wgmma.product"): (errors.AccumulatorError,),
    ("next stage", "wgmma.product"): _ASTRAY,
    ("drop", "mbarrier.arrive"): (errors.DeadlockError,),
    ("arrive twice", "mbarrier.arrive"): (*_COUNT, errors.BarrierError),
    ("too early", "mbarrier.arrive"): (errors.RaceError,),
    ("next barrier", "mbarrier.arrive"): (errors.DeadlockError, errors.BarrierError, errors.RaceError),
    ("drop", "mbarrier.arrive.expect_tx"): _BYTES,
    ("16 bytes less", "mbarrier.arrive.expect_tx"): _BYTES,
    ("16 bytes more", "mbarrier.arrive.expect_tx"): _BYTES,
    ("next barrier", "mbarrier.arrive.expect_tx"): (*_BYTES, errors.BarrierError),
    ("drop", "cp.async.bulk.tensor.shared"): _BYTES,
    ("next stage", "cp.async.bulk.tensor.shared"): _ASTRAY,
    ("next barrier", "cp.async.bulk.tensor.shared"): (*_BYTES, errors.BarrierError),
    ("before the wait", "cp.async.bulk.tensor.shared"): _TOO_LATE,
    ("early", "cp.async.bulk.tensor.global"): (errors.RaceError,),
    ("drop", "cp.async.bulk.commit.group"): _UNFINISHED,
    ("drop", "cp.async.bulk.wait_group"): _UNFINISHED,
    ("wait for one group less", "cp.async.bulk.wait_group"): _UNFINISHED,
    ("early", "cp.async.bulk.wait_group"): _UNFINISHED,
    ("wait for one group less", "wgmma.wait_group"): (errors.AccumulatorError,),
}
# A wait for another phase or barrier than the right one ends too early, or never.
_WRONG_WAIT: Kinds = (*_TOO_EARLY, errors.DeadlockError)
_WAITS = ("scf.while", "nvvm.mbarrier.try_wait")  # dropped, for a wrong parity or on the next barrier
# A role that hangs for want of what another should have done stands at its own line of the same ring.
_ON_BARRIERS = ("nvvm.mbarrier", "nvvm.cp.async.bulk.tensor.shared")


@dataclass(frozen=True)
class Seeded:
    """A defect with the kinds of reports that are right, the Python lines one of which must be named, and whether the
    op lies in a loop, an iteration of which must be named."""

    mutant: Mutant
    kinds: Kinds
    lines: frozenset[int]
    looped: bool


def pool(lowered: bytes, stage_bytes: int) -> list[Seeded]:
    """All defects of the kinds above; initialisations count where nothing after them makes up for what is missing."""
    ctx = context()
    ctx.allow_unregistered_dialects = True
    found: list[Seeded] = []
    with ctx:
        module = ir.Module.parse(lowered)
        ops = by_key(module)
        barrier_lines = frozenset(
            _line(op) for key, group in ops.items() if key.startswith("nvvm.mbarrier") for op in group
        )
        for mutant in mutants(lowered, stage_bytes):
            op = ops[mutant.op][mutant.index]
            kinds = _expected(mutant, op)
            if not kinds or _changes_nothing(mutant, op) or covered(mutant, op):
                continue
            users = [x for key, group in ops.items() if key.startswith(_ON_BARRIERS) for x in group]
            lines = barrier_lines if mutant.op == "nvvm.mbarrier.init" else frozenset(_surroundings(op))
            ring = ring_of(op)
            lines |= {_line(x) for x in users if ring is not None and ring_of(x) == ring}
            found.append(Seeded(mutant, kinds, lines, _in_loop(op)))
    return found


def choose(seeds: list[Seeded], count: int, seed: int) -> list[Seeded]:
    """`count` of them, every sort of defect about as often."""
    rng = np.random.default_rng(seed)
    groups: dict[tuple[str, str], list[Seeded]] = {}
    for item in seeds:
        groups.setdefault((item.mutant.defect, item.mutant.op), []).append(item)
    shuffled = [[group[i] for i in rng.permutation(len(group))] for group in groups.values()]
    rounds = [item for step in range(count) for group in shuffled for item in group[step : step + 1]]
    return rounds[:count]


def _expected(mutant: Mutant, op: ir.Operation) -> Kinds:
    if mutant.op in _WAITS:
        around = op if mutant.op == "scf.while" else op.parent.operation
        produces = any(key_of(x.operation) == "nvvm.mbarrier.arrive.expect_tx" for x in around.block.operations)
        if produces:
            return _TOO_LATE
        return _TOO_EARLY if mutant.defect == "drop" else _WRONG_WAIT
    name = mutant.op.removeprefix("nvvm.")
    entries = [(start, kinds) for (defect, start), kinds in _EXPECTED.items() if defect == mutant.defect]
    exact = [kinds for start, kinds in entries if name == start]
    return (exact or [kinds for start, kinds in entries if name.startswith(start)] or [()])[0]


def _line(op: ir.Operation) -> int:
    where = location_of(op.location)
    return where.line if where else 0


def _in_loop(op: ir.Operation) -> bool:
    while op.name != "llvm.func":
        op = op.parent.operation
        if op.name == "scf.for":
            return True
    return False


def _surroundings(op: ir.Operation) -> set[int]:
    """The lines of an op, and of what it keeps apart: everything up to the next op of its name, before and after it."""
    around, lines = op, {_line(op)}
    while around.parent.operation.name in ("scf.if", "scf.while") and len(list(around.block.operations)) < 6:
        around = around.parent.operation  # the branch of one lane, the loop of a wait
    block = [x.operation for x in around.block.operations]
    place = block.index(around)
    for side in (block[place + 1 :], block[:place][::-1]):
        for other in side:
            inside = [other, *walk(other)]
            lines.update(_line(x) for x in inside)
            if any(key_of(x) == key_of(op) for x in inside):
                break
    return lines - {0}


def _changes_nothing(mutant: Mutant, op: ir.Operation) -> bool:
    """Ops that are not needed for a right result.

    Barriers after which further mbarriers are initialised, and a barrier follows; barriers with which warpgroups take
    turns, for speed; releases of a stage after which there is no load.
    """
    if mutant.op == "nvvm.barrier":
        threads = op.operands[1].owner.operation.attributes["value"] if len(op.operands) > 1 else None
        turn = threads is not None and ir.IntegerAttr(threads).value == 256 and not _is_constant(op.operands[0])
        return turn or any(x.name == "nvvm.mbarrier.init" for other in _after(op) for x in walk(other))
    if mutant.op == "nvvm.mbarrier.arrive":
        branch = op.parent.operation
        return not _in_loop(op) and not any(x.name == "scf.for" for x in _after(branch))
    return False


def _is_constant(value: ir.Value) -> bool:
    return not isinstance(value.owner, ir.Block) and value.owner.operation.name == "arith.constant"


def _after(op: ir.Operation) -> list[ir.Operation]:
    block = [x.operation for x in op.block.operations]
    return block[block.index(op) + 1 :]
