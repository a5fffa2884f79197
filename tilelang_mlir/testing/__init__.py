"""`tilelang.testing`: running a test file, seeds, comparisons, and marks for what a test needs."""

from __future__ import annotations

import random
import sys
from typing import Any, NoReturn

from tilelang_mlir.testing.regression import process_func, regression
from tilelang_mlir.testing.requires import (
    requires_cdna,
    requires_cuda,
    requires_cuda_compute_version,
    requires_cuda_compute_version_eq,
    requires_cuda_compute_version_ge,
    requires_cuda_compute_version_gt,
    requires_cuda_compute_version_le,
    requires_cuda_compute_version_lt,
    requires_cuda_or_cdna,
    requires_gfx950,
    requires_llvm,
    requires_metal,
    requires_package,
    requires_rdna,
    requires_rocm,
)
from tilelang_mlir.utils.tensor import torch_assert_close

__all__ = [
    "main", "process_func", "regression", "requires_cdna", "requires_cuda", "requires_cuda_compute_version",
    "requires_cuda_compute_version_eq", "requires_cuda_compute_version_ge", "requires_cuda_compute_version_gt",
    "requires_cuda_compute_version_le", "requires_cuda_compute_version_lt", "requires_cuda_or_cdna", "requires_gfx950",
    "requires_llvm", "requires_metal", "requires_package", "requires_rdna", "requires_rocm", "set_random_seed",
    "torch_assert_close",
]  # fmt: skip


def main() -> NoReturn:
    """Run the tests of the calling file with pytest, and exit with its status. Options are the program's arguments."""
    import pytest

    caller = sys._getframe(1).f_globals["__file__"]  # pyright: ignore[reportPrivateUsage]
    sys.exit(pytest.main([caller, *sys.argv[1:]]))


def set_random_seed(seed: int = 42) -> None:
    """Seed Python's, numpy's and torch's generators."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
