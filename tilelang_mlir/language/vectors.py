"""Short vectors: packed arithmetic and taking vectors apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.expr import Expr, describe
from tilelang_mlir.frontend.vector import Vector, lanewise, vector_of


def _pair(what: str, value: Any) -> Vector:
    vector = vector_of(value, what)
    if len(vector) != 2 or not vector.scalar.is_float:
        raise TileTypeError(f"{what} needs vectors of two floats, got {vector!r}")
    return vector


def _pairs(what: str, *values: Any) -> list[Vector]:
    vectors = [_pair(what, value) for value in values]
    if any(v.scalar != vectors[0].scalar for v in vectors):
        raise TileTypeError(f"{what} needs operands of one dtype, got {', '.join(str(v.dtype) for v in vectors)}")
    return vectors


def add2(x: Any, y: Any) -> Vector:
    """The sums of two pairs of floats (float32x2, float16x2, bfloat16x2).

        C[i : i + 2] = T.add2(A[i : i + 2], B[i : i + 2])

    Raises:
        TileTypeError: an operand is no pair of floats, or the dtypes differ; so of the other packed functions.
    """
    return lanewise(arith.add, *_pairs("T.add2", x, y))


def sub2(x: Any, y: Any) -> Vector:
    """The differences of two pairs of floats."""
    return lanewise(arith.sub, *_pairs("T.sub2", x, y))


def mul2(x: Any, y: Any) -> Vector:
    """The products of two pairs of floats."""
    return lanewise(arith.mul, *_pairs("T.mul2", x, y))


def fma2(x: Any, y: Any, z: Any) -> Vector:
    """`x * y + z` on pairs of floats."""
    return lanewise(lambda a, b, c: arith.add(arith.mul(a, b), c), *_pairs("T.fma2", x, y, z))


def max2(x: Any, y: Any) -> Vector:
    """The larger elements of two pairs of floats."""
    return lanewise(arith.maximum, *_pairs("T.max2", x, y))


def min2(x: Any, y: Any) -> Vector:
    """The smaller elements of two pairs of floats."""
    return lanewise(arith.minimum, *_pairs("T.min2", x, y))


def abs2(x: Any) -> Vector:
    """The absolute values of a pair of floats."""
    return lanewise(arith.absolute, _pair("T.abs2", x))


def Broadcast(value: Any, lanes: int) -> Vector:
    """A scalar in every lane of a vector."""
    return Vector([value] * _lanes("T.Broadcast", lanes))


def Ramp(base: Any, stride: Any, lanes: int) -> Vector:
    """`base, base + stride, ...`."""
    return Vector([arith.add(base, arith.mul(stride, lane)) for lane in range(_lanes("T.Ramp", lanes))])


def Shuffle(vectors: Any, indices: Sequence[Any]) -> Any:
    """Lanes of the vectors and scalars, one after the other, by number; one index gives a scalar."""
    items = vectors if isinstance(vectors, list | tuple) else [vectors]
    scalars = (int, float, Expr)
    whole = [lane for v in items for lane in ([v] if isinstance(v, scalars) else vector_of(v, "T.Shuffle"))]
    for index in indices:
        if not isinstance(index, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TileTypeError(f"T.Shuffle: a lane is a Python integer, got {describe(index)}", hint="[1, 0]")
        if not 0 <= index < len(whole):
            raise TileValueError(f"T.Shuffle: lane {index} of {len(whole)}")
    chosen = [whole[index] for index in indices]
    return chosen[0] if len(chosen) == 1 else Vector(chosen)


def extract_lane(vector: Any, lane: int) -> Any:
    """One lane of a vector as a scalar."""
    found = vector_of(vector, "T.extract_lane")
    if not 0 <= lane < len(found):
        raise TileValueError(f"T.extract_lane: lane {lane} of {len(found)}")
    return found[lane]


def _half(what: str, vector: Any) -> tuple[Vector, int]:
    found = vector_of(vector, what)
    if len(found) % 2:
        raise TileTypeError(f"{what} needs a vector of an even length, got {found!r}")
    return found, len(found) // 2


def vectorlow(dtype: Any, vector: Any) -> Any:
    """The lower half of a vector; a dtype in front is accepted."""
    found, half = _half("T.vectorlow", vector)
    del dtype
    return Vector(found.lanes[:half]) if half > 1 else found[0]


def vectorhigh(dtype: Any, vector: Any) -> Any:
    """The upper half of a vector; a dtype in front is accepted."""
    found, half = _half("T.vectorhigh", vector)
    del dtype
    return Vector(found.lanes[half:]) if half > 1 else found[1]


def vectorcombine(dtype: Any, low: Any, high: Any) -> Vector:
    """Two vectors one after the other; a dtype in front is accepted."""
    del dtype
    return Vector([*vector_of(low, "T.vectorcombine"), *vector_of(high, "T.vectorcombine")])


def _lanes(what: str, lanes: Any) -> int:
    if isinstance(lanes, bool) or not isinstance(lanes, int) or lanes < 1:
        raise TileValueError(f"{what} needs a positive number of lanes, got {describe(lanes)}")
    return lanes


broadcast = Broadcast
ramp = Ramp
