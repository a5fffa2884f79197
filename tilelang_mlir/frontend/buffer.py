"""Buffers, elements and regions of them, mutable scalars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dialect.tl import GLOBAL, buffer_type
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileNameError, TileTypeError, TileValueError
from tilelang_mlir.frontend import arith, where
from tilelang_mlir.frontend.builder import Builder, Frame, require
from tilelang_mlir.frontend.expr import Expr, Lanes, as_expr, describe, value_of
from tilelang_mlir.frontend.indices import index_of
from tilelang_mlir.mlir import ir

Size = Any  # int | Expr

SPELLING = {"shared": "shared.dyn", "fragment": "local.fragment", "var": "local.var", "tmem": "shared.tmem"}


class Buffer:
    """A multi-dimensional array in some memory. `shape` and `strides` (elements) hold ints and expressions.

    Indexing with as many scalars as there are dimensions gives an element, with slices a region; with fewer scalars the
    address of a tile, whose extent comes from the other side of the tile operation it is used in.
    """

    def __init__(
        self, name: str, shape: Sequence[Size], dtype: DType, memory: str, strides: Sequence[Size] | None = None
    ) -> None:
        self.name = name
        self.shape: tuple[Size, ...] = tuple(shape)
        self.dtype = dtype
        self.memory = memory
        self.strides: tuple[Size, ...] = tuple(strides) if strides is not None else row_major(self.shape)
        self.is_strided = strides is not None
        self.lanes = 0  # of elements that are vectors: the last dimension
        self.spelling = SPELLING.get(memory, memory)
        self.value: ir.Value | None = None
        self.frame: Frame | None = None
        self.pointer: Any = None
        self.room = 0  # rows that there is memory for, where their number is known at run time only

    def scope(self) -> str:
        """The scope as TileLang spells it: `shared.dyn`, `local.fragment`, `local`, `global`."""
        return self.spelling

    def usable(self) -> None:
        """Raise where the elements cannot be read or written as those of a tile: reducers before their end."""

    @property
    def data(self) -> Any:
        """The memory itself, as pointer arguments of low-level calls take it."""
        return self.pointer if self.pointer is not None else self

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<{self.memory} buffer {self.name}{list(self.shape)} {self.dtype}>"

    def __len__(self) -> int:
        if not self.shape or not isinstance(self.shape[0], int):
            raise TileTypeError(f"buffer {self.name!r} has no static length")
        return self.shape[0]

    def __iter__(self) -> Any:
        raise TileTypeError(f"buffer {self.name!r} cannot be iterated over", hint="loop over its indices with T.serial")

    def __bool__(self) -> bool:
        raise TileTypeError(f"buffer {self.name!r} has no truth value")

    def __getitem__(self, index: Any) -> Any:
        return subscript(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        target = subscript(self, index)
        if isinstance(target, Element):
            store(target, value)
        elif isinstance(target, Region):
            store_region(target, value)
        else:
            target.store(value)


def _refuse(symbol: str) -> Any:
    """What an arithmetic operator on a whole buffer does."""

    def refuse(self: Buffer, *_: Any) -> Any:
        raise TileTypeError(f"{symbol} needs scalars, got {describe(self)}",
                            hint=f"index {self.name or 'it'} inside a T.Parallel loop over its elements")

    return refuse


for _symbol, _names in {
    "+": "add radd iadd", "-": "sub rsub isub neg", "*": "mul rmul imul", "/": "truediv rtruediv itruediv",
    "//": "floordiv rfloordiv ifloordiv", "%": "mod rmod imod", "**": "pow rpow", "<": "lt", "<=": "le", ">": "gt",
    ">=": "ge", "&": "and rand", "|": "or ror", "^": "xor rxor", "<<": "lshift", ">>": "rshift", "~": "invert",
    "@": "matmul rmatmul",
}.items():  # fmt: skip
    for _name in _names.split():
        setattr(Buffer, f"__{_name}__", _refuse(_symbol))


class Element(Expr):
    """An element of a buffer that is loaded when its value is needed; the address of a tile in tile operations."""

    __slots__ = ("buffer", "indices")

    def __init__(self, buffer: Buffer, indices: Sequence[Size]) -> None:
        super().__init__(buffer.dtype)
        self.buffer, self.indices = buffer, tuple(indices)

    def read(self) -> Expr:
        return load(self) if self.value is None else self

    def pin(self) -> Element:
        """Load now and remember the value, so that later stores do not change it; the address stays usable."""
        if self.value is None and len(self.indices) == len(self.buffer.shape):
            builder = require("a buffer element")
            loaded = load(self)
            self.value, self.frame, self.key = loaded.value, loaded.frame, loaded.key
            if loaded.value is not None:
                builder.probe_loads.append(loaded.value.owner)
        return self

    def __repr__(self) -> str:
        return f"{self.buffer.name}{list(self.indices)}"

    def __getitem__(self, index: Any) -> Any:
        return subscript(self.buffer, (*self.indices, *(index if isinstance(index, tuple) else (index,))))


class Variable(Expr):
    """A mutable scalar, `T.alloc_var(dtype)`: every use reads it, assignment to its name writes it.

    With an `element` it is another name for that element of the buffer (`T.Ref`).
    """

    __slots__ = ("buffer", "element")

    def __init__(self, buffer: Buffer, element: Element | None = None) -> None:
        super().__init__(buffer.dtype)
        self.buffer = buffer
        self.element = element if element is not None else Element(buffer, (0,))

    @property
    def shape(self) -> tuple[Size, ...]:
        return self.buffer.shape

    def scope(self) -> str:
        return self.buffer.scope()

    def read(self) -> Expr:
        return load(self.element)

    def __repr__(self) -> str:
        return f"<variable {self.buffer.name} {self.dtype}>"

    def __getitem__(self, index: Any) -> Any:
        return subscript(self.buffer, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.buffer[index] = value


class Region(Lanes):
    """A rectangular part of a buffer: one offset and extent per dimension. Operators take a short run as a vector."""

    def __init__(self, buffer: Buffer, offsets: Sequence[Size], extents: Sequence[Size]) -> None:
        self.buffer, self.offsets, self.extents = buffer, tuple(offsets), tuple(extents)

    @property
    def shape(self) -> tuple[Size, ...]:
        return self.extents

    @property
    def dtype(self) -> DType:
        return self.buffer.dtype

    def scope(self) -> str:
        return self.buffer.scope()

    def __repr__(self) -> str:
        parts = ", ".join(f"{o}:+{e}" for o, e in zip(self.offsets, self.extents, strict=True))
        return f"{self.buffer.name}[{parts}]"

    def __eq__(self, other: object) -> Any:
        return self is other  # comparing regions reads no elements

    def __ne__(self, other: object) -> Any:
        return self is not other

    __hash__ = object.__hash__

    def vector(self) -> Any:
        from tilelang_mlir.frontend.vector import vector_of

        return vector_of(self, "an operator")

    def __getitem__(self, index: Any) -> Any:
        raise TileTypeError("a slice of a buffer cannot be indexed again", hint="index the buffer itself")


def row_major(shape: Sequence[Size]) -> tuple[Size, ...]:
    """Strides of a contiguous array, in elements."""
    strides: list[Size] = [1] if shape else []
    for size in reversed(shape[1:]):
        strides.insert(0, arith.mul(strides[0], size))
    return tuple(strides)


def subscript(buffer: Buffer, index: Any) -> Any:
    """`buffer[index]`: an element, a tile address, a region where the index has slices, elements where it has vectors.

    Raises:
        TileTypeError: too many indices, or an index that is no integer.
        TileValueError: a constant index outside the buffer.
    """
    parts = index if isinstance(index, tuple) else (index,)
    if any(part is Ellipsis for part in parts):
        place = parts.index(Ellipsis)
        parts = (*parts[:place], *[slice(None)] * (buffer.ndim - len(parts) + 1), *parts[place + 1 :])
    if len(parts) > buffer.ndim:
        raise TileTypeError(
            f"buffer {buffer.name!r} has {buffer.ndim} dimension{'s' * (buffer.ndim != 1)} but got {len(parts)} indices"
        )
    if buffer.lanes and len(parts) == buffer.ndim - 1:
        parts = (*parts, slice(None))
    steps = [part for part in parts if isinstance(part, slice) and part.step not in (None, 1)]
    if steps and sum(isinstance(part, slice) for part in parts) > len(steps):
        raise TileTypeError(f"a tile of buffer {buffer.name!r} with a step of {steps[0].step}: tiles have none",
                            hint="read single elements in a loop: for i, j in T.Parallel(..): x[i, j] = A[i, j * 2]")
    parts = tuple(_stepped(buffer, dim, part) for dim, part in enumerate(parts))
    if any(isinstance(part, Lanes) for part in parts):
        from tilelang_mlir.frontend.vector import places_of

        return places_of(buffer, parts)
    if not any(isinstance(part, slice) for part in parts):
        return Element(buffer, [index_of(buffer, dim, part) for dim, part in enumerate(parts)])
    parts = (*parts, *[slice(None)] * (buffer.ndim - len(parts)))
    bounds = [_bounds(buffer, dim, part) for dim, part in enumerate(parts)]
    return Region(buffer, [offset for offset, _ in bounds], [extent for _, extent in bounds])


def _stepped(buffer: Buffer, dim: int, part: Any) -> Any:
    """A slice with a step as a vector of places: `A[0:8:2]`. Other indices as they are."""
    if not isinstance(part, slice) or part.step in (None, 1):
        return part
    start, extent = _bounds(buffer, dim, slice(part.start, part.stop))
    if not isinstance(part.step, int) or part.step < 1 or not isinstance(extent, int):
        raise TileTypeError(f"a slice with a step needs constant length and step, got step {describe(part.step)} in "
                            f"dimension {dim} of buffer {buffer.name!r}")
    from tilelang_mlir.frontend.vector import Vector

    return Vector([arith.add(start, lane) for lane in range(0, extent, part.step)])


def _bounds(buffer: Buffer, dim: int, part: Any) -> tuple[Size, Size]:
    if not isinstance(part, slice):
        return index_of(buffer, dim, part), 1
    size = buffer.shape[dim]
    start = 0 if part.start is None else _plain(part.start)
    stop = size if part.stop is None else _plain(part.stop)
    start = arith.add(size, start) if isinstance(start, int) and start < 0 else start
    stop = arith.add(size, stop) if isinstance(stop, int) and stop < 0 else stop
    extent = arith.sub(stop, start)
    if isinstance(extent, int) and extent <= 0:
        raise TileValueError(f"the slice of dimension {dim} of buffer {buffer.name!r} is empty ({extent} elements)")
    return start, extent


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        raise TileTypeError(f"slice bounds must be integers, got {value!r}")
    return value.read() if isinstance(value, Expr) else value


def memory_of(buffer: Buffer) -> ir.Value:
    """The SSA value of a buffer at the current place.

    Raises:
        TileNameError: it was allocated in a block that has ended.
    """
    if buffer.frame is not None and not buffer.frame.open:
        raise TileNameError(
            f"buffer {buffer.name!r} is used outside of the block that allocates it",
            where.here(),
            notes=(("the block was opened here", buffer.frame.opened_at),) if buffer.frame.opened_at else (),
            hint="allocate it before the loop or branch",
        )
    if buffer.value is None:
        raise TileTypeError(f"buffer {buffer.name!r} has no memory here: it only describes an argument",
                            hint="allocate it with T.alloc_shared, T.alloc_fragment or T.alloc_global")
    return buffer.value


def index_value(builder: Builder, index: Size) -> ir.Value:
    """An index as a value of type `index`."""
    if isinstance(index, int):
        return builder.index_constant(index)
    value = value_of(builder, index if builder.wide else _in_32_bits(index))
    kind = ir.IndexType.get()
    return builder.shared(("index", value), lambda: builder.emit("arith.index_cast", [value], [kind]).results[0])


def load(element: Element) -> Expr:
    """`memref.load` of an element."""
    buffer, builder = element.buffer, require("a buffer element")
    builder.require_launch(f"an element of buffer {buffer.name!r}")
    _check_rank(element)
    memory = memory_of(buffer)
    indices = [index_value(builder, index) for index in element.indices]
    value = builder.emit("memref.load", [memory, *indices], [builder.type(buffer.dtype)]).results[0]
    loaded = Expr(buffer.dtype, value=value, frame=builder.frame)
    if buffer.memory in ("local", "var") and all(isinstance(index, int) for index in element.indices):
        # What no other thread writes is the same until the next effect: `n[0] + 64 - n[0]` is 64.
        loaded.key = ("load", memory, element.indices, builder.effects)
    return loaded


def store(element: Element, value: Any) -> ir.Operation:
    """`memref.store` of a value, converted to the buffer's dtype."""
    buffer, builder = element.buffer, require("a buffer element")
    builder.require_launch(f"a store to buffer {buffer.name!r}")
    _check_rank(element)
    data = value_of(builder, arith.cast(as_expr(value, None), buffer.dtype))
    indices = [index_value(builder, index) for index in element.indices]
    return builder.emit("memref.store", [data, memory_of(buffer), *indices])


