"""Conditions, selection and integer operators by name."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend import where as where_
from tilelang_mlir.frontend.arith import (
    add,
    bit_and,
    bit_not,
    bit_or,
    bit_xor,
    ceildiv,
    compare,
    div,
    floordiv,
    floormod,
    logical_and,
    logical_not,
    logical_or,
    mul,
    select,
    shift_left,
    shift_right,
    sub,
    truncdiv,
    truncmod,
)
from tilelang_mlir.frontend.builder import Builder, current, require
from tilelang_mlir.frontend.expr import Expr, Var, as_expr, describe, value_of
from tilelang_mlir.frontend.template import current_template
from tilelang_mlir.mlir import ir

Add, Sub, Mul, FloorDiv, FloorMod, Mod = add, sub, mul, floordiv, floormod, truncmod
And, Or, Not = logical_and, logical_or, logical_not
Select = select
cdiv = ceildiv
bitwise_and, bitwise_or, bitwise_xor, bitwise_not = bit_and, bit_or, bit_xor, bit_not


def Div(a: Any, b: Any) -> Any:
    """A quotient; of integers it is rounded towards zero, as in C."""
    return (truncdiv if _whole(a) and _whole(b) else div)(a, b)


def _whole(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, Expr) and value.dtype.is_integer)


def EQ(a: Any, b: Any) -> Any:
    return compare("Eq", a, b)


def NE(a: Any, b: Any) -> Any:
    return compare("NotEq", a, b)


def LT(a: Any, b: Any) -> Any:
    return compare("Lt", a, b)


def LE(a: Any, b: Any) -> Any:
    return compare("LtE", a, b)


def GT(a: Any, b: Any) -> Any:
    return compare("Gt", a, b)


def GE(a: Any, b: Any) -> Any:
    return compare("GtE", a, b)


def if_then_else(condition: Any, then: Any, otherwise: Any) -> Any:
    """`then` where the condition holds, else `otherwise`.

    In a traced function only the chosen side is evaluated; called from ordinary Python both sides are.
    """
    return select(condition, then, otherwise)


where = if_then_else


def likely(condition: Any) -> Any:
    """The condition itself; the hint is not used."""
    return condition.read() if isinstance(condition, Expr) else condition


def assume(condition: Any) -> None:
    """A fact the compiler may rely on. One about sizes and scalar arguments is checked at every call of the kernel,
    where it stands for the whole kernel: outside of loops and branches.

        T.assume(n % 64 == 0)

    Raises:
        TileValueError: it can be seen not to hold; when the kernel is called: it does not.
    """
    if current() is None and current_template() is not None:
        return  # arguments are being looked at; their sizes are symbols here and numbers later
    builder = require("T.assume")
    place = where_.here()
    test = arith.to_bool(condition)
    text = place.expression() if place is not None else ""
    text = text[text.find("(") + 1 : text.rfind(")")] or "the condition"
    if not isinstance(test, Expr):
        if not test and builder.launch() is None:
            raise TileValueError(f"Assume: {text} does not hold", hint="it is false for the sizes of this kernel")
        return
    if builder.launch() is None:
        with builder.at_host():
            _check_at_call(builder, value_of(builder, test), text)
        return
    fact = value_of(builder, test)
    builder.emit("tl.assume", [fact])
    if builder.frame.kind == "launch":
        with builder.at_host():
            copy = at_host(builder, fact, {})
            if copy is not None:
                _check_at_call(builder, copy, text)


def _check_at_call(builder: Builder, fact: ir.Value, text: str) -> None:
    builder.emit("tl.assert", [fact], [], {"message": ir.StringAttr.get(f"Assume: {text} does not hold")})


def at_host(builder: Builder, value: ir.Value, made: dict[ir.Value, ir.Value]) -> ir.Value | None:
    """A value of a kernel computed in the host function; None where it depends on more than arguments."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return None
    op = owner.operation
    if op.block == builder.frames[0].block:
        return value
    if not op.name.startswith("arith.") and op.name != "tl.cast":
        return None
    operands = [at_host(builder, operand, made) for operand in op.operands]
    known = [operand for operand in operands if operand is not None]
    if len(known) != len(operands):
        return None
    if value not in made:
        attributes = {name: op.attributes[name] for name in op.attributes}
        made[value] = builder.emit(op.name, known, [value.type], attributes).results[0]
    return made[value]


def evaluate(value: Any) -> None:
    """A statement made of an expression; its ops have been emitted already."""
    if isinstance(value, Expr):
        value.read()


def let(var: Any, value: Any) -> None:
    """Give a variable made by `T.int32()` or another dtype its value, here and in what follows.

    Raises:
        TileTypeError: it is no such variable, or has a value already.
    """
    builder = require("T.let")
    if not isinstance(var, Var) or var.value is not None:
        raise TileTypeError(f"T.let needs a variable without a value, got {describe(var)}", hint="n = T.int32()")
    var.value, var.frame = value_of(builder, arith.cast(as_expr(value), var.dtype)), builder.frame


def loop_break() -> None:
    """A break (or `continue_loop`: a continue) as a call; it is rewritten where it stands alone as a statement."""
    raise TileTypeError("T.loop_break() must be a statement of its own in a loop of a traced function",
                        hint="for or while around it; a condition around it is fine")


break_loop = loop_break
continue_loop = loop_break


def thread_return() -> None:
    """End the kernel for this thread: `if tx >= n: T.thread_return()`.

    What follows runs in the other threads. A barrier or a tile operation may only follow where all threads of the block
    return or none.

    Raises:
        UnsupportedError: when the kernel ends, a return in a `T.Parallel` loop, or of some threads where a barrier or
            what the threads share follows.
    """
    builder = require("T.thread_return")
    builder.require_launch("T.thread_return")
    mark = builder.emit("builtin.unrealized_conversion_cast", [], [ir.IntegerType.get_signless(1)])
    builder.side.setdefault("returns", []).append(mark)  # the end of the kernel takes it (returns.py)


__all__ = ["shift_left", "shift_right", "truncdiv", "truncmod"]
