"""Annotations that are complete by themselves: a buffer description, a symbolic size, a pointer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.dialect.tl import GLOBAL
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend.annot.base import Annot, ArgVarTable, KeyParser
from tilelang_mlir.frontend.annot.values import scalar_parameter
from tilelang_mlir.frontend.buffer import Buffer
from tilelang_mlir.frontend.builder import current
from tilelang_mlir.frontend.expr import Var
from tilelang_mlir.frontend.spec import Pointer, declare_tensor
from tilelang_mlir.frontend.typename import dtype, to_dtype
from tilelang_mlir.frontend.wide import wide_size
from tilelang_mlir.mlir import ir


@dataclass(eq=False)
class TIRAnnot(Annot):
    """A parameter that is exactly `data`: a buffer description, a symbolic size (a scalar argument), or a pointer."""

    data: Any
    name: str | None = None

    def is_kernel_arg(self) -> bool:
        return True

    def with_name(self, name: str) -> TIRAnnot:
        return TIRAnnot(self.data, name)

    def get_key_parser(self) -> KeyParser:
        return lambda _: None

    def create_prim_func_arg(self, name: str, value: Any, vt: ArgVarTable) -> Any:
        del value, vt
        if isinstance(self.data, Buffer):
            strides = self.data.strides if self.data.is_strided else None
            return tensor_parameter(name, self.data.shape, self.data.dtype, strides, self.data.memory)
        if isinstance(self.data, Var):
            return scalar_parameter(name, self.data.dtype, self.data)
        return pointer_parameter(name, getattr(self.data, "dtype", None))

    def promote(self) -> TIRAnnot:
        return self

    def __repr__(self) -> str:
        return f"TIRAnnot({self.data!r})"


def tensor_parameter(
    name: str, shape: Sequence[Any], kind: DType, strides: Sequence[Any] | None, memory: str
) -> Buffer:
    """A tensor parameter of the function being traced; outside of one, a description of it.

    Raises:
        TileTypeError: the memory is not global.
    """
    builder = current()
    if builder is None:
        return Buffer(name, shape, kind, memory, strides)
    if memory != GLOBAL:
        raise TileTypeError(f"parameter {name!r} is a {memory} buffer; kernels take tensors in global memory",
                            hint="T.FragmentBuffer, T.SharedBuffer and T.LocalBuffer describe parameters of macros")
    shape, strides = [wide_size(size) for size in shape], strides and [wide_size(step) for step in strides]
    parameter = builder.add_parameter(name, "tensor", kind, ir.Type.parse("!llvm.ptr<1>"))
    with builder.at_host():
        buffer = declare_tensor(builder, name, parameter.value, shape, kind, strides)
    buffer.frame = builder.frames[0]
    buffer.pointer = Pointer(name, to_dtype(kind), parameter.value, buffer)
    return buffer


def pointer_parameter(name: str, element: dtype | None) -> Any:
    """A pointer parameter of the function being traced; outside of one, a pointer without a value."""
    builder = current()
    if builder is None:
        return Pointer(name, element, None)
    parameter = builder.add_parameter(name, "pointer", element or dtype("handle"), ir.Type.parse("!llvm.ptr<1>"))
    return Pointer(name, element, parameter.value)
