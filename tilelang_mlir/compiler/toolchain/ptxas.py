"""Assembling PTX to a cubin with ptxas."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tilelang_mlir import knobs
from tilelang_mlir.compiler.toolchain.arch import newest_ptx, ptx_version
from tilelang_mlir.compiler.toolchain.search import Tool, find
from tilelang_mlir.errors import CompileError, ToolchainError

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

_INTERLEAVES = (12, 9)


def find_ptxas(arch: str) -> Tool:
    """A ptxas that reads the PTX emitted for `arch`. Raises ToolchainError listing the places looked at."""
    needed = ptx_version(arch)
    oldest = next((release for release in _releases() if newest_ptx(release) >= needed), (99, 0))
    return find("ptxas", reads=f"PTX {needed[0]}.{needed[1]} ({arch})", accept=oldest)


def interleaving_ptxas(arch: str, usual: str = "") -> str:
    """The path of a ptxas that lets warps take turns within runs of additions: from release 12.9 on.

    `usual` itself where there is none, or where the caller has chosen it. Without it that of `find_ptxas`.
    """
    found = find_ptxas(arch)
    if knobs.PTXAS_PATH.get() or usual not in ("", found.path):
        return usual or found.path
    with contextlib.suppress(ToolchainError):
        return find("ptxas", reads="", accept=max(found.release, _INTERLEAVES)).path
    return found.path


def _releases() -> list[tuple[int, int]]:
    return [(major, minor) for major in (11, 12, 13) for minor in range(10)]


# ptxas takes its memory piece by piece and gives it back at its end only: in big steps and big pages, where the system
# has them for who asks, a tenth of its time is saved.
_TUNABLES = "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=33554432"
_STDIN = "/dev/stdin"
_SPILLS = re.compile(r"\b[1-9]\d* bytes spill stores")


def assemble(
    ptx: str, arch: str, ptxas: str, flags: Sequence[str] = (), timeout: float | None = None
) -> tuple[bytes, str]:
    """Assemble PTX; returns the cubin and ptxas' verbose log.

    Raises:
        CompileError: ptxas rejected the PTX, crashed or took longer than `timeout` seconds.
    """
    with _temporary_folder() as folder:
        source, target = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx)
        try:
            process = _run(ptxas, arch, flags, str(source), target, subprocess.DEVNULL)
        except OSError as error:
            raise CompileError(f"cannot run {ptxas}: {error}") from error
        log = _wait(process, None, timeout).replace(str(source), "kernel.ptx")
        if process.returncode or not target.exists():
            raise CompileError(f"ptxas exit status {process.returncode}\n{log}")
        return target.read_bytes(), log


class Assembler:
    """A ptxas that has started and waits for its PTX: what it sets up first takes as long as a tenth of a product.

    Used as a context; leaving it ends a ptxas that got no PTX. One that dies with its parent sees its input end.
    With `spilled_flags`, code that spills registers is made again with these.
    """

    def __init__(
        self, arch: str, ptxas: str, flags: Sequence[str] = (), spilled_flags: Sequence[str] | None = None
    ) -> None:
        self._arch, self._ptxas, self._flags = arch, ptxas, tuple(flags)
        self._spilled_flags = spilled_flags

    def __enter__(self) -> Assembler:
        self._folder = _temporary_folder()
        self._target = Path(self._folder.name) / "kernel.cubin"
        self._process: subprocess.Popen[bytes] | None = None
        if "-lineinfo" in self._flags:
            return self  # it reads its source twice, the second time to put the text into the code
        with contextlib.suppress(OSError):  # `assemble` says what is wrong
            self._process = _run(self._ptxas, self._arch, self._flags, _STDIN, self._target, subprocess.PIPE)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()

    def assemble(self, ptx: str, timeout: float | None = None) -> tuple[bytes, str]:
        """As the function `assemble`, once."""
        code, log = self._assemble(ptx, timeout)
        if self._spilled_flags is not None and _SPILLS.search(log):
            return assemble(ptx, self._arch, self._ptxas, self._spilled_flags, timeout)
        return code, log

    def _assemble(self, ptx: str, timeout: float | None) -> tuple[bytes, str]:
        if self._process is not None:
            log = _wait(self._process, ptx.encode(), timeout)
            if not self._process.returncode and self._target.exists():
                return self._target.read_bytes(), log.replace(_STDIN, "kernel.ptx")
        # From a file: it may be a ptxas that wants to seek in its source.
        return assemble(ptx, self._arch, self._ptxas, self._flags, timeout)


def _temporary_folder() -> TemporaryDirectory[str]:
    from tempfile import TemporaryDirectory  # here, for it loads much that those who look for ptxas do without

    return TemporaryDirectory(prefix="tilelang-")


def _run(ptxas: str, arch: str, flags: Sequence[str], source: str, target: Path, stdin: int) -> subprocess.Popen[bytes]:
    command = [ptxas, "-arch", arch, "-v", *flags, source, "-o", str(target)]
    environment = {"GLIBC_TUNABLES": _TUNABLES, **os.environ, "LC_ALL": "C"}
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def _wait(process: subprocess.Popen[bytes], text: bytes | None, timeout: float | None) -> str:
    """What a ptxas wrote until its end. Raises CompileError when that is more than `timeout` seconds away."""
    try:
        output, errors = process.communicate(text, timeout)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise CompileError(f"ptxas timed out after {error.timeout:.0f} s") from error
    return (output + errors).decode(errors="replace")
