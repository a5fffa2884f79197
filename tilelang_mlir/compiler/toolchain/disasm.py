"""Reading cubins: SASS listings through nvdisasm, or cuobjdump where only that is installed."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tilelang_mlir.compiler.toolchain.search import find
from tilelang_mlir.errors import ToolchainError


def disassemble(cubin: bytes) -> str:
    """The SASS of a cubin, with the source lines where it was compiled with line information.

    Raises:
        ToolchainError: neither nvdisasm nor cuobjdump is found, or it rejects the cubin.
    """
    try:
        command = [find("nvdisasm", reads="cubins").path, "--print-line-info"]
    except ToolchainError:
        command = [find("cuobjdump", reads="cubins").path, "--dump-sass"]
    with tempfile.TemporaryDirectory(prefix="tilelang-") as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        done = subprocess.run([*command, str(path)], capture_output=True, text=True)
    if done.returncode:
        raise ToolchainError(f"{command[0]} cannot read the cubin: {done.stderr.strip()}")
    return done.stdout
