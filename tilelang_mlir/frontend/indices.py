"""Indices of buffers: integers of any dtype, those from the end, and what is known of them while tracing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.builder import current
from tilelang_mlir.frontend.conversions import in_int
from tilelang_mlir.frontend.expr import INT32, INT64, Expr, Var, describe

if TYPE_CHECKING:
    from tilelang_mlir.frontend.buffer import Buffer


def index_of(buffer: Buffer, dim: int, index: Any) -> Any:
    """One index of a subscript: a number, or an expression. What is negative for certain counts from the end.

    Raises:
        TileTypeError: no integer. TileValueError: a number outside of the dimension.
    """
    size = buffer.shape[dim]
    if isinstance(index, Expr):
        index = index.read()
        if not index.dtype.is_integer:
            raise TileTypeError(f"index {dim} of buffer {buffer.name!r} must be an integer, got {describe(index)}")
        if index.const is None:
            index = _signed(index)
            return arith.add(size, index) if _always_negative(buffer, index) else index
        index = index.const
    if hasattr(index, "item") and not isinstance(index, int):
        index = index.item()
    if not isinstance(index, int):
        raise TileTypeError(f"index {dim} of buffer {buffer.name!r} must be an integer, got {describe(index)}")
    if index < 0:
        index = arith.add(size, index)
    if isinstance(size, int) and not 0 <= index < size:
        raise TileValueError(
            f"index {index} is out of range for dimension {dim} of buffer {buffer.name!r} of size {size}"
        )
    return index


def _signed(index: Expr) -> Expr:
    """The number that an index of a narrow or unsigned dtype is, in a dtype that has a sign and room for it."""
    index = in_int(index)
    if index.dtype.bits < 32:
        return arith.cast(index, INT32)
    builder = current()
    wide = builder is not None and builder.wide
    return arith.cast(index, INT64) if wide and str(index.dtype) == "uint32" else index


def _always_negative(buffer: Buffer, index: Expr) -> bool:
    """Whether the loops around leave no iteration in which the index is 0 or more."""
    builder = current()
    linear = index.as_linear()
    if builder is None or linear is None or (linear.const >= 0 and linear.nonneg):
        return False
    most = linear.const
    sizes = {size.key for size in buffer.shape if isinstance(size, Var)}  # of a tensor with elements, 1 and more
    for key, (coefficient, nonneg) in linear.terms.items():
        last = builder.last_values.get(key) if coefficient > 0 else (1 if key in sizes else 0 if nonneg else None)
        if last is None:
            return False
        most += coefficient * last
    return most < 0
