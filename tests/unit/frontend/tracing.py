"""Kernels given as text: traced through `linecache`, so positions in errors can be checked against a marked line."""

from __future__ import annotations

import itertools
import linecache
import textwrap
from typing import Any

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.dialect import context
from tilelang_mlir.errors import TileError
from tilelang_mlir.mlir import ir

_COUNT = itertools.count()
PRELUDE = "import tilelang_mlir as tilelang\nimport tilelang_mlir.language as T\n"


def run_text(text: str, **names: Any) -> dict[str, Any]:
    """Execute program text as a file would be; returns its globals."""
    text = PRELUDE + textwrap.dedent(text)
    file = f"<kernel {next(_COUNT)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"__name__": file, "T": T, "tilelang": tilelang, **names}
    exec(compile(text, file, "exec", dont_inherit=True), scope)
    return scope


def kernel_text(body: str, params: str = 'A: T.Tensor((128,), "float32"), B: T.Tensor((128, 64), "float16")') -> str:
    """A prim_func with one kernel around a body."""
    inner = textwrap.indent(textwrap.dedent(body).strip("\n"), " " * 8)
    return f"@T.prim_func\ndef main({params}):\n    with T.Kernel(4, threads=128) as bx:\n{inner}\n"


def trace_kernel(body: str, params: str | None = None, **names: Any) -> Any:
    """The PrimFunc of a kernel body, after a round trip of its text."""
    text = kernel_text(body) if params is None else kernel_text(body, params)
    return checked(run_text(text, **names)["main"])


def checked(func: Any) -> Any:
    """Check that a PrimFunc verifies and that its text parses back to the same text."""
    func.module.operation.verify()
    text = str(func.module)
    with context(), ir.Location.unknown():
        assert str(ir.Module.parse(text)) == text
    return func


def expect_error(text: str, kind: type[TileError], match: str) -> TileError:
    """Run text that must fail at the line marked `# !` (when there is one), with a caret under a column."""
    with pytest.raises(kind, match=match) as caught:
        run_text(text)
    error = caught.value
    lines = (PRELUDE + textwrap.dedent(text)).splitlines()
    marked = [number for number, line in enumerate(lines, 1) if line.rstrip().endswith("# !")]
    assert error.location is not None, str(error)
    if marked:
        assert error.location.line == marked[0], str(error)
        assert "^" in str(error), str(error)
    return error
