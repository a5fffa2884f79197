"""Whether all threads of a CTA see one value and take one path: what decides where barriers may stand."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ..dialect.effects import root
from ..dialect.tl import scope_of

_READERS = ("memref.load", "memref.store")
# Operations that give every thread, lane or warp a value of its own.
_VARYING = (
    "tl.thread_id", "tl.shuffle", "tl.atomic", "tl.warp_reduce", "tl.intrinsic", "tl.call_extern", "tl.address",
    "tl.mbarrier_state", "tl.mbarrier_test",
)  # fmt: skip
_OF_THE_CTA = ("count", "and", "or")
_Seen = frozenset[ir.Value]


def is_uniform(value: ir.Value, seen: _Seen = frozenset()) -> bool:
    """Whether a value is the same in all threads of a CTA: it depends on no thread index and no memory of the threads.

    `seen` holds the variables under examination: a store of a variable's own value to itself changes nothing.
    """
    owner = value.owner
    if isinstance(owner, ir.Block):
        parent = owner.owner.operation
        bounds = list(parent.operands)[:3] if parent.name == "scf.for" else []
        return parent.name != "tl.parallel" and all(is_uniform(v, seen) for v in bounds)
    op = owner.operation
    if op.name in _VARYING or op.name == "tl.vote" and ir.StringAttr(op.attributes["kind"]).value not in _OF_THE_CTA:
        return False
    if op.name == "memref.load" and scope_of(op.operands[0]) in ("local", "var", "fragment"):
        buffer = root(op.operands[0])
        same = buffer in seen or _uniform_variable(buffer, seen | {buffer})
        return same and all(is_uniform(index, seen) for index in list(op.operands)[1:])
    return all(is_uniform(v, seen) for v in op.operands if not isinstance(v.type, ir.MemRefType))


def is_uniform_loop(op: ir.Operation, seen: _Seen = frozenset()) -> bool:
    """Whether all threads run a loop equally often."""
    if op.name == "scf.while":
        return is_uniform(op.regions[0].blocks[0].operations[-1].operands[0], seen)
    return all(is_uniform(v, seen) for v in op.operands)


def _uniform_variable(buffer: ir.Value, seen: _Seen) -> bool:
    """A variable or an array of the threads is uniform when all threads store the same to it. So is an element
    of a fragment, which is a tile's and no thread's: what parallel loops and tile operations write has one value."""
    for use in buffer.uses:
        op = use.owner.operation
        if op.name == "memref.store" and op.operands[1] == buffer:
            element_of_tile = scope_of(buffer) == "fragment" and _in_parallel_loop(op)
            stored = (op.operands[0], *list(op.operands)[2:])
            if not element_of_tile and not (all(is_uniform(v, seen) for v in stored) and _by_all(op, buffer, seen)):
                return False
        elif op.name not in _READERS and scope_of(buffer) != "fragment":
            return False  # an operation fills the array, with what each thread has
    return True


def _by_all(op: ir.Operation, buffer: ir.Value, seen: _Seen) -> bool:
    """Whether all threads, or none, reach a store of a variable, from where the variable is allocated."""
    home = buffer.owner.operation.block
    while op.block != home:
        op = op.parent.operation
        if op.name == "scf.if" and not is_uniform(op.operands[0], seen):
            return False
        if op.name in ("scf.for", "scf.while") and not is_uniform_loop(op, seen):
            return False
        if op.name in ("tl.launch", "func.func"):
            break
    return True


def _in_parallel_loop(op: ir.Operation) -> bool:
    while op.name != "tl.launch":
        op = op.parent.operation
        if op.name == "tl.parallel":
            return True
    return False
