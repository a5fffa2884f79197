"""Which vendor's emission a target uses."""

from __future__ import annotations

from tilelang_mlir.target import Target

from .amd.hardware import Amd
from .lowering.hardware import Hardware
from .nvidia.hardware import Nvidia


def hardware_for(target: Target) -> Hardware:
    return Nvidia(target) if target.vendor == "cuda" else Amd(target)
