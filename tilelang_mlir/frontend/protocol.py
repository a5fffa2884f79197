"""The calls that rewritten functions make (`__tl__` in their code); `rewrite` says which statement becomes which.

Ordinary Python values pass through every one of them unchanged, so compile-time code in a kernel runs as written.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from builtins import range as _range
from builtins import slice as _slice
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tilelang_mlir.errors import TileSyntaxError, TileTypeError
from tilelang_mlir.frontend import arith, control, scopes, where
from tilelang_mlir.frontend.buffer import Buffer, Element, Variable, load, store
from tilelang_mlir.frontend.builder import current, require
from tilelang_mlir.frontend.expr import Expr, Lanes, value_of
from tilelang_mlir.frontend.scopes import Scope, Unset
from tilelang_mlir.frontend.template import current_template, stop_at_kernel
from tilelang_mlir.frontend.vector import Places, Run, VectorVariable
from tilelang_mlir.mlir import ir

_BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "Add": (arith.add, operator.iadd),
    "Sub": (arith.sub, operator.isub),
    "Mult": (arith.mul, operator.imul),
    "Div": (arith.div, operator.itruediv),
    "FloorDiv": (arith.floordiv, operator.ifloordiv),
    "Mod": (arith.floormod, operator.imod),
    "Pow": (arith.power, operator.ipow),
    "LShift": (arith.shift_left, operator.ilshift),
    "RShift": (arith.shift_right, operator.irshift),
    "BitAnd": (arith.bit_and, operator.iand),
    "BitOr": (arith.bit_or, operator.ior),
    "BitXor": (arith.bit_xor, operator.ixor),
}

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge, "Is": operator.is_, "IsNot": operator.is_not,
    "In": lambda a, b: a in b, "NotIn": lambda a, b: a not in b,
}  # fmt: skip

jumps = control.Jumps
slice = _slice
unset = Unset
identical = scopes.identical


class Stub(ABC):
    """An argument of an eager kernel before the annotation in the body says what it is."""

    @abstractmethod
    def resolve(self, spec: Any) -> Any:
        """The value the argument has in the kernel, given its annotation."""


# Control flow.


def range(start: Any, stop: Any = None, step: Any = 1) -> control.Loop:
    """`range` in a for statement is a serial loop."""
    if stop is None:
        start, stop = 0, start
    return control.Loop("serial", start, stop, step)


def loop(source: Any, names: Sequence[str], state: control.Jumps | None = None) -> Iterator[Any]:
    """The iterations of a for statement: one, with the loop variables of the IR."""
    if isinstance(source, _range):
        source = control.Loop("serial", source.start, source.stop, source.step)
    run = getattr(source, "run_loop", None)
    if run is not None:
        return run(names, state)
    if not isinstance(source, control.Loop):
        raise TileSyntaxError(
            f"a for statement in a kernel cannot iterate over {type(source).__name__}",
            hint="use range, T.serial, T.unroll, T.Parallel or T.Pipelined; build Python lists with comprehensions",
        )
    return control.run(source, names, state)


def while_(condition: Callable[[], Any], state: control.Jumps | None = None) -> Iterator[None]:
    builder = require("a while loop")
    builder.require_launch("a while loop")
    return control.while_(builder, condition, state)


def branches(test: Any, has_else: bool, scope: Scope | None = None) -> Iterator[bool]:
    """The branches of an if statement to trace: one for a Python condition, both for a run-time one."""
    if isinstance(test, Expr):
        test = arith.to_bool(test)
    if not isinstance(test, Expr):
        if scope is not None:
            scope.runtime = False
        yield bool(test)
        return
    if scope is not None:
        scope.other = scope.before
    stop_at_kernel()  # a template ends where the program depends on a size it does not know
    yield from control.branch(require("a branch"), test, has_else=has_else)


def ternary(test: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """`then() if test else otherwise()`; a run-time test chooses while the kernel runs (`control.choose`)."""
    if isinstance(test, Lanes):
        return arith.select(test, then(), otherwise())
    if isinstance(test, Expr):
        test = arith.to_bool(test)
    if not isinstance(test, Expr):
        return then() if test else otherwise()
    if current() is None:
        return arith.select(test, then(), otherwise())
    return control.choose(test, then, otherwise)


def and_(left: Any, right: Callable[[], Any]) -> Any:
    """`left and right()`; of a run-time value the right side is evaluated where the left one holds."""
    if isinstance(left, Expr):
        left = arith.to_bool(left)
    if not isinstance(left, Expr):
        return left and right()
    return _logical(left, right, arith.logical_and, lambda other: control.choose(left, other, lambda: False))


def or_(left: Any, right: Callable[[], Any]) -> Any:
    """`left or right()`; of a run-time value the right side is evaluated where the left one fails."""
    if isinstance(left, Expr):
        left = arith.to_bool(left)
    if not isinstance(left, Expr):
        return left or right()
    return _logical(left, right, arith.logical_or, lambda other: control.choose(left, lambda: True, other))


def _logical(left: Expr, right: Callable[[], Any], combine: Callable[[Any, Any], Any], guarded: Any) -> Any:
    """Both operands are evaluated unless the second reads memory that the first may guard."""
    builder = current()
    if builder is None or builder.deferring:
        return combine(left, right())
    with builder.recording() as ops:
        value = arith.to_bool(right())
    if not any(control.needs_guard(op) for op in ops):
        return combine(left, value)
    return guarded(control.Moved(value, ops))


def not_(value: Any) -> Any:
    return arith.logical_not(value) if isinstance(value, Expr) else not value


def chain(operators: Sequence[str], *values: Any) -> Any:
    """`a < b < c`: all operands are evaluated once, then compared in pairs."""
    values = tuple(value.read() if isinstance(value, Expr) else value for value in values)
    result: Any = True
    for name, left, right in zip(operators, values, values[1:], strict=False):
        test = _COMPARE[name](left, right)
        if isinstance(result, Expr) or isinstance(test, Expr):
            result = arith.logical_and(result, test)
        else:
            result = result and test
    return result


def assert_(test: Any, message: Callable[[], Any] | None, text: str) -> None:
    """A Python assertion, or `tl.assert` when the condition is a run-time value."""
    if isinstance(test, Expr):
        test = arith.to_bool(test)
    if not isinstance(test, Expr):
        if not test:
            raise AssertionError(message() if message else text)
        return
    if current_template() is not None:
        return  # its sizes are symbols: with numbers in their place the assertion runs in Python
    builder = require("an assertion")
    builder.forcing += 1
    try:
        condition = value_of(builder, test)
        note = ir.StringAttr.get(str(message()) if message else text)
        builder.emit("tl.assert", [condition], [], {"message": note})
    finally:
        builder.forcing -= 1


def check_raise() -> None:
    """Before a raise statement: it would run while tracing whatever the run-time condition around it."""
    builder = current()
    if builder is not None and any(frame.kind in ("if", "while") for frame in builder.frames):
        raise TileSyntaxError("raise under a run-time condition", hint="use T.device_assert")


def returned(value: Any) -> Any:
    """A return statement: only allowed where the function's own blocks are all closed."""
    builder = current()
    if builder is not None and len(builder.frames) != builder.calls[-1]:
        raise TileSyntaxError(
            "return inside a loop, a branch on a run-time value, or a kernel frame",
            hint="store the result in a buffer or T.alloc_var and return at the end of the function",
        )
    return settle(value)


