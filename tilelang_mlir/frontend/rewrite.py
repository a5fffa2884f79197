"""Rewrites a kernel function so that running it emits IR.

Statements become calls of the protocol object `__tl__` (see `protocol`). Blocks stay blocks of the same function: a
loop body or branch is the body of a `for` over a generator that opens the IR region before it yields and closes it
after. So assignments inside need no `nonlocal`, and Python's own control flow keeps working beside the IR's.

    for i in it: body        ->  for i in __tl__.loop(it, ("i",)): body
    if c: a                  ->  for b in __tl__.branches(c, True):
    else: b                          if b: a
                                     else: b
    while c: body            ->  for _ in __tl__.while_(lambda: c): body
    x = e                    ->  x = __tl__.assign(x, e, "x", True)

`break` and `continue` become methods of the loop's jump state; what follows them in a block is guarded by it.
"""

from __future__ import annotations

import ast
import types
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from . import where
from .source import function_tree
from .syntax import (
    all_arguments,
    annotated_names,
    assigned_in,
    assigned_names,
    blocks,
    carried_names,
    changed_in,
    check,
    jumps,
    target_names,
)

PROTOCOL = "__tl__"
_Node = TypeVar("_Node", bound=ast.AST)
Fresh = bool | tuple[bool, ...]


@dataclass(frozen=True)
class Rewritten:
    """The code of a rewritten function, and the arguments that statements of its body annotate."""

    code: types.CodeType
    annotated: frozenset[str]

    def bind(self, func: Callable[..., Any], protocol: object) -> types.FunctionType:
        """The function; it shares globals, closure cells and defaults with the original."""
        original: Any = func
        free: tuple[str, ...] = original.__code__.co_freevars
        cells: dict[str, types.CellType] = dict(zip(free, original.__closure__ or (), strict=True))
        cells[PROTOCOL] = types.CellType(protocol)
        closure = tuple(cells[name] for name in self.code.co_freevars)
        names = original.__globals__
        result = types.FunctionType(self.code, names, original.__name__, original.__defaults__, closure)
        result.__kwdefaults__ = original.__kwdefaults__
        result.__qualname__ = original.__qualname__
        result.__module__ = original.__module__
        return result


# By id of the original's code, since hashing a code object hashes its bytecode; an entry goes when its code does.
# A factory defines the same function again for every kernel, always with one code.
_REWRITTEN: dict[int, tuple[weakref.ref[types.CodeType], Rewritten]] = {}


def rewritten(func: Callable[..., Any]) -> Rewritten:
    """Rewrite a function's code, once for all functions that share it.

    Raises:
        TileSyntaxError: the function uses Python that kernels do not have.
    """
    original: Any = getattr(func, "__code__", None)
    if id(original) in _REWRITTEN:
        return _REWRITTEN[id(original)][1]
    node = function_tree(func)
    file = original.co_filename
    check(node, file)
    annotated = annotated_names(node)
    code = _compile(_Rewriter(file).function(node), file, [PROTOCOL, *original.co_freevars])
    where.register(code)
    found, key = Rewritten(code, annotated), id(original)
    _REWRITTEN[key] = weakref.ref(original, lambda _: _REWRITTEN.pop(key, None)), found
    return found


def rewrite(func: Callable[..., Any], protocol: object) -> types.FunctionType:
    """The rewritten function. Raises as `rewritten`."""
    return rewritten(func).bind(func, protocol)


def _compile(function: ast.FunctionDef, file: str, free: list[str]) -> types.CodeType:
    """Compile a function whose free variables are the given names."""
    outer = ast.parse("def outer(): pass").body[0]
    assert isinstance(outer, ast.FunctionDef)
    outer.args.args = [_at(ast.arg(name), outer) for name in free]
    outer.body = [function]
    # Under its own name a recursive function would refer to this local definition instead of its global.
    name, function.name = function.name, "__tl_function__"
    code = compile(ast.Module([outer], []), file, "exec", dont_inherit=True)
    for inner in ("outer", function.name):
        code = next(c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == inner)
    return code.replace(co_name=name)


