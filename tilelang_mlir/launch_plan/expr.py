"""Integer expressions over the run-time dimensions and scalars of a kernel.

An expression is an int, the name of a scalar or symbolic dimension, or a tuple `(operator, operand, ...)`. Arithmetic
is on unbounded integers: sizes that overflow the kernel's own integers are out of its contract anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

Expr: TypeAlias = "int | str | tuple[Expr, ...]"

# Operator -> Python source with a slot per operand.
_PYTHON = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({} * {})",
    "floordiv": "({} // {})",
    "ceildiv": "-(-{} // {})",
    "truncdiv": "_truncdiv({}, {})",
    "mod": "({} % {})",
    "rem": "_rem({}, {})",
    "min": "min({}, {})",
    "max": "max({}, {})",
    "shl": "({} << {})",
    "shr": "({} >> {})",
    "and": "({} & {})",
    "or": "({} | {})",
    "xor": "({} ^ {})",
    "eq": "({} == {})",
    "ne": "({} != {})",
    "lt": "({} < {})",
    "le": "({} <= {})",
    "gt": "({} > {})",
    "ge": "({} >= {})",
    "select": "({1} if {0} else {2})",
}
_CALLS = ("ceildiv", "truncdiv", "rem", "min", "max")  # shown as calls


def _truncdiv(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _rem(a: int, b: int) -> int:
    return a - b * _truncdiv(a, b)


def compile_exprs(exprs: Sequence[Expr], names: Sequence[str]) -> Callable[..., tuple[int, ...]]:
    """A function of the named values, in that order, that returns all expressions' values as a tuple.

    Raises:
        KeyError: an expression mentions a name that is not among `names`.
    """
    slots = {name: f"v{index}" for index, name in enumerate(names)}
    body = "".join(f"{_source(expr, slots)}, " for expr in exprs)
    code = f"lambda {', '.join(slots.values())}: ({body})"
    return eval(code, {"__builtins__": {"min": min, "max": max}, "_truncdiv": _truncdiv, "_rem": _rem})


def _source(expr: Expr, slots: dict[str, str]) -> str:
    if isinstance(expr, int):
        return repr(int(expr)) if expr >= 0 else f"({int(expr)})"
    if isinstance(expr, str):
        return slots[expr]
    return _PYTHON[str(expr[0])].format(*(_source(operand, slots) for operand in operands(expr)))


def operands(expr: Expr) -> tuple[Expr, ...]:
    """The operands of a compound expression, none for a leaf."""
    return expr[1:] if isinstance(expr, tuple) else ()


def format_expr(expr: Expr) -> str:
    """The expression as a reader would write it."""
    return _format(expr, nested=False)


def _format(expr: Expr, nested: bool) -> str:
    if not isinstance(expr, tuple):
        return str(expr)
    operator = str(expr[0])
    call = operator in _CALLS
    template = f"{operator}({{}}, {{}})" if call else _PYTHON[operator]
    text = template.format(*(_format(operand, nested=not call) for operand in operands(expr)))
    return text if nested or call else text[1:-1]


def names_in(expr: Expr) -> Iterator[str]:
    """Every name the expression mentions, repeats included."""
    if isinstance(expr, str):
        yield expr
    for operand in operands(expr):
        yield from names_in(operand)


def linear_form(expr: Expr) -> dict[str, int] | None:
    """Coefficients by name, the constant under the empty name; None when the expression is not linear."""
    if isinstance(expr, int):
        return {"": int(expr)}
    if isinstance(expr, str):
        return {expr: 1, "": 0}
    if expr[0] not in ("add", "sub", "mul"):
        return None
    left, right = (linear_form(operand) for operand in operands(expr))
    if left is None or right is None:
        return None
    if expr[0] == "add":
        return _combine(left, right, 1)
    if expr[0] == "sub":
        return _combine(left, right, -1)
    if expr[0] == "mul":
        if _constant(right):
            return {name: value * right[""] for name, value in left.items()}
        if _constant(left):
            return {name: value * left[""] for name, value in right.items()}
    return None


def _constant(form: dict[str, int]) -> bool:
    return all(value == 0 for name, value in form.items() if name)


def _combine(left: dict[str, int], right: dict[str, int], sign: int) -> dict[str, int]:
    return {name: left.get(name, 0) + sign * right.get(name, 0) for name in {**left, **right}}


def simplify(operator: str, *args: Expr) -> Expr:
    """A compound expression, folded when all operands are known and for the neutral elements of + and *."""
    if all(isinstance(arg, int) for arg in args):
        try:
            return int(compile_exprs([(operator, *args)], ())()[0])
        except (ZeroDivisionError, ValueError):
            return (operator, *args)
    if operator == "add" and 0 in args:
        return args[0] if args[1] == 0 else args[1]
    if operator in ("mul", "floordiv", "ceildiv", "truncdiv") and args[1] == 1:
        return args[0]
    if operator == "mul" and args[0] == 1:
        return args[1]
    return (operator, *args)
