"""Values that follow from the thread index and constants alone, computed for every thread of a one-dimensional CTA."""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.mlir import ir

from .walk import members_of

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


def by_thread(value: ir.Value, threads: range) -> list[int] | None:
    """What each of the threads holds as `value`; None where it rests on more than the index and constants."""
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.operation
    if op.name == "arith.constant" and isinstance(op.attributes["value"], ir.IntegerAttr):
        number = ir.IntegerAttr(op.attributes["value"]).value
        return [number & 1 if str(value.type) == "i1" else number] * len(threads)
    if op.name == "tl.thread_id":
        first = members_of(op).start
        return None if ir.IntegerAttr(op.attributes["dim"]).value else [t - first for t in threads]
    if op.name not in ("arith.cmpi", "arith.index_cast", "arith.extui", *_BINARY, *_DIVISIONS):
        return None
    operands = [by_thread(v, threads) for v in op.operands]
    columns = [column for column in operands if column is not None]
    return _apply(op, columns) if len(columns) == len(operands) else None


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
