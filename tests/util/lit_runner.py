"""Runs the `RUN:` lines of a lit test inside this process: tl-opt and filecheck are called, not started.

Each test runs in a fork, so an abort inside LLVM or MLIR fails one test and not the run. Supported: pipes, `not`,
`2>&1`, `2>FILE`, `>FILE`, line continuation with a backslash, and the substitutions %s (the test file), %S (its
folder), %t (a file name of its own) and %%.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_SECONDS = 60
_RUN = re.compile(r"(?://|#)\s*RUN:\s*(.*)$")


@dataclass
class Command:
    """One stage of a pipe."""

    words: list[str]
    negate: bool = False
    merge_stderr: bool = False
    stderr_file: str = ""
    stdout_file: str = ""
    stdin_file: str = ""


@dataclass
class Result:
    code: int
    out: str = ""
    err: str = ""


@dataclass
class Outcome:
    """What a test did: `passed`, and the text that explains a failure."""

    passed: bool
    text: str = ""
    commands: list[str] = field(default_factory=list)


def run_lines(path: Path) -> list[str]:
    """The commands of a test, continuation lines joined, substitutions made."""
    lines: list[str] = []
    pending = ""
    for line in path.read_text().splitlines():
        if match := _RUN.search(line):
            text = f"{pending}{match[1].strip()}"
            pending = text[:-1] + " " if text.endswith("\\") else ""
            if not pending:
                lines.append(_substitute(text, path))
    return lines


def _substitute(text: str, path: Path) -> str:
    own = str(Path(tempfile.gettempdir()) / f"lit-{os.getpid()}-{path.stem}")
    values = {"%%": "%", "%s": str(path), "%S": str(path.parent), "%t": own}
    return re.sub(r"%[%sSt](?![A-Za-z])", lambda m: values[m[0]], text)


def parse_pipe(line: str) -> list[Command]:
    """Split a command line at pipes and take the redirections out."""
    lexer = shlex.shlex(re.sub(r"2>&1", " 2>&1 ", line), posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands = [Command([])]
    words = iter(lexer)
    for word in words:
        last = commands[-1]
        if word == "|":
            commands.append(Command([]))
        elif word == "not" and not last.words:
            last.negate = True
        elif word == "2>&1":
            last.merge_stderr = True
        elif word.startswith("2>"):
            last.stderr_file = word[2:] or next(words)
        elif word.startswith(">"):
            last.stdout_file = word[1:] or next(words)
        elif word == "<":
            last.stdin_file = next(words)
        else:
            last.words.append(word)
    return commands


def run_test(path: Path) -> Outcome:
    """Run all `RUN:` lines of a test, in a fork."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _child(path, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        text += f"\nthe test's process died: {name}"
    return Outcome(status == 0, text)


def _child(path: Path, write: int) -> None:
    """Run the test and leave: the exit code says whether it passed, the pipe says why not."""
    code, text = 1, ""
    try:
        signal.alarm(TIMEOUT_SECONDS)
        outcome = run_in_process(path)
        code, text = int(not outcome.passed), outcome.text
    except BaseException:
        text = traceback.format_exc()
    with os.fdopen(write, "wb") as pipe:
        pipe.write(text.encode())
    os._exit(code)


def run_in_process(path: Path) -> Outcome:
    """Run all `RUN:` lines here, stopping at the first that fails."""
    lines = run_lines(path)
    if not lines:
        return Outcome(False, f"{path} has no RUN: line")
    for line in lines:
        log: list[str] = []
        if not _run_pipe(line, log):
            return Outcome(False, "\n".join([f"RUN: {line}", *log]), lines)
    return Outcome(True, commands=lines)


def _run_pipe(line: str, log: list[str]) -> bool:
    """Run one command line; every stage must succeed (or fail, under `not`)."""
    stdin, passed = "", True
    for command in parse_pipe(line):
        if command.stdin_file:
            stdin = Path(command.stdin_file).read_text()
        result = _run_command(command.words, stdin)
        if command.merge_stderr:
            result.out, result.err = result.err + result.out, ""
        if command.stderr_file:
            Path(command.stderr_file).write_text(result.err)
        if command.stdout_file:
            Path(command.stdout_file).write_text(result.out)
        if (result.code != 0) != command.negate:
            passed = False
            log.append(f"$ {shlex.join(command.words)}: exit code {result.code}{', expected failure' * command.negate}")
            log.extend(text for text in (result.err, result.out) if text)
        stdin = result.out
    return passed


def _run_command(words: list[str], stdin: str) -> Result:
    name, arguments = words[0], words[1:]
    if name == "tl-opt":
        from tilelang_mlir.tools import tl_opt

        return _call(lambda: tl_opt.main(arguments), stdin)
    if name == "filecheck":
        return _call(lambda: _filecheck(arguments, stdin), stdin)
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    return Result(done.returncode, done.stdout, done.stderr)


def _filecheck(arguments: list[str], stdin: str) -> int:
    from filecheck.finput import FInput
    from filecheck.matcher import Matcher
    from filecheck.options import parse_argv_options
    from filecheck.parser import Parser

    options = parse_argv_options(["filecheck", "--enable-var-scope", *arguments])
    return Matcher(options, FInput("-", stdin), Parser.from_opts(options)).run()


def _call(function: object, stdin: str) -> Result:
    """Call a tool's main with its streams replaced; what C++ writes to descriptor 2 counts as its standard error."""
    assert callable(function)
    out, err = io.StringIO(), io.StringIO()
    saved_stdin = sys.stdin
    with tempfile.TemporaryFile() as raw, _descriptor(2, raw.fileno()):
        sys.stdin = io.StringIO(stdin)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = int(function() or 0)
        finally:
            sys.stdin = saved_stdin
        raw.seek(0)
        return Result(code, out.getvalue(), err.getvalue() + raw.read().decode(errors="replace"))


@contextlib.contextmanager
def _descriptor(number: int, replacement: int):
    saved = os.dup(number)
    os.dup2(replacement, number)
    try:
        yield
    finally:
        os.dup2(saved, number)
        os.close(saved)
