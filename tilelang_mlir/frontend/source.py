"""The syntax tree of a live function."""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
from collections.abc import Callable
from typing import Any

from tilelang_mlir.errors import Location, TileSyntaxError


def function_tree(func: Callable[..., Any]) -> ast.FunctionDef:
    """Parse the definition of a function, with the line numbers and columns of its file.

    Reads through `linecache`, so functions of notebooks and of text registered there work like those of files.

    Raises:
        TileSyntaxError: the source is not available, or the object is not a plain function.
    """
    code = getattr(func, "__code__", None)
    if code is None:
        raise TileSyntaxError(f"expected a Python function, got {type(func).__name__}")
    lines = linecache.getlines(code.co_filename, getattr(func, "__globals__", None))
    if len(lines) < code.co_firstlineno:
        raise TileSyntaxError(
            f"the source of {func.__name__!r} is not available (file {code.co_filename!r})",
            hint="define kernels in a file, in a notebook cell, or register the text with linecache",
        )
    node = _parse(lines, code.co_firstlineno)
    if not isinstance(node, ast.FunctionDef):
        where = Location(code.co_filename, code.co_firstlineno)
        raise TileSyntaxError(f"expected a function definition, got {type(node).__name__}", where)
    return node


_ATTEMPTS = 3


def _parse(lines: list[str], first: int) -> ast.stmt:
    """The statement that starts in line `first`, counted from one.

    It ends before a line that is indented no further, unless that one is inside of brackets or of a string: then what
    is in front of it does not parse. So the parser finds the end, which is a tenth of the work of the tokenizer.
    """
    start = lines[first - 1]
    margin = len(start) - len(start.lstrip())
    # An indented definition is parsed inside an `if`, which leaves every column as it is in the file.
    head = "\n" * (first - 2) + "if 1:\n" if margin else "\n" * (first - 1)

    def parsed(end: int) -> ast.stmt:
        tree: Any = ast.parse(head + "".join(lines[first - 1 : end]))
        return tree.body[0].body[0] if margin else tree.body[0]

    failures = 0
    decorated = start.lstrip().startswith("@")
    for index in range(first, len(lines)):
        text = lines[index].lstrip()
        if len(lines[index]) - len(text) > margin or not text or text[0] in "#)]}":
            continue
        if decorated:
            decorated = not text.startswith(("def ", "async ", "class "))
            continue
        with contextlib.suppress(SyntaxError):
            return parsed(index)
        failures += 1
        if failures == _ATTEMPTS:
            return parsed(first - 1 + len(inspect.getblock(lines[first - 1 :])))
    return parsed(len(lines))


def has_nested(node: ast.FunctionDef, decorator: str) -> bool:
    """Whether a function defines an inner function decorated with a name that ends in `decorator`."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef) and inner is not node:
            for mark in inner.decorator_list:
                target = mark.func if isinstance(mark, ast.Call) else mark
                if _last_name(target) == decorator:
                    return True
    return False


def calls(node: ast.FunctionDef, name: str) -> bool:
    """Whether a function's own body calls something named `name`, as in `T.Kernel(...)`."""
    return any(isinstance(inner, ast.Call) and _last_name(inner.func) == name for inner in ast.walk(node))


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
