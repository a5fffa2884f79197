"""The CPU in the place of a GPU: torch's "cuda" device is the CPU, kernels run in the simulator.

Calls of torch that name the device "cuda" get "cpu" instead (a torch function mode does it), tensors say that they are
on "cuda:0", for programs that insist on it, and the functions of `torch.cuda` that programs ask about their device
answer for the simulated architecture. Times are the host's.
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from tilelang_mlir import knobs
from tilelang_mlir.compat.graphs import Graph, capture, make_graphed_callables, recorded
from tilelang_mlir.jit.addresses import remember
from tilelang_mlir.jit.simulated import SimulatedKernel
from tilelang_mlir.target import DEFAULT_SIMULATED, parse_target

DEFAULT_ARCH = DEFAULT_SIMULATED
_BACKWARD = "_engine_run_backward"  # what runs the backward halves of operations
_ROCM = "6.4.0"  # the release that torch names where an AMD GPU is simulated
_SAVED: list[Callable[[], None]] = []


def start(arch: str = DEFAULT_ARCH) -> None:
    """Begin: until `stop`, programs find one simulated GPU of the architecture.

    Raises:
        TargetError: an unknown architecture.
    """
    stop()
    target = parse_target(f"sim:{arch}")
    _SAVED.append(knobs.assign(knobs.SIMULATE, target.arch))
    # Programs that run on a GPU read padding, and use nothing of it; and the lanes of a warp follow each other there.
    for knob in (knobs.SIM_UNINITIALIZED, knobs.SIM_LOCKSTEP):
        if not knob.get():
            _SAVED.append(knobs.assign(knob, "warn"))
    try:
        import torch
    except ImportError:
        return
    mode = _mode(torch)
    mode.__enter__()
    _SAVED.append(lambda: mode.__exit__(None, None, None))
    for name, value in _device_functions(target).items():
        _replace(torch.cuda, name, value)
    _replace(SimulatedKernel, "__call__", recorded(SimulatedKernel.__call__))
    if target.vendor == "hip":
        _replace(torch.version, "hip", _ROCM)
    _replace(torch, "Generator", _generator(torch.Generator))
    _replace(torch, "set_default_device", _on_cpu(torch.set_default_device))
    _replace(torch, "compile", _uncompiled)
    _replace(torch, "load", _on_cpu(torch.load))
    # What torch calls back runs without the mode, unless it is entered once more.
    _replace(torch.autograd, _BACKWARD, _within(mode, vars(torch.autograd)[_BACKWARD]))
    _replace(torch.library, "custom_op", _custom_op(torch.library, mode))
    # So do threads, which torch's modes do not follow: the autotuner measures in one.
    _replace(threading.Thread, "run", _within(mode, threading.Thread.run))


def stop() -> None:
    """End: undo everything `start` did."""
    while _SAVED:
        _SAVED.pop()()


def _replace(owner: Any, name: str, value: Any) -> None:
    before = getattr(owner, name, None)
    setattr(owner, name, value)
    _SAVED.append(lambda: setattr(owner, name, before))


def moved(value: Any) -> Any:
    """An argument of a torch function with the CPU in the place of "cuda" devices."""
    if isinstance(value, str):
        return "cpu" if re.fullmatch(r"cuda(:\d+)?", value) else value
    if type(value).__name__ == "device" and getattr(value, "type", "") == "cuda":
        import torch

        return torch.device("cpu")
    return value


def _mode(torch: Any) -> Any:
    from torch.overrides import TorchFunctionMode

    to_cpu = {torch.Tensor.cuda: lambda tensor, *_, **__: tensor}
    pinning = (torch.Tensor.pin_memory,)
    gpu = torch.device("cuda", 0)
    asked = {
        torch.Tensor.is_cuda.__get__: lambda _: True,
        torch.Tensor.device.__get__: lambda tensor: gpu if tensor.is_cpu else tensor.device,
        torch.Tensor.get_device: lambda _: 0,
    }

    class OnTheCPU(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            if func is torch.device:  # compared with devices of tensors; `moved` where it goes into a call
                return func(*args, **(kwargs or {}))
            if func in pinning:
                return args[0]
            if func is torch.Tensor.data_ptr:
                remember(args[0])  # the number may reach a kernel
            if func in to_cpu:
                return to_cpu[func](*args)
            if func in asked:
                return asked[func](args[0])
            keywords = {key: moved(value) for key, value in (kwargs or {}).items() if key != "pin_memory"}
            arguments = tuple(moved(value) for value in args)
            graph = Graph.capturing
            return func(*arguments, **keywords) if graph is None else graph.run(func, arguments, keywords)

    return OnTheCPU()


def _on_cpu(func: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: func(*[moved(a) for a in args], **{k: moved(v) for k, v in kwargs.items()})


def _within(mode: Any, func: Callable[..., Any]) -> Callable[..., Any]:
    """The function, in the mode while it runs."""

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        with mode:
            return func(*args, **kwargs)

    return run


def _custom_op(library: Any, mode: Any) -> Callable[..., Any]:
    """`torch.library.custom_op` whose implementations run on the CPU, in the mode."""
    real = library.custom_op

    def custom_op(name: str, fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        if fn is None:
            return lambda func: custom_op(name, func, **options)
        schema = options.get("schema") or library.infer_schema(fn, mutates_args=options["mutates_args"])
        return real(name, _within(mode, fn), **{**options, "schema": schema, "device_types": None})

    return custom_op


def _uncompiled(model: Any = None, **options: Any) -> Any:
    """`torch.compile` that leaves functions as they are: compiled ones would look for the GPU."""
    del options
    return model if model is not None else lambda func: func


def _generator(real: Any) -> type:
    """A class in the place of `torch.Generator` that makes generators of the CPU; instances are torch's own."""

    class Kind(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, real)

        def __call__(cls, device: Any = "cpu") -> Any:
            return real(device=moved(device))

    return Kind("Generator", (), {})


