"""A stand-in for the few names of TVM that kernel programs carry; anything else of TVM says that it is not here."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, NoReturn

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.frontend.buffer import Buffer, Element, Region
from tilelang_mlir.frontend.expr import Expr, Var, typed_constant
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.target import Target as _Target

PrimExpr = IntImm = FloatImm = Expr
BufferLoad, BufferRegion = Element, Region

__all__ = ["Buffer", "BufferLoad", "BufferRegion", "DataType", "PrimExpr", "PrimFunc", "Target", "Var", "const"]


class DataType(DType):
    """A dtype; `bits`, `lanes` and the text are those of the name."""

    @property
    def type_code(self) -> int:
        """DLPack's code: 0 int, 1 uint, 2 float, 4 bfloat."""
        return {"int": 0, "uint": 1, "bool": 1, "handle": 3}.get(self.kind, 4 if self == "bfloat16" else 2)

    @property
    def itemsize(self) -> int:
        return self.bytes


class Target:
    """`tvm.target.Target(text)` is the target that the text names."""

    def __new__(cls, target: Any = "auto", host: Any = None) -> Any:
        del host
        return resolve_target(target)

    @staticmethod
    def current(allow_none: bool = True) -> _Target | None:
        """There is no ambient target."""
        del allow_none
        return None


def const(value: Any, dtype: Any = "int32", span: Any = None) -> Expr:
    """A constant of a dtype."""
    del span
    return typed_constant(value, to_dtype(dtype))


def __getattr__(name: str) -> Any:
    this: ModuleType = sys.modules[__name__]
    if name in ("tir", "tirx", "target", "ir", "runtime", "script", "te", "testing", "topi"):
        return this
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _missing(name)


def _missing(name: str) -> NoReturn:
    raise UnsupportedError(
        f"{name} is part of TVM, which this compiler is not built on",
        hint="the kernel language needs nothing of TVM; passes on its IR have no counterpart",
    )
