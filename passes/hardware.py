"""Which vendor's emission a target uses."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.target import Feature, Target, targets_with

from .lowering.hardware import Hardware
from .nvidia.hardware import Nvidia


def hardware_for(target: Target) -> Hardware:
    if target.vendor == "cuda":
        return Nvidia(target)
    raise UnsupportedError(
        f"no lowering for {target}", hint=f"targets with one: {', '.join(targets_with(Feature.LDMATRIX))}"
    )
