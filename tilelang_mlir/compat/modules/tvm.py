"""A stand-in for the few names of TVM that kernel programs carry; any other says, when used, that it is not here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import reduce
from types import ModuleType
from typing import Any

from tilelang_mlir.compat.modules.absent import Absent
from tilelang_mlir.compat.modules.functors import (
    Evaluate,
    ExternCall,
    StringImm,
    ir_transform,
    post_order_visit,
    prim_func,
)
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileError
from tilelang_mlir.frontend.buffer import Buffer, Element, Region
from tilelang_mlir.frontend.expr import Expr, Var, typed_constant
from tilelang_mlir.frontend.primfunc import PrimFunc as _PrimFunc
from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.target import Target as _Target

PrimExpr = Expr
Call = ExternCall
TVMError = InternalError = TileError
BufferLoad, BufferRegion = Element, Region

__all__ = [
    "Buffer", "BufferLoad", "BufferRegion", "Call", "DataType", "Evaluate", "PrimExpr", "PrimFunc", "StringImm",
    "Target", "Var", "const", "ir_transform", "post_order_visit",
]  # fmt: skip


class _AnyDType(type):
    """The type of `DataType`: every dtype of the language is one."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, DType)


class DataType(DType, metaclass=_AnyDType):
    """A dtype; `bits`, `lanes` and the text are those of the name."""

    @property
    def type_code(self) -> int:
        """DLPack's code: 0 int, 1 uint, 2 float, 4 bfloat."""
        return {"int": 0, "uint": 1, "bool": 1, "handle": 3}.get(self.kind, 4 if self == "bfloat16" else 2)

    @property
    def itemsize(self) -> int:
        return self.bytes


class _Constants(type):
    """The type of `IntImm` and `FloatImm`: their instances are constants of the language."""

    def __instancecheck__(cls, instance: Any) -> bool:
        floats = cls.__name__ == "FloatImm"
        return isinstance(instance, Expr) and instance.const is not None and instance.dtype.is_float == floats

    def __call__(cls, dtype: Any, value: Any, span: Any = None) -> Any:
        return const(value, dtype, span)


class IntImm(metaclass=_Constants):
    """`IntImm(dtype, value)`: an integer constant."""


class FloatImm(metaclass=_Constants):
    """`FloatImm(dtype, value)`: a floating-point constant."""


class _Functions(type):
    """The type of `PrimFunc`: its instances are the traced functions."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _PrimFunc)

    def __call__(cls, params: Any, body: Any, *rest: Any, **options: Any) -> Any:
        return prim_func(params, body, *rest, **options)


class PrimFunc(metaclass=_Functions):
    """`PrimFunc(params, body)`: a traced function with the body that `stmt_functor.ir_transform` gave."""


class IndexMap:
    """A function of indices, applied with `map_indices`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @classmethod
    def from_func(cls, mapping_function: Callable[..., Any], *_: Any, **__: Any) -> IndexMap:
        return cls(mapping_function)

    def map_indices(self, indices: Sequence[Any]) -> list[Any]:
        return list(self.function(*indices))


class Target:
    """`tvm.target.Target(text)` is the target that the text names."""

    def __new__(cls, target: Any = "auto", host: Any = None) -> Any:
        del host
        return resolve_target(target)

    @staticmethod
    def current(allow_none: bool = True) -> _Target | None:
        """The target of the `with` around."""
        del allow_none
        return _Target.entered()


def const(value: Any, dtype: Any = "int32", span: Any = None) -> Expr:
    """A constant of a dtype."""
    del span
    return typed_constant(value, to_dtype(dtype))


def _folded(name: str) -> Callable[..., Any]:
    """`all(a, b, ...)` and `any(a, b, ...)` of conditions."""

    def fold(*conditions: Any, span: Any = None) -> Any:
        del span
        from tilelang_mlir import language

        return reduce(getattr(language, name), conditions)

    return fold


all, any = _folded("And"), _folded("Or")

# Functions of `tvm.tir` that are functions of the language: theirs -> ours.
_LANGUAGE = {
    "Select": "if_then_else", "Cast": "cast", "Min": "min", "Max": "max", "Shuffle": "Shuffle", "Ramp": "Ramp",
    "Broadcast": "Broadcast", "And": "And", "Or": "Or", "Not": "Not",
}  # fmt: skip
_SAME = (
    "abs acos acosh asin asinh atan atan2 atanh bitwise_and bitwise_not bitwise_or bitwise_xor call_extern "
    "ceil ceildiv clz copysign cos cosh erf exp exp10 exp2 floor floordiv floormod fmod hypot if_then_else infinity "
    "isfinite isinf isnan ldexp likely log log10 log1p log2 max max_value min min_value nearbyint nextafter popcount "
    "pow power reinterpret round rsqrt shift_left shift_right sigmoid sin sinh sqrt tan tanh trunc truncdiv truncmod"
)


def __getattr__(name: str) -> Any:
    this: ModuleType = sys.modules[__name__]
    if name in ("tir", "tirx", "target", "ir", "runtime", "script", "te", "testing", "topi", "error"):
        return this
    if name == "transform":
        from tilelang_mlir.compat.modules import transform

        return transform
    if name == "requires_package":
        from tilelang_mlir.testing import requires_package

        return requires_package
    if name in _LANGUAGE or name in _SAME.split():
        from tilelang_mlir import language

        return getattr(language, _LANGUAGE.get(name, name))
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Absent(
        name,
        f"{name} is part of TVM, which this compiler is not built on",
        hint="the kernel language needs nothing of TVM; passes on its IR have no counterpart",
    )