class _Rewriter(ast.NodeTransformer):
    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0
        self.locals: set[str] = set()
        self.loops: list[str] = []  # names of the jump states of the enclosing loops

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        _calls_to_jumps(node.body)
        names = assigned_names(node)
        self.locals = {*names, *(arg.arg for arg in all_arguments(node.args))}
        node.decorator_list, node.returns = [], None
        node.args.defaults, node.args.kw_defaults = [], [None] * len(node.args.kwonlyargs)
        for arg in all_arguments(node.args):
            arg.annotation = None
        prelude = [self._assign_name(name, self._call(node, "unset", ast.Constant(name)), node) for name in names]
        node.body = [*prelude, *self._block(node.body)]
        return node

    # Blocks.

    def _block(self, body: list[ast.stmt], *, loop_body: bool = False) -> list[ast.stmt]:
        """Rewrite a block; what follows a statement that may jump is guarded by the jump state."""
        out: list[ast.stmt] = []
        for index, statement in enumerate(body):
            rest = body[index + 1 :]
            if loop_body and rest and _skips(statement):
                assert isinstance(statement, ast.If)
                inverse = _at(ast.UnaryOp(ast.Not(), statement.test), statement.test)
                branch = _at(ast.If(inverse, rest, []), statement)
                return [*out, *self._statement(branch, loop_body=True)]
            jumping = any(jumps([statement]))
            out += self._statement(statement)
            if jumping and rest:
                guard = self._method(statement, self.loops[-1], "guard")
                out.append(_for(self._temp(), guard, self._block(rest), statement))
                return out
        return out

    def _statement(self, node: ast.stmt, *, loop_body: bool = False) -> list[ast.stmt]:
        if isinstance(node, ast.If):
            return self._if(node, loop_body)
        result = self.visit(node)
        return result if isinstance(result, list) else [result]

    def _if(self, node: ast.If, loop_body: bool) -> list[ast.stmt]:
        taken, names = self._temp(), self._rebound(node)
        body = self._block(node.body, loop_body=loop_body)
        orelse = self._block(node.orelse)
        test = self._call(node.test, "branches", self.visit(node.test), ast.Constant(bool(node.orelse)))
        if not names and not self._changed(node):
            inner = ast.If(self._name(taken, node), body, orelse)
            return [_for(taken, test, [_at(inner, node)], node)]
        scope = self._temp()
        assert isinstance(test, ast.Call)
        test.args.append(self._name(scope, node.test))
        if orelse:
            orelse.insert(0, self._scope(scope, "restore", names, node))
        inner = ast.If(self._name(taken, node), body, orelse)
        branch = _for(taken, test, [_at(inner, node)], node)
        return [self._open_scope(scope, names, node), branch, self._scope(scope, "close", names, node)]

    def _rebound(self, node: ast.stmt) -> list[str]:
        """Local names that a compound statement may rebind."""
        return [name for name in assigned_in([node]) if name in self.locals]

    def _changed(self, node: ast.stmt) -> list[str]:
        """Local names of objects that a compound statement may change, such as lists."""
        return [name for name in changed_in([node]) if name in self.locals]

    def _open_scope(self, scope: str, names: list[str], node: ast.stmt) -> ast.stmt:
        place = _head(node)
        carried = [_names(group, place) for group in carried_names(node)]
        changed = self._changed(node)
        watched = [_names(changed, place), self._tuple(changed, place)] if changed else []
        return self._assign_name(
            scope, self._call(place, "Scope", self._tuple(names, place), *carried, *watched), place
        )

    def _scope(self, scope: str, method: str, names: list[str], node: ast.stmt) -> ast.stmt:
        """`(a, b) = scope.method(("a", "b"), (a, b))`"""
        place = _head(node)
        call = self._method(place, scope, method)
        assert isinstance(call, ast.Call)
        call.args = [_names(names, place), self._tuple(names, place)]
        stores: list[ast.expr] = [_at(ast.Name(name, ast.Store()), place) for name in names]
        return _at(ast.Assign([_at(ast.Tuple(stores, ast.Store()), place)], call), place)

    def _tuple(self, names: list[str], node: ast.AST) -> ast.expr:
        return _at(ast.Tuple([self._name(name, node) for name in names], ast.Load()), node)

    def visit_If(self, node: ast.If) -> list[ast.stmt]:
        return self._if(node, False)

    def visit_For(self, node: ast.For) -> list[ast.stmt]:
        source = node.iter
        if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id == "range":
            source.func = self._attribute(source.func, "range")
        names = _names(target_names(node.target), source)
        return self._loop(node, "loop", node.target, [self.visit(source), names])

    def visit_While(self, node: ast.While) -> list[ast.stmt]:
        target = _at(ast.Name(self._temp(), ast.Store()), node)
        return self._loop(node, "while_", target, [self._lambda(node.test)])

    def _loop(self, node: ast.For | ast.While, method: str, target: ast.expr, args: list[ast.expr]) -> list[ast.stmt]:
        may_break, may_continue = jumps(node.body)
        anchor = node.iter if isinstance(node, ast.For) else node.test
        if not (may_break or may_continue):
            self.loops.append("")
            body = self._block(node.body)
            self.loops.pop()
            return self._scoped(_for(target, self._call(anchor, method, *args), body, node), node)
        state = self._temp()
        self.loops.append(state)
        body = self._block(node.body, loop_body=True)
        self.loops.pop()
        make = self._call(anchor, "jumps", ast.Constant(may_break), ast.Constant(may_continue))
        loop = _for(target, self._call(anchor, method, *args, self._name(state, anchor)), body, node)
        return [self._assign_name(state, make, node), *self._scoped(loop, node)]

    def _scoped(self, loop: ast.stmt, node: ast.For | ast.While) -> list[ast.stmt]:
        """Python values that the body changes are marked after the loop."""
        names = self._rebound(node)
        if not names and not self._changed(node):
            return [loop]
        scope = self._temp()
        return [self._open_scope(scope, names, node), loop, self._scope(scope, "close", names, node)]

    def visit_Break(self, node: ast.Break) -> ast.stmt:
        return self._expression(self._method(node, self.loops[-1], "break_"), node)

    def visit_Continue(self, node: ast.Continue) -> ast.stmt:
        return self._expression(self._method(node, self.loops[-1], "continue_"), node)

    def visit_With(self, node: ast.With) -> ast.stmt | list[ast.stmt]:
        test = _condition_of_while(node)
        if test is not None:
            return self.visit_While(_at(ast.While(test, node.body, []), node))
        for item in node.items:
            item.context_expr = self.visit(item.context_expr)
            if item.optional_vars is not None:
                names = _names(target_names(item.optional_vars), item.context_expr)
                item.context_expr = self._call(item.context_expr, "named", item.context_expr, names)
        node.body = self._block(node.body)
        return node

    # Other statements.

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return node  # ordinary Python; a macro rewrites itself

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        return node

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        fresh = _fresh(node.value)
        value = self.visit(node.value)
        if len(node.targets) == 1:
            return self._store(node.targets[0], value, fresh, node)
        name = self._temp()
        out: list[ast.stmt] = [self._assign_name(name, value, node)]
        for target in node.targets:
            out += self._store(target, self._name(name, node), fresh, node)
        return out

    def visit_AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is not None:
            return self._store(node.target, self.visit(node.value), isinstance(node.value, ast.Call), node)
        if not isinstance(node.target, ast.Name):
            return []
        name = node.target.id
        call = self._call(node, "annotate", self._name(name, node), self.visit(node.annotation), ast.Constant(name))
        return [self._assign_name(name, call, node)]

    def _store(self, target: ast.expr, value: ast.expr, fresh: Fresh, node: ast.stmt) -> list[ast.stmt]:
        """Assign to one target. `fresh` says that the value was just made, so a mutable scalar is bound, not read."""
        if isinstance(target, ast.Name):
            old = self._name(target.id, target)
            call = self._call(node, "assign", old, value, ast.Constant(target.id), ast.Constant(fresh is True))
            return [self._assign_name(target.id, call, node)]
        if isinstance(target, ast.Attribute):
            holder, made = self.visit(target.value), ast.Constant(fresh is True)
            call = self._call(node, "set_attribute", holder, ast.Constant(target.attr), value, made)
            return [self._expression(call, node)]
        if isinstance(target, ast.Tuple | ast.List):
            name = self._temp()
            count = ast.Constant(len(target.elts))
            out: list[ast.stmt] = [
                self._assign_name(name, self._call(node, "unpack", value, count, _flags(fresh, node)), node)
            ]
            for index, part in enumerate(target.elts):
                item = ast.Subscript(self._name(name, part), _at(ast.Constant(index), part), ast.Load())
                out += self._store(part, _at(item, part), True, node)
            return out
        return [_at(ast.Assign([self.visit(target)], value), node)]

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        operator, value = ast.Constant(type(node.op).__name__), self.visit(node.value)
        target = node.target
        if isinstance(target, ast.Name):
            call = self._call(node, "augment", self._name(target.id, target), operator, value, ast.Constant(target.id))
            return self._assign_name(target.id, call, node)
        holder = self.visit(target.value)
        if isinstance(target, ast.Attribute):
            call = self._call(node, "augment_attribute", holder, ast.Constant(target.attr), operator, value)
        else:
            call = self._call(node, "augment_item", holder, self._index(target.slice), operator, value)
        return self._expression(call, node)

    def _index(self, node: ast.expr) -> ast.expr:
        """A subscript as an expression: slices become slice objects."""
        if isinstance(node, ast.Slice):
            parts = [ast.Constant(None) if p is None else self.visit(p) for p in (node.lower, node.upper, node.step)]
            return self._call(node, "slice", *parts)
        if isinstance(node, ast.Tuple):
            return _at(ast.Tuple([self._index(part) for part in node.elts], ast.Load()), node)
        return self.visit(node)

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        value = self.visit(node.value) if node.value else ast.Constant(None)
        return _at(ast.Return(self._call(node, "returned", value)), node)

    def visit_Raise(self, node: ast.Raise) -> list[ast.stmt]:
        self.generic_visit(node)
        return [self._expression(self._call(node, "check_raise"), node), node]

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        message = self._lambda(node.msg) if node.msg else ast.Constant(None)
        text = ast.Constant(ast.unparse(node.test))
        return self._expression(self._call(node, "assert_", self.visit(node.test), message, text), node)

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        node.value = self.visit(node.value)
        return node

    # Expressions.

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        result = self.visit(node.values[0])
        for operand in node.values[1:]:
            result = self._call(node, name, result, self._lambda(operand))
        return result

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return self._call(node, "not_", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.ops[0], ast.Is | ast.IsNot) and len(node.ops) == 1:
            wanted = ast.Constant(isinstance(node.ops[0], ast.Is))
            return self._call(node, "identical", node.left, node.comparators[0], wanted)
        if len(node.ops) == 1:
            return node
        operators = _names([type(op).__name__ for op in node.ops], node)
        return self._call(node, "chain", operators, node.left, *node.comparators)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        return self._call(node, "ternary", self.visit(node.test), self._lambda(node.body), self._lambda(node.orelse))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name == "if_then_else" and len(node.args) == 3 and not node.keywords:
            branches = [self._lambda(arg) for arg in node.args[1:]]
            return self._call(node, "ternary", self.visit(node.args[0]), *branches)
        self.generic_visit(node)
        return node

    # Makers of nodes.

    def _temp(self) -> str:
        self.count += 1
        return f"__tl_{self.count}"

    def _name(self, name: str, node: ast.AST) -> ast.expr:
        return _at(ast.Name(name, ast.Load()), node)

    def _attribute(self, node: ast.AST, name: str) -> ast.expr:
        return _at(ast.Attribute(self._name(PROTOCOL, node), name, ast.Load()), node)

    def _call(self, node: ast.AST, function: str, *args: ast.expr) -> ast.expr:
        for arg in args:
            if not hasattr(arg, "lineno"):
                _at(arg, node)
        return _at(ast.Call(self._attribute(node, function), list(args), []), node)

    def _method(self, node: ast.AST, state: str, method: str) -> ast.expr:
        function = _at(ast.Attribute(self._name(state, node), method, ast.Load()), node)
        return _at(ast.Call(function, [], []), node)

    def _lambda(self, node: ast.expr) -> ast.expr:
        empty = ast.arguments([], [], None, [], [], None, [])
        return _at(ast.Lambda(empty, self.visit(node)), node)

    def _assign_name(self, name: str, value: ast.expr, node: ast.AST) -> ast.stmt:
        return _at(ast.Assign([_at(ast.Name(name, ast.Store()), node)], value), node)

    def _expression(self, value: ast.expr, node: ast.AST) -> ast.stmt:
        return _at(ast.Expr(value), node)


