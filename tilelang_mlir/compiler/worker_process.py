"""The process of a code generation worker: `python -m tilelang_mlir.compiler.worker_process`.

MLIR's bindings import numpy where it is installed, for builders of attributes that nothing here uses. A third of what
a worker loads is numpy, so the bindings do not find it here; passes that need it import it later.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from typing import Any


@contextlib.contextmanager
def missing(package: str) -> Generator[None]:
    """Make a package that is not imported yet look as if it were not installed."""
    modules: dict[str, Any] = sys.modules
    hidden = modules.setdefault(package, None) is None
    try:
        yield
    finally:
        if hidden:
            del modules[package]


def main() -> int:
    """Serve requests until the input closes."""
    with missing("numpy"):
        from tilelang_mlir.compiler import worker

    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
