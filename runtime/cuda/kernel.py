"""A compiled kernel on CUDA devices: checks the first call of a kind, then takes the warm path."""

from __future__ import annotations

import functools
import sys
from typing import Any

from tilelang_mlir import knobs
from tilelang_mlir.errors import ArgumentError
from tilelang_mlir.launch_plan import LaunchPlan, names_in

from ..binding import Binder
from .call import prepare
from .driver import LIBRARY, driver
from .launch import Launcher
from .module import CudaModule

_MISS = object()


class CudaKernel:
    """Calls a launch plan's kernels with device arrays, on the current torch stream unless told otherwise."""

    def __init__(self, plan: LaunchPlan, code: bytes, path: str = LIBRARY) -> None:
        self.plan = plan
        self.module = CudaModule(code, path)
        self._path = path
        self._binder = Binder(plan, "cuda")
        # Functions without a reference to this object: the extension's objects do not take part in cycle collection.
        self._callbacks = (functools.partial(_fail, path), functools.partial(_misaligned, plan))
        self._launcher = _launcher_class()(path, _by_value(plan), _MISS, *self._callbacks)

    def __call__(self, *args: Any, stream: Any = None) -> Any:
        """Launch; returns the outputs the plan allocates (one tensor, a list, or None).

        `stream` is a handle or an object with `cuda_stream` (torch) or `ptr` (cupy).

        Raises:
            ArgumentError: an argument does not match its parameter.
            DriverError: the launch failed.
        """
        if stream is not None:
            return self._call_on(_stream_handle(stream), args)
        return self._call(args, None)

    def _call_on(self, queue: int, args: tuple[Any, ...]) -> Any:
        torch = sys.modules.get("torch")
        if torch is None or not (self.plan.out_idx or self.plan.workspaces):
            return self._call(args, queue)
        # Memory that torch hands out belongs to its current stream: allocate on the one the kernel runs on.
        with torch.cuda.stream(torch.cuda.ExternalStream(queue)):
            return self._call(args, queue)

    def _call(self, args: tuple[Any, ...], queue: int | None) -> Any:
        result = self._launcher.call(args, queue)
        if result is not _MISS:
            return result
        spec = prepare(self.plan, self.module, self._binder.bind(args), self._path)
        self._launcher.add(args, spec)
        result = self._launcher.call(args, queue)
        if result is not _MISS:
            return result
        fallback = Launcher(self._path, 0, _MISS, *self._callbacks)  # arrays the extension does not know
        fallback.add(args, spec)
        return fallback.call(args, queue)


def _fail(path: str, name: str, status: int) -> None:
    raise driver(path).error(name, status)


def _misaligned(plan: LaunchPlan, index: int) -> None:
    param = [p for p in plan.user_params if not p.output][index]
    raise ArgumentError(f"{param.name}: its data does not start at a multiple of 16 bytes",
                        hint=f"a slice can start anywhere in its storage: pass {param.name}.clone()")


def _by_value(plan: LaunchPlan) -> int:
    """A bit per argument whose value sizes, grids or assertions depend on."""
    exprs = [expr for kernel in plan.kernels for expr in kernel.grid]
    exprs += [expr for param in plan.params for expr in (*param.shape, *param.strides)]
    exprs += [expr for space in plan.workspaces for expr in space.shape]
    exprs += [condition for condition, _ in plan.asserts]
    used = {name for expr in exprs for name in names_in(expr)}
    inputs = [p for p in plan.user_params if not p.output]
    return sum(1 << index for index, p in enumerate(inputs[:64]) if p.kind == "scalar" and p.name in used)


def _stream_handle(stream: Any) -> int:
    for name in ("cuda_stream", "ptr"):
        if hasattr(stream, name):
            return int(getattr(stream, name))
    return int(stream)


def _launcher_class() -> Any:
    if knobs.DISABLE_NATIVE.get():
        return Launcher
    try:
        from .._launch import Launcher as NativeLauncher  # type: ignore[import-not-found]
    except ImportError:
        return Launcher
    return NativeLauncher
