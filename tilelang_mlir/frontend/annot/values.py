"""Annotations of scalars and of dimensions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import ArgumentError, TileTypeError, TileValueError
from tilelang_mlir.frontend.annot.base import Annot, ArgVarTable, KeyParser
from tilelang_mlir.frontend.annot.keys import freeze
from tilelang_mlir.frontend.builder import current
from tilelang_mlir.frontend.expr import INT32, Expr, Var, describe
from tilelang_mlir.frontend.template import ConstVar
from tilelang_mlir.frontend.typename import to_dtype

Number = int | float


@dataclass(eq=False)
class Value(Annot):
    """A number. Static ones are part of the cache key, dynamic ones are known at launch only.

    Args:
        kind: `static` or `dynamic`.
        name: of the size; sizes of one name are equal.
        dtype: of a dynamic number, int32 when not said.
        value: the number of a static one where the annotation says it, or the expression behind a dynamic one.
        creator: a function that returns the annotation when it is needed.
    """

    kind: Literal["static", "dynamic"] = "dynamic"
    name: str | None = None
    dtype: DType | None = None
    value: Any = None
    creator: Callable[[], Any] | None = None

    def is_kernel_arg(self) -> bool:
        return self.resolved().kind == "dynamic"

    @classmethod
    def from_value(cls, value: Any, prefer_name: str | None = None) -> Value:
        """The annotation behind what users write for a dimension or a scalar.

        A number is static and every argument must have it; a dtype is a dynamic number; None, `Any`, a `TypeVar` or a
        type is static with the value of the argument; a symbolic size or an expression of them is dynamic.

        Raises:
            TileTypeError: it is nothing of these.
        """
        if isinstance(value, Value):
            return value
        if isinstance(value, ConstVar):
            return Value("static", value.name, value.dtype, value)
        if isinstance(value, Expr):
            known = value.read()
            if known.const is not None and not isinstance(value, Var):
                return Value("static", prefer_name, value.dtype, known.const)
            return Value("dynamic", value.name if isinstance(value, Var) else prefer_name, value.dtype, value)
        if isinstance(value, DType):
            return Value("dynamic", prefer_name, value)
        if isinstance(value, TypeVar):
            return Value("static", value.__name__)
        if value is None or value is Any or value is inspect.Parameter.empty or isinstance(value, type):
            return Value("static", prefer_name)
        if hasattr(value, "__index__") or isinstance(value, float):
            number = value if isinstance(value, float) else value.__index__()
            return Value("static", prefer_name, to_dtype(type(number)), number)
        if callable(value):
            return Value("dynamic", prefer_name, creator=value)
        raise TileTypeError(f"{prefer_name or 'a dimension'}: {describe(value)} describes no number",
                            hint="write an int, a dtype, T.dynamic('m') or T.dyn['m']")

    def resolved(self) -> Value:
        """This annotation, or the one its creator returns."""
        return self if self.creator is None else Value.from_value(self.creator(), self.name)

    def with_name(self, name: str) -> Value:
        return self if self.name is not None else replace(self, name=name)

    def get_key_parser(self) -> KeyParser:
        return self.resolved().parse_key

    def parse_key(self, target: Any) -> Any:
        """The argument's part of the cache key: its value when static, None when dynamic.

        Raises:
            TileValueError: the annotation names a number and the argument is another.
        """
        if self.kind == "dynamic":
            return None
        if isinstance(self.value, Number) and target != self.value:
            raise TileValueError(f"{self.name or 'a dimension'}: expected {self.value}, got {target}",
                                 hint="the annotation says this number; T.dynamic leaves it open")
        return freeze(self.name or "a value", target)

    def create_prim_func_arg(self, name: str, value: Any, vt: ArgVarTable, create_arg: bool = True) -> Any:
        """The number in the traced function; with `create_arg` a dynamic one becomes a parameter of it.

        Raises:
            ArgumentError: it is static and has no value.
        """
        this = self.resolved()
        if this.kind == "static":
            if this.value is None and value is None:
                raise ArgumentError(f"{this.name or name}: a compile-time value is missing")
            return this.value if this.value is not None else value
        if not create_arg:
            if this.value is not None:
                return this.value
            return vt.get_or_create_var(this.name or vt.create_tmp_name(), this.dtype or INT32)
        return scalar_parameter(name, this.dtype or INT32, this.value)

    def __repr__(self) -> str:
        shown = f", value={self.value!r}" if self.value is not None else ""
        return f"{type(self).__name__}({self.kind}, {self.name or '?'}: {self.dtype or 'int32'}{shown})"


def scalar_parameter(name: str, kind: DType, var: Any = None) -> Any:
    """A scalar parameter of the function being traced, or a variable for it outside of one.

    Raises:
        TileTypeError: the dtype has lanes.
    """
    if kind.lanes != 1:
        raise TileTypeError(f"parameter {name!r} cannot have the vector dtype {kind}")
    builder = current()
    if builder is None:
        return var if isinstance(var, Var) else Var(name, kind)
    parameter = builder.add_parameter(name, "scalar", kind)
    if isinstance(var, Var):
        builder.symbols[var] = parameter
        return var
    return Expr(kind, value=parameter.value, frame=builder.frames[0])


@dataclass(eq=False, repr=False)
class DynAnnot(Value):
    """`T.dyn`: a size that is known at launch. `T.dyn['K']` names it, `T.dyn['int64', 'K']` gives its dtype too.

    `T.dyn(dtype, name)` is the symbolic variable itself, as `T.dynamic(name, dtype)` makes it.
    """

    def __call__(self, dtype: Any = "float32", name: str | None = None) -> Var:
        return Var(name or "v", to_dtype(dtype))

    def __getitem__(self, params: Any) -> DynAnnot:
        given = params if isinstance(params, tuple) else (INT32, params)
        if len(given) != 2 or not isinstance(given[1], str):
            raise TileTypeError(f"T.dyn[...] takes a name, or a dtype and a name, got {params!r}",
                                hint="write T.dyn['K'] or T.dyn['int64', 'K']")
        return DynAnnot("dynamic", given[1], to_dtype(given[0]))


@dataclass(eq=False)
class DTypeAnnot(Annot):
    """`T.dtype`: a compile-time argument that names a dtype in any spelling and arrives as a `T.dtype`."""

    name: str | None = None

    def with_name(self, name: str) -> DTypeAnnot:
        return DTypeAnnot(name)

    def get_key_parser(self) -> KeyParser:
        return to_dtype

    def create_prim_func_arg(self, name: str, value: Any, vt: ArgVarTable) -> Any:
        return to_dtype(value)

    def __repr__(self) -> str:
        return f"DTypeAnnot({self.name or '?'})"
