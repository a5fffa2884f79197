"""Iterations of a parallel loop that meet at an element: one reads what another one writes, or two write it.

    for i in T.Parallel(127):
        s[i] = s[i + 1]

The places that a loop of known extents accesses are enumerated, relative to what is the same for all iterations. Looked
at are the accesses of the body itself, not those under conditions, and only where the places differ at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilelang_mlir.dialect.location import python_location
from tilelang_mlir.frontend.suspicion import Suspicion
from tilelang_mlir.mlir import int_array, ir

_MOST = 1 << 16  # iterations
_SAME = ("arith.index_cast", "arith.extsi", "arith.extui", "arith.trunci", "tl.cast")
_FOLDING = {
    "arith.divui": np.floor_divide, "arith.divsi": np.floor_divide, "arith.floordivsi": np.floor_divide,
    "arith.remui": np.mod, "arith.remsi": np.mod, "arith.andi": np.bitwise_and, "arith.shrui": np.right_shift,
    "arith.shrsi": np.right_shift, "arith.shli": np.left_shift, "arith.xori": np.bitwise_xor,
}  # fmt: skip
_Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Sum:
    """A number per iteration, plus values that are the same in all of them, each so many times."""

    numbers: _Places
    shared: frozenset[tuple[ir.Value, int]] = frozenset()

    def plus(self, other: _Sum, sign: int) -> _Sum:
        times = dict(self.shared)
        for value, count in other.shared:
            times[value] = times.get(value, 0) + sign * count
        return _Sum(self.numbers + sign * other.numbers, frozenset((v, c) for v, c in times.items() if c))

    def times(self, factor: int) -> _Sum:
        return _Sum(self.numbers * factor, frozenset((value, count * factor) for value, count in self.shared))


def overlaps(loop: ir.Operation, name_of: Any) -> list[Suspicion]:
    """Reads of elements that other iterations write, and elements that several iterations write."""
    body = [view.operation for view in loop.regions[0].blocks[0].operations]
    stores = [op for op in body if op.name == "memref.store" and _is_common(op.operands[1])]
    pairs = [(store, load) for store in stores for load in body
             if load.name == "memref.load" and load.operands[0] == store.operands[1]
             and list(load.operands)[1:] != list(store.operands)[2:]]  # fmt: skip
    folded = [store for store in stores if any(_folds(index) for index in list(store.operands)[2:])]
    if not pairs and not folded:
        return []
    extents = int_array(loop.attributes["extents"])
    if -1 in extents or np.prod(extents) > _MOST:
        return []
    grid = np.indices(extents).reshape(len(extents), -1).astype(np.int64)
    variables = loop.regions[0].blocks[0].arguments
    known: dict[ir.Value, _Sum | None] = {variable: _Sum(grid[i]) for i, variable in enumerate(variables)}
    found: dict[ir.Operation, Suspicion] = {}
    for store, load in pairs:
        written, read = (_places(op, first, known) for op, first in ((store, 2), (load, 1)))
        if store not in found and written and read and _crosses(written, read):
            name = name_of(load.operands[0])
            text = f"an iteration of the parallel loop reads an element of {name} that another writes"
            hint = "write to another tile, or read all of it in a loop of its own first"
            notes = (("it is written here", python_location(store.location)),)
            found[store] = Suspicion(text, python_location(load.location), hint, notes)
    for store in folded:
        written = _places(store, 2, known)
        varies = _number(store.operands[0], known)
        if store in found or written is None or (varies is not None and not np.ptp(varies.numbers)):
            continue
        if len(np.unique(_keys(written)[0])) < grid.shape[1]:
            text = f"iterations of the parallel loop write to the same element of {name_of(store.operands[1])}"
            found[store] = Suspicion(text, python_location(store.location),
                                     "loop over the elements that are written, or combine with T.atomic_add")
    return list(found.values())


def _is_common(target: ir.Value) -> bool:
    """Whether iterations share the memory: not that which each thread has for itself."""
    text = str(target.type)
    return '"local"' not in text and '"var"' not in text


def _folds(value: ir.Value) -> bool:
    """Whether an index leaves out digits of what it is computed from."""
    if not isinstance(value, ir.OpResult):
        return False
    op = value.owner.operation
    if op.name in _FOLDING and op.name != "arith.shli":
        return True
    return op.name != "memref.load" and any(_folds(operand) for operand in op.operands)


def _places(op: ir.Operation, first: int, known: dict[ir.Value, _Sum | None]) -> list[_Sum] | None:
    sums = [_number(index, known) for index in list(op.operands)[first:]]
    return None if None in sums else [s for s in sums if s is not None]


def _number(value: ir.Value, known: dict[ir.Value, _Sum | None]) -> _Sum | None:
    """A value as a sum; None where it varies between iterations in a way that is not known."""
    if value not in known:
        known[value] = _computed(value, known)
    return known[value]


def _computed(value: ir.Value, known: dict[ir.Value, _Sum | None]) -> _Sum | None:
    zero = np.zeros_like(next(s for s in known.values() if s is not None).numbers)
    if not isinstance(value, ir.OpResult):
        return _Sum(zero, frozenset({(value, 1)}))
    op = value.owner.operation
    if op.name == "arith.constant":
        attribute = op.attributes["value"]
        return _Sum(zero + attribute.value) if isinstance(attribute, ir.IntegerAttr) else None
    parts = [_number(operand, known) for operand in op.operands]
    if None in parts:
        return None
    sums = [part for part in parts if part is not None]
    if op.name in _SAME:
        return sums[0]
    if op.name in ("arith.addi", "arith.subi"):
        return sums[0].plus(sums[1], 1 if op.name == "arith.addi" else -1)
    if op.name == "arith.muli":
        for a, b in (sums, sums[::-1]):
            if not b.shared and not np.ptp(b.numbers):
                return a.times(int(b.numbers[0]))
    if op.name in _FOLDING and not any(s.shared for s in sums):
        return None if (sums[1].numbers <= 0).any() else _Sum(_FOLDING[op.name](sums[0].numbers, sums[1].numbers))
    same = all(not np.ptp(s.numbers) for s in sums) and not op.regions and op.name != "memref.load"
    return _Sum(zero, frozenset({(value, 1)})) if same else None


def _keys(*accesses: Sequence[_Sum]) -> list[_Places]:
    """The places of accesses as numbers, equal where the places are."""
    keys = [np.zeros_like(access[0].numbers) for access in accesses]
    for sums in zip(*accesses, strict=True):
        low = min(int(s.numbers.min()) for s in sums)
        span = max(int(s.numbers.max()) for s in sums) - low + 1
        keys = [key * span + s.numbers - low for key, s in zip(keys, sums, strict=True)]
    return keys


def _crosses(written: Sequence[_Sum], read: Sequence[_Sum]) -> bool:
    """Whether an iteration reads where another one writes."""
    if not written or any(w.shared != r.shared for w, r in zip(written, read, strict=True)):
        return False
    writes, reads = _keys(written, read)
    order = np.argsort(writes, kind="stable")
    place = np.minimum(np.searchsorted(writes[order], reads), len(order) - 1)
    return bool(((writes[order][place] == reads) & (order[place] != np.arange(len(reads)))).any())