def _check_rank(element: Element) -> None:
    rank = element.buffer.ndim
    if len(element.indices) != rank:
        raise TileTypeError(
            f"buffer {element.buffer.name!r} has {rank} dimensions but got {len(element.indices)} "
            f"ind{'ex' if len(element.indices) == 1 else 'ices'}",
            hint="fewer indices than dimensions name a tile, which only tile operations such as T.copy take",
        )


def store_region(region: Region, value: Any) -> None:
    """`A[a:b] = value`: each thread stores the elements in a vectorised loop."""
    from tilelang_mlir.frontend.control import nest

    if not all(isinstance(extent, int) for extent in region.extents):
        raise TileTypeError(
            "a slice that is assigned to needs a static size", hint="use T.copy for tiles of dynamic size"
        )
    if isinstance(value, Lanes) and not isinstance(value, Region):
        from tilelang_mlir.frontend.vector import store_vector

        store_vector(region, value)
        return
    if isinstance(value, Buffer):
        value = subscript(value, tuple(slice(None) for _ in value.shape))
    source = value if isinstance(value, Region) else None
    theirs: list[int] = []
    wide = [dim for dim, extent in enumerate(region.extents) if extent != 1]
    if source is not None:
        theirs = [dim for dim, extent in enumerate(source.extents) if is_wide(extent)]
        if [source.extents[d] for d in theirs] != [region.extents[d] for d in wide]:
            raise TileValueError(f"cannot assign {list(source.extents)} elements to a slice of {list(region.extents)}")
    for ivs in nest([region.extents[dim] for dim in wide], "vectorize"):
        offsets = moved(region, wide, ivs)
        item = Element(source.buffer, moved(source, theirs, ivs)) if source is not None else value
        store(Element(region.buffer, offsets), item)


