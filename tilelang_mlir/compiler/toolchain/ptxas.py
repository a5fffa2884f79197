"""Assembling PTX to a cubin with ptxas."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tilelang_mlir.compiler.toolchain.arch import newest_ptx, ptx_version
from tilelang_mlir.compiler.toolchain.search import Tool, find
from tilelang_mlir.errors import CompileError


def find_ptxas(arch: str) -> Tool:
    """A ptxas that reads the PTX emitted for `arch`. Raises ToolchainError listing the places looked at."""
    needed = ptx_version(arch)
    oldest = next((release for release in _releases() if newest_ptx(release) >= needed), (99, 0))
    return find("ptxas", reads=f"PTX {needed[0]}.{needed[1]} ({arch})", accept=oldest)


def _releases() -> list[tuple[int, int]]:
    return [(major, minor) for major in (11, 12, 13) for minor in range(10)]


# ptxas takes its memory piece by piece and gives it back at its end only: in big steps and big pages, where the system
# has them for who asks, a tenth of its time is saved.
_TUNABLES = "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=33554432"


def assemble(
    ptx: str, arch: str, ptxas: str, flags: Sequence[str] = (), timeout: float | None = None
) -> tuple[bytes, str]:
    """Assemble PTX; returns the cubin and ptxas' verbose log.

    Raises:
        CompileError: ptxas rejected the PTX, crashed or took longer than `timeout` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="tilelang-") as folder:
        source, target = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx)
        command = [ptxas, "-arch", arch, "-v", *flags, str(source), "-o", str(target)]
        environment = {"GLIBC_TUNABLES": _TUNABLES, **os.environ, "LC_ALL": "C"}
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)
        except subprocess.TimeoutExpired as error:
            raise CompileError(f"ptxas timed out after {error.timeout:.0f} s") from error
        except OSError as error:
            raise CompileError(f"cannot run {ptxas}: {error}") from error
        log = (done.stdout + done.stderr).replace(str(source), "kernel.ptx")
        if done.returncode or not target.exists():
            raise CompileError(f"ptxas exit status {done.returncode}\n{log}")
        return target.read_bytes(), log
