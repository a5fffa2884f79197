"""Marks for tests: skipped where what they need is missing. Each can decorate a function, or be called first."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from tilelang_mlir.compat.modules.nvcc import get_target_compute_version, parse_compute_version

Mark = Callable[..., Any]


def _cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available()) and torch.version.hip is None


def _mark(wanted: Callable[[], bool], reason: str) -> Mark:
    """A mark that skips unless `wanted()` holds, asked when the test is defined."""

    def mark(func: Any = None) -> Any:
        import pytest

        skip = pytest.mark.skipif(not wanted(), reason=reason)
        return skip if func is None else skip(func)

    return mark


def _rocm() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available()) and torch.version.hip is not None


def _gfx(*families: str) -> bool:
    """Whether there is an AMD device of one of the families, as its architecture's name begins."""
    if not _rocm():
        return False
    import torch

    return str(getattr(torch.cuda.get_device_properties(0), "gcnArchName", "")).startswith(families)


def _capability() -> tuple[int, int]:
    return parse_compute_version(get_target_compute_version()) if _cuda() else (0, 0)


requires_cuda = _mark(_cuda, "needs a CUDA device")
requires_cuda_or_cdna = _mark(lambda: _cuda() or _gfx("gfx9"), "needs a CUDA or CDNA device")
requires_rocm = _mark(_rocm, "needs a ROCm device")
requires_cdna = _mark(lambda: _gfx("gfx9"), "needs a CDNA device")
requires_rdna = _mark(lambda: _gfx("gfx1"), "needs an RDNA device")
requires_gfx950 = _mark(lambda: _gfx("gfx950"), "needs a CDNA 4 device")
requires_metal = _mark(lambda: False, "there is no Metal target")
requires_llvm = _mark(lambda: False, "there is no CPU target")


def requires_package(*names: str) -> Mark:
    """Skip unless the packages can be imported."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return _mark(lambda: not missing, f"needs {', '.join(missing or names)}")


def requires_cuda_compute_version(major: int, minor: int = 0, mode: str = "ge") -> Mark:
    """Skip unless there is a CUDA device whose compute capability compares as `mode` (ge, gt, le, lt, eq) says."""
    wanted = (major, minor)
    compare: dict[str, Callable[[tuple[int, int]], bool]] = {
        "ge": lambda c: c >= wanted, "gt": lambda c: c > wanted, "le": lambda c: c <= wanted,
        "lt": lambda c: c < wanted, "eq": lambda c: c == wanted,
    }  # fmt: skip
    holds = compare[mode]
    return _mark(lambda: _cuda() and holds(_capability()), f"needs compute capability {mode} {major}.{minor}")


def requires_cuda_compute_version_ge(major: int, minor: int = 0) -> Mark:
    return requires_cuda_compute_version(major, minor, "ge")


def requires_cuda_compute_version_gt(major: int, minor: int = 0) -> Mark:
    return requires_cuda_compute_version(major, minor, "gt")


def requires_cuda_compute_version_le(major: int, minor: int = 0) -> Mark:
    return requires_cuda_compute_version(major, minor, "le")


def requires_cuda_compute_version_lt(major: int, minor: int = 0) -> Mark:
    return requires_cuda_compute_version(major, minor, "lt")


def requires_cuda_compute_version_eq(major: int, minor: int = 0) -> Mark:
    return requires_cuda_compute_version(major, minor, "eq")
