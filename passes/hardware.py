"""Which vendor's emission a target uses."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.target import Target

from .lowering.hardware import Hardware
from .nvidia.hardware import Nvidia


def hardware_for(target: Target) -> Hardware:
    if target.vendor == "cuda":
        return Nvidia(target)
    raise UnsupportedError(f"no lowering for {target} yet", hint="targets with one: cuda:sm_80, sm_86, sm_89, sm_90, sm_90a")
