"""One view of all array types a kernel can be called with: torch, numpy, `__cuda_array_interface__`, DLPack."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.errors import ArgumentError

_TYPESTR_KIND = {"f": "float", "i": "int", "u": "uint", "b": "bool"}


@dataclass(frozen=True)
class TensorView:
    """Where an array lies and how it is laid out. `strides` are in elements; `device` is `cpu` or `cuda:N`.

    `owner` keeps the memory alive.
    """

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: str
    owner: Any


def is_tensor(value: object) -> bool:
    """Whether `tensor_view` has a chance with the value."""
    return hasattr(value, "data_ptr") or hasattr(value, "__array_interface__") or hasattr(value, "__dlpack__") or (
        hasattr(value, "__cuda_array_interface__")
    )


def tensor_view(value: Any, name: str) -> TensorView:
    """The view of an array argument.

    Raises:
        ArgumentError: the value is no array; names the parameter.
    """
    if hasattr(value, "data_ptr"):
        return _torch_view(value)
    if hasattr(value, "__cuda_array_interface__"):
        return _cuda_interface_view(value)
    if hasattr(value, "__array_interface__"):
        return _numpy_view(value)
    if hasattr(value, "__dlpack__"):
        return _dlpack_view(value)
    raise ArgumentError(
        f"{name}: expected a tensor, got {type(value).__name__}",
        hint="torch tensors, numpy arrays, and objects with DLPack or __cuda_array_interface__ are taken",
    )


def _torch_view(value: Any) -> TensorView:
    device = "cpu" if value.device.type == "cpu" else f"{value.device.type}:{value.device.index or 0}"
    dtype = str(value.dtype).removeprefix("torch.")
    return TensorView(value.data_ptr(), tuple(value.shape), tuple(value.stride()), dtype, device, value)


def _numpy_view(value: Any) -> TensorView:
    import numpy as np

    array = np.asarray(value)
    strides = tuple(step // array.itemsize for step in array.strides)
    return TensorView(array.ctypes.data, array.shape, strides, array.dtype.name, "cpu", array)


def _cuda_interface_view(value: Any) -> TensorView:
    """The CUDA Array Interface, version 3 (numba documentation)."""
    interface: dict[str, Any] = value.__cuda_array_interface__
    shape = tuple(interface["shape"])
    kind, size = interface["typestr"][1], int(interface["typestr"][2:])
    dtype = "bool" if kind == "b" else f"{_TYPESTR_KIND.get(kind, 'unknown')}{size * 8}"
    steps = interface.get("strides")
    strides = contiguous_strides(shape) if steps is None else tuple(step // size for step in steps)
    device = getattr(getattr(value, "device", None), "id", 0)
    return TensorView(interface["data"][0], shape, strides, dtype, f"cuda:{device}", value)


def _dlpack_view(value: Any) -> TensorView:
    if "torch" in sys.modules:
        return _torch_view(sys.modules["torch"].from_dlpack(value))
    import numpy as np

    return _numpy_view(np.from_dlpack(value))


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