class _Event:
    """`torch.cuda.Event` on the host's clock."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        del enable_timing, blocking, interprocess
        self.at = 0.0

    def record(self, stream: Any = None) -> None:
        del stream
        self.at = time.perf_counter()

    def elapsed_time(self, end: _Event) -> float:
        """Milliseconds until `end`."""
        return max((end.at - self.at) * 1e3, 1e-6)

    def synchronize(self) -> None:
        """Nothing runs beside the host."""

    wait = synchronize

    def query(self) -> bool:
        return True


class _Stream:
    """`torch.cuda.Stream`: there is one, and it is the host."""

    cuda_stream = 0

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None: ...

    def synchronize(self) -> None: ...

    def wait_stream(self, stream: Any) -> None: ...

    def wait_event(self, event: Any) -> None: ...

    def record_event(self, event: Any = None) -> Any:
        event = event or _Event()
        event.record()
        return event


def _device_functions(target: Any) -> dict[str, Any]:
    digits = re.sub(r"\D", "", target.arch)
    capability = (int(digits[:-1]), int(digits[-1])) if target.vendor == "cuda" else (9, 4)
    properties = SimpleNamespace(
        name=f"simulated {target.arch}", major=capability[0], minor=capability[1], total_memory=80 << 30,
        multi_processor_count=target.multiprocessors, max_threads_per_multi_processor=2048, warp_size=target.warp_size,
        shared_memory_per_block_optin=target.max_shared_bytes, shared_memory_per_block=48 << 10,
        shared_memory_per_multiprocessor=target.max_shared_bytes + 1024, regs_per_multiprocessor=65536,
        L2_cache_size=50 << 20, gcnArchName=target.arch,
    )  # fmt: skip

    def always(value: Any) -> Callable[..., Any]:  # a function of its own each time: torch tells them apart
        return lambda *_, **__: value

    return {
        "is_available": always(True),
        "is_initialized": always(True),
        "is_current_stream_capturing": lambda: Graph.capturing is not None,
        "CUDAGraph": Graph,
        "graph": capture,
        "make_graphed_callables": make_graphed_callables,
        "graph_pool_handle": always((0, 0)),
        "device_count": always(1),
        "current_device": always(0),
        "set_device": always(None),
        "device": _Stream,
        "init": always(None),
        "synchronize": always(None),
        "empty_cache": always(None),
        "reset_peak_memory_stats": always(None),
        "manual_seed": always(None),  # torch.manual_seed seeds the CPU, and calls this
        "manual_seed_all": always(None),
        "memory_allocated": always(0),
        "max_memory_allocated": always(0),
        "mem_get_info": always((80 << 30, 80 << 30)),
        "get_device_capability": always(capability),
        "get_device_name": always(properties.name),
        "get_device_properties": always(properties),
        "Event": _Event,
        "Stream": _Stream,
        "stream": lambda stream: stream or _Stream(),
        "current_stream": _Stream,
        "default_stream": _Stream,
    }
