"""Level-1 modules as text, for tests: scopes are short and the module is verified."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tilelang_mlir.dialect import context
from tilelang_mlir.mlir import ir
from tilelang_mlir.reference import evaluate

SCOPES = {"@G": "global", "@S": "shared", "@F": "fragment", "@L": "local", "@V": "var"}


def expand(text: str) -> str:
    """`memref<4xf32, @S>` stands for `memref<4xf32, #tl.scope<"shared">>`."""
    for short, scope in SCOPES.items():
        text = text.replace(short, f'#tl.scope<"{scope}">')
    return text


def kernel(
    body: str, arguments: str = "", host: str = "", grid: str = "%one", block: str = "%bx: i32", threads: int = 32
) -> str:
    """A host function `main` with one kernel; `%one` and `%zero` are constants."""
    return expand(f"""
func.func @main({arguments}) {{
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  {host}
  "tl.launch"({grid}) ({{
  ^bb0({block}):
    {body}
  }}) {{threads = array<i32: {threads}, 1, 1>}} : ({", ".join(["i32"] * len(grid.split(",")))}) -> ()
  return
}}""")


def tensor(name: str, pointer: str, shape: Sequence[int], element: str) -> str:
    """A contiguous `tl.tensor` with static shape."""
    strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    sizes = "x".join(str(s) for s in shape)
    return (
        f'{name} = "tl.tensor"({pointer}) {{shape = array<i64: {", ".join(map(str, shape))}>, '
        f"strides = array<i64: {', '.join(map(str, strides))}>}} : (!llvm.ptr<1>) -> memref<{sizes}x{element}, @G>"
    )


def run(text: str, args: Sequence[np.ndarray | int | float], name: str = "main") -> list[str]:
    """Parse, verify and evaluate; returns what was printed."""
    with context():
        return evaluate(ir.Module.parse(text), name, args)