def is_wide(extent: Size) -> bool:
    """Whether a region may have several elements along a dimension."""
    return not isinstance(extent, int) or extent != 1


def moved(region: Region, dims: Sequence[int], ivs: Sequence[Any]) -> list[Size]:
    """The place of an element of a region: `ivs` are its indices along the wide dimensions `dims`."""
    offsets = list(region.offsets)
    for dim, iv in zip(dims, ivs, strict=True):
        offsets[dim] = arith.add(offsets[dim], iv)
    return offsets


# Tiles.


def buffer_of(value: object, what: str) -> Buffer:
    """The buffer behind a buffer, region, element or variable.

    Raises:
        TileTypeError: the value is none of them.
    """
    if isinstance(value, Buffer):
        return value
    if isinstance(value, Region | Element | Variable):
        return value.buffer
    raise TileTypeError(f"{what} must be a buffer or a part of one, got {describe(value)}")


def extents_of(value: Any) -> tuple[Size, ...] | None:
    """The shape of a tile operand; None for a tile address, whose extents come from the other operand."""
    if isinstance(value, Variable):
        return (1,)
    if not isinstance(value, Element | Region):
        value = buffer_of(value, "a tile")
    return None if isinstance(value, Element) else tuple(value.shape)


def tile_of(value: Any, what: str, extents: Sequence[Size] | None = None) -> ir.Value:
    """A tile operand as a memref: the buffer itself or a `tl.slice`.

    `extents` is the shape of a tile address, aligned from the right; leading dimensions are one.
    """
    builder = require(what)
    buffer = buffer_of(value, what)
    buffer.usable()
    memory = memory_of(buffer)
    if isinstance(value, Buffer) and value.room:
        raise TileTypeError(f"{what} needs a tile of static size, got {value!r}",
                            hint="T.copy, T.fill and elements of it in loops take a shared tile of run-time size")
    if isinstance(value, Buffer | Variable):
        return memory
    if isinstance(value, Region):
        return slice_of(builder, buffer, value.offsets, value.extents)
    if extents is None:
        raise TileTypeError(f"{what} needs a shape: give a buffer or a slice", hint="write A[i:i + n, :] for a region")
    extents = [size for size in extents]
    while len(extents) > buffer.ndim and extents[0] == 1:
        extents = extents[1:]
    if len(extents) > buffer.ndim:
        raise TileValueError(
            f"a tile of {len(extents)} dimensions does not fit buffer {buffer.name!r} of rank {buffer.ndim}"
        )
    sizes = [1] * (buffer.ndim - len(extents)) + extents
    offsets = [*value.indices, *[0] * (buffer.ndim - len(value.indices))]
    return slice_of(builder, buffer, offsets, sizes)


