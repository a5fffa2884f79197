"""Descriptions of arguments: what `T.Tensor(...)` and `T.ptr` return, and how they become arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.dialect.tl import GLOBAL, buffer_type
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.buffer import Buffer, row_major
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.expr import Expr, Var, as_expr, describe, value_of
from tilelang_mlir.frontend.typename import dtype, to_dtype
from tilelang_mlir.mlir import ir


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """A tensor argument: shape and strides (elements; None when contiguous) of ints and symbolic sizes."""

    shape: tuple[Any, ...]
    dtype: dtype
    strides: tuple[Any, ...] | None = None
    memory: str = GLOBAL

    @property
    def ndim(self) -> int:
        return len(self.shape)


@dataclass(frozen=True)
class PointerSpec:
    """A pointer argument; the dtype is what it points to, None when not said."""

    dtype: dtype | None = None
    scope: str = GLOBAL
    is_pointer_spec: bool = True


class Pointer:
    """A pointer argument inside a kernel function."""

    def __init__(self, name: str, dtype: dtype | None, value: ir.Value) -> None:
        self.name, self.dtype, self.value = name, dtype, value

    def __repr__(self) -> str:
        return f"<pointer {self.name}>"


@dataclass(frozen=True)
class Param:
    """One parameter of a PrimFunc. `kind` is tensor, scalar or pointer."""

    name: str
    kind: str
    dtype: DType
    shape: tuple[Any, ...] = ()
    strides: tuple[Any, ...] = ()


def check_shape(shape: Any, what: str = "shape") -> tuple[Any, ...]:
    """A shape as a tuple of positive ints and integer expressions; a scalar is one dimension.

    Raises:
        TileTypeError: a size that is no integer. TileValueError: a size that is not positive.
    """
    sizes = tuple(shape) if isinstance(shape, list | tuple) or type(shape).__name__ == "Size" else (shape,)
    result = []
    for index, size in enumerate(sizes):
        if isinstance(size, Expr):
            size = size.read()
            size = size.const if size.const is not None and size.dtype.is_integer else size
        elif hasattr(size, "item") and not isinstance(size, int | float):
            size = size.item()
        if isinstance(size, bool) or not (isinstance(size, int) or (isinstance(size, Expr) and size.dtype.is_integer)):
            raise TileTypeError(f"dimension {index} of a {what} must be an integer, got {describe(size)}")
        if isinstance(size, int) and size < (1 if what == "shape" else 0):
            raise TileValueError(f"dimension {index} of a {what} is {size}, expected a positive number")
        result.append(size)
    return tuple(result)


def contiguous(shape: Any, kind: object = "float32", memory: str = GLOBAL) -> TensorSpec:
    return TensorSpec(check_shape(shape), to_dtype(kind), None, memory)


def strided(shape: Any, strides: Any, kind: object = "float32") -> TensorSpec:
    sizes, steps = check_shape(shape), check_shape(strides, "stride list")
    if len(sizes) != len(steps):
        raise TileValueError(f"a strided tensor has {len(sizes)} dimensions but {len(steps)} strides")
    return TensorSpec(sizes, to_dtype(kind), steps)


def global_type(builder: Builder, shape: Sequence[Any], kind: DType, strides: Sequence[Any] | None) -> ir.Type:
    """The memref type of a tensor."""
    sizes = [size if isinstance(size, int) else ir.ShapedType.get_dynamic_size() for size in shape]
    layout = None
    if strides is not None:
        any_stride = ir.ShapedType.get_dynamic_stride_or_offset()
        layout = ir.StridedLayoutAttr.get(0, [s if isinstance(s, int) else any_stride for s in strides])
    return buffer_type(sizes, builder.type(kind), GLOBAL, layout)


def declare_tensor(
    builder: Builder,
    name: str,
    pointer: ir.Value,
    shape: Sequence[Any],
    kind: DType,
    strides: Sequence[Any] | None,
) -> Buffer:
    """`tl.tensor`: a buffer over a pointer, in the current block."""
    steps = tuple(strides) if strides is not None else row_major(shape)
    buffer = Buffer(name, shape, kind, GLOBAL, steps)
    operands, numbers = [pointer], []
    for group in (shape, steps):
        numbers.append([entry if isinstance(entry, int) else -1 for entry in group])
        operands += [value_of(builder, as_expr(entry, None)) for entry in group if not isinstance(entry, int)]
    attributes = {
        key: ir.DenseI64ArrayAttr.get(values) for key, values in zip(("shape", "strides"), numbers, strict=True)
    }
    type_ = global_type(builder, shape, kind, strides)
    loc = builder.named(name) if name else None
    buffer.value = builder.emit("tl.tensor", operands, [type_], attributes, loc=loc).results[0]
    buffer.frame = builder.frame
    return buffer


def declare(builder: Builder, name: str, spec: Any) -> tuple[Any, Param]:
    """Declare an argument of the host function: its value in the body, and its description.

    Raises:
        TileTypeError: the annotation is missing or describes no argument.
    """
    if isinstance(spec, TensorSpec):
        parameter = builder.add_parameter(name, "tensor", spec.dtype, ir.Type.parse("!llvm.ptr<1>"))
        with builder.at_host():
            buffer = declare_tensor(builder, name, parameter.value, spec.shape, spec.dtype, spec.strides)
        buffer.frame = builder.frames[0]
        buffer.pointer = Pointer(name, spec.dtype, parameter.value)
        return buffer, Param(name, "tensor", spec.dtype, spec.shape, buffer.strides)
    if getattr(spec, "is_pointer_spec", False):
        element = spec.dtype if isinstance(spec, PointerSpec) else None
        parameter = builder.add_parameter(name, "pointer", element or dtype("handle"), ir.Type.parse("!llvm.ptr<1>"))
        return Pointer(name, element, parameter.value), Param(name, "pointer", element or dtype("handle"))
    if isinstance(spec, Var):
        parameter = builder.symbols[spec] = builder.add_parameter(name, "scalar", spec.dtype)
        return spec, Param(name, "scalar", spec.dtype)
    if spec in (int, float, bool) or isinstance(spec, DType):
        kind = to_dtype(spec)
        if kind.lanes != 1:
            raise TileTypeError(f"parameter {name!r} cannot have the vector dtype {kind}")
        parameter = builder.add_parameter(name, "scalar", kind)
        value = Expr(kind, value=parameter.value, frame=builder.frames[0])
        return value, Param(name, "scalar", kind)
    raise TileTypeError(
        f"parameter {name!r} has no annotation that says what it is"
        + (f" (got {describe(spec)})" if spec is not None else ""),
        hint="annotate it with T.Tensor(shape, dtype), T.ptr, or a dtype such as T.int32",
    )
