"""What a value on the thread index is in each thread of a CTA, as far as arithmetic on constants tells.

    %odd = arith.remui %thread, 2; %taken = arith.cmpi eq, %odd, 0   =>   [1, 0, 1, 0, ..]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tilelang_mlir.mlir import ir

from ..dialect.effects import root
from ..dialect.tl import LOCAL, VAR, scope_of
from .walk import members_of

VARYING = "varying"
"""It follows from the thread index and from what only the run knows."""
Lanes = np.ndarray | str | None  # by thread; VARYING; None where nothing says that threads differ

_COMPARE: tuple[Callable[[Any, Any], Any], ...] = (
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.less, np.less_equal, np.greater, np.greater_equal,
)  # fmt: skip
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "addi": np.add, "subi": np.subtract, "muli": np.multiply, "andi": np.bitwise_and, "ori": np.bitwise_or,
    "xori": np.bitwise_xor, "divui": np.floor_divide, "floordivsi": np.floor_divide, "remui": np.remainder,
    "shli": np.left_shift, "shrui": np.right_shift, "shrsi": np.right_shift, "minsi": np.minimum, "maxsi": np.maximum,
    "minui": np.minimum, "maxui": np.maximum,
}  # fmt: skip
_DIVISIONS = ("divui", "floordivsi", "remui")
_CONVERSIONS = ("arith.extui", "arith.extsi", "arith.trunci", "arith.index_cast", "arith.index_castui", "tl.cast")
_FIRST_UNSIGNED = 6  # of the predicates of arith.cmpi


def lanes_of(value: ir.Value, launch: ir.Operation) -> Lanes:
    """An integer or a condition of a kernel, by thread."""
    return _Reader(launch).read(value)


def differs(lanes: Lanes) -> bool:
    """Whether threads have different values."""
    return isinstance(lanes, str) or (lanes is not None and bool((lanes != lanes[0]).any()))


class _Reader:
    def __init__(self, launch: ir.Operation) -> None:
        self._sizes = [int(size) for size in ir.DenseI32ArrayAttr(launch.attributes["threads"])]
        self._threads = np.arange(int(np.prod(self._sizes)))
        self._known: dict[ir.Value, Lanes] = {}

    def read(self, value: ir.Value) -> Lanes:
        if value not in self._known:
            self._known[value] = None  # where it comes back to itself, by a variable
            self._known[value] = None if isinstance(value.owner, ir.Block) else self._result(value.owner.operation)
        return self._known[value]

    def _result(self, op: ir.Operation) -> Lanes:
        if op.name == "tl.thread_id":
            return self._thread(op)
        if op.name == "arith.constant":
            return self._constant(op)
        if op.name == "memref.load":
            return self._load(op)
        operands = [self.read(operand) for operand in op.operands]
        if all(isinstance(x, np.ndarray) for x in operands) and (found := _computed(op, operands)) is not None:
            return found
        arithmetic = op.name.startswith("arith.") or op.name in _CONVERSIONS
        return VARYING if arithmetic and any(differs(x) for x in operands) else None

    def _constant(self, op: ir.Operation) -> Lanes:
        number = op.attributes["value"]
        if not isinstance(number, ir.IntegerAttr):
            return None
        value = int(number.value)
        return np.full_like(self._threads, value & 1 if str(op.result.type) == "i1" else value)

    def _thread(self, op: ir.Operation) -> np.ndarray:
        dim = ir.IntegerAttr(op.attributes["dim"]).value
        stride = int(np.prod(self._sizes[:dim]))
        index = self._threads // stride % self._sizes[dim]
        return index - members_of(op).start if dim == 0 else index

    def _load(self, op: ir.Operation) -> Lanes:
        """A variable of the threads is what is stored to it; an element that depends on the thread may be anything."""
        buffer = root(op.operands[0])
        if scope_of(buffer) not in (VAR, LOCAL):
            return VARYING if any(differs(self.read(index)) for index in list(op.operands)[1:]) else None
        uses = [use.owner.operation for use in buffer.uses]
        stored = [use.operands[0] for use in uses if use.name == "memref.store" and use.operands[1] == buffer]
        return VARYING if any(differs(self.read(value)) for value in stored) else None


def _computed(op: ir.Operation, operands: list[Any]) -> np.ndarray | None:
    name = op.name.removeprefix("arith.")
    if op.name in _CONVERSIONS and all(str(v.type).startswith(("i", "index")) for v in (op.operands[0], op.result)):
        return operands[0]
    if name == "cmpi":
        predicate = ir.IntegerAttr(op.attributes["predicate"]).value
        if predicate >= _FIRST_UNSIGNED:
            operands = [x & 0xFFFFFFFF for x in operands]
        return _COMPARE[predicate](*operands).astype(np.int64)
    if name == "select":
        return np.where(operands[0], operands[1], operands[2])
    if name not in _BINARY or (name in _DIVISIONS and not operands[1].all()):
        return None
    return _BINARY[name](*operands)