def slice_of(builder: Builder, buffer: Buffer, offsets: Sequence[Size], extents: Sequence[Size]) -> ir.Value:
    """`tl.slice`; the whole of a buffer is the buffer itself."""
    memory = memory_of(buffer)
    if all(isinstance(o, int) and o == 0 for o in offsets) and _same_sizes(extents, buffer.shape):
        return memory
    place = narrow_place(builder, Element(buffer, offsets))
    buffer, offsets, memory = place.buffer, place.indices, memory_of(place.buffer)
    sizes = [size if isinstance(size, int) else -1 for size in extents]
    dynamic = ir.ShapedType.get_dynamic_size()
    strides = [s if isinstance(s, int) else ir.ShapedType.get_dynamic_stride_or_offset() for s in buffer.strides]
    layout = ir.StridedLayoutAttr.get(ir.ShapedType.get_dynamic_stride_or_offset(), strides)
    shape = [size if size >= 0 else dynamic for size in sizes]
    kind = buffer_type(shape, builder.type(buffer.dtype), buffer.memory, layout)
    operands = [memory, *(int32_value(builder, offset) for offset in offsets)]
    operands += [int32_value(builder, extent) for extent in extents if not isinstance(extent, int)]
    return builder.emit("tl.slice", operands, [kind], {"sizes": ir.DenseI64ArrayAttr.get(sizes)}).results[0]


def narrow_place(builder: Builder, element: Element) -> Element:
    """The same element under indices of 32 bits, for operations that take no others."""
    if not builder.wide or element.buffer.memory != GLOBAL:
        return element
    from tilelang_mlir.frontend.wide import window

    return Element(*window(builder, element.buffer, element.indices))


def int32_value(builder: Builder, value: Size) -> ir.Value:
    """An integer as an i32 value; what 32 bits cannot hold is outside of every dimension, and stays so."""
    return value_of(builder, arith.cast(_in_32_bits(as_expr(value, None)), DType("int32")))


def _in_32_bits(value: Expr) -> Expr:
    """An integer of 64 bits saturated to 32, so that a comparison with a size decides as it would in 64 bits."""
    if value.const is None and value.dtype.is_integer and value.dtype.bits == 64:
        return arith.cast(value, DType("int32"), {"sat": True})
    return value


def _same_sizes(a: Sequence[Size], b: Sequence[Size]) -> bool:
    return len(a) == len(b) and all(same_size(x, y) for x, y in zip(a, b, strict=True))


def same_size(a: Size, b: Size) -> bool:
    """Whether two sizes are known to be equal."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    difference = arith.sub(a, b)
    return isinstance(difference, int) and difference == 0
