"""Short vectors of scalars: what packed operations take and wide loads return.

A vector is its scalars while a kernel is traced. Runs of neighbouring elements are read and written at once, through an
array of the thread that ends up in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tilelang_mlir.dialect.tl import LOCAL, buffer_type
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, Element, Region, store, store_region
from tilelang_mlir.frontend.builder import Builder, require
from tilelang_mlir.frontend.expr import Expr, Lanes, as_expr, describe

_MOST = 64  # lanes of the widest vector dtype


class Vector(Lanes):
    """Scalars of one dtype; operators work lane by lane, and a scalar operand goes to every lane."""

    def __init__(self, lanes: Sequence[Any], dtype: Any = None) -> None:
        known = [lane for lane in lanes if isinstance(lane, Expr)] or lanes
        kind = DType(dtype) if dtype is not None else as_expr(known[0]).dtype
        if kind.lanes > 1:
            raise TileTypeError(f"a lane of a vector is a scalar, got one of dtype {kind}",
                                hint="a vector comes from a tensor, T.Broadcast, T.Ramp or a variable of the kernel")
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

    def vector(self) -> Vector:
        return self

    def astype(self, dtype: Any) -> Vector:
        """The lanes converted to another dtype."""
        return Vector(self.lanes, DType(dtype).scalar)


class Places(Lanes):
    """`A[T.Ramp(i, 2, 4)]`: elements anywhere in a buffer. Reading it loads them, assigning to it stores them."""

    def __init__(self, elements: Sequence[Element]) -> None:
        self.elements = list(elements)

    @property
    def dtype(self) -> DType:
        return self.elements[0].dtype.with_lanes(len(self.elements))

    @property
    def shape(self) -> tuple[int]:
        return (len(self.elements),)

    def __repr__(self) -> str:
        return f"{len(self.elements)} elements of {self.elements[0].buffer!r}"

    def vector(self) -> Vector:
        return Vector([element.read() for element in self.elements])

    def store(self, value: Any) -> None:
        """Lane by lane, the first one first."""
        for element, lane in zip(self.elements, spread(value, len(self.elements)), strict=True):
            store(element, lane)


class Run(Region):
    """`A[T.Ramp(i, 1, 4)]`: neighbouring elements as a vector, which a name takes a copy of. Tile operations take it
    for the slice."""


class VectorVariable(Lanes):
    """A mutable vector of each thread, `T.alloc_var("float32x4")`: every use reads it, assignment to its name writes
    it, and `v[i]` is a lane of it."""

    def __init__(self, buffer: Buffer, dtype: DType) -> None:
        self.buffer, self.dtype = buffer, dtype

    @property
    def shape(self) -> tuple[int]:
        return (self.dtype.lanes,)

    def scope(self) -> str:
        return self.buffer.scope()

    def __len__(self) -> int:
        return self.dtype.lanes

    def __repr__(self) -> str:
        return f"<variable {self.buffer.name} {self.dtype}>"

    def __getitem__(self, index: Any) -> Any:
        return self.buffer[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self.buffer[index] = value

    def vector(self) -> Vector:
        return Vector([Element(self.buffer, [lane]).read() for lane in range(self.dtype.lanes)])

    def assign(self, value: Any) -> None:
        """Store a vector, or a scalar in all lanes."""
        for lane, item in enumerate(spread(value, self.dtype.lanes)):
            store(Element(self.buffer, [lane]), item)


def private_array(builder: Builder, name: str, lanes: int, dtype: DType) -> Buffer:
    """An array of the thread for the lanes of a vector."""
    buffer = Buffer(name, (lanes,), dtype, LOCAL)
    kind = buffer_type([lanes], builder.type(dtype), LOCAL)
    buffer.value = builder.emit("tl.alloc", [], [kind], loc=builder.named(name) if name else None).results[0]
    buffer.frame = builder.frame
    return buffer


def spread(value: Any, count: int) -> list[Any]:
    """The lanes of a value for `count` places: a vector of as many, or a scalar for all.

    Raises:
        TileValueError: it has another number of lanes.
    """
    if not isinstance(value, Lanes | list | tuple):
        scalar = as_expr(value)
        return [scalar] * count
    vector = vector_of(value, "a vector")
    if len(vector) != count:
        raise TileValueError(f"cannot assign {vector!r} to {count} elements",
                             hint="T.Broadcast repeats a scalar, T.vectorlow and T.Shuffle take some of the lanes")
    return vector.lanes


def lanewise(function: Callable[..., Any], *operands: Any) -> Vector:
    """A scalar function on each lane of vectors.

    Raises:
        TileTypeError: the vectors differ in length.
    """
    whole = [value.vector() if isinstance(value, Lanes) else value for value in operands]
    vectors = [value for value in whole if isinstance(value, Vector)]
    count = len(vectors[0])
    if any(len(vector) != count for vector in vectors):
        raise TileTypeError(f"vectors of different lengths: {', '.join(str(len(v)) for v in vectors)}",
                            hint="T.vectorlow, T.vectorhigh and T.Shuffle take parts of a vector")
    rows = [value.lanes if isinstance(value, Vector) else [value] * count for value in whole]
    return Vector([function(*lanes) for lanes in zip(*rows, strict=True)])


def vector_of(value: Any, what: str) -> Vector:
    """A vector, a slice of a buffer's last dimension, or a Python sequence of scalars, as a vector.

    Raises:
        TileTypeError: it is none of these.
    """
    if isinstance(value, Region):
        return _read_run(value, what)
    if isinstance(value, Lanes):
        return value.vector()
    if isinstance(value, list | tuple) and value:
        return Vector(list(value))
    raise TileTypeError(f"{what} needs a vector, got {describe(value)}", hint="T.float32x2(a, b) or A[i:i + 2]")


def _read_run(region: Region, what: str) -> Vector:
    dim, count = _run_of(region, what)
    places = [Element(region.buffer, _shifted(region.offsets, dim, lane)) for lane in range(count)]
    builder = require(what)
    if not _wide(builder, region, count):
        return Vector([place.read() for place in places])
    lanes = private_array(builder, "", count, region.dtype)
    store_region(Region(lanes, [0], [count]), region)
    return Vector([Element(lanes, [lane]).read() for lane in range(count)])


def store_vector(region: Region, value: Lanes) -> None:
    """`A[i:i + 4] = v`

    Raises:
        TileValueError: the slice has another number of elements.
    """
    vector = value.vector()
    wide = [dim for dim, extent in enumerate(region.extents) if extent != 1] or [len(region.extents) - 1]
    if len(wide) != 1 or region.extents[wide[0]] != len(vector):
        raise TileValueError(f"cannot assign {vector!r} to a slice of {list(region.extents)}")
    builder = require("a vector")
    if _wide(builder, region, len(vector)):
        lanes = private_array(builder, "", len(vector), region.dtype)
        for lane, item in enumerate(vector):
            store(Element(lanes, [lane]), item)
        store_region(region, lanes)
        return
    for lane, item in enumerate(vector):
        store(Element(region.buffer, _shifted(region.offsets, wide[0], lane)), item)


def _wide(builder: Builder, region: Region, count: int) -> bool:
    """Whether an access of several elements at once may pay: memory that threads share, outside of parallel loops."""
    if builder.deferring or count == 1 or count & (count - 1) or region.buffer.memory not in ("global", "shared"):
        return False
    return region.dtype.bits >= 8 and not any(frame.kind == "parallel" for frame in builder.frames)


def _run_of(region: Region, what: str) -> tuple[int, int]:
    """The dimension along which a slice runs, and its length."""
    wide = [dim for dim, size in enumerate(region.extents) if not (isinstance(size, int) and size == 1)]
    dim = wide[0] if wide else len(region.extents) - 1
    count = region.extents[dim]
    if len(wide) > 1 or not isinstance(count, int) or count > _MOST:
        raise TileTypeError(
            f"{what} needs a slice of constant length along one dimension, of at most {_MOST} elements, got {region!r}",
            hint="loop over the elements of larger tiles with T.Parallel",
        )
    return dim, count


def places_of(buffer: Buffer, parts: Sequence[Any]) -> Places | Run:
    """`buffer[parts]` where some of the indices are vectors: neighbouring elements, or elements anywhere.

    As for Python's lists, an index below zero counts from the end. A vector of which that is not known is taken apart.

    Raises:
        TileTypeError: vectors of different lengths, or a slice beside a vector.
    """
    vectors = {dim: vector_of(part, "an index") for dim, part in enumerate(parts) if isinstance(part, Lanes)}
    counts = {len(vector) for vector in vectors.values()}
    if len(parts) != buffer.ndim or any(isinstance(part, slice) for part in parts):
        raise TileTypeError(f"buffer {buffer.name!r} of {buffer.ndim} dimensions needs a number in each one beside a "
                            f"vector of places", hint="A[i, T.Ramp(j, 1, 4)]")
    if len(counts) != 1:
        raise TileTypeError(f"buffer {buffer.name!r} is indexed by vectors of different lengths: {sorted(counts)}")
    for dim, vector in vectors.items():
        if not vector.scalar.is_integer:
            raise TileTypeError(f"index {dim} of buffer {buffer.name!r} must be integers, got {vector!r}",
                                hint="T.cast(v, \"int32x4\") converts one")
    (count,) = counts
    if len(vectors) == 1:
        ((dim, vector),) = vectors.items()
        steps = [arith.sub(place, vector[0]) for place in vector]
        if all(isinstance(step, int) and step == lane for lane, step in enumerate(steps)) and vector[0].nonneg:
            indices = list(Element(buffer, [*parts[:dim], 0, *parts[dim + 1 :]]).indices)
            indices[dim] = vector[0].const if vector[0].const is not None else vector[0]
            return Run(buffer, indices, [count if d == dim else 1 for d in range(buffer.ndim)])
    rows = [[vectors[dim][lane] if dim in vectors else part for dim, part in enumerate(parts)] for lane in range(count)]
    return Places([Element(buffer, [_from_end(i, buffer.shape[d]) for d, i in enumerate(row)]) for row in rows])


def _from_end(index: Any, size: Any) -> Any:
    known = index.const if isinstance(index, Expr) else index
    if known is not None:
        return arith.add(size, known) if known < 0 else known
    if index.nonneg:
        return index
    return arith.select(arith.compare("Lt", index, 0), arith.add(index, size), index)


def _shifted(offsets: Sequence[Any], dim: int, step: int) -> list[Any]:
    return [arith.add(offset, step) if position == dim else offset for position, offset in enumerate(offsets)]
