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
_CHANGING = frozenset(
    "add append clear discard extend insert pop popitem remove reverse setdefault sort update".split()
)


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
                for part in _parts(target):
                    if isinstance(part, ast.Starred):
                        raise reject(part, file, "starred assignment targets", "name each value")


_CLOSED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below, in source order, without the insides of nested functions, classes and lambdas."""
    waiting = list(body)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _CLOSED):
            waiting += list(ast.iter_child_nodes(node))[::-1]


def blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of a compound statement; none of nested functions and classes."""
    if isinstance(node, _CLOSED):
        return
    for owner in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(owner, name, None)
            if block:
                yield block


def own_statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements below, in source order, without those of nested functions and classes."""
    for node in body:
        yield node
        for block in blocks(node):
            yield from own_statements(block)


def assigned_names(function: ast.FunctionDef) -> list[str]:
    """Local names that assignment statements bind, parameters and nonlocal names excepted."""
    skip = {arg.arg for arg in all_arguments(function.args)}
    for node in own_statements(function.body):
        if isinstance(node, ast.Nonlocal):
            skip.update(node.names)
    return [name for name in assigned_in(function.body) if name not in skip]


def assigned_in(body: Iterable[ast.stmt]) -> list[str]:
    """Names that assignment statements in a block bind, in order."""
    names: dict[str, None] = {}
    for node in own_statements(body):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            names.update((part.id, None) for part in _parts(target) if _is_bound_name(part))
    return list(names)


def changed_in(body: Iterable[ast.stmt]) -> list[str]:
    """Names of objects that a block may change: an item is assigned (`a[i] = x`), or a method of containers called."""
    names: dict[str, None] = {}
    for node in own_nodes(body):
        target = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
            target = node.func.value
        if isinstance(target, ast.Name):
            names[target.id] = None
    return list(names)


def annotated_names(function: ast.FunctionDef) -> frozenset[str]:
    """The names with an annotation that is a statement of its own in the function's body."""
    return frozenset(
        node.target.id
        for node in own_statements(function.body)
        if isinstance(node, ast.AnnAssign) and node.value is None and isinstance(node.target, ast.Name)
    )


def carried_names(node: ast.stmt) -> tuple[list[str], list[str]]:
    """Names whose value from the iteration before a loop reads, in two groups: only updated (`n += 1`), and others.

    Of the others the first place in the body reads (`x = x + a`), and a later one assigns.
    """
    if not isinstance(node, ast.For | ast.While):
        return [], []
    inner = list(own_statements(node.body))
    updated = [n.target.id for n in inner if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)]
    plain = _plainly_assigned(inner)
    only = [name for name in dict.fromkeys(updated) if name not in plain]
    reads_first = _names_by_first_place(node)
    return only, [name for name in assigned_in(node.body) if reads_first.get(name) and name not in only]


def _names_by_first_place(loop: ast.For | ast.While) -> dict[str, bool]:
    """Names in a loop: whether the first place where they stand reads them."""
    first: dict[str, bool] = {}
    tests = own_nodes([loop.test]) if isinstance(loop, ast.While) else ()
    for name in tests:
        if isinstance(name, ast.Name):
            first.setdefault(name.id, True)
    for statement in own_statements(loop.body):
        inside = {id(part) for block in blocks(statement) for part in block}
        own = [part for part in ast.iter_child_nodes(statement) if id(part) not in inside]
        names = [part for part in own_nodes(own) if isinstance(part, ast.Name)]
        for part in names:
            if isinstance(part.ctx, ast.Load) or isinstance(statement, ast.AugAssign):
                first.setdefault(part.id, True)
        for part in names:
            first.setdefault(part.id, False)
    return first


def _parts(target: ast.expr) -> Iterable[ast.AST]:
    """The nodes of an assignment target."""
    return (target,) if isinstance(target, ast.Name) else ast.walk(target)


def _plainly_assigned(nodes: Iterable[ast.AST]) -> set[str]:
    return {
        part.id
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        for part in _parts(target)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }


def _is_bound_name(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def all_arguments(args: ast.arguments) -> list[ast.arg]:
    extra = [arg for arg in (args.vararg, args.kwarg) if arg is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *extra]


def jumps(body: Iterable[ast.stmt]) -> tuple[bool, bool]:
    """Whether break and continue of the enclosing loop occur in a block."""
    breaks = continues = False
    for node in body:
        breaks, continues = breaks or isinstance(node, ast.Break), continues or isinstance(node, ast.Continue)
        if not isinstance(node, ast.For | ast.While):
            for block in blocks(node):
                inner = jumps(block)
                breaks, continues = breaks or inner[0], continues or inner[1]
    return breaks, continues


def target_names(target: ast.expr) -> tuple[str, ...]:
    """Names of a loop or with target, flat."""
    return tuple(node.id for node in ast.walk(target) if isinstance(node, ast.Name))