_JUMPS: dict[str, type[ast.stmt]] = {
    "loop_break": ast.Break, "break_loop": ast.Break, "continue_loop": ast.Continue,
}  # fmt: skip


def _calls_to_jumps(body: list[ast.stmt], in_loop: bool = False) -> None:
    """`T.loop_break()` as a statement of a loop is a break, so that what follows it is guarded like any other."""
    for index, node in enumerate(body):
        call = node.value if isinstance(node, ast.Expr) else None
        name = call.func.attr if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else ""
        if in_loop and name in _JUMPS:
            body[index] = _at(_JUMPS[name](), node)
        for block in blocks(node):
            _calls_to_jumps(block, in_loop or isinstance(node, ast.For | ast.While))


def _condition_of_while(node: ast.With) -> ast.expr | None:
    """The condition of `with T.While(condition):`, the statement `while` as scripts write it."""
    call = node.items[0].context_expr if len(node.items) == 1 else None
    if not isinstance(call, ast.Call) or len(call.args) != 1 or call.keywords:
        return None
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return call.args[0] if name == "While" else None


def _at(node: _Node, place: Any) -> _Node:
    """Give a new node the place of one in the source."""
    new: Any = node
    new.lineno, new.col_offset = place.lineno, place.col_offset
    new.end_lineno, new.end_col_offset = place.end_lineno, place.end_col_offset
    return node


