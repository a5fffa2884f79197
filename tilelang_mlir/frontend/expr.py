"""Scalar values of a kernel: what Python operators on them mean.

An `Expr` is an SSA value, or a node not emitted yet (`op` with `args`): outside kernels arithmetic is kept symbolic and
emitted at its uses. Integer expressions carry a linear form over their atoms, so that `(i + 1) * 64 - i * 64` is the
Python number 64.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import ContextVar
from itertools import count
from math import inf
from typing import Any

from tilelang_mlir.dtypes import LARGEST, DType
from tilelang_mlir.errors import Location, TileError, TileNameError, TileTypeError, TileValueError
from tilelang_mlir.frontend import where
from tilelang_mlir.frontend.builder import Builder, Frame, current
from tilelang_mlir.mlir import ir

Number = int | float | bool
Attributes = Callable[[], dict[str, ir.Attribute]]

_SERIAL = count()
BOOL = DType("bool")
INT32 = DType("int32")
INT64 = DType("int64")
FLOAT32 = DType("float32")
WIDE_SIZES: ContextVar[bool] = ContextVar("tilelang_wide_sizes", default=False)  # see wide.py


class Linear:
    """`const + sum(coefficient * atom)`; the flag of a term says whether its atom is known not to be negative."""

    __slots__ = ("const", "terms")

    def __init__(self, terms: dict[Hashable, tuple[int, bool]], const: int) -> None:
        self.terms, self.const = terms, const

    def plus(self, other: Linear, sign: int = 1) -> Linear:
        """The sum, or with `sign` -1 the difference; terms that cancel are gone."""
        terms = dict(self.terms)
        for key, (coefficient, nonneg) in other.terms.items():
            total = terms.get(key, (0, nonneg))[0] + sign * coefficient
            if total:
                terms[key] = (total, nonneg)
            else:
                terms.pop(key, None)
        return Linear(terms, self.const + sign * other.const)

    def times(self, factor: int) -> Linear:
        if factor == 0:
            return Linear({}, 0)
        return Linear({key: (c * factor, nonneg) for key, (c, nonneg) in self.terms.items()}, self.const * factor)

    @property
    def nonneg(self) -> bool:
        return self.const >= 0 and all(c >= 0 and nonneg for c, nonneg in self.terms.values())

    @property
    def key(self) -> Hashable:
        return (frozenset((key, c) for key, (c, _) in self.terms.items()), self.const)


class Operators:
    """What Python's operators mean on scalars of a kernel and on vectors of them."""

    __slots__ = ()

    # Each operator is one function of `arith`; the reflected form swaps the operands.
    def __add__(self, other: Any) -> Any:
        return _arith().add(self, other)

    def __radd__(self, other: Any) -> Any:
        return _arith().add(other, self)

    def __sub__(self, other: Any) -> Any:
        return _arith().sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return _arith().sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return _arith().mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return _arith().mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return _arith().div(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _arith().div(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _arith().floordiv(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _arith().floordiv(other, self)

    def __mod__(self, other: Any) -> Any:
        return _arith().floormod(self, other)

    def __rmod__(self, other: Any) -> Any:
        return _arith().floormod(other, self)

    def __pow__(self, other: Any) -> Any:
        return _arith().power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return _arith().power(other, self)

    def __lshift__(self, other: Any) -> Any:
        return _arith().shift_left(self, other)

    def __rlshift__(self, other: Any) -> Any:
        return _arith().shift_left(other, self)

    def __rshift__(self, other: Any) -> Any:
        return _arith().shift_right(self, other)

    def __rrshift__(self, other: Any) -> Any:
        return _arith().shift_right(other, self)

    def __and__(self, other: Any) -> Any:
        return _arith().bit_and(self, other)

    def __rand__(self, other: Any) -> Any:
        return _arith().bit_and(other, self)

    def __or__(self, other: Any) -> Any:
        return _arith().bit_or(self, other)

    def __ror__(self, other: Any) -> Any:
        return _arith().bit_or(other, self)

    def __xor__(self, other: Any) -> Any:
        return _arith().bit_xor(self, other)

    def __rxor__(self, other: Any) -> Any:
        return _arith().bit_xor(other, self)

    def __neg__(self) -> Any:
        return _arith().negate(self)

    def __pos__(self) -> Any:
        return self

    def __invert__(self) -> Any:
        return _arith().bit_not(self)

    def __abs__(self) -> Any:
        return _arith().absolute(self)

    def __eq__(self, other: object) -> Any:
        return _arith().compare("Eq", self, other)

    def __ne__(self, other: object) -> Any:
        return _arith().compare("NotEq", self, other)

    def __lt__(self, other: Any) -> Any:
        return _arith().compare("Lt", self, other)

    def __le__(self, other: Any) -> Any:
        return _arith().compare("LtE", self, other)

    def __gt__(self, other: Any) -> Any:
        return _arith().compare("Gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return _arith().compare("GtE", self, other)

    __hash__ = object.__hash__


class Lanes(Operators):
    """Several scalars that operators and functions of scalars take one by one: a vector, or a short slice as one."""

    __slots__ = ()

    def vector(self) -> Any:
        """The scalars, read now."""
        raise TypeError(f"{type(self).__name__} says not how it is read")

    def __bool__(self) -> bool:
        raise TileTypeError(
            "a vector has no truth value", hint="T.any_of(v), T.all_of(v), or T.if_then_else(v > 0, a, b) lane by lane"
        )


class Expr(Operators):
    """A scalar of a kernel. `nonneg` says that it is known not to be negative."""

    __slots__ = ("args", "attributes", "const", "dtype", "frame", "key", "linear", "nonneg", "op", "span", "value")

    def __init__(
        self,
        dtype: DType,
        *,
        value: ir.Value | None = None,
        frame: Frame | None = None,
        nonneg: bool = False,
        key: Hashable = None,
        linear: Linear | None = None,
    ) -> None:
        self.dtype = dtype
        self.value = value
        self.frame = frame
        self.nonneg = nonneg or dtype.is_unsigned or (linear is not None and linear.nonneg)
        self.key = key if key is not None else next(_SERIAL)
        self.linear = linear
        self.const: Number | None = None
        self.op = ""
        self.args: Sequence[Expr] = ()
        self.attributes: Attributes | None = None
        self.span: Location | None = None

    def read(self) -> Expr:
        """The value now: memory locations are loaded, everything else is itself."""
        return self

    def as_linear(self) -> Linear | None:
        """The linear form; None for values that are no integers."""
        if self.linear is None and self.dtype.is_integer and self.dtype != BOOL:
            return Linear({self.key: (1, self.nonneg)}, 0)
        return self.linear

    def __repr__(self) -> str:
        if self.const is not None:
            return f"{self.dtype}({self.const})"
        return f"<{self.dtype} value>"

    def __bool__(self) -> bool:
        raise TileTypeError(
            "a value of the running kernel has no truth value while it is traced",
            hint="only functions under @T.prim_func, @T.macro and @tilelang.jit may branch on it; decorate "
                "helpers with @T.macro, and write T.min, T.max and == for min, max and in",
        )

    def __index__(self) -> int:
        if isinstance(self.const, int):
            return self.const
        raise TileTypeError("expected a Python integer, got a value of the running kernel")

    def __float__(self) -> float:
        if self.const is not None:
            return float(self.const)
        raise TileTypeError("expected a Python float, got a value of the running kernel")

    def __iter__(self) -> Iterator[Any]:
        raise TileTypeError(f"a scalar of dtype {self.dtype} cannot be unpacked or iterated over")

    def astype(self, dtype: object) -> Any:
        """The value converted to another dtype."""
        return _arith().cast(self, DType(dtype))


def _arith() -> Any:
    """The module of operators, which builds on this one."""
    from tilelang_mlir.frontend import arith

    return arith


class Var(Expr):
    """A symbolic size, `T.dynamic("m")`: an argument of every function that uses it, not negative. Identity unifies."""

    __slots__ = ("declared", "name")

    def __init__(self, name: str, dtype: DType = INT32) -> None:
        dtype = DType(dtype)
        super().__init__(dtype, nonneg=dtype.is_integer)
        self.name = name

    @property
    def dtype(self) -> DType:
        """What it was declared with; int32 sizes have 64 bits where kernels are traced for wide dimensions."""
        return INT64 if self.declared == INT32 and WIDE_SIZES.get() else self.declared

    @dtype.setter
    def dtype(self, dtype: DType) -> None:
        self.declared = dtype

    def __repr__(self) -> str:
        return self.name


def typed_constant(value: Number, dtype: DType) -> Expr:
    """A constant that keeps its dtype, as `T.float16(1)` does."""
    result = Expr(dtype, nonneg=value >= 0, key=("const", str(dtype), repr(value)))
    result.const = value
    if dtype.is_integer and dtype != BOOL:
        result.linear = Linear({}, int(value))
    return result


def require_room(value: Number, dtype: DType) -> None:
    """A number that a dtype is named for must have a value there; bits of integers may be written with or without sign.

    Raises:
        TileValueError: a finite number beyond the largest of float16, bfloat16 or float32, or an integer of more bits.
    """
    if dtype.is_float and dtype.bits in (16, 32):
        top = LARGEST[str(dtype)]
        if top < abs(value) < inf:
            raise TileValueError(f"{value!r} is beyond {dtype}, whose largest value is {top:.5g}",
                                 hint=f'T.infinity("{dtype}"), T.max_value("{dtype}"), or a wider dtype')
    elif dtype.is_integer and dtype != BOOL and abs(value) < inf:
        least, most = -(1 << (dtype.bits - 1)), (1 << dtype.bits) - 1
        if not least <= int(value) <= most:
            raise TileValueError(f"{value!r} does not fit the {dtype.bits} bits of {dtype}", hint="use a wider dtype")


def make(
    op: str,
    args: Sequence[Expr],
    dtype: DType,
    attributes: Attributes | None = None,
    *,
    nonneg: bool = False,
    linear: Linear | None = None,
    tag: Hashable = None,
) -> Expr:
    """The result of a pure one-result op: emitted inside kernels, kept symbolic elsewhere.

    `tag` stands for the attributes in the structural key that makes equal expressions cancel.
    """
    key = linear.key if linear is not None else _structural_key(op, tag, args)
    result = Expr(dtype, nonneg=nonneg, key=key, linear=linear)
    result.op, result.args, result.attributes = op, args, attributes
    builder = current()
    if builder is not None and not builder.deferring:
        operands = [value_of(builder, arg) for arg in args]

        def build() -> ir.Value:
            return builder.emit(op, operands, [builder.type(dtype)], attributes() if attributes else None).results[0]

        # Equal expressions share one op; the key of an expression with an opaque operand is never equal to another's.
        result.value, result.frame = builder.shared_in((key, str(dtype)), build)
        result.args = ()
    return result


def _structural_key(op: str, tag: Hashable, args: Sequence[Expr]) -> Hashable:
    """A nested key of the expression; a fresh one when it would grow large."""
    key = (op, tag, *(arg.key for arg in args))
    size = sum(arg.key[-1] if isinstance(arg.key, tuple) and arg.key[0] == "#" else 1 for arg in args) + 1
    return ("#", key, size) if size < 50 else next(_SERIAL)


def value_of(builder: Builder, expr: Expr) -> ir.Value:
    """The SSA value of an expression at the current place, emitting what is not emitted yet.

    Raises:
        TileNameError: the value was made in a block that is closed.
    """
    expr = expr.read()
    if expr.value is not None:
        if expr.frame is not None and not expr.frame.open:
            raise _out_of_scope(expr)
        return expr.value
    if expr.const is not None:
        return builder.constant(expr.const, expr.dtype)
    if isinstance(expr, Var):
        return symbol(builder, expr)
    if not expr.op:
        raise TileTypeError(f"{expr!r} has no value here")

    def build() -> ir.Value:
        arguments = expr.args
        if expr.dtype == INT32 and WIDE_SIZES.get():  # computed from symbols before they had 64 bits
            arguments = [_arith().cast(arg, INT32) if arg.dtype == INT64 else arg for arg in arguments]
        operands = [value_of(builder, arg) for arg in arguments]
        attributes = expr.attributes() if expr.attributes else None
        return builder.emit(expr.op, operands, [builder.type(expr.dtype)], attributes).results[0]

    # The key holds the expression, so its identity is not reused while the cache lives.
    return builder.shared(_Identity(expr), build)


class _Identity:
    """Hashes and compares by the identity of an expression (whose own == builds a comparison)."""

    __slots__ = ("expr",)

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    def __hash__(self) -> int:
        return id(self.expr)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.expr is other.expr


def symbol(builder: Builder, var: Var) -> ir.Value:
    """The function argument of a symbolic size, declared at its first use."""
    parameter = builder.symbols.get(var)
    if parameter is None:
        parameter = builder.symbols[var] = builder.add_parameter(var.name, "symbol", var.dtype)
    return parameter.value


def _out_of_scope(expr: Expr) -> TileError:
    notes: tuple[tuple[str, Location | None], ...] = ()
    if expr.frame is not None and expr.frame.opened_at is not None:
        notes = (("it was defined in the block opened here, which has ended", expr.frame.opened_at),)
    if expr.span is not None:
        notes = (("it was defined here", expr.span), *notes)
    return TileNameError(
        "a value is used outside of the block that defines it",
        where.here(),
        notes=notes,
        hint="values made in a loop or branch end with it; keep a result in "
            f"`x = T.alloc_var({str(expr.dtype)!r})` or in a buffer",
    )


def literal_dtype(value: object) -> DType | None:
    """The dtype a Python number has when nothing else decides."""
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT32 if -(1 << 31) <= value < (1 << 31) else INT64
    return FLOAT32 if isinstance(value, float) else None


def as_expr(value: Any, dtype: DType | None = None) -> Expr:
    """A scalar operand as an expression; numbers take `dtype`.

    Raises:
        TileTypeError: the value is no scalar.
    """
    if isinstance(value, Expr):
        return value.read()
    if hasattr(value, "item") and not isinstance(value, int | float):
        value = value.item()  # numpy and torch scalars
    natural = literal_dtype(value)
    if natural is None:
        raise not_a_scalar(value)
    return typed_constant(value, dtype or natural)


def not_a_scalar(value: object) -> TileError:
    hint = "index it to get an element" if hasattr(value, "shape") else ""
    hint = "T.extract_lane(v, 0) is one of its scalars" if isinstance(value, Lanes) else hint
    return TileTypeError(f"expected a scalar, got {describe(value)}", hint=hint)


def describe(value: Any) -> str:
    """A value in words for error messages."""
    if isinstance(value, Expr):
        return f"a value of dtype {value.dtype}"
    if isinstance(value, Lanes):
        return repr(value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"a buffer of shape {tuple(value.shape)} and dtype {value.dtype}"
    return f"{type(value).__name__} {value!r}" if isinstance(value, int | float | str) else type(value).__name__
