"""Running a compiled kernel in the simulator, on numpy arrays and CPU torch tensors."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tilelang_mlir import knobs
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import ArgumentError
from tilelang_mlir.jit.addresses import memory_behind
from tilelang_mlir.launch_plan import LaunchPlan, TensorMapSpec
from tilelang_mlir.runtime.binding import Binder, Bound, WideSizeError, evaluate
from tilelang_mlir.runtime.storage import storage_dtype, storage_shape, storage_strides
from tilelang_mlir.runtime.views import TensorView

_RAW = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class SimulatedKernel:
    """Calls a launch plan's kernels in the simulator. `reports` holds what the last call's kernels reported."""

    def __init__(self, plan: LaunchPlan, lowered: bytes, widened: Callable[[], Any] = lambda: None) -> None:
        self.plan = plan
        self.reports: list[Any] = []
        self._lowered = lowered
        self._program: Any = None
        self._binder = Binder(plan, "cpu")
        self._widened = widened

    def __call__(self, *args: Any, stream: Any = None) -> Any:
        """Run and return the outputs the plan allocates (one array, a list, or None); `stream` means nothing here.

        Raises:
            ArgumentError: an argument does not match its parameter.
            SimulationError: the program does something a GPU gives no meaning to.
        """
        try:
            with _real_devices():
                bound = self._binder.bind(args)
        except WideSizeError:
            if (wide := self._widened()) is None:
                raise
            return wide(*args)
        outputs = self._allocate(bound, _as_torch(args))
        made = iter(outputs)
        values = [
            _argument(next(made) if param.output else value if param.kind != "symbol" else bound.dims[param.name])
            for param, value in zip(self.plan.params, bound.values, strict=True)
        ]
        for space in self.plan.workspaces:
            shape = storage_shape(space.dtype, evaluate(space.shape, bound.dims))
            values.append(np.empty(shape, _RAW[_item_bytes(space.dtype)]))
        self._run(values, bound)
        return None if not outputs else outputs[0] if len(outputs) == 1 else outputs

    def _run(self, values: Sequence[Any], bound: Bound) -> None:
        self.reports = []
        values, others = self._addressed(values)
        for kernel in self.plan.kernels:
            grid = evaluate(kernel.grid, bound.dims)
            if all(grid):
                arguments = [*values, *(self._tensor_map(spec, values, bound) for spec in kernel.tensor_maps)]
                report = self._loaded().launch(kernel.name, grid, arguments, checked=knobs.SIM_CHECKED.get(),
                                               seed=knobs.SIM_SEED.get(), shared_bytes=kernel.shared_bytes,
                                               others=others)  # fmt: skip
                self.reports.append(report)

    def _addressed(self, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The values with tables of addresses marked, and the memory of tensors that addresses point into."""
        from tilelang_mlir.simulator import AddressTable

        marked, addresses = list(values), []
        for index, param in enumerate(self.plan.params):
            if param.kind == "tensor" and param.dtype == "handle" and isinstance(values[index], np.ndarray):
                marked[index] = AddressTable(values[index].view(np.int64))
                addresses += [int(place) for place in values[index].reshape(-1)]
            elif param.kind == "pointer" and isinstance(values[index], int):
                addresses.append(values[index])
        return marked, memory_behind(addresses) if addresses else []

    def _tensor_map(self, spec: TensorMapSpec, values: Sequence[Any], bound: Bound) -> Any:
        """The simulator's form of a descriptor: innermost dimension first, strides in bytes."""
        from tilelang_mlir.simulator import TensorMap

        param = self.plan.params[spec.param]
        size = _item_bytes(param.dtype)
        shape = storage_shape(param.dtype, evaluate(param.shape, bound.dims))
        strides = storage_strides(param.dtype, evaluate(param.strides, bound.dims))
        swizzle = 0 if spec.swizzle == "none" else int(spec.swizzle.removesuffix("B"))
        steps = tuple(step * size for step in reversed(strides[:-1]))
        bits = 0
        if spec.gaps:
            bits, shape = DType(param.dtype).bits, (*shape[:-1], evaluate(param.shape, bound.dims)[-1])
        return TensorMap(values[spec.param], size, tuple(reversed(shape)), steps, tuple(reversed(spec.box)), swizzle,
                         walk=spec.walk, bits=bits)  # fmt: skip

    def _loaded(self) -> Any:
        if self._program is None:
            from tilelang_mlir.dialect import context
            from tilelang_mlir.mlir import ir
            from tilelang_mlir.simulator import Program

            ctx = context()
            ctx.allow_unregistered_dialects = True
            with ctx:
                self._program = Program(ir.Module.parse(self._lowered))
        return self._program

    def _allocate(self, bound: Bound, as_torch: bool) -> list[Any]:
        wanted = [(p.dtype, evaluate(p.shape, bound.dims)) for p in self.plan.params if p.output]
        return [_empty(storage_dtype(dtype), storage_shape(dtype, shape), as_torch) for dtype, shape in wanted]


def _real_devices() -> contextlib.AbstractContextManager[Any]:
    """Where torch's GPU is simulated its tensors claim to be on one; within, they tell where they are."""
    torch = sys.modules.get("torch")
    return torch._C.DisableTorchFunction() if torch is not None else contextlib.nullcontext()


def _as_torch(args: Sequence[Any]) -> bool:
    """Whether outputs are torch's: as the arguments are; without arrays, where torch's GPU is simulated."""
    arrays = [arg for arg in args if hasattr(arg, "data_ptr") or isinstance(arg, np.ndarray)]
    if not arrays:
        return bool(knobs.SIMULATE.get()) and "torch" in sys.modules
    return any(hasattr(arg, "data_ptr") for arg in arrays)


def _empty(dtype: str, shape: tuple[int, ...], as_torch: bool) -> Any:
    if as_torch:
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=getattr(torch, dtype))
    return np.empty(shape, numpy_dtype(dtype))


def numpy_dtype(name: str) -> Any:
    """The numpy dtype of a stored dtype; those numpy lacks come from ml_dtypes.

    Raises:
        ArgumentError: the dtype needs ml_dtypes, which is not installed.
    """
    try:
        return np.dtype(name)
    except TypeError:
        try:
            import ml_dtypes
        except ImportError as error:
            raise ArgumentError(f"numpy has no {name}", hint="pip install ml_dtypes, or pass torch tensors") from error
        return np.dtype(getattr(ml_dtypes, name))


def _item_bytes(dtype: str) -> int:
    return int(numpy_dtype(storage_dtype(dtype)).itemsize)


def _argument(value: Any) -> Any:
    """What the simulator takes: numpy arrays of types it knows (raw bits otherwise), numbers, 0 for None."""
    if value is None:
        return 0
    if isinstance(value, TensorView):
        value = value.owner
    if hasattr(value, "data_ptr"):
        return _torch_array(value)
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "biuf" else value.view(_RAW[value.dtype.itemsize])
    return value


def _torch_array(tensor: Any) -> Any:
    torch = sys.modules["torch"]
    tensor = tensor.detach()
    try:
        return tensor.numpy()
    except TypeError:  # bf16 and fp8: the same bytes as integers
        return tensor.view({1: torch.uint8, 2: torch.int16, 4: torch.int32}[tensor.element_size()]).numpy()
