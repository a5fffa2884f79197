"""Dtypes as kernels use them: names that can be called, `T.float16(x)`."""

from __future__ import annotations

from typing import Any, cast

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, ToolchainError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.conversions import wrapped
from tilelang_mlir.frontend.expr import BOOL, INT32, Var, require_room, typed_constant

# Where torch has another name; its 4-bit floats come in pairs.
_TORCH_NAMES = {
    "float8_e4m3": "float8_e4m3fn", "tfloat32": "float32", "float4_e2m1fn": "float4_e2m1fn_x2",
    "float4_e2m1fnx2": "float4_e2m1fn_x2",
}  # fmt: skip


class dtype(DType):
    """A dtype. Calling it converts a scalar; without an argument it declares a symbolic variable."""

    def __call__(self, value: Any = None, *lanes: Any) -> Any:
        if self.lanes > 1 and value is not None:
            return self._pack([value, *lanes])
        if lanes:
            raise TileTypeError(f"{self} has one lane, got {1 + len(lanes)} values")
        if value is None:
            return Var("v", self)
        if isinstance(value, bool | int | float):
            require_room(value, self)
        if isinstance(value, bool | int | float) and self == INT32 and isinstance(value, int):
            return int(value)
        if isinstance(value, bool | int | float):
            if self.is_float:
                return typed_constant(float(value), self)
            return typed_constant(bool(value) if self == BOOL else wrapped(int(value), self), self)
        return arith.cast(value, self)

    def _pack(self, values: list[Any]) -> Any:
        """`T.float32x2(a, b)`, or one value for all lanes, or a vector to convert."""
        from tilelang_mlir.frontend.vector import Vector

        whole = list(values[0]) if len(values) == 1 and isinstance(values[0], Vector) else values
        whole = whole * self.lanes if len(whole) == 1 else whole
        if len(whole) != self.lanes:
            raise TileTypeError(f"{self} has {self.lanes} lanes, got {len(whole)} values")
        return Vector(whole, self.scalar)

    @property
    def itemsize(self) -> int:
        """Bytes of one element, all lanes."""
        return self.bytes

    def as_torch(self) -> Any:
        """The torch dtype of the same name.

        Raises:
            TileTypeError: torch has none.
            ToolchainError: torch is not installed.
        """
        try:
            import torch
        except ImportError as error:
            raise ToolchainError("torch is not installed") from error
        name = _TORCH_NAMES.get(str(self), str(self))
        found = getattr(torch, name, None)
        if found is None:
            raise TileTypeError(f"torch has no dtype for {self}")
        return found


def _make(value: object) -> dtype:
    return cast("dtype", dtype(value))


def to_dtype(value: object) -> dtype:
    """Normalise a name, a dtype of torch or numpy, a Python type, or `T.ptr`.

    Raises:
        TileTypeError: it names no dtype.
    """
    if isinstance(value, dtype):
        return value
    if getattr(value, "is_pointer_spec", False):
        return _make("handle")
    if value is None or isinstance(value, int | float | tuple | list):
        raise TileTypeError(f"expected a dtype, got {value!r}", hint='write for example T.float16 or "float16"')
    return _make(value)
