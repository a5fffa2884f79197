"""Turns what MLIR, LLVM and ptxas say when they fail into a `CompileError` that a kernel author can act on."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from tilelang_mlir import knobs
from tilelang_mlir.errors import CompileError, Location

# `"kern.py":10:3` (MLIR), `kern.py:10:3` (LLVM, with debug info), `loc("kern.py":10:3)`.
_POSITION = re.compile(r'"?(?P<file>[^\s"()\[\],]+\.py|<[\w .-]+>)"?:(?P<line>\d+)(?::(?P<column>\d+))?')
_LEADING_POSITION = re.compile(r"^\S+\.py:\d+(?::\d+)?: ")
_LOG_TAIL = 2000


def find_location(text: str) -> Location | None:
    """The first Python position mentioned in a message."""
    match = _POSITION.search(text)
    if match is None:
        return None
    column = int(match["column"] or 0)
    return Location(match["file"], int(match["line"]), column - 1 if column else -1)


def save_module(text: str | bytes, name: str) -> Path | None:
    """Write a module that failed to compile where the user finds it; None when no folder is writable."""
    body = text.encode() if isinstance(text, str) else text
    folder = Path(knobs.DUMP_DIR.get() or Path(tempfile.gettempdir()) / "tilelang-failed")
    path = folder / f"{name}-{hashlib.sha256(body).hexdigest()[:12]}.mlir"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    except OSError:
        return None
    return path


def compile_error(
    stage: str, details: str, module_text: str, arch: str, name: str = "kernel", output: str = "ptx"
) -> CompileError:
    """A `CompileError` that says which stage failed and why, where in Python, and how to see it again."""
    path = save_module(module_text, name)
    reason = _reason(details)
    notes: tuple[tuple[str, Location | None], ...] = ()
    tail = details.strip()[-_LOG_TAIL:]
    if not tail.endswith(reason):  # a one-line message is not repeated
        notes += ((f"output of {stage}:\n{tail}", None),)
    hint = ""
    if path is not None:
        notes += ((f"the lowered module is in {path}", None),)
        hint = f"reproduce with: tl-opt {path} --target={arch} --emit={output}"
    return CompileError(f"{stage} failed: {reason}", find_location(details), hint=hint, notes=notes)


def _reason(details: str) -> str:
    """The one line of an output that says most."""
    lines = [line.strip() for line in details.splitlines() if line.strip()]
    for pattern in ("LLVM ERROR", "Cannot select", "error:", "error   :", "fatal", "Assertion", "timed out"):
        for line in lines:
            if pattern in line:
                return line
    return _LEADING_POSITION.sub("", lines[0]) if lines else "no message"
