"""Atomic operations on elements and tiles."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith, control, where
from tilelang_mlir.frontend.buffer import (
    Buffer,
    Element,
    Region,
    buffer_of,
    index_value,
    is_wide,
    memory_of,
    moved,
    subscript,
    tile_of,
)
from tilelang_mlir.frontend.builder import Builder, require
from tilelang_mlir.frontend.expr import Expr, as_expr, describe, value_of
from tilelang_mlir.frontend.suspicion import Suspicion, issue
from tilelang_mlir.frontend.uneven import varies
from tilelang_mlir.frontend.vector import Vector
from tilelang_mlir.language.copy import matching_extents
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.mlir import ir

_ORDERS = ("relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst")
_ORDERS_OF = {"load": ("relaxed", "consume", "acquire", "seq_cst"), "store": ("relaxed", "release", "seq_cst")}


@takes_name
def atomic_add(
    dst: Any, value: Any, memory_order: str | None = None, return_prev: bool = False, use_tma: bool = False,
    annotations: dict[str, Any] | None = None,
) -> Any:
    """Add to an element, or elementwise to a tile; `return_prev` gives the old value of an element.

    With `use_tma` one bulk reduction adds a tile in shared memory to a device tile, done when the call ends:

        T.atomic_add(C[by * 64, bx * 64], C_shared, use_tma=True)

    Raises:
        TileTypeError: `use_tma` with anything but a shared tile and a device tile of one dtype.
        UnsupportedError: when compiled, for elements or tiles that the hardware does not reduce.
    """
    del annotations
    if use_tma:
        return _bulk("add", dst, value, return_prev)
    return _atomic("add", dst, value, memory_order, return_prev)


@takes_name
def atomic_max(
    dst: Any, value: Any, memory_order: str | None = None, return_prev: bool = False, use_tma: bool = False,
    annotations: dict[str, Any] | None = None,
) -> Any:
    """Raise an element, or the elements of a tile, to at least a value; `use_tma` as in `T.atomic_add`."""
    del annotations
    if use_tma:
        return _bulk("max", dst, value, return_prev)
    return _atomic("max", dst, value, memory_order, return_prev)


@takes_name
def atomic_min(
    dst: Any, value: Any, memory_order: str | None = None, return_prev: bool = False, use_tma: bool = False,
    annotations: dict[str, Any] | None = None,
) -> Any:
    """Lower an element, or the elements of a tile, to at most a value; `use_tma` as in `T.atomic_add`."""
    del annotations
    if use_tma:
        return _bulk("min", dst, value, return_prev)
    return _atomic("min", dst, value, memory_order, return_prev)


@takes_name
def atomic_or(
    dst: Any, value: Any, memory_order: str | None = None, return_prev: bool = False, use_tma: bool = False
) -> Any:
    """Set bits of an element, or with `use_tma` of a tile, as in `T.atomic_add`."""
    if use_tma:
        return _bulk("or", dst, value, return_prev)
    return _atomic("or", dst, value, memory_order, return_prev)


@takes_name
def atomic_load(src: Any, memory_order: str = "seq_cst") -> Expr:
    """Read an element atomically."""
    element = _element("T.atomic_load", src)
    return _emit("load", element, 0, memory_order, True)


@takes_name
def atomic_store(dst: Any, value: Any, memory_order: str = "seq_cst") -> None:
    """Write an element atomically."""
    _emit("store", _element("T.atomic_store", dst), value, memory_order, False)


@takes_name
def atomic_addx2(dst: Any, value: Any, return_prev: bool = False) -> Vector | None:
    """Add two neighbouring elements, starting at the given ones; with `return_prev` the old ones, as a vector.

    Each element is added to atomically, the pair is not.
    """
    return _packed("T.atomic_addx2", dst, value, 2, return_prev)


@takes_name
def atomic_addx4(dst: Any, value: Any, return_prev: bool = False) -> Vector | None:
    """Add four neighbouring elements, starting at the given ones, as `T.atomic_addx2` adds two."""
    return _packed("T.atomic_addx4", dst, value, 4, return_prev)


def _bulk(kind: str, dst: Any, value: Any, return_prev: bool) -> None:
    """One bulk reduction of a shared tile into a device tile, and the wait for it."""
    what = f"T.atomic_{kind}(use_tma=True)"
    builder = require(what)
    builder.require_launch(what)
    target, source = buffer_of(dst, f"the target of {what}"), buffer_of(value, f"the value of {what}")
    if (target.memory, source.memory) != ("global", "shared") or target.dtype != source.dtype:
        raise TileTypeError(
            f"{what} adds a shared tile to a device tile of one dtype, got {source!r} and {target!r}",
            hint="copy the tile to T.alloc_shared first",
        )
    if return_prev:
        raise TileTypeError(f"{what} cannot return previous values")
    extents = matching_extents(what, value, dst)
    tiles = [tile_of(value, f"the value of {what}", extents), tile_of(dst, f"the target of {what}", extents)]
    attributes: dict[str, ir.Attribute] = {"reduce": ir.StringAttr.get(kind), "explicit": ir.UnitAttr.get()}
    if target.dtype.is_unsigned:
        attributes["unsigned"] = ir.UnitAttr.get()
    builder.emit("tl.tma_store", tiles, [], attributes)
    builder.emit("tl.tma_wait", [], [], {"pending": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), 0)})


def _packed(what: str, dst: Any, value: Any, count: int, return_prev: bool) -> Vector | None:
    target = first_element(what, dst)
    if isinstance(value, Vector):
        if len(value) != count:
            raise TileTypeError(f"{what} adds {count} elements, got {describe(value)}")
        sources: list[Any] = list(value)
    else:
        source = first_element(what, value)
        if not return_prev and target.buffer.memory == "global" and target.buffer.dtype.is_float:
            for (step,) in control.nest([count], "vectorize"):  # which lowering turns into one instruction
                _emit("add", shifted(target, step), shifted(source, step), None, False)
            return None
        sources = [shifted(source, step) for step in range(count)]
    before = [_emit("add", shifted(target, step), source, None, return_prev) for step, source in enumerate(sources)]
    return Vector(before) if return_prev else None


def first_element(what: str, value: Any) -> Element:
    """The first element of what a packed operation works on."""
    if isinstance(value, Element):
        return value
    if isinstance(value, Region):
        return Element(value.buffer, value.offsets)
    if isinstance(value, Buffer):
        return Element(value, [0] * value.ndim)
    raise TileTypeError(f"{what} needs elements of buffers, got {describe(value)}")


def shifted(element: Element, step: Any) -> Element:
    return Element(element.buffer, [*element.indices[:-1], arith.add(element.indices[-1], step)])


def _atomic(kind: str, dst: Any, value: Any, order: str | None, return_prev: bool) -> Any:
    what = f"T.atomic_{kind}"
    tile = isinstance(dst, Buffer | Region) or isinstance(value, Buffer | Region)
    if not tile or _of_each_thread(dst, value):
        return _emit(kind, _element(what, dst), value, order, return_prev)
    if return_prev:
        raise TileTypeError(f"{what} on a tile cannot return previous values")
    _tile_atomic(what, kind, dst, value, order)
    return None


def _of_each_thread(dst: Any, value: Any) -> bool:
    """`T.atomic_add(total, A[thread])`: every thread adds a value of its own to a buffer of one element."""
    if not isinstance(dst, Buffer) or any(size != 1 for size in dst.shape) or not isinstance(value, Expr):
        return False
    builder = require("an atomic operation")
    return builder.launch() is not None and varies(value_of(builder, value))


def _element(what: str, value: Any) -> Element:
    if isinstance(value, Buffer) and all(size == 1 for size in value.shape):
        return Element(value, [0] * value.ndim)
    if not isinstance(value, Element):
        raise TileTypeError(
            f"{what} needs an element of a buffer, got {describe(value)}", hint="write T.atomic_add(A[i], value)"
        )
    if len(value.indices) != value.buffer.ndim:
        raise TileTypeError(
            f"buffer {value.buffer.name!r} has {value.buffer.ndim} dimensions but got {len(value.indices)}"
        )
    return value


def _region(what: str, value: Any, extents: tuple[Any, ...] | None) -> Region:
    if isinstance(value, Region):
        return value
    if isinstance(value, Buffer):
        region = subscript(value, tuple(slice(None) for _ in value.shape))
        assert isinstance(region, Region)
        return region
    buffer = buffer_of(value, what)
    if extents is None or len(extents) > buffer.ndim:
        raise TileTypeError(f"{what}: the tile has no extent", hint="give one side as a buffer or slice")
    offsets = [*value.indices, *[0] * (buffer.ndim - len(value.indices))]
    return Region(buffer, offsets, [1] * (buffer.ndim - len(extents)) + list(extents))


def _tile_atomic(what: str, kind: str, dst: Any, value: Any, order: str | None) -> None:
    """A parallel loop of element operations; elements outside the target are skipped."""
    builder = require(what)
    builder.require_launch(what)
    whole = value if isinstance(value, Buffer | Region) else dst
    extents = tuple(whole.shape)
    target = _region(what, dst, extents)
    source = _region(what, value, tuple(target.extents)) if isinstance(value, Buffer | Region | Element) else None
    if any(isinstance(o, Expr) and varies(value_of(builder, o)) for o in target.offsets) and _by_all_threads(builder):
        issue(Suspicion(f"all threads run {what} together, but where {target.buffer.name} begins differs between them",
                        where.here(), "add to single elements: each thread does so for itself"))
    wide = [dim for dim, size in enumerate(target.extents) if is_wide(size)]
    theirs: list[int] = []
    if source is not None:
        theirs = [dim for dim, size in enumerate(source.extents) if is_wide(size)]
    sizes = [target.extents[dim] for dim in wide]
    if source is not None and [source.extents[dim] for dim in theirs] != sizes:
        raise TileValueError(f"{what}: the tiles differ in shape: {list(target.extents)} and {list(source.extents)}")
    loop = control.Loop("parallel", extents=sizes or [1])
    for ivs in control.run(loop, (), None):
        ivs = (ivs if isinstance(ivs, tuple) else (ivs,)) if sizes else ()  # a tile of one element: by one thread
        place = moved(target, wide, ivs)
        item = Element(source.buffer, moved(source, theirs, ivs)) if source is not None else value
        inside = _inside(target, place)
        if isinstance(inside, bool):
            _emit(kind, Element(target.buffer, place), item, order, False)
            continue
        for _ in control.branch(builder, inside, has_else=False):
            _emit(kind, Element(target.buffer, place), item, order, False)


def _by_all_threads(builder: Builder) -> bool:
    """Whether no branch around decides which threads come here."""
    return all(frame.kind in ("host", "launch", "for") for frame in builder.frames)


def _inside(target: Region, place: list[Any]) -> Any:
    """Whether a place is inside the buffer: True when the whole region is known to be."""
    result: Any = True
    for offset, extent, size, index in zip(target.offsets, target.extents, target.buffer.shape, place, strict=True):
        end = arith.add(offset, extent)
        if not (isinstance(end, int) and isinstance(size, int) and end <= size):
            result = arith.logical_and(result, arith.compare("Lt", index, size))
    return result


def _order(kind: str, order: str | None) -> str:
    order = "relaxed" if order is None else order
    allowed = _ORDERS_OF.get(kind, _ORDERS)
    if order not in allowed:
        message = f"T.atomic_{kind} does not support memory_order {order!r}"
        raise TileValueError(message, hint=f"one of {', '.join(allowed)}")
    return order


def _emit(kind: str, element: Element, value: Any, order: str | None, return_prev: bool) -> Any:
    builder: Builder = require(f"T.atomic_{kind}")
    builder.require_launch(f"T.atomic_{kind}")
    buffer = element.buffer
    if buffer.memory not in ("global", "shared"):
        raise TileTypeError(f"atomic operations work on global and shared memory, got {buffer!r}")
    if kind == "or" and buffer.dtype.is_float:
        raise TileTypeError(f"T.atomic_or needs an integer element, got {buffer.dtype}")
    name = f"u{kind}" if kind in ("max", "min") and buffer.dtype.is_unsigned else kind
    data = value_of(builder, arith.cast(as_expr(value, None), buffer.dtype))
    indices = [index_value(builder, index) for index in element.indices]
    results = [builder.type(buffer.dtype)] if return_prev else []
    orders = ir.StringAttr.get(_order(kind, order))
    attributes: dict[str, ir.Attribute] = {"kind": ir.StringAttr.get(name), "order": orders}
    op = builder.emit("tl.atomic", [memory_of(buffer), data, *indices], results, attributes)
    return Expr(buffer.dtype, value=op.results[0], frame=builder.frame) if return_prev else None
