"""Short vectors of scalars: what packed operations take and wide loads return. They live while a kernel is traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Element, Region
from tilelang_mlir.frontend.expr import as_expr, describe


class Vector:
    """Scalars of one dtype; operators work lane by lane, and a scalar operand goes to every lane."""

    def __init__(self, lanes: Sequence[Any], dtype: Any = None) -> None:
        kind = DType(dtype) if dtype is not None else as_expr(lanes[0]).dtype
        self.scalar = kind
        self.lanes = [arith.cast(as_expr(lane, None), kind) for lane in lanes]

    @property
    def dtype(self) -> DType:
        return DType(f"{self.scalar}x{len(self.lanes)}")

    @property
    def shape(self) -> tuple[int]:
        return (len(self.lanes),)

    def __len__(self) -> int:
        return len(self.lanes)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.lanes)

    def __getitem__(self, index: int) -> Any:
        return self.lanes[index]

    def __repr__(self) -> str:
        return f"a vector of dtype {self.dtype}"

    def astype(self, dtype: Any) -> Vector:
        """The lanes converted to another dtype."""
        return Vector(self.lanes, dtype)

    def __add__(self, other: Any) -> Vector:
        return lanewise(arith.add, self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Vector:
        return lanewise(arith.sub, self, other)

    def __rsub__(self, other: Any) -> Vector:
        return lanewise(lambda a, b: arith.sub(b, a), self, other)

    def __mul__(self, other: Any) -> Vector:
        return lanewise(arith.mul, self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Vector:
        return lanewise(arith.div, self, other)

    def __neg__(self) -> Vector:
        return lanewise(arith.negate, self)


def lanewise(function: Callable[..., Any], *operands: Any) -> Vector:
    """A scalar function on each lane of vectors.

    Raises:
        TileTypeError: the vectors differ in length.
    """
    vectors = [value for value in operands if isinstance(value, Vector)]
    count = len(vectors[0])
    if any(len(vector) != count for vector in vectors):
        raise TileTypeError(f"vectors of different lengths: {', '.join(str(len(v)) for v in vectors)}")
    rows = [value.lanes if isinstance(value, Vector) else [value] * count for value in operands]
    return Vector([function(*lanes) for lanes in zip(*rows, strict=True)])


def vector_of(value: Any, what: str) -> Vector:
    """A vector, a slice of a buffer's last dimension, or a Python sequence of scalars, as a vector.

    Raises:
        TileTypeError: it is none of these.
    """
    if isinstance(value, Vector):
        return value
    if isinstance(value, Region):
        wide = [dim for dim, size in enumerate(value.extents) if not (isinstance(size, int) and size == 1)]
        dim = wide[0] if wide else len(value.extents) - 1
        count = value.extents[dim]
        if len(wide) > 1 or not isinstance(count, int):
            raise TileTypeError(f"{what} needs a slice of constant length along one dimension, got {value!r}")
        return Vector([Element(value.buffer, _shifted(value.offsets, dim, lane)).read() for lane in range(count)])
    if isinstance(value, list | tuple) and value:
        return Vector(list(value))
    raise TileTypeError(f"{what} needs a vector, got {describe(value)}", hint="T.float32x2(a, b) or A[i:i + 2]")


def _shifted(offsets: Sequence[Any], dim: int, step: int) -> list[Any]:
    return [arith.add(offset, step) if position == dim else offset for position, offset in enumerate(offsets)]
