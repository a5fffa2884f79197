"""docs/surface.md: every function of the language's reference pages by the targets its example lowers to.

The examples are compiled down to the thread program for one machine of each generation; a cell is what happened.
"""

from __future__ import annotations

import linecache
import textwrap
from typing import Any

from tilelang_mlir.compiler.codegen import emit
from tilelang_mlir.compiler.options import CodegenOptions, CompileOptions
from tilelang_mlir.compiler.pipeline import lower_program
from tilelang_mlir.errors import TileError, UnsupportedError
from tilelang_mlir.target import parse_target
from tilelang_mlir.tools.surface_examples import INSTRUCTIONS, PAGES

TARGETS = ("sm_80", "sm_90a", "sm_100a")
_HEAD = """\
import tilelang_mlir.language as T


@T.prim_func
def main(A: T.Tensor((128,), "float32"), B: T.Tensor((128, 64), "float16"), D: T.Tensor((128, 64), "float16")):
    with T.Kernel(2, threads=256) as bx:
        tx = T.get_thread_binding()
        s = T.alloc_shared((64, 64), "float16")
        f = T.alloc_fragment((64, 64), "float32")
"""


def program(body: str) -> Any:
    """The prim_func around an example.

    Raises:
        TileError: the example uses a name that is not available.
    """
    text = _HEAD + textwrap.indent(body, " " * 8) + "\n"
    if "f)" not in body and "(f" not in body:
        text = text.replace('        f = T.alloc_fragment((64, 64), "float32")\n', "")
    file = f"<surface {abs(hash(text))}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"__name__": file}
    exec(compile(text, file, "exec", dont_inherit=True), scope)
    return scope["main"]


def ptx(body: str) -> str:
    """The PTX of an example, for the first machine with bulk copies that has what it needs."""
    func = program(body)
    machine = next(parse_target(name) for name in TARGETS[1:] if _lowers(func, name) == "yes")
    _, module = lower_program(func.module, machine, CompileOptions())
    with module.context:
        return str(emit(module, machine, "ptx", CodegenOptions()))


def support(body: str) -> dict[str, str]:
    """Per target: "yes", "no" where the target lacks what it needs, "-" where the name is not available at all."""
    try:
        func = program(body)
    except UnsupportedError:
        return dict.fromkeys(TARGETS, "-")
    return {name: _lowers(func, name) for name in TARGETS}


def _lowers(func: Any, name: str) -> str:
    try:
        lower_program(func.module, parse_target(name), CompileOptions())
    except TileError as error:
        reason: BaseException | None = error
        while reason is not None:
            if isinstance(reason, UnsupportedError):
                return "no"
            reason = reason.__cause__
        raise
    return "yes"


def surface_page(note: str) -> str:
    """The page, with `note` under its title."""
    parts = [
        "# Reference pages and targets",
        note,
        "Each function of TileLang's reference pages, and whether its example compiles for a target: `no` where the "
        "target lacks the hardware, which the compiler says with the feature's name, `-` where the name is not "
        "available yet. The last column is what PTX has for the name; where it is empty there is no instruction of its "
        "own: the name makes a place in registers, a hint or arithmetic. "
        "Classes of the pages `proxy` and `v2.annot` describe arguments and work for every target. Examples are in "
        "`tilelang_mlir/tools/surface_examples.py`; what each name does is in [language](language.md).",
    ]
    for page, examples in PAGES.items():
        rows = [f"| {' | '.join(['name', *TARGETS, 'PTX'])} |", "|" + "---|" * (2 + len(TARGETS))]
        for name, body in examples.items():
            instruction = f"`{INSTRUCTIONS[name]}`" if name in INSTRUCTIONS else ""
            rows.append(f"| {' | '.join([f'`T.{name}`', *support(body).values(), instruction])} |")
        parts += [f"## {page}", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"
