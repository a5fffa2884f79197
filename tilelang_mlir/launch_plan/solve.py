"""Decides where the value of each symbolic dimension is read from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tilelang_mlir.errors import TileValueError

from .expr import Expr, linear_form
from .plan import ParamSpec, SolveStep


def plan_solving(params: Sequence[ParamSpec]) -> tuple[SolveStep, ...]:
    """One step per symbolic dimension, in an order in which each needs only what earlier ones gave.

    A dimension that is a size by itself is preferred over one that is a stride, and that over a linear expression of
    one unknown. Parameters that no kernel uses come after all of that, for a call may pass None for them. Scalars are
    known from the start; outputs give nothing, for they do not exist yet.

    Raises:
        TileValueError: a symbol occurs in no argument's shape or strides in a solvable form.
    """
    known = {p.name for p in params if p.kind == "scalar"}
    wanted = [p.name for p in params if p.kind == "symbol"]
    used, rest = list(_sources(params, used=True)), list(_sources(params, used=False))
    steps: list[SolveStep] = []
    while len(steps) < len(wanted):
        step = _next_step(used, known, set(wanted)) or _next_step(used + rest, known, set(wanted))
        if step is None:
            missing = ", ".join(name for name in wanted if name not in known)
            raise TileValueError(
                f"cannot read the symbolic dimension {missing} off any argument",
                hint="let some input tensor have it as a size or stride, or in a linear expression with one unknown",
            )
        steps.append(step)
        known.add(step.symbol)
    return tuple(steps)


def _sources(params: Sequence[ParamSpec], used: bool) -> Iterator[tuple[int, str, int, Expr]]:
    """(parameter, field, axis, expression) of the inputs that kernels use, or do not: shapes first, then strides."""
    for field in ("shape", "strides"):
        for index, param in enumerate(params):
            if param.kind == "tensor" and not param.output and param.used == used:
                for axis, expr in enumerate(getattr(param, field)):
                    yield index, field, axis, expr


def _next_step(sources: list[tuple[int, str, int, Expr]], known: set[str], wanted: set[str]) -> SolveStep | None:
    for index, field, axis, expr in sources:
        if isinstance(expr, str) and expr in wanted and expr not in known:
            return SolveStep(expr, index, field, axis)
    for index, field, axis, expr in sources:
        form = linear_form(expr)
        unknown = [name for name, value in (form or {}).items() if name and value and name not in known]
        if form and len(unknown) == 1 and unknown[0] in wanted:
            return SolveStep(unknown[0], index, field, axis, form[unknown[0]], _rest(form, unknown[0]))
    return None


def _rest(form: dict[str, int], unknown: str) -> Expr:
    rest: Expr = form.get("", 0)
    for name, value in form.items():
        if name and value and name != unknown:
            term: Expr = name if value == 1 else ("mul", name, value)
            rest = term if rest == 0 else ("add", rest, term)
    return rest
