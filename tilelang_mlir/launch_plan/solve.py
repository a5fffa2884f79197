"""Decides where the value of each symbolic dimension is read from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias

from tilelang_mlir.errors import TileValueError

from .expr import Expr, linear_form
from .plan import ParamSpec, SolveStep

_Source: TypeAlias = "tuple[int, str, int, Expr]"  # parameter, shape or strides, axis, expression


def plan_solving(params: Sequence[ParamSpec]) -> tuple[SolveStep, ...]:
    """One step per symbolic dimension, in an order in which each needs only what earlier ones gave.

    A dimension that is a size by itself is preferred over one that is a stride, that over a linear expression of one
    unknown, and that over what several expressions together say, by elimination. Parameters that no kernel uses come
    after all of that, for a call may pass None for them. Scalars are known from the start; outputs give nothing, for
    they do not exist yet.

    Raises:
        TileValueError: a symbol occurs in no argument's shape or strides in a solvable form.
    """
    known = {p.name for p in params if p.kind == "scalar"}
    wanted = [p.name for p in params if p.kind == "symbol"]
    used, rest = list(_sources(params, used=True)), list(_sources(params, used=False))
    steps: list[SolveStep] = []
    while len(steps) < len(wanted):
        step = _next(used, known, set(wanted)) or _next(used + rest, known, set(wanted))
        if step is None:
            missing = ", ".join(name for name in wanted if name not in known)
            raise TileValueError(
                f"cannot read the symbolic dimension {missing} off any argument",
                hint="let some input tensor have it as a size or stride, or in linear expressions that determine it",
            )
        steps.append(step)
        known.add(step.symbol)
    return tuple(steps)


def _sources(params: Sequence[ParamSpec], used: bool) -> Iterator[_Source]:
    """(parameter, field, axis, expression) of the inputs that kernels use, or do not: shapes first, then strides."""
    for field in ("shape", "strides"):
        for index, param in enumerate(params):
            if param.kind == "tensor" and not param.output and param.used == used:
                for axis, expr in enumerate(getattr(param, field)):
                    yield index, field, axis, expr


def _next(sources: list[_Source], known: set[str], wanted: set[str]) -> SolveStep | None:
    return _next_step(sources, known, wanted) or _eliminate(sources, known, wanted)


def _next_step(sources: list[_Source], known: set[str], wanted: set[str]) -> SolveStep | None:
    for index, field, axis, expr in sources:
        if isinstance(expr, str) and expr in wanted and expr not in known:
            return SolveStep(expr, index, field, axis)
    for index, field, axis, expr in sources:
        form = linear_form(expr)
        unknown = [name for name, value in (form or {}).items() if name and value and name not in known]
        if form and len(unknown) == 1 and unknown[0] in wanted:
            return SolveStep(unknown[0], index, field, axis, form[unknown[0]], _rest(form, unknown[0]))
    return None


def _eliminate(sources: list[_Source], known: set[str], wanted: set[str]) -> SolveStep | None:
    """A combination of linear expressions in which one unknown is left, with whole numbers as weights."""
    rows = [(source, form) for source in sources if (form := linear_form(source[3])) is not None]
    names = sorted({n for _, form in rows for n, value in form.items() if value and n in wanted - known})
    rows = [(s, f) for s, f in rows if any(f.get(n) for n in names) and all(n in {"", *known, *names} for n in f)]
    # Beside the coefficients of the unknowns stand the weights with which a row is made of the expressions.
    table = [[Fraction(form.get(n, 0)) for n in names] + [Fraction(i == row) for i in range(len(rows))]
             for row, (_, form) in enumerate(rows)]  # fmt: skip
    done = 0
    for column in range(len(names)):
        pivot = next((r for r in range(done, len(table)) if table[r][column]), None)
        if pivot is None:
            continue
        table[done], table[pivot] = table[pivot], table[done]
        first = [value / table[done][column] for value in table[done]]
        table = [[v - row[column] * f for v, f in zip(row, first, strict=True)] for row in table]
        table[done] = first
        done += 1
    for row in table[:done]:
        if sum(map(bool, row[: len(names)])) == 1:
            return _combined(names, row, rows, known)
    return None


def _combined(
    names: list[str], row: list[Fraction], rows: list[tuple[_Source, dict[str, int]]], known: set[str]
) -> SolveStep:
    scale = math.lcm(*(value.denominator for value in row))
    symbol, coefficient = next((n, int(v * scale)) for n, v in zip(names, row, strict=False) if v)
    taken = [(int(w * scale), *entry) for w, entry in zip(row[len(names) :], rows, strict=True) if w]
    total: dict[str, int] = {}
    for weight, _, form in taken:
        for name, value in form.items():
            if not name or name in known:
                total[name] = total.get(name, 0) + weight * value
    (weight, (param, field, axis, _), _), *others = taken
    more = tuple((w, p, f, a) for w, (p, f, a, _), _ in others)
    return SolveStep(symbol, param, field, axis, coefficient, _rest(total, symbol), weight, more)


def _rest(form: dict[str, int], unknown: str) -> Expr:
    rest: Expr = form.get("", 0)
    for name, value in form.items():
        if name and value and name != unknown:
            term: Expr = name if value == 1 else ("mul", name, value)
            rest = term if rest == 0 else ("add", rest, term)
    return rest
