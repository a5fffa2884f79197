"""Running TileLang programs unmodified: `import tilelang` gives this package.

`python -m tilelang_mlir.compat SCRIPT [ARGS]` runs a script; `install()` does the same from inside a program. With
`simulate` the tensors that a program puts on "cuda" stay on the CPU and kernels run in the simulator.
"""

from __future__ import annotations

from tilelang_mlir.compat.imports import install, uninstall

__all__ = ["install", "uninstall"]
