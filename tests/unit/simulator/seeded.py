"""Defects chosen by a seed, and what a report of each must say: its kind, and the Python lines it may name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.unit.simulator.mutants import Mutant, mutants, walk
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
_WAITS = ("scf.while", "nvvm.mbarrier.try_wait")  # dropped, for a wrong parity or on the next barrier


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
        ops: dict[str, list[ir.Operation]] = {}
        for op in walk(module.operation):
            ops.setdefault(key_of(op), []).append(op)
        barrier_lines = frozenset(
            _line(op) for key, group in ops.items() if key.startswith("nvvm.mbarrier") for op in group
        )
        for mutant in mutants(lowered, stage_bytes):
            op = ops[mutant.op][mutant.index]
            kinds = _expected(mutant, op)
            if not kinds or (mutant.op == "nvvm.barrier" and _initialises(op)):
                continue
            lines = barrier_lines if mutant.op == "nvvm.mbarrier.init" else frozenset((_line(op),))
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
        return _TOO_LATE if produces else _TOO_EARLY
    name = mutant.op.removeprefix("nvvm.")
    found = [kinds for (defect, start), kinds in _EXPECTED.items() if defect == mutant.defect and name == start]
    found += [kinds for (defect, start), kinds in _EXPECTED.items() if defect == mutant.defect and name.startswith(start)]
    return found[0] if found else ()


def _line(op: ir.Operation) -> int:
    where = location_of(op.location)
    return where.line if where else 0


def _in_loop(op: ir.Operation) -> bool:
    while op.name != "llvm.func":
        op = op.parent.operation
        if op.name == "scf.for":
            return True
    return False


def _initialises(op: ir.Operation) -> bool:
    """A barrier of the whole block after which another one initialises further mbarriers, or the last of these."""
    later = False
    for other in op.block.operations:
        if later and any(x.name == "nvvm.mbarrier.init" for x in walk(other.operation)):
            return True
        later = later or other.operation == op
    return False
