"""The registry of rules and what a rule may ask of the generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator.values import Kind, kind_of


class Writer(Protocol):
    """The generator as rules see it."""

    def ref(self, value: Any) -> str:
        """A name that denotes a Python object in the generated code."""
        ...

    def uniform(self, value: ir.Value) -> bool:
        """Whether a value is a Python scalar (the same in all lanes, known statically)."""
        ...

    def statement(self, text: str, op: ir.Operation) -> None:
        """Emit one statement of an op."""
        ...

    def alloca_address(self, op: ir.Operation) -> int: ...
    def shared_address(self, symbol: str) -> int: ...


Rule = Callable[[Writer, ir.Operation, list[str]], str | None]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for ops of these names."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def result_kind(op: ir.Operation) -> Kind:
    return kind_of(str(op.results[0].type))


def operand_kind(op: ir.Operation, index: int) -> Kind:
    return kind_of(str(op.operands[index].type))


def all_uniform(w: Writer, op: ir.Operation) -> bool:
    return w.uniform(op.results[0])


def wrap(expression: str, bits: int) -> str:
    """Reduce a Python integer to a signed integer of `bits` bits."""
    half, full = 1 << bits - 1, (1 << bits) - 1
    return f"(({expression}) + {half} & {full}) - {half}"
