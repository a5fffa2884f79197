"""Programs that are legal and hardly meant: reading on-chip memory that nothing has written, racing iterations.

The checks read the level-1 program. They say nothing where they are not sure: a buffer that an unknown operation
touches counts as written, a store under a condition on the iteration as guarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tilelang_mlir.dialect.effects import effects, root
from tilelang_mlir.dialect.location import python_location
from tilelang_mlir.frontend.overlaps import overlaps
from tilelang_mlir.frontend.suspicion import Suspicion, issue
from tilelang_mlir.frontend.uneven import uneven_tiles
from tilelang_mlir.mlir import int_array, ir

_VIEWS = ("tl.slice", "tl.reshape")
_CONDITIONS = ("scf.if", "scf.while", "tl.specialize")
_ROLES = ("tl.warpgroups",)  # run at the same time: what comes first is up to barriers, not to the order of the lines
INIT_KEY, RACE_KEY = "tl.disable_buffer_init_check", "tl.disable_data_race_check"


def warn(module: ir.Module, pass_configs: Mapping[str, object] | None) -> None:
    """Issue a `TileWarning` for everything suspicious that the pass configurations do not turn off."""
    configs = pass_configs or {}
    with module.context:
        found = [] if configs.get(INIT_KEY, False) else uninitialized_reads(module)
        if not configs.get(RACE_KEY, False):
            found += races(module)
        found += uneven_tiles(_walk(module.operation, False))
    for suspicion in found:
        issue(suspicion)


# Reads before writes.


@dataclass
class _Uses:
    """What is known of one allocation: the first read that no write precedes, and whether anything writes it."""

    first_read: ir.Operation | None = None
    conditional: bool = False
    written: bool = False


def uninitialized_reads(module: ir.Module) -> list[Suspicion]:
    """Reads of shared, fragment, local and scalar memory that no write precedes."""
    allocations: dict[ir.Value, _Uses] = {}
    for op, conditional in _walk(module.operation, False):
        if op.name == "tl.alloc":
            allocations[op.results[0]] = _Uses()
        elif op.name not in _VIEWS:
            _note(op, conditional, allocations)
    return [
        _unwritten(value, uses.first_read)
        for value, uses in allocations.items()
        if uses.first_read is not None and not (uses.conditional and uses.written) and _is_on_chip(value)
    ]


def _note(op: ir.Operation, conditional: bool, allocations: dict[ir.Value, _Uses]) -> None:
    known = effects(op)
    if any(str(operand.type) == "i1" for operand in op.operands):
        # A product that clears its sums on a condition (`clear_accum=k == 0`) may read them in later rounds only.
        written = {effect.value for effect in known if effect.kind == "write"}
        known = [effect for effect in known if effect.kind == "write" or effect.value not in written]
    seen = {effect.value for effect in known}
    for value in {root(operand) for operand in op.operands} - seen:
        if value in allocations:
            allocations[value].written = True  # an operation that says nothing of its effects
    for effect in known:
        uses = allocations.get(effect.value)
        if uses is None:
            continue
        if effect.kind == "write":
            uses.written = True
        elif not uses.written and uses.first_read is None:
            uses.first_read, uses.conditional = op, conditional


def _is_on_chip(value: ir.Value) -> bool:
    return '"global"' not in str(value.type)


def _unwritten(value: ir.Value, read: ir.Operation) -> Suspicion:
    name, place = name_of(value), python_location(value.owner.location)
    hint = "clear it with T.clear, or fill or copy into it first"
    if read.name == "tl.gemm" and read.operands[2] == value:
        hint = "T.gemm adds to its third operand: clear it with T.clear, or pass clear_accum=True"
    return Suspicion(f"{name} is read before anything is written to it", python_location(read.location), hint,
                     ((f"{name} is allocated here", place),))


# Races.


@dataclass
class _Dependences:
    """Which block arguments of a loop the values in it depend on."""

    arguments: dict[ir.Value, int]
    known: dict[ir.Value, frozenset[int]] = field(default_factory=dict[ir.Value, frozenset[int]])

    def of(self, value: ir.Value) -> frozenset[int]:
        found = self.known.get(value)
        if found is not None:
            return found
        if value in self.arguments:
            result = frozenset((self.arguments[value],))
        elif isinstance(value, ir.OpResult):
            self.known[value] = frozenset()
            parts = [self.of(operand) for operand in value.owner.operation.operands]
            result = frozenset().union(*parts)
        else:
            result = frozenset()
        self.known[value] = result
        return result


def races(module: ir.Module) -> list[Suspicion]:
    """Stores of parallel loops in which different iterations write different values to the same element."""
    found: list[Suspicion] = []
    for op, _ in _walk(module.operation, False):
        if op.name == "tl.parallel":
            found += _races_of(op) or overlaps(op, lambda value: name_of(root(value)))
    return found


def _races_of(loop: ir.Operation) -> list[Suspicion]:
    extents = int_array(loop.attributes["extents"])
    block = loop.regions[0].blocks[0]
    dependences = _Dependences({argument: index for index, argument in enumerate(block.arguments)})
    found: list[Suspicion] = []
    for op, guards in _stores(block, dependences, frozenset()):
        value, indices = op.operands[0], list(op.operands)[2:]
        named = guards.union(*(dependences.of(index) for index in indices))
        missing = [i for i in sorted(dependences.of(value) - named) if extents[i] > 1]
        if missing and not _is_private(op.operands[1]) and not _is_sum(op, named):
            which = " and ".join(f"{extents[i]} iterations of dimension {i}" for i in missing)
            name = name_of(root(op.operands[1]))
            found.append(Suspicion(f"{which} of the parallel loop write different values to one element of {name}",
                                   python_location(op.location),
                                   "index with the loop variable, or combine with T.atomic_add or a reduction"))
    return found


def _stores(block: ir.Block, dependences: _Dependences, guards: frozenset[int],
            ) -> Iterator[tuple[ir.Operation, frozenset[int]]]:  # fmt: skip
    """Stores under a block, each with the loop variables that conditions around it depend on."""
    for view in block.operations:
        op = view.operation
        if op.name == "memref.store":
            yield op, guards
        inner = guards.union(*(dependences.of(o) for o in op.operands)) if op.name in _CONDITIONS else guards
        for region in op.regions:
            for block in region.blocks:
                yield from _stores(block, dependences, inner)


def _is_private(target: ir.Value) -> bool:
    """Memory that each thread, or each iteration, has for itself."""
    text = str(target.type)
    return '"local"' in text or '"var"' in text


def _is_sum(store: ir.Operation, named: frozenset[int]) -> bool:
    """`acc[i] += x[i, j]` into a fragment: the iterations of one element run in its thread, one after the other."""
    target, indices = store.operands[1], list(store.operands)[2:]
    if '"fragment"' not in str(target.type) or not named:
        return False
    waiting, seen = [store.operands[0]], set[ir.Value]()
    while waiting:
        value = waiting.pop()
        if not isinstance(value, ir.OpResult) or value in seen:
            continue
        seen.add(value)
        op = value.owner.operation
        if op.name == "memref.load" and op.operands[0] == target and list(op.operands)[1:] == indices:
            return True
        waiting += list(op.operands)
    return False


def _walk(op: ir.Operation, conditional: bool) -> Iterator[tuple[ir.Operation, bool]]:
    """All operations in program order, each with whether a condition or the order of roles decides about it."""
    for region in op.regions:
        for block in region.blocks:
            for view in block.operations:
                inner = view.operation
                yield inner, conditional
                yield from _walk(inner, conditional or inner.name in (*_CONDITIONS, *_ROLES))


def name_of(value: ir.Value) -> str:
    """What the program calls a buffer."""
    location = value.owner.location if isinstance(value, ir.OpResult) else value.location
    return location.name_str if isinstance(location, ir.NameLoc) else "a buffer"
