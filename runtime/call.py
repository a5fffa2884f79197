"""A call prepared for repeated launching: everything that depends on types and shapes but not on addresses."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.errors import ArgumentError
from tilelang_mlir.launch_plan import KernelSpec, LaunchPlan, TensorMapSpec

from .binding import Bound, evaluate
from .packing import POINTER, layout, pack, scalar_format
from .storage import storage_dtype, storage_shape
from .vendor import Module, Vendor
from .views import TensorView, contiguous_strides

# Sources of a parameter's value; runtime/native/launch.cpp has the same numbers.
ARGUMENT_POINTER, ARGUMENT_SCALAR, ALLOCATED = 0, 1, 2
Slot = tuple[int, int, int, str, int]  # offset, source, index, format, bytes that a pointer is a multiple of


@dataclass(frozen=True)
class KernelCall:
    """One kernel with its grid known.

    `attributes` are what `Vendor.attributes` made; `tensor_maps` are (address -> 128 bytes, slot of the tensor).
    """

    function: int
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    attributes: bytes
    tensor_maps: tuple[tuple[Callable[[int], bytes], Slot], ...]


@dataclass(frozen=True)
class CallSpec:
    """What every launch of one combination of types and shapes shares.

    `parameters` is the packed parameter block with the constants in place, `slots` what is filled in per call,
    `allocate` makes outputs and then workspaces, with `context` current; the first `outputs` of them are returned.
    `stream_type` may offer the stream through DLPack's C functions, which is faster than calling `current_stream`.
    """

    context: int
    parameters: bytes
    offsets: tuple[int, ...]
    slots: tuple[Slot, ...]
    allocate: tuple[Callable[[], Any], ...]
    outputs: int
    kernels: tuple[KernelCall, ...]
    current_stream: Callable[[int], int]
    stream_type: type | None
    device_index: int


def prepare(plan: LaunchPlan, module: Module, bound: Bound, vendor: Vendor) -> CallSpec:
    """Prepare a checked call.

    Raises:
        DriverError: the code does not load on the arguments' device.
        ResourceError: the device has too little shared memory.
    """
    index = int(bound.device.partition(":")[2] or 0)
    formats = [scalar_format(p.dtype) if p.kind in ("scalar", "symbol") else POINTER for p in plan.params]
    shape = layout([*formats, *(POINTER for _ in plan.workspaces)])
    parameters = bytearray(shape.size)
    slots = _slots(plan, shape.offsets, shape.formats)
    for position, param in enumerate(plan.params):
        if param.kind == "symbol":
            pack(parameters, shape.offsets[position], shape.formats[position], bound.dims[param.name])
    kernels, context = [], 0
    for kernel in plan.kernels:
        cluster = kernel.cluster or (1, 1, 1)
        function = module.function(kernel.name, index, kernel.shared_bytes, cluster[0] * cluster[1] * cluster[2])
        context = function.context
        kernels.append(_kernel_call(plan, kernel, function.handle, bound, slots, vendor))
    return CallSpec(context, bytes(parameters), shape.offsets, tuple(s for s in slots if s), _allocations(plan, bound),
                    len(plan.out_idx), tuple(kernels), _stream_source(), _stream_type(), index)


def _slots(plan: LaunchPlan, offsets: Sequence[int], formats: Sequence[str]) -> list[Slot | None]:
    """A slot per kernel parameter; None for the constants."""
    slots: list[Slot | None] = []
    taken, made = 0, 0
    for position, param in enumerate(plan.params):
        offset = offsets[position]
        if param.kind == "symbol":
            slots.append(None)
        elif param.output:
            slots.append((offset, ALLOCATED, made, POINTER, 1))
            made += 1
        else:
            scalar = param.kind == "scalar"
            source = ARGUMENT_SCALAR if scalar else ARGUMENT_POINTER
            slots.append((offset, source, taken, formats[position], param.alignment if param.kind == "tensor" else 1))
            taken += 1
    for number in range(len(plan.workspaces)):
        slots.append((offsets[len(plan.params) + number], ALLOCATED, made + number, POINTER, 1))
    return slots


def _kernel_call(plan: LaunchPlan, kernel: KernelSpec, function: int, bound: Bound, slots: Sequence[Slot | None],
                 vendor: Vendor) -> KernelCall:  # fmt: skip
    maps: list[tuple[Callable[[int], bytes], Slot]] = []
    for spec in kernel.tensor_maps:
        slot = slots[spec.param]
        if slot is not None:
            maps.append((_encoder(plan, spec, bound, vendor), slot))
    grid = evaluate(kernel.grid, bound.dims)
    attributes = vendor.attributes(kernel)
    return KernelCall(function, (grid[0], grid[1], grid[2]), kernel.block, kernel.shared_bytes, attributes, tuple(maps))


def _encoder(plan: LaunchPlan, spec: TensorMapSpec, bound: Bound, vendor: Vendor) -> Callable[[int], bytes]:
    param = plan.params[spec.param]
    shape, strides = evaluate(param.shape, bound.dims), evaluate(param.strides, bound.dims)
    return lambda pointer: vendor.encode(spec, param.dtype, pointer, shape, strides)


def _allocations(plan: LaunchPlan, bound: Bound) -> tuple[Callable[[], Any], ...]:
    wanted = [(p.dtype, p.shape) for p in plan.params if p.output] + [(w.dtype, w.shape) for w in plan.workspaces]
    if not wanted:
        return ()
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise ArgumentError(f"{plan.name}: outputs and workspaces are torch tensors, and there is no torch") from error
    index = int(bound.device.partition(":")[2]) if bound.device else torch.cuda.current_device()
    return tuple(_maker(torch, dtype, evaluate(shape, bound.dims), index) for dtype, shape in wanted)


def _maker(torch: Any, dtype: str, shape: tuple[int, ...], index: int) -> Callable[[], Any]:
    """A function that allocates on a device, which is the current one whenever it is called."""
    stored, kind = storage_shape(dtype, shape), getattr(torch, storage_dtype(dtype))
    # What torch's own compiler allocates with: `torch.empty` without its argument parser and dispatcher.
    guards = getattr(getattr(torch._C, "_dynamo", None), "guards", None)
    direct = getattr(guards, "_empty_strided_cuda", None)
    if direct is not None:
        return functools.partial(direct, stored, contiguous_strides(stored), kind)
    return functools.partial(torch.empty, stored, dtype=kind, device=torch.device(f"cuda:{index}"))


def _stream_source() -> Callable[[int], int]:
    """A function from device index to the current stream's handle; the default stream without torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return lambda index: 0
    raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    return raw or (lambda index: int(torch.cuda.current_stream(index).cuda_stream))


def _stream_type() -> type | None:
    return getattr(sys.modules.get("torch"), "Tensor", None)


def pointer_of(value: Any, view: Callable[[Any], TensorView]) -> int:
    """The address a pointer parameter takes from an argument."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    return int(value.data_ptr()) if hasattr(value, "data_ptr") else view(value).pointer
