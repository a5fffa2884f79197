"""`exchange-fragments`: elements that a thread reads or writes but does not hold go through another buffer.

Input: the tile program with layouts. Output: the same, in which every access of a loop to a fragment finds its element
in the thread's own registers. Where a read does not, the fragment is copied right before: to a second fragment laid out
as the loop needs it, or, where no such layout exists, to a shared tile. Copies leave the loops that do not write the
fragment. Where a store does not, as one to the lower half of a tile's rows, the loop works on a shared copy, which
goes back to the registers after it.

    parallel (i, j) { .. = F[j, i] }   =>   copy F -> S; parallel (i, j) { .. = S[j, i] }
    parallel (i, j) { F[i + 32, j] = .. }   =>   copy F -> S; parallel (i, j) { S[i + 32, j] = .. }; copy S -> F
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.effects import laid_out, region_effects, root
from ..dialect.layout import Fragment, row_major
from ..dialect.layout.attrs import from_attr, to_attr
from ..dialect.layout.lookup import element_tables, found_registers, valid_elements
from ..dialect.tl import FRAGMENT, SHARED, buffer_type, scope_of
from .base import Pass
from .layout_inference.accesses import Access, fragment_from_loop, loop_accesses
from .layout_inference.subscripts import Subscript
from .lowering.fragments import ARITHMETIC, MOST_CANDIDATES
from .walk import launches, nested, threads_of


@dataclass(frozen=True)
class ExchangeFragments(Pass):
    """Copy fragments whose elements other threads read or write."""

    name: ClassVar[str] = "exchange-fragments"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context:
                ops = list(nested(launch))
                loops = [(op, loop_accesses(op)) for op in ops if op.name == "tl.parallel"]
                in_loops = {access.op for _, accesses in loops for access in accesses}
                reads = [op for op in ops if op.name == "memref.load" and scope_of(op.operands[0]) == FRAGMENT]
                scalars = [op for op in reads if op not in in_loops]
                for loop, accesses in loops:
                    kept = _write_back(loop, accesses)
                    _exchange_loop(loop, [a for a in kept if a.op.name == "memref.load"])
                for op in scalars:
                    _exchange_scalar(op)


def _exchange_loop(loop: ir.Operation, accesses: list[Access]) -> None:
    if "layout" not in loop.attributes:
        return
    layout = _layout_of(loop)
    copies: dict[tuple[ir.Value, Fragment | None], ir.Value] = {}
    for access in accesses:
        held = _layout_of(access.fragment.owner.operation)
        far = _selects_from_many(access.op, held)
        if not far and _reaches(access, loop, held):
            continue
        wanted = None if far else fragment_from_loop(access, layout, tuple(held.shape))
        key = access.fragment, wanted
        if key not in copies:
            copies[key] = _copy_before(loop, access.fragment, wanted)
        access.op.operands[0] = copies[key]


def _write_back(loop: ir.Operation, accesses: list[Access]) -> list[Access]:
    """Fragments that the loop writes where they do not lie: their accesses go to shared copies. Gives the others."""
    if "layout" not in loop.attributes:
        return accesses
    stores = [a for a in accesses if a.op.name == "memref.store"]
    away = {a.fragment for a in stores if not _reaches(a, loop, _layout_of(a.fragment.owner.operation))}
    for fragment in dict.fromkeys(a.fragment for a in accesses if a.fragment in away):
        tile = _copy_at(loop, fragment, None)
        for access in accesses:
            if access.fragment == fragment:
                access.op.operands[1 if access.op.name == "memref.store" else 0] = tile
        with ir.InsertionPoint.after(loop), loop.location:
            ir.Operation.create("tl.copy", [], [tile, fragment])
    return [a for a in accesses if a.fragment not in away]


def _reaches(access: Access, op: ir.Operation, held: Fragment) -> bool:
    """Whether each thread holds what its iterations read, whatever the parts are that no loop variable decides."""
    loop, threads = _layout_of(op), threads_of(op)
    dims = tuple(variable for variable in access.variables if variable is not None)
    if len(dims) == len(access.variables) and found_registers(loop, held, threads, dims) is not None:
        return True
    lanes, tables = np.arange(threads, dtype=np.int64)[:, None], element_tables(loop, threads)
    valid = valid_elements(loop, threads)
    places: list[np.ndarray] = []
    variables = dict(zip(op.regions[0].blocks[0].arguments, tables, strict=True))
    indices = list(access.op.operands)[2 if access.is_store else 1 :]
    for dim, (index, value) in enumerate(zip(access.subscripts, indices, strict=True)):
        place = _numbers(value, variables)
        if place is not None:
            places.append(np.broadcast_to(place, (threads, loop.num_values)))
            continue
        if index is None:
            return True  # not known here: lowering evaluates the indices
        if index.rest and any(d.dim == dim and not _walked(index, d.stride) for d in held.thread):
            return False
        total = sum((t.of(tables[t.variable]) for t in index.terms), np.zeros((1, 1), np.int64))
        places.append(np.broadcast_to(total, (threads, loop.num_values)))
    return bool((held.holds(lanes % held.num_threads, places) | ~valid).all())


def _numbers(value: ir.Value, variables: dict[ir.Value, np.ndarray]) -> np.ndarray | None:
    """An index for every thread and iteration; None where it is not made of loop variables and constants alone."""
    if value in variables:
        return variables[value]
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.operation
    if op.name == "arith.constant":
        return np.asarray(ir.IntegerAttr(op.attributes["value"]).value, np.int64)
    operands = [_numbers(v, variables) for v in op.operands]
    known = [operand for operand in operands if operand is not None]
    function = ARITHMETIC.get(op.name)
    return function(*known) if function is not None and len(known) == len(operands) else None


def _walked(index: Subscript, stride: int) -> bool:
    """Whether a digit of the fragment with this stride is one that a loop variable walks."""
    return any(t.coefficient <= stride < t.reach for t in index.terms)


def _exchange_scalar(op: ir.Operation) -> None:
    """Code outside of parallel loops runs in every thread: each must hold what it reads."""
    fragment = laid_out(op.operands[0])
    layout = _layout_of(fragment.owner.operation)
    if any(digit.dim >= 0 for digit in layout.thread) or _selects_from_many(op, layout):
        op.operands[0] = _copy_before(op, fragment, None)


def _selects_from_many(op: ir.Operation, held: Fragment) -> bool:
    """Whether an index at run time names one of more registers than are worth comparing with."""
    dims = [d for d, index in enumerate(list(op.operands)[1:]) if _at_run_time(index)]
    return math.prod(digit.size for digit in held.value if digit.dim in dims) > MOST_CANDIDATES


def _at_run_time(index: ir.Value) -> bool:
    """Whether an index depends on more than constants, parallel loops and loops of constant length."""
    if isinstance(index.owner, ir.Block):
        loop = index.owner.owner.operation
        if loop.name == "scf.for":
            return any(_at_run_time(bound) for bound in list(loop.operands)[:3])
        return loop.name != "tl.parallel"
    op = index.owner.operation
    if not op.name.startswith(("arith.", "tl.cast")):
        return op.name != "tl.thread_id"
    return any(_at_run_time(operand) for operand in op.operands)


def _layout_of(op: ir.Operation) -> Fragment:
    layout = from_attr(op.attributes["layout"])
    assert isinstance(layout, Fragment)
    return layout


def _copy_before(op: ir.Operation, fragment: ir.Value, wanted: Fragment | None) -> ir.Value:
    """A copy of the fragment made before an operation, and before the loops around it that do not write it."""
    buffer = root(fragment)
    while (parent := op.operation.parent) is not None and parent.operation.name in ("scf.for", "scf.while"):
        if any(e.kind == "write" and e.value == buffer for e in region_effects(parent.operation)):
            break
        if buffer.owner.operation.parent == parent.operation:
            break
        op = parent.operation
    return _copy_at(op, fragment, wanted)


def _copy_at(op: ir.Operation, fragment: ir.Value, wanted: Fragment | None) -> ir.Value:
    """A copy of the fragment made right before an operation: laid out as wanted, or in a shared tile."""
    kind = ir.MemRefType(fragment.type)
    shape = list(kind.shape)
    with ir.InsertionPoint(op), op.location:
        scope, layout = (SHARED, row_major(shape)) if wanted is None else (FRAGMENT, wanted)
        attributes = {"layout": to_attr(layout)}
        copy = ir.Operation.create("tl.alloc", [buffer_type(shape, kind.element_type, scope)], [], attributes).result
        ir.Operation.create("tl.copy", [], [fragment, copy])
    return copy
