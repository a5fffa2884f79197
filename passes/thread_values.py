"""Values that follow from the thread index: of it and constants alone they are computed for every thread of a CTA."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tilelang_mlir.mlir import ir

from ..dialect.effects import root
from ..dialect.tl import FRAGMENT, LOCAL, VAR, scope_of
from .walk import members_of

Sizes = tuple[int, int, int]  # of a CTA, in threads

_WORD = 1 << 32
_BINARY: dict[str, Callable[[int, int], int]] = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.andi": lambda a, b: a & b,
    "arith.ori": lambda a, b: a | b,
    "arith.xori": lambda a, b: a ^ b,
    "arith.shli": lambda a, b: a << b,
    "arith.shrui": lambda a, b: (a % _WORD) >> b,
    "arith.shrsi": lambda a, b: a >> b,
}
_DIVISIONS: dict[str, Callable[[int, int], int]] = {
    "arith.divui": lambda a, b: a % _WORD // (b % _WORD),
    "arith.floordivsi": lambda a, b: a // b,
    "arith.divsi": lambda a, b: abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1),
    "arith.remui": lambda a, b: a % _WORD % (b % _WORD),
    "arith.remsi": lambda a, b: abs(a) % abs(b) * (-1 if a < 0 else 1),
}
# By the number of the predicate of arith.cmpi: eq, ne, slt, sle, sgt, sge, ult, ule, ugt, uge.
_COMPARISONS: tuple[Callable[[int, int], bool], ...] = (
    lambda a, b: a == b,
    lambda a, b: a != b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: a % _WORD < b % _WORD,
    lambda a, b: a % _WORD <= b % _WORD,
    lambda a, b: a % _WORD > b % _WORD,
    lambda a, b: a % _WORD >= b % _WORD,
)


def by_thread(value: ir.Value, threads: Sequence[int], sizes: Sizes | None = None) -> list[int] | None:
    """What each of the threads holds as `value`; None where it rests on more than the index and constants, or where
    `sizes` are not given and it is no index of a one-dimensional CTA."""
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.operation
    if op.name == "arith.constant" and isinstance(op.attributes["value"], ir.IntegerAttr):
        number = ir.IntegerAttr(op.attributes["value"]).value
        return [number & 1 if str(value.type) == "i1" else number] * len(threads)
    if op.name == "tl.thread_id":
        dim = ir.IntegerAttr(op.attributes["dim"]).value
        if sizes is not None:
            stride = (1, sizes[0], sizes[0] * sizes[1])[dim]
            return [t // stride % sizes[dim] for t in threads]
        first = members_of(op).start
        return None if dim else [t - first for t in threads]
    if op.name not in ("arith.cmpi", "arith.index_cast", "arith.extui", *_BINARY, *_DIVISIONS):
        return None
    operands = [by_thread(v, threads, sizes) for v in op.operands]
    columns = [column for column in operands if column is not None]
    return _apply(op, columns) if len(columns) == len(operands) else None


def varies(value: ir.Value, threads: range, sizes: Sizes | None, known: dict[ir.Value, bool] | None = None) -> bool:
    """Whether a value follows from the thread index and differs between threads, as far as arithmetic, variables, and
    the places of elements that are read tell. `sizes` are as for `by_thread`."""
    known = {} if known is None else known
    if value not in known:
        known[value] = False  # where a variable's value comes back to it
        known[value] = not isinstance(value.owner, ir.Block) and _varies(value.owner.operation, threads, sizes, known)
    return known[value]


def _varies(op: ir.Operation, threads: range, sizes: Sizes | None, known: dict[ir.Value, bool]) -> bool:
    if len(op.results) == 1 and (each := by_thread(op.result, threads, sizes)) is not None:
        return len(set(each)) > 1
    if op.name == "memref.load":
        buffer, indices = root(op.operands[0]), list(op.operands)[1:]
        if scope_of(buffer) == FRAGMENT:
            return False
        if scope_of(buffer) in (VAR, LOCAL):
            uses = [use.owner.operation for use in buffer.uses]
            stores = [use for use in uses if use.name == "memref.store" and use.operands[1] == buffer]
            return any(written_by_some(each) or varies(each.operands[0], threads, sizes, known) for each in stores)
        return any(varies(index, threads, sizes, known) for index in indices)
    return op.name.startswith(("arith.", "tl.cast")) and any(varies(v, threads, sizes, known) for v in op.operands)


def written_by_some(store: ir.Operation) -> bool:
    """Whether an array or variable of the threads is written in a parallel loop that it does not belong to: by the
    threads that run iterations of it."""
    home, op = root(store.operands[1]).owner.operation.block, store
    while op.block != home and op.name != "tl.launch":
        op = op.parent.operation
        if op.name == "tl.parallel":
            return True
    return False


def _apply(op: ir.Operation, columns: list[list[int]]) -> list[int] | None:
    if len(columns) == 1:
        return columns[0]
    pairs = list(zip(*columns, strict=True))
    if op.name == "arith.cmpi":
        holds = _COMPARISONS[ir.IntegerAttr(op.attributes["predicate"]).value]
        return [int(holds(a, b)) for a, b in pairs]
    if op.name in _DIVISIONS:
        return None if any(b == 0 for _, b in pairs) else [_DIVISIONS[op.name](a, b) for a, b in pairs]
    return [_BINARY[op.name](a, b) for a, b in pairs]
