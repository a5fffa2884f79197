"""Code blocks of the documentation: run them, compare what they print with the page, or write it into the page.

    python -m tests.util.snippets README.md docs/*.md        # bring the outputs on the pages up to date

A page is a program: its ```python blocks run in order in one namespace, in a folder of their own. A ```text block right
after a block is its output; `...` there stands for anything. Words after the language are options:

    ```python file=race.py        the block is saved under this name, which error messages then show
    ```python raises=RaceError    the block ends with this error, whose text is part of the output
    ```python norun               the block is for reading only

```sh blocks run when every line starts with `tl-opt` or `python`.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilelang_mlir import knobs
from tilelang_mlir.errors import TileError

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_RUNNABLE = ("tl-opt", "python")


@dataclass(frozen=True)
class Block:
    """One fenced block; `output` is what the page says it prints, at `span` of the page's text."""

    page: Path
    line: int
    language: str
    options: dict[str, str]
    body: str
    end: int
    output: str | None = None
    span: tuple[int, int] = (0, 0)

    @property
    def runs(self) -> bool:
        if "norun" in self.options:
            return False
        lines = [line for line in self.body.splitlines() if line.strip()]
        return self.language == "python" or (
            self.language == "sh" and all(line.split()[0] in _RUNNABLE for line in lines)
        )

    @property
    def name(self) -> str:
        return self.options.get("file") or f"{self.page.stem.lower()}_{self.line}.py"


class SnippetError(AssertionError):
    """A block failed, or printed something else than its page says."""


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, each with the output that follows it."""
    text = page.read_text()
    found: list[Block] = []
    for match in _FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        if language == "text" and found and not text[found[-1].end : match.start()].strip():
            last = found.pop()
            found.append(Block(**{**vars(last), "output": match["body"], "span": match.span("body")}))
            continue
        options = {key: value for key, _, value in (word.partition("=") for word in words)}
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(page, line, language, options, match["body"], match.end()))
    return [block for block in found if block.language in ("python", "sh")]


def run_page(page: Path, folder: Path) -> list[tuple[Block, str]]:
    """Run the blocks of a page inside `folder`, for the simulator; each with what it printed.

    Raises:
        SnippetError: a block fails in a way its options do not announce.
    """
    namespace: dict[str, Any] = {"__name__": f"docs_{page.stem}"}
    settings = {"TILELANG_DEFAULT_TARGET": "sim", "TILELANG_CACHE_DIR": str(folder / ".cache")}
    printed: list[tuple[Block, str]] = []
    with _inside(folder), knobs.overrides(dict(settings)):
        for block in blocks(page):
            if block.runs:
                text = _python(block, namespace) if block.language == "python" else _shell(block, folder, settings)
                printed.append((block, text))
    return printed


@contextlib.contextmanager
def _inside(folder: Path) -> Generator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _python(block: Block, namespace: dict[str, Any]) -> str:
    Path(block.name).write_text(block.body)
    linecache.checkcache(block.name)
    printed = io.StringIO()
    expected = block.options.get("raises")
    raised = ""
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pytest takes them away; alone they would be printed
        try:
            exec(compile(block.body, block.name, "exec"), namespace)
        except TileError as error:
            raised = type(error).__name__
            if raised != expected:
                raise SnippetError(f"{block.page.name}:{block.line} raised {raised}: {error}") from error
            print(f"{raised}: {error}")
    if expected and not raised:
        raise SnippetError(f"{block.page.name}:{block.line} did not raise {expected}")
    return printed.getvalue()


def _shell(block: Block, folder: Path, settings: dict[str, str]) -> str:
    programs = folder / ".bin"
    programs.mkdir(exist_ok=True)
    for name, arguments in (("tl-opt", " -m tilelang_mlir.tools.tl_opt"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{arguments} "$@"\n')
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **settings, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", block.body], cwd=folder, env=environment, capture_output=True, text=True)
    printed = done.stdout + done.stderr
    if done.returncode and "fails" not in block.options:
        raise SnippetError(f"{block.page.name}:{block.line} failed:\n{printed}")
    return printed


def matches(expected: str, printed: str) -> bool:
    """Whether an output is the one on the page, where `...` stands for anything."""
    pattern = re.escape(_trim(expected)).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, _trim(printed), re.DOTALL) is not None


def _trim(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def check(page: Path, folder: Path) -> None:
    """Run a page.

    Raises:
        SnippetError: a block fails, or prints something else than the page says.
    """
    for block, printed in run_page(page, folder):
        if block.output is not None and not matches(block.output, printed):
            raise SnippetError(
                f"{block.page.name}:{block.line} prints\n{printed}\ninstead of\n{block.output}\n"
                f"update it with: python -m tests.util.snippets {block.page}"
            )


def update(page: Path) -> int:
    """Write the outputs that differ into a page; returns how many did."""
    text, changed = page.read_text(), 0
    with tempfile.TemporaryDirectory() as folder:
        results = list(run_page(page.resolve(), Path(folder)))
    for block, printed in reversed(results):
        if block.output is not None and not matches(block.output, printed):
            start, end = block.span
            text, changed = f"{text[:start]}{_trim(printed)}\n{text[end:]}", changed + 1
    page.write_text(text)
    return changed


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(f"{argument}: {update(Path(argument))} outputs changed")
