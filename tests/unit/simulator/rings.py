"""Which barriers belong to one ring, and which waits for a release another wait makes up for."""

from __future__ import annotations

from tests.unit.simulator.mutants import Mutant, by_key, mutants, walk
from tilelang_mlir.dialect import context
from tilelang_mlir.isa import key_of
from tilelang_mlir.mlir import ir

_COPY_IN = "nvvm.cp.async.bulk.tensor.shared.cluster.global"
_SPARED = {
    "scf.while": ("drop",),
    "nvvm.mbarrier.try_wait": ("drop", "next barrier"),
    "nvvm.mbarrier.arrive": ("too early",),
    "nvvm.fence.proxy": ("drop", "late"),
    _COPY_IN: ("before the wait",),
}


def ring_of(op: ir.Operation) -> int | None:
    """The ring of barriers that an op, or the loop of a wait, works on: a hash of the address of the first one; None
    where there is none."""
    if op.name == "scf.while":
        return next((ring_of(x) for x in walk(op) if x.name == "nvvm.mbarrier.try_wait"), None)
    if key_of(op) == _COPY_IN:
        pointer = [x for x in op.operands if str(x.type) == "!llvm.ptr<3>"][1]
    elif op.name.startswith("nvvm.mbarrier"):
        pointer = op.operands[0]
    else:
        return None
    while (base := _base(pointer)) is not None and _base(base) is not None:
        pointer = base
    return hash(pointer)


def spared(lowered: bytes, stage_bytes: int) -> list[Mutant]:
    """The defects of a kernel that are `covered`."""
    ctx = context()
    ctx.allow_unregistered_dialects = True
    with ctx:
        module = ir.Module.parse(lowered)
        ops = by_key(module)
        return [x for x in mutants(lowered, stage_bytes) if covered(x, ops[x.op][x.index])]


def covered(mutant: Mutant, op: ir.Operation) -> bool:
    """Whether a defect is of a release that another one, waited for as well, makes up for.

    In one iteration consumers release stage after stage, and the producer waits for the releases in an order of its
    own. Where it has waited for a later release, it knows that of a stage released before: that wait adds nothing,
    and when exactly that stage is released does not matter as long as it is. A proxy fence after such a wait adds
    nothing where the consumers have one between the two releases. (On the next barrier a wait that ends does no harm
    either, and one that never ends is a deadlock.)
    """
    if mutant.defect not in _SPARED.get(mutant.op, ()):
        return False
    if mutant.op == "nvvm.mbarrier.arrive":
        waits = [x for x in walk(_function(op)) if x.name == "scf.while" and ring_of(x) == ring_of(op)]
        return bool(waits) and all(_makes_up(wait, fenced=False) for wait in waits)
    block = [x.operation for x in _whole(op).block.operations]
    place = block.index(_whole(op))
    waits = [x for x in block[: place + 1] if x.name == "scf.while" and ring_of(x) is not None]
    return bool(waits) and _makes_up(waits[-1], fenced=mutant.op == "nvvm.fence.proxy")


def _makes_up(wait: ir.Operation, *, fenced: bool) -> bool:
    """Whether a wait before this one in its block is for a later release of the same iteration; with `fenced`, one
    after a proxy fence that follows the release waited for here."""
    block = [x.operation for x in wait.block.operations]
    earlier = [x for x in block[: block.index(wait)] if x.name == "scf.while" and ring_of(x) is not None]
    return any(_follows(ring_of(x), ring_of(wait), _function(wait), fenced=fenced) for x in earlier)


def _follows(later: int | None, sooner: int | None, function: ir.Operation, *, fenced: bool) -> bool:
    """Whether the one release of a ring comes after that of another in the same loop body, with a barrier of the
    consumers between; with `fenced` a proxy fence also."""
    arrivals = [x for x in walk(function) if x.name == "nvvm.mbarrier.arrive"]
    last, first = ([_whole(x) for x in arrivals if ring_of(x) == ring] for ring in (later, sooner))
    if len(last) != 1 or len(first) != 1 or last[0].block != first[0].block:
        return False
    block = [x.operation for x in last[0].block.operations]
    between = {key_of(x) for x in block[block.index(first[0]) + 1 : block.index(last[0])]}
    return "nvvm.barrier" in between and (not fenced or "nvvm.fence.proxy" in between)


def _whole(op: ir.Operation) -> ir.Operation:
    """The op with the branches and the loop of a wait around it, in the body of a loop of the program or a role."""
    while op.parent.operation.name == "scf.while" or (op.parent.operation.name == "scf.if" and not _is_role(op)):
        op = op.parent.operation
    return op


def _is_role(op: ir.Operation) -> bool:
    """Whether what is around an op has loops of its own: not the branch of one lane."""
    return any(x.operation.name == "scf.for" for x in op.block.operations)


def _function(op: ir.Operation) -> ir.Operation:
    while op.name != "llvm.func":
        op = op.parent.operation
    return op


def _base(pointer: ir.Value) -> ir.Value | None:
    """What an address is computed from; None where it is not a sum."""
    if isinstance(pointer.owner, ir.Block) or pointer.owner.operation.name != "llvm.getelementptr":
        return None
    return pointer.owner.operation.operands[0]
