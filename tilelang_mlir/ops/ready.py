"""Kernels of factories, compiled once per target and arguments."""

from __future__ import annotations

import functools
from collections.abc import Hashable

from tilelang_mlir.jit.compile import compile_prim_func
from tilelang_mlir.jit.decorator import JITImpl
from tilelang_mlir.jit.kernel import JITKernel
from tilelang_mlir.target import Target


@functools.cache
def ready(factory: JITImpl, target: str | Target, *arguments: Hashable) -> JITKernel:
    """The kernel that a factory makes of the arguments, for a target of the caller's choice."""
    return compile_prim_func(factory.func(*arguments), out_idx=factory.options["out_idx"], target=target)
