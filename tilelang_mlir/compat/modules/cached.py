"""`tilelang.cache.cached` and, under its older name, `tilelang.profiler.cached`: a kernel, compiled once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.jit.compile import compile as compile_kernel
from tilelang_mlir.jit.kernel import JITKernel


def cached(
    func: PrimFunc | Callable[..., PrimFunc], out_idx: int | Sequence[int] | None = None, *args: Any, **options: Any
) -> JITKernel:
    """The kernel of a prim_func, or of what `func(*args)` gives; a second call with equal arguments gives the same.

    Raises:
        TileError: as `tilelang.compile`, whose options these are.
    """
    outputs = tuple(out_idx) if isinstance(out_idx, Sequence) else out_idx
    key = (func, outputs, args, tuple(sorted(options.items(), key=lambda item: item[0])))
    try:
        hash(key)
    except TypeError:  # arguments that cannot be compared: the disk cache finds the kernel
        return _compiled(*key)
    return _made(*key)


def _compiled(func: Any, outputs: Any, args: tuple[Any, ...], options: tuple[tuple[str, Any], ...]) -> JITKernel:
    program = func if isinstance(func, PrimFunc) else func(*args)
    return compile_kernel(program, list(outputs) if isinstance(outputs, tuple) else outputs, **dict(options))


_made = functools.cache(_compiled)
