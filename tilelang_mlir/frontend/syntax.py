"""What Python the kernel language has: checks and small queries on syntax trees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from tilelang_mlir.errors import Location, TileSyntaxError

_REJECTED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Try: ("try statements", "check conditions before, with if or assert"),
    ast.AsyncFunctionDef: ("async functions", ""),
    ast.AsyncFor: ("async loops", ""),
    ast.AsyncWith: ("async with", ""),
    ast.Await: ("await", ""),
    ast.Yield: ("yield", "a kernel is a plain function; return values from macros with return"),
    ast.YieldFrom: ("yield from", "a kernel is a plain function; return values from macros with return"),
    ast.NamedExpr: ("assignment expressions (:=)", "assign in a statement of its own"),
    ast.Match: ("match statements", "write if / elif"),
    ast.Global: ("global statements", "pass the value as an argument or capture it from the enclosing function"),
}
if sys.version_info >= (3, 11):
    _REJECTED[ast.TryStar] = _REJECTED[ast.Try]


def location(node: ast.AST, file: str) -> Location:
    """Where a node stands, its end column only when it ends on the same line."""
    line = getattr(node, "lineno", 1)
    end = getattr(node, "end_col_offset", -1) if getattr(node, "end_lineno", line) == line else -1
    return Location(file, line, getattr(node, "col_offset", -1), end)


def reject(node: ast.AST, file: str, what: str, hint: str = "") -> TileSyntaxError:
    return TileSyntaxError(f"the kernel language has no {what}", location(node, file), hint=hint)


def check(function: ast.FunctionDef, file: str) -> None:
    """Raise a TileSyntaxError at the first construct that kernels cannot use.

    Nested functions and classes are ordinary Python and are not looked into.
    """
    for node in own_nodes(function.body):
        if type(node) in _REJECTED:
            what, hint = _REJECTED[type(node)]
            raise reject(node, file, what, hint)
        if isinstance(node, ast.For | ast.While) and node.orelse:
            raise reject(
                node.orelse[0], file, "else clauses on loops", "set a T.alloc_var flag and test it after the loop"
            )
        if isinstance(node, ast.Assign | ast.For):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Starred):
                        raise reject(part, file, "starred assignment targets", "name each value")


def own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below, in source order, without the insides of nested functions, classes and lambdas."""
    for node in body:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from own_nodes(ast.iter_child_nodes(node))


def assigned_names(function: ast.FunctionDef) -> list[str]:
    """Local names that assignment statements bind, parameters and nonlocal names excepted."""
    skip = {arg.arg for arg in all_arguments(function.args)}
    for node in own_nodes(function.body):
        if isinstance(node, ast.Nonlocal):
            skip.update(node.names)
    return [name for name in assigned_in(function.body) if name not in skip]


def assigned_in(body: Iterable[ast.AST]) -> list[str]:
    """Names that assignment statements in a block bind, in order."""
    names: dict[str, None] = {}
    for node in own_nodes(body):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            names.update((part.id, None) for part in ast.walk(target) if _is_bound_name(part))
    return list(names)


def carried_names(node: ast.stmt) -> list[str]:
    """Names that a loop only updates (`n += 1`), so that each iteration needs the value of the one before."""
    if not isinstance(node, ast.For | ast.While):
        return []
    updated = [
        n.target.id for n in own_nodes(node.body) if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
    ]
    plain = [n for n in own_nodes(node.body) if not isinstance(n, ast.AugAssign)]
    return [name for name in dict.fromkeys(updated) if name not in _plainly_assigned(plain)]


def _plainly_assigned(nodes: Iterable[ast.AST]) -> set[str]:
    return {
        part.id
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        for part in ast.walk(target)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }


def _is_bound_name(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def all_arguments(args: ast.arguments) -> list[ast.arg]:
    extra = [arg for arg in (args.vararg, args.kwarg) if arg is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *extra]


def jumps(body: Iterable[ast.AST]) -> tuple[bool, bool]:
    """Whether break and continue of the enclosing loop occur in a block."""
    found = [False, False]
    for node in body:
        if isinstance(node, ast.Break):
            found[0] = True
        elif isinstance(node, ast.Continue):
            found[1] = True
        elif not isinstance(node, ast.For | ast.While | ast.FunctionDef | ast.ClassDef | ast.expr):
            inner = jumps(ast.iter_child_nodes(node))
            found = [found[0] or inner[0], found[1] or inner[1]]
    return found[0], found[1]


def target_names(target: ast.expr) -> tuple[str, ...]:
    """Names of a loop or with target, flat."""
    return tuple(node.id for node in ast.walk(target) if isinstance(node, ast.Name))
