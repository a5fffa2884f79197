"""SSA values as C-like expressions, for the readable printer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from .location import name_of
from .tl import VAR, scope_of
from .verify import shape_of

# Operator and binding strength; higher binds tighter.
_BINARY: dict[str, tuple[str, int]] = {
    "arith.muli": ("*", 7), "arith.mulf": ("*", 7), "arith.divf": ("/", 7), "arith.divsi": ("/", 7),
    "arith.divui": ("//", 7), "arith.floordivsi": ("//", 7), "arith.remsi": ("%", 7), "arith.remui": ("%", 7),
    "arith.addi": ("+", 6), "arith.addf": ("+", 6), "arith.subi": ("-", 6), "arith.subf": ("-", 6),
    "arith.shli": ("<<", 5), "arith.shrsi": (">>", 5), "arith.shrui": (">>>", 5), "arith.andi": ("&", 3),
    "arith.xori": ("^", 2), "arith.ori": ("|", 1),
}  # fmt: skip
_COMPARE_INT = ("==", "!=", "<", "<=", ">", ">=", "<u", "<=u", ">u", ">=u")
_COMPARE_FLOAT = {n: sign for first in (1, 8) for n, sign in enumerate(("==", ">", ">=", "<", "<=", "!="), first)}
_SILENT = frozenset(("arith.index_cast", "arith.index_castui"))
_INLINE_DIALECTS = ("arith.", "math.")
_INLINE = frozenset(("tl.cast", "tl.bitcast", "tl.math", "tl.thread_id", "tl.slice", "tl.reshape"))
_ATOM = 9
_SHARED_DEPTH = 2


def buffer_text(kind: ir.Type) -> str:
    """`[128x32xf16]`; a dynamic size is `?`."""
    memref = ir.MemRefType(kind)
    return f"[{'x'.join([*('?' if s == -1 else str(s) for s in shape_of(memref)), str(memref.element_type)])}]"


def is_expression(op: ir.Operation) -> bool:
    """Whether an op is pure with one result, so that it can be spelled as an expression."""
    return len(op.results) == 1 and (op.name.startswith(_INLINE_DIALECTS) or op.name in _INLINE)


class Expressions:
    """Names values and spells out what computes them."""

    def __init__(self) -> None:
        self._names: dict[ir.Value, str] = {}
        self._used: set[str] = set()
        self._inlined: dict[ir.Value, str] = {}
        self._inline: dict[ir.Value, bool] = {}

    def declare(self, value: ir.Value, name: str = "") -> str:
        """Give a value a name of its own, after its location when that has one."""
        wanted = name or name_of(value.location) or f"v{len(self._names)}"
        unique, count = wanted, 1
        while unique in self._used:
            count += 1
            unique = f"{wanted}_{count}"
        self._used.add(unique)
        self._names[value] = unique
        return unique

    def is_inline(self, op: ir.Operation) -> bool:
        """Whether an op is written where its result is used: pure, and used once or small."""
        if not is_expression(op):
            return False
        result = op.results[0]
        if result not in self._inline:
            shared = len(list(itertools.islice(result.uses, 2))) > 1
            # What is used often is spelled out only while it is small, or the text would grow without bound.
            self._inline[result] = not shared or self._depth(op) <= _SHARED_DEPTH
        return self._inline[result]

    def _depth(self, op: ir.Operation) -> int:
        """Levels of operators in the text of an expression."""
        below = [v.owner.operation for v in op.operands if isinstance(v, ir.OpResult)]
        inner = [self._depth(other) for other in below if self.is_inline(other)]
        return (op.name != "arith.constant" and op.name not in _SILENT) + max(inner, default=0)

    def definition(self, op: ir.Operation) -> str:
        """`name = expression` for an expression that is not inlined."""
        text = self.expression(op)[0]
        return f"{self.declare(op.results[0])} = {text}"

    def inline(self, op: ir.Operation) -> None:
        """Write a load where its result is used."""
        buffer, *index = (self.text(value) for value in op.operands)
        self._inlined[op.results[0]] = self.element(op.operands[0], buffer, index)

    def inline_load(self, op: ir.Operation) -> bool:
        """Inline a load if one statement of its block uses it and only loads and expressions come before that one."""
        users = self._statements(op.results[0])
        if len(users) != 1:
            return False
        (user,) = users
        block = op.block
        following = False
        for other in block.operations:
            current = other.operation
            if current == user:
                self.inline(op)
                return True
            if following and not (self.is_inline(current) or current.name == "memref.load"):
                return False
            following = following or current == op
        return False

    def _statements(self, value: ir.Value) -> list[ir.Operation]:
        """The ops that a value ends up in, through expressions; each once."""
        found: list[ir.Operation] = []
        for use in value.uses:
            user = use.owner.operation
            through = self._statements(user.results[0]) if self.is_inline(user) else [user]
            found.extend(op for op in through if op not in found)
        return found

    def element(self, buffer: ir.Value, text: str, index: Sequence[str]) -> str:
        """`A[i, j]`; a mutable scalar is just its name."""
        return text if scope_of(buffer) == VAR else f"{text}[{', '.join(index)}]"

    def text(self, value: ir.Value, strength: int = 0) -> str:
        """The name or expression of a value, in parentheses when something binding tighter surrounds it."""
        if value in self._names:
            return self._names[value]
        if value in self._inlined:
            return self._inlined[value]
        if not isinstance(value, ir.OpResult) or not self.is_inline(value.owner.operation):
            return self.declare(value)
        text, own = self.expression(value.owner.operation)
        return f"({text})" if own < strength else text

    def expression(self, op: ir.Operation) -> tuple[str, int]:
        """The text of an op and how tightly it binds."""
        operands = list(op.operands)
        if op.name == "arith.constant":
            return _constant(op), _ATOM
        if op.name in _BINARY:
            sign, strength = _BINARY[op.name]
            left, right = self.text(operands[0], strength), self.text(operands[1], strength + 1)
            return (f"{left}*{right}" if sign == "*" else f"{left} {sign} {right}"), strength
        if op.name in ("arith.cmpi", "arith.cmpf"):
            predicate = ir.IntegerAttr(op.attributes["predicate"]).value
            sign = _COMPARE_INT[predicate] if op.name == "arith.cmpi" else _COMPARE_FLOAT.get(predicate, "?")
            return f"{self.text(operands[0], 5)} {sign} {self.text(operands[1], 5)}", 4
        if op.name == "arith.select":
            condition, yes, no = (self.text(value, 1) for value in operands)
            return f"{condition} ? {yes} : {no}", 0
        if op.name in ("arith.negf",):
            return f"-{self.text(operands[0], 8)}", 8
        if op.name in _SILENT:
            return self.text(operands[0]), _strength(self, operands[0])
        return self._call(op, operands), _ATOM

    def _call(self, op: ir.Operation, operands: list[ir.Value]) -> str:
        """Ops that read as a call."""
        if op.name == "tl.slice":
            return self._slice(op, operands)
        if op.name == "tl.reshape":
            return f"{self.text(operands[0], _ATOM)}.view{buffer_text(op.results[0].type)}"
        if op.name == "tl.thread_id":
            return f"thread.{'xyz'[ir.IntegerAttr(op.attributes['dim']).value]}"
        arguments = ", ".join(self.text(value) for value in operands)
        if op.name == "tl.cast":
            return f"{ir.StringAttr(op.attributes['to']).value}({arguments})"
        if op.name == "tl.math":
            return f"{ir.StringAttr(op.attributes['function']).value}({arguments})"
        if op.name == "tl.bitcast":
            return f"bits<{op.results[0].type}>({arguments})"
        return f"{op.name.partition('.')[2]}({arguments})"

    def _slice(self, op: ir.Operation, operands: list[ir.Value]) -> str:
        """`A[by*128, k*32 : 128x32]`."""
        sizes = list(ir.DenseI64ArrayAttr(op.attributes["sizes"]))
        offsets = ", ".join(self.text(value) for value in operands[1 : 1 + len(sizes)])
        dynamic = iter(operands[1 + len(sizes) :])
        extents = "x".join(self.text(next(dynamic), _ATOM) if size == -1 else str(size) for size in sizes)
        return f"{self.text(operands[0], _ATOM)}[{offsets} : {extents}]"


def _strength(expressions: Expressions, value: ir.Value) -> int:
    """How tightly the expression behind a silent conversion binds."""
    if isinstance(value, ir.OpResult) and expressions.is_inline(value.owner.operation):
        return expressions.expression(value.owner.operation)[1]
    return _ATOM


def _constant(op: ir.Operation) -> str:
    value = op.attributes["value"]
    if isinstance(value, ir.BoolAttr):
        return str(value.value).lower()
    if isinstance(value, ir.IntegerAttr):
        return str(value.value)
    return repr(value.value) if isinstance(value, ir.FloatAttr) else str(value)
