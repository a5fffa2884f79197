"""`tilelang.backend` and `tilelang.utils.target`: which machine a program is compiled for."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.target import Feature, Target

__all__ = ["Target", "determine_target"]


def determine_target(target: Any = "auto", return_object: bool = False) -> Any:
    """The target as a string, or as a `Target` with `return_object`."""
    found = resolve_target(target)
    return found if return_object else str(found)


def target_is_cuda(target: Any) -> bool:
    return resolve_target(target).vendor == "cuda"


def target_is_hip(target: Any) -> bool:
    return resolve_target(target).vendor == "hip"


def target_is_hopper(target: Any) -> bool:
    return resolve_target(target).supports(Feature.WGMMA)


is_cuda_target, is_hip_target = target_is_cuda, target_is_hip


def target_is_cdna(target: Any) -> bool:
    return resolve_target(target).supports(Feature.MFMA)


def target_is_gfx950(target: Any) -> bool:
    return resolve_target(target).supports(Feature.MFMA_SCALED)


def check_cuda_availability() -> bool:
    """Whether there is a CUDA device, or one is simulated."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def check_hip_availability() -> bool:
    return False
