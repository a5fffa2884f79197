"""`tilelang.engine`: lowering, and the hooks that rewrite generated text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.jit.lowering import CompiledArtifact, KernelParam, lower

__all__ = ["CompiledArtifact", "KernelParam", "lower", "register_cuda_postproc"]


def register_cuda_postproc(func: Callable[[str, Any], str] | None = None, override: bool = True) -> Any:
    """Refused: a hook rewrites CUDA C++, which is not generated here.

    Raises:
        UnsupportedError: always.
    """
    del func, override
    raise UnsupportedError("hooks on generated CUDA C++", hint="device code is PTX here: see get_kernel_source()")


register_cuda_postproc_callback = register_hip_postproc = register_c_postproc = register_cuda_postproc
register_hip_postproc_callback = register_cuda_postproc
