"""A compiled kernel on devices: checks the first call of a kind, then takes the warm path."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from tilelang_mlir.errors import ArgumentError
from tilelang_mlir.launch_plan import LaunchPlan, names_in

from .binding import Binder, WideSizeError
from .call import prepare
from .vendor import Vendor

_MISS = object()


class DeviceKernel:
    """Calls a launch plan's kernels with device arrays, on the current torch stream unless told otherwise.

    `launch` is the callable to keep where host time matters: it does what calling this object does.
    """

    def __init__(
        self, plan: LaunchPlan, code: bytes, vendor: Vendor, widened: Callable[[], Any] = lambda: None
    ) -> None:
        """`widened` gives what takes calls with dimensions beyond 32 bits, or None."""
        self.plan = plan
        self.module = vendor.module(code)
        self._vendor = vendor
        self._widened = widened
        self._binder = Binder(plan, "cuda")  # torch's name of the device, whichever vendor's it is
        self._callbacks = (self._call, vendor.fail, functools.partial(_misaligned, plan))
        self.launch = vendor.launcher()(vendor.path, _by_value(plan), _MISS, *self._callbacks)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Launch; returns the outputs the plan allocates (one tensor, a list, or None).

        The keyword `stream` is a handle or an object with `cuda_stream` (torch) or `ptr` (cupy).

        Raises:
            ArgumentError: an argument does not match its parameter.
            DriverError: the launch failed.
        """
        return self.launch(*args, **keywords)

    def _call(self, *args: Any, stream: Any = None) -> Any:
        """What the launcher does not know by heart: calls that are new, or name a stream."""
        if stream is None:
            return self._call_on(None, args)
        queue, torch = _stream_handle(stream), sys.modules.get("torch")
        if torch is None or not (self.plan.out_idx or self.plan.workspaces):
            return self._call_on(queue, args)
        # Memory that torch hands out belongs to its current stream: allocate on the one the kernel runs on.
        with torch.cuda.stream(torch.cuda.ExternalStream(queue)):
            return self._call_on(queue, args)

    def _call_on(self, queue: int | None, args: tuple[Any, ...]) -> Any:
        result = self.launch.call(args, queue)
        if result is not _MISS:
            return result
        try:
            bound = self._binder.bind(args)
        except WideSizeError:
            if (wide := self._widened()) is None:
                raise
            return wide(*args, **({} if queue is None else {"stream": queue}))
        spec = prepare(self.plan, self.module, bound, self._vendor)
        self.launch.add(args, spec)
        result = self.launch.call(args, queue)
        if result is not _MISS:
            return result
        plain = self._vendor.launcher(native=False)  # takes arrays that the extension does not know
        fallback = plain(self._vendor.path, 0, _MISS, *self._callbacks)
        fallback.add(args, spec)
        return fallback.call(args, queue)


def _misaligned(plan: LaunchPlan, index: int) -> None:
    param = [p for p in plan.user_params if not p.output][index]
    narrow = " or compile with pass_configs={'tl.disable_vectorize_256': True}" if param.alignment > 16 else ""
    raise ArgumentError(f"{param.name}: its data does not start at a multiple of {param.alignment} bytes",
                        hint=f"a slice can start anywhere in its storage: pass {param.name}.clone(){narrow}")


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
