"""TMA descriptors (CUDA Driver API, cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col)."""

from __future__ import annotations

import ctypes

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.launch_plan import TensorMapSpec

from ..storage import storage_shape, storage_strides
from .driver import LIBRARY, driver

# CUtensorMapDataType; types without an entry of their own travel as bytes.
_DATA_TYPES = {
    "uint8": 0, "int8": 0, "bool": 0, "uint16": 1, "int16": 1, "uint32": 2, "int32": 3, "uint64": 4, "int64": 5,
    "float16": 6, "float32": 7, "float64": 8, "bfloat16": 9, "tfloat32": 11,
}  # fmt: skip
_WITH_GAPS = {4: 14, 6: 15}  # by bits of an element: 16U4_ALIGN16B, 16U6_ALIGN16B
_SWIZZLES = {"none": 0, "32B": 1, "64B": 2, "128B": 3}
_L2_PROMOTIONS = {"none": 0, "64B": 1, "128B": 2, "256B": 3}
_ALIGNMENT = 64


def encode(
    spec: TensorMapSpec, dtype: str, pointer: int, shape: tuple[int, ...], strides: tuple[int, ...], path: str = LIBRARY
) -> bytes:
    """The 128 bytes of a descriptor for a tensor of `shape` and `strides` (elements), outermost dimension first.

    Raises:
        UnsupportedError: TMA has no such element type.
        DriverError: the driver rejects the shape, strides, box or swizzle.
    """
    kind = DType(dtype)
    elements = shape[-1]
    shape, strides = storage_shape(dtype, shape), storage_strides(dtype, strides)  # boxes are in stored elements, too
    code = 0 if kind.bits * kind.lanes <= 8 else _DATA_TYPES.get(kind)
    if spec.gaps:
        shape, code = (*shape[:-1], elements), _WITH_GAPS[kind.bits]  # boxes are in elements here
    if code is None:
        raise UnsupportedError(f"tensor maps of dtype {dtype}")
    rank = len(shape)
    sizes = (ctypes.c_uint64 * rank)(*reversed(shape))
    steps = (ctypes.c_uint64 * max(rank - 1, 1))(*(step * max(kind.bytes, 1) for step in reversed(strides[:-1])))
    raw = ctypes.create_string_buffer(128 + _ALIGNMENT)  # the driver insists on 64-byte alignment
    start = -ctypes.addressof(raw) % _ALIGNMENT
    tensor = ctypes.addressof(raw) + start, code, rank, pointer, sizes, steps
    modes = 0, _SWIZZLES[spec.swizzle], _L2_PROMOTIONS[spec.l2_promotion], int(spec.nan_fill)
    if spec.walk:
        lower, upper, step = spec.walk
        corners = ((ctypes.c_int * (rank - 2))(*(corner,) * (rank - 2)) for corner in (lower, upper))
        pixels, channels = spec.box
        moves = (ctypes.c_uint32 * rank)(1, *(step,) * (rank - 2), 1)
        driver(path).call("cuTensorMapEncodeIm2col", *tensor, *corners, channels, pixels, moves, *modes)
    else:
        box = (ctypes.c_uint32 * rank)(*reversed(spec.box))
        ones = (ctypes.c_uint32 * rank)(*(1,) * rank)
        driver(path).call("cuTensorMapEncodeTiled", *tensor, box, ones, *modes)
    return raw.raw[start : start + 128]
