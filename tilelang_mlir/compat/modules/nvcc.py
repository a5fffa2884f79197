"""`tilelang.contrib.nvcc`: what programs ask of it, the compute capability."""

from __future__ import annotations

import re
from typing import Any

from tilelang_mlir.jit.target import resolve_target


def get_target_compute_version(target: Any = None) -> str:
    """The compute capability as text, `9.0`."""
    digits = re.sub(r"\D", "", resolve_target(target or "auto").arch)
    return f"{int(digits[:-1])}.{digits[-1]}"


def get_target_arch(compute_version: str | None = None) -> str:
    """The compute capability without the dot, `90`."""
    return (compute_version or get_target_compute_version()).replace(".", "")


def parse_compute_version(compute_version: str) -> tuple[int, int]:
    """`9.0` as (9, 0)."""
    major, _, minor = compute_version.partition(".")
    return int(major), int(minor or 0)


def have_fp8(compute_version: str) -> bool:
    return parse_compute_version(compute_version) >= (8, 9)


def have_bf16(compute_version: str) -> bool:
    return parse_compute_version(compute_version) >= (8, 0)


def have_tensorcore(compute_version: str | None = None, target: Any = None) -> bool:
    return parse_compute_version(compute_version or get_target_compute_version(target)) >= (7, 0)
