"""Which arguments of a kernel it reads and writes, through whatever addresses are made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tilelang_mlir.isa import Instruction, key_of
from tilelang_mlir.isa.instruction import GLOBAL, Access
from tilelang_mlir.mlir import ir

_VIEWS = ("llvm.getelementptr", "llvm.addrspacecast", "llvm.bitcast")


@dataclass(frozen=True)
class Accesses:
    """Indices of arguments; None: any of them. An atomic update reads and writes; `plain` are all other accesses."""

    reads: frozenset[int] | None
    writes: frozenset[int] | None
    plain: frozenset[int] | None


def accesses(function: ir.Operation, table: Mapping[str, Instruction]) -> Accesses:
    """What a kernel may access of each argument, a tensor map standing for its tensor."""
    found: dict[str, set[int | None]] = {"r": set(), "w": set(), "p": set()}
    for op in _nested(function):
        for kind, pointer in _pointers(op, table):
            for letter in kind if kind in ("", "rw") else f"{kind}p":
                found[letter] |= _bases(pointer, function, table, frozenset())
    return Accesses(*(None if None in found[k] else frozenset(i for i in found[k] if i is not None) for k in "rwp"))


def _nested(op: ir.Operation) -> Iterator[ir.Operation]:
    for region in op.regions:
        for block in region:
            for view in block.operations:
                yield view.operation
                yield from _nested(view.operation)


def _pointers(op: ir.Operation, table: Mapping[str, Instruction]) -> Iterator[tuple[str, ir.Value]]:
    plain = {"llvm.load": ("r", 0), "llvm.store": ("w", 1), "llvm.atomicrmw": ("rw", 0), "llvm.cmpxchg": ("rw", 0)}
    if op.name in plain:
        kind, index = plain[op.name]
        if str(op.operands[index].type) == "!llvm.ptr<1>":
            yield kind, op.operands[index]
        return
    entry = table.get(key_of(op))
    for effect in () if entry is None else entry.effects:
        if effect.space == GLOBAL and 0 <= effect.operand < len(op.operands):
            kind = {Access.READ: "r", Access.WRITE: "w", Access.ATOMIC: "rw"}.get(effect.access, "")
            yield kind, op.operands[effect.operand]


def _bases(
    value: ir.Value, function: ir.Operation, table: Mapping[str, Instruction], seen: frozenset[ir.Value]
) -> set[int | None]:
    """The arguments that an address may be made of."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        inside = owner.owner.operation == function
        return {ir.BlockArgument(value).arg_number} if inside else {None}
    op = owner.operation
    entry = table.get(key_of(op))
    if op.name in _VIEWS or entry is not None and entry.view:
        return _bases(op.operands[0], function, table, seen)
    if op.name == "arith.select" and value not in seen:
        return {b for v in list(op.operands)[1:] for b in _bases(v, function, table, seen | {value})}
    return {None}
