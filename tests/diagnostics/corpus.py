"""The corpus: `*.txt` files of wrong programs, each followed by its whole message.

    === a title
    the body of a kernel; parameters are those of `PARAMS`. A body that starts with `# program` is a program instead
    ---
    the message

`python -m tests.diagnostics.corpus` writes the messages anew; read the difference before you keep it.
"""

from __future__ import annotations

import itertools
import linecache
import re
import sys
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import TileWarning

FOLDER = Path(__file__).resolve().parent
PARAMS = 'A: T.Tensor((128,), "float32"), B: T.Tensor((128, 64), "float16")'
_COUNT = itertools.count()


@dataclass(frozen=True)
class Case:
    """One wrong program."""

    family: str
    title: str
    body: str
    message: str

    @property
    def program(self) -> str:
        if self.body.startswith("# program"):
            return self.body
        inner = textwrap.indent(self.body, " " * 8)
        return f"@T.prim_func\ndef main({PARAMS}):\n    with T.Kernel(4, threads=128) as bx:\n{inner}\n"


def read(path: Path) -> list[Case]:
    """The cases of a file."""
    cases: list[Case] = []
    for part in re.split(r"^=== ", path.read_text(), flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        body, _, message = rest.partition("\n---\n")
        cases.append(Case(path.stem, title.strip(), body.strip("\n"), message.strip("\n")))
    return cases


def cases() -> list[Case]:
    return [case for path in sorted(FOLDER.glob("*.txt")) for case in read(path)]


def outcome(case: Case) -> tuple[BaseException | None, str]:
    """The error of a program and its text, the program's file named `program.py`; warnings where it has none."""
    file = f"<diagnostics {next(_COUNT)}>"
    text = case.program
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"__name__": file, "T": T, "tilelang": tilelang}
    error: BaseException | None = None
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            exec(compile(text, file, "exec", dont_inherit=True), scope)
        except Exception as raised:
            error = raised
    lines = [f"{type(error).__name__}: {error}"] if error else []
    lines += [f"TileWarning: {w.message}" for w in heard if issubclass(w.category, TileWarning)]
    return error, "\n".join(lines).replace(file, "program.py").rstrip()


def write(path: Path) -> None:
    """Write a file anew with the messages that its programs get now."""
    found = read(path)
    parts = [f"=== {case.title}\n{case.body}\n---\n{outcome(case)[1]}\n" for case in found]
    path.write_text("\n".join(parts))


def main() -> int:
    for path in sorted(FOLDER.glob("*.txt")):
        write(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
