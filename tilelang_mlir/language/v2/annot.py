"""Annotations of kernel parameters, under the module path that TileLang documents.

`tilelang_mlir.frontend.annot` has them: they bind the arguments of every jit function and prim_func.
"""

from __future__ import annotations

from typing import Any, get_origin

from tilelang_mlir.frontend.annot import (
    Annot,
    ArgVarTable,
    BufferAnnot,
    DTypeAnnot,
    DynAnnot,
    FragmentBufferAnnot,
    FuncAnnot,
    LocalBufferAnnot,
    Scope,
    SharedBufferAnnot,
    StridedTensorAnnot,
    TensorAnnot,
    TIRAnnot,
    Value,
)
from tilelang_mlir.language.proxy import Tensor

__all__ = [
    "Annot", "ArgVarTable", "Buffer", "BufferAnnot", "DTypeAnnot", "DynAnnot", "FragmentBufferAnnot", "FuncAnnot",
    "LocalBufferAnnot", "Scope", "SharedBufferAnnot", "StridedTensorAnnot", "TIRAnnot", "TensorAnnot", "Value",
]  # fmt: skip


class Buffer:
    """A tensor of any shape, for annotations: `Buffer(dtype)`, or `Buffer[[M, N], dtype]` with a shape."""

    def __new__(cls, dtype: Any = "float32", data: Any = None, strides: Any = None, elem_offset: Any = None,
                scope: str | None = None, align: int = 0, offset_factor: int = 0, buffer_type: str = "",
                axis_separators: Any = None) -> Any:  # fmt: skip
        """The annotation of a tensor whose shape is the argument's."""
        from tilelang_mlir.frontend.annot.buffers import BY_MEMORY, check_options, memory_named, values_of
        from tilelang_mlir.frontend.typename import to_dtype

        del data
        check_options(elem_offset, align, offset_factor, buffer_type, axis_separators)
        family = StridedTensorAnnot if strides is not None else BY_MEMORY[memory_named(scope, "global")]
        return family(None, None if strides is None else values_of(strides, "stride list"), to_dtype(dtype))

    def __class_getitem__(cls, params: Any) -> Any:
        if isinstance(params, tuple) and len(params) == 2 and get_origin(params[0]) is tuple:
            return cls(params[1])  # `Buffer[tuple[int, int], dtype]`, for type checkers: the rank is the argument's
        return Tensor[params]
