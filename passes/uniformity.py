"""Whether all threads of a CTA see one value and take one path: what decides where barriers may stand."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ..dialect.effects import root
from ..dialect.tl import scope_of
from .thread_values import written_by_some

_READERS = ("memref.load", "memref.store")
# Operations that give every thread, lane or warp a value of its own.
_VARYING = (
    "tl.thread_id", "tl.shuffle", "tl.atomic", "tl.warp_reduce", "tl.intrinsic", "tl.call_extern", "tl.address",
    "tl.mbarrier_state", "tl.mbarrier_test", "tl.outgrows",
)  # fmt: skip
_OF_THE_CTA = ("count", "and", "or")
_OF_THREADS = ("local", "var", "fragment")


def is_uniform(value: ir.Value, proven: set[ir.Value] | None = None) -> bool:
    """Whether a value is the same in all threads of a CTA: it depends on no thread index and no memory of the threads.

    `proven` are values and variables known to be so; those that a proof rests on are added. It is the caller's, for as
    long as the program stays as it is.
    """
    return _all_uniform([value], set() if proven is None else proven)


def is_uniform_loop(op: ir.Operation, proven: set[ir.Value] | None = None) -> bool:
    """Whether all threads run a loop equally often."""
    return _all_uniform(_trips(op), set() if proven is None else proven)


def _trips(op: ir.Operation) -> list[ir.Value]:
    """What decides how often a loop runs."""
    if op.name == "scf.while":
        return [op.regions[0].blocks[0].operations[-1].operands[0]]
    return list(op.operands)


def _all_uniform(values: list[ir.Value], proven: set[ir.Value]) -> bool:
    """Every value rests on others that have to be uniform, each looked at once. In a circle nothing makes a difference
    between threads: a store of a variable's own value to itself changes nothing."""
    seen: set[ir.Value] = set()
    left = list(values)
    while left:
        value = left.pop()
        if value in proven or value in seen:
            continue
        seen.add(value)
        needs = _needs(value)
        if needs is None:
            return False
        left += needs
    proven |= seen
    return True


def _needs(value: ir.Value) -> list[ir.Value] | None:
    """The values that have to be uniform for this one, or this variable, to be; None where it is not in any case."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        parent = owner.owner.operation
        if parent.name == "tl.parallel":
            return None
        return list(parent.operands)[:3] if parent.name == "scf.for" else []
    op = owner.operation
    if op.name == "tl.alloc":
        return _stores(value)
    if op.name in _VARYING or op.name == "tl.vote" and ir.StringAttr(op.attributes["kind"]).value not in _OF_THE_CTA:
        return None
    needs = [v for v in op.operands if not isinstance(v.type, ir.MemRefType)]
    if op.name == "memref.load" and scope_of(op.operands[0]) in _OF_THREADS:
        needs.append(root(op.operands[0]))
    return needs


def _stores(buffer: ir.Value) -> list[ir.Value] | None:
    """A variable or an array of the threads is uniform when all threads store the same to it. So is an element
    of a fragment, which is a tile's and no thread's: what parallel loops and tile operations write has one value."""
    needs: list[ir.Value] = []
    of_tile = scope_of(buffer) == "fragment"
    for use in buffer.uses:
        op = use.owner.operation
        if op.name == "memref.store" and op.operands[1] == buffer:
            if not of_tile and written_by_some(op):
                return None
            if not (of_tile and _in_parallel_loop(op)):
                needs += [op.operands[0], *list(op.operands)[2:], *_conditions(op, buffer)]
        elif op.name not in _READERS and not of_tile:
            return None  # an operation fills the array, with what each thread has
    return needs


def _conditions(op: ir.Operation, buffer: ir.Value) -> list[ir.Value]:
    """What decides whether a thread reaches a store of a variable, from where the variable is allocated."""
    home, found = buffer.owner.operation.block, []
    while op.block != home:
        op = op.parent.operation
        if op.name == "scf.if":
            found.append(op.operands[0])
        elif op.name in ("scf.for", "scf.while"):
            found += _trips(op)
        elif op.name in ("tl.launch", "func.func"):
            break
    return found


def _in_parallel_loop(op: ir.Operation) -> bool:
    while op.name != "tl.launch":
        op = op.parent.operation
        if op.name == "tl.parallel":
            return True
    return False
