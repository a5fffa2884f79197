"""Which vendor's emission a target uses. Only that vendor's modules are loaded."""

from __future__ import annotations

from tilelang_mlir.target import Target

from .lowering.hardware import Hardware


def hardware_for(target: Target) -> Hardware:
    """The emission of the target's vendor."""
    if target.vendor == "cuda":
        from .nvidia.hardware import Nvidia

        return Nvidia(target)
    from .amd.hardware import Amd

    return Amd(target)