def named(manager: Any, names: Sequence[str]) -> Any:
    """Tell a `with` item the names it is bound to."""
    if hasattr(manager, "target_names"):
        manager.target_names = tuple(names)
    return manager


# Assignment.


def assign(old: Any, value: Any, name: str, fresh: bool) -> Any:
    """`name = value`. A name bound to a mutable scalar is stored to, unless the value is a new mutable scalar."""
    if isinstance(old, Variable | VectorVariable) and (old.buffer.frame is None or old.buffer.frame.open):
        if not (fresh and isinstance(value, Variable | VectorVariable) and value is not old):
            _store_to(old, value)
            return old
    if isinstance(value, Unset):
        value.refuse()
    if not fresh:
        value = _read(value)
    value = settle(value)
    rename(value, name)
    return value


def _store_to(variable: Variable | VectorVariable, value: Any) -> None:
    if isinstance(variable, Variable):
        store(variable.element, value)
    else:
        variable.assign(value)


def _read(value: Any) -> Any:
    """A mutable scalar or vector as the value it has now; other values as they are."""
    if isinstance(value, Variable):
        return value.read()
    return value.vector() if isinstance(value, VectorVariable) else value


def settle(value: Any) -> Any:
    """Load the elements a value consists of, so that later stores do not change it."""
    if isinstance(value, Element):
        return value.pin()
    if isinstance(value, Places | Run):
        return value.vector()
    if type(value) in (tuple, list):
        for item in value:
            if isinstance(item, Element):
                item.pin()
    return value


