"""Options of LLVM that hold for the process, whichever target comes first."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator

import llvmlite.binding as llvm

# Passes of instruction selection that rewrite address arithmetic. Lowering has folded and shared addresses, so these
# find next to nothing (a scalar addition here or there in 5 of 50 kernels of the examples, three instructions of 6,000
# on AMD), but compare all pairs of candidates in a block: of 96 loops in a row they took six sevenths of LLVM's time.
_DISABLED = "slsr,nary-reassociate"


@functools.lru_cache(maxsize=1)
def initialise() -> None:
    """Set the options and load the targets, before any target machine exists."""
    # 32-bit addresses for shared, constant and private memory.
    llvm.set_option("tilelang", "--nvptx-short-ptr")
    llvm.set_option("tilelang", f"--opt-disable={_DISABLED}")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@contextlib.contextmanager
def switched_on(*names: str) -> Generator[None]:
    """LLVM's options of these names, until the end of the block."""
    initialise()
    for name in names:
        llvm.set_option("tilelang", f"--{name}=true")
    try:
        yield
    finally:
        for name in names:
            llvm.set_option("tilelang", f"--{name}=false")
