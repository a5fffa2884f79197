"""Finding the definition of a function in its file: what may stand inside, before and behind it."""

from __future__ import annotations

import ast
import gc
import linecache
import types
from typing import Any

import pytest

from tilelang_mlir.frontend import rewrite as rewrite_module
from tilelang_mlir.frontend import where
from tilelang_mlir.frontend.rewrite import rewrite
from tilelang_mlir.frontend.source import function_tree
from tilelang_mlir.frontend.syntax import annotated_names, assigned_in, carried_names, jumps

_TEXT = '''
def passing(f=None, *options):
    return lambda g: g

def before(): pass
@passing(
    1,
)
# a comment at the edge
def plain(
    a,
    b,
) -> None:
    text = """
at the edge
) of the
file
"""
# another comment at the edge
    if a:
        def inner(): return (a,
b)
    return text, inner
def after(): return 1

class Holder:
    @passing()
    def method(self): return [
    self]
    def another(self): return 2

def last():
    return 3
'''


def _functions(text: str) -> dict[str, Any]:
    file = "<definitions>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {}
    exec(compile(text, file, "exec", dont_inherit=True), scope)
    return {**scope, "method": scope["Holder"].method}


@pytest.mark.parametrize("name", ["before", "plain", "after", "method", "last"])
def test_a_definition_is_found_as_it_stands_in_its_file(name: str) -> None:
    expected = next(
        node for node in ast.walk(ast.parse(_TEXT)) if isinstance(node, ast.FunctionDef) and node.name == name
    )
    found = function_tree(_functions(_TEXT)[name])
    assert ast.dump(found, include_attributes=True) == ast.dump(expected, include_attributes=True)


def test_statements_are_seen_in_all_blocks_and_not_in_functions() -> None:
    text = """
for i in range(3):
    with a: n += i
    try: m = 1
    except E: n += 1; break
    finally: p: int
    def inner(): hidden = 1; return hidden
    while c: continue
"""
    loop = ast.parse(text).body[0]
    assert isinstance(loop, ast.For)
    assert assigned_in([loop]) == ["n", "m", "p"]
    assert carried_names(loop) == (["n"], [])
    text = "while x:\n    x = y = a\n    if y: z = z + y\n    for k in z: w = w[k]"
    assert carried_names(ast.parse(text).body[0]) == ([], ["x", "z", "w"])
    assert jumps(loop.body) == (True, False)
    function = ast.parse("def f(a, b):\n    if a:\n        b: T\n    c: T = 1").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert annotated_names(function) == {"b"}


def test_what_is_kept_of_a_function_goes_with_its_code() -> None:
    scope = _functions("class Holder: method = 0\ndef kept(a):\n    for i in a: b = lambda: i\n")
    made = rewrite(scope["kept"], object()).__code__
    ours = {id(made), *(id(c) for c in made.co_consts if isinstance(c, types.CodeType))}
    assert len(ours) == 2 and all(key in where._TRACED for key in ours)
    assert rewrite(scope["kept"], object()).__code__ is made
    key = id(scope["kept"].__code__)
    assert key in rewrite_module._REWRITTEN
    del scope, made
    gc.collect()
    assert key not in rewrite_module._REWRITTEN and not ours & set(where._TRACED)