def rename(value: Any, name: str) -> None:
    """Give the op behind a value the variable's name, the first one it gets."""
    if isinstance(value, Variable | VectorVariable):
        value = value.buffer
    elif isinstance(value, Expr):
        if value.span is None:
            value.span = where.here() if value.value is not None else None
        if value.value is not None and isinstance(value.value.owner, ir.Operation | ir.OpView):
            _rename_op(value.value, name)
        return
    if getattr(value, "named", True) is False:
        value.name, value.named = name, True
    if isinstance(value, Buffer) and value.value is not None:
        if not value.name:
            value.name = name
        _rename_op(value.value, name)


def _rename_op(value: ir.Value, name: str) -> None:
    op = value.owner
    if isinstance(op, ir.Block):
        return
    location = op.location
    if not isinstance(location, ir.NameLoc) and op.name != "arith.constant":
        op.location = ir.Location.name(name, location)


def unpack(value: Any, count: int, fresh: bool | tuple[bool, ...]) -> Sequence[Any]:
    """The parts of the right side of `a, b = value`; mutable scalars that are not new are read."""
    parts = list(value)
    if len(parts) != count:
        raise TileTypeError(f"cannot unpack {len(parts)} values into {count} names",
                            hint="T.Kernel and T.Parallel give as many values as they have dimensions")
    new = fresh if isinstance(fresh, tuple) and len(fresh) == count else (fresh is True,) * count
    return [
        settle(part if made else _read(part))
        for part, made in zip(parts, new, strict=True)
    ]


def annotate(value: Any, spec: Any, name: str) -> Any:
    """`name: spec` in a body: what an argument of an eager kernel is."""
    if isinstance(value, Stub):
        return value.resolve(spec)
    del name
    return value


def set_attribute(holder: Any, name: str, value: Any, fresh: bool) -> None:
    """`holder.name = value`, a store when the attribute is a mutable scalar."""
    old = getattr(holder, name, None)
    setattr(holder, name, assign(old, value, name, fresh))


def augment(old: Any, op: str, value: Any, name: str) -> Any:
    """`name op= value`"""
    if isinstance(old, Unset):
        old.refuse()
    if isinstance(old, Variable | VectorVariable):
        _store_to(old, _apply(op, _read(old), value))
        return old
    return assign(None, _apply(op, old, value), name, True)


def _apply(op: str, left: Any, right: Any) -> Any:
    if isinstance(left, Expr | Lanes) or isinstance(right, Expr | Lanes):
        if op not in _BINARY:
            raise TileTypeError(f"operator {op} is not defined on values of a kernel")
        return _BINARY[op][0](left, right)
    if op == "MatMult":
        return operator.imatmul(left, right)
    return _BINARY[op][1](left, right)


def augment_item(holder: Any, index: Any, op: str, value: Any) -> None:
    """`holder[index] op= value`: the index is evaluated once."""
    if not isinstance(holder, Buffer | Variable):
        holder[index] = _apply(op, holder[index], value)
        return
    update = getattr(holder, "augment_element", None)
    if update is not None and update(index, op, value):
        return
    target = holder[index]
    if isinstance(target, Lanes):
        holder[index] = _apply(op, target.vector(), value)
    else:
        store(target, _apply(op, load(target), value))


def augment_attribute(holder: Any, name: str, op: str, value: Any) -> None:
    setattr(holder, name, augment(getattr(holder, name), op, value, name))