def _names(names: Iterable[str], place: ast.AST) -> ast.expr:
    """A tuple of strings."""
    return _at(ast.Tuple([_at(ast.Constant(name), place) for name in names], ast.Load()), place)


def _head(node: ast.stmt) -> ast.AST:
    """The expression a compound statement begins with: its place, where the statement itself spans many lines."""
    if isinstance(node, ast.For):
        return node.iter
    return node.test if isinstance(node, ast.If | ast.While) else node


def _skips(node: ast.stmt) -> bool:
    """Whether a statement is `if c: continue` and nothing else."""
    return (
        isinstance(node, ast.If) and not node.orelse and len(node.body) == 1 and isinstance(node.body[0], ast.Continue)
    )


def _for(target: str | ast.expr, source: ast.expr, body: list[ast.stmt], node: ast.AST) -> ast.stmt:
    name = _at(ast.Name(target, ast.Store()), node) if isinstance(target, str) else target
    return _at(ast.For(name, source, body or [_at(ast.Pass(), node)], [], None), node)


def _fresh(node: ast.expr) -> Fresh:
    """Whether the right side of an assignment makes its value; of a tuple, which of its items do."""
    if isinstance(node, ast.Tuple):
        return tuple(isinstance(item, ast.Call) for item in node.elts)
    return isinstance(node, ast.Call)


def _flags(fresh: Fresh, place: ast.AST) -> ast.expr:
    if isinstance(fresh, bool):
        return _at(ast.Constant(fresh), place)
    return _at(ast.Tuple([_at(ast.Constant(made), place) for made in fresh], ast.Load()), place)
