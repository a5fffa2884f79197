"""Moving and filling tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dialect.layout.attrs import to_attr
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith, control, where
from tilelang_mlir.frontend.buffer import (
    Buffer,
    Element,
    Region,
    Variable,
    buffer_of,
    extents_of,
    is_wide,
    moved,
    same_size,
    store,
    tile_of,
)
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import INT32, as_expr, describe, value_of
from tilelang_mlir.frontend.suspicion import Suspicion, issue
from tilelang_mlir.language.loops import as_layout
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.mlir import ir

EVICTION = ("evict_normal", "evict_first", "evict_last")
_PREFER = ("tma", "cp_async", "sync")


@takes_name
def copy(
    src: Any,
    dst: Any,
    coalesced_width: int | None = None,
    *,
    disable_tma: bool = False,
    eviction_policy: str | None = None,
    prefer_instruction: str | None = None,
    annotations: dict[str, Any] | None = None,
    loop_layout: Any = None,
) -> None:
    """Copy a tile between any two memories; elements are converted when the dtypes differ.

    Each side is a buffer, a slice of one, or the address of a tile (`A[i, j]`), whose extent comes from the other side,
    aligned from the right. Dimensions of one element need not be on both sides, and where slices differ one of them
    stands for a start: `A[i : i + 1, 0:64]` gives 16 rows to a tile of 16. Two slices of other lengths are both taken
    as the longer one, with a warning. Out of bounds, the source reads as its safe
    value and the target is not written. Two addresses copy one element.

    Args:
        coalesced_width: the most elements of one access.
        disable_tma: no bulk copy.
        eviction_policy: "evict_normal", "evict_first" or "evict_last": how long what a bulk copy brings stays in L2.
        prefer_instruction: "cp_async" copies from device to shared memory by cp.async, also outside of pipelined loops,
            where it waits at once; "sync" through registers, also inside of them. "tma" leaves the choice: bulk copies
            are those of pipelined loops and stores, and of `T.tma_copy`.
        annotations: the same by name; they win.
        loop_layout: which thread copies what (a `T.Fragment`).

    Raises:
        TileValueError: the shapes differ.
    """
    options = {
        "coalesced_width": coalesced_width,
        "disable_tma": disable_tma,
        "eviction_policy": eviction_policy,
        "prefer_instruction": prefer_instruction,
        "loop_layout": loop_layout,
        **(annotations or {}),
    }
    _copy("T.copy", src, dst, options)


@takes_name
def async_copy(
    src: Any,
    dst: Any,
    *,
    coalesced_width: int | None = None,
    annotations: dict[str, Any] | None = None,
    loop_layout: Any = None,
) -> None:
    """Start copying a tile from global to shared memory and close the group; wait with `T.ptx_wait_group`."""
    for value, memory, side in ((src, "global", "source"), (dst, "shared", "target")):
        buffer = buffer_of(value, f"the {side} of T.async_copy")
        if buffer.memory != memory:
            raise TileTypeError(f"the {side} of T.async_copy must be in {memory} memory, got {buffer!r}")
    options = {"coalesced_width": coalesced_width, "loop_layout": loop_layout, **(annotations or {}), "async": True,
               "explicit": True}  # fmt: skip
    _copy("T.async_copy", src, dst, options)
    require("T.async_copy").emit("tl.commit_group")


def _copy(what: str, src: Any, dst: Any, options: dict[str, Any]) -> None:
    builder = require(what)
    builder.require_launch(what)
    buffer_of(src, f"the source of {what}")
    buffer_of(dst, f"the target of {what}")
    if isinstance(dst, Variable) or (isinstance(src, Element | Variable) and isinstance(dst, Element)):
        if _is_address(src) or _is_address(dst):
            raise TileTypeError(f"{what} between two tile addresses has no extent", hint="give one side as a slice")
        store(dst.element if isinstance(dst, Variable) else dst, src)
        return
    src, dst = _widened(what, src, dst)
    extents = matching_extents(what, src, dst)
    if buffer_of(src, what).room or buffer_of(dst, what).room:
        _copy_loop(what, _region(src, extents), _region(dst, extents))
        return
    source = tile_of(src, f"the source of {what}", extents)
    target = tile_of(dst, f"the target of {what}", extents)
    builder.emit("tl.copy", [source, target], [], _attributes(what, src, dst, options))


def _copy_loop(what: str, source: Region, target: Region) -> None:
    """Element by element, in a loop of the size that a tile has at run time."""
    theirs, dims = ([d for d, extent in enumerate(r.extents) if is_wide(extent)] for r in (source, target))
    if len(theirs) != len(dims):
        raise TileValueError(f"{what}: a tile of run-time size has the dimensions of the other side", hint="slice it")
    for ivs in control.run(control.Loop("parallel", extents=[target.extents[dim] for dim in dims]), (), None):
        ivs = ivs if isinstance(ivs, tuple) else (ivs,)
        store(Element(target.buffer, moved(target, dims, ivs)), Element(source.buffer, moved(source, theirs, ivs)))


def _region(value: Any, extents: Sequence[Any]) -> Region:
    """A tile operand as a region; the extents of an address are aligned from the right."""
    if isinstance(value, Region):
        return value
    buffer = buffer_of(value, "a tile")
    if isinstance(value, Element):
        lead = buffer.ndim - len(extents)
        start = [*value.indices, *[0] * (buffer.ndim - len(value.indices))]
        return Region(buffer, start, [*[1] * lead, *extents])
    return Region(buffer, [0] * buffer.ndim, buffer.shape)


def _is_address(value: Any) -> bool:
    return isinstance(value, Element) and len(value.indices) < value.buffer.ndim


def _widened(what: str, src: Any, dst: Any) -> tuple[Any, Any]:
    """Slices of one element in a dimension take the extent of the other side there, aligned from the right: they give
    the place where a tile starts, as an address does. Of two slices of other lengths both take the larger one; a slice
    of a tensor takes the lengths of the tile on the chip."""
    sides = [src, dst]
    shapes = [list(extents_of(side) or ()) for side in sides]
    rank = max(map(len, shapes))
    if not all(shapes) or _agree(*shapes):
        return src, dst
    for side, other in ((0, 1), (1, 0)):
        resized = _as_long_as(what, sides[side], sides[other])
        if resized is not None:
            sides[side] = resized
            return sides[0], sides[1]
    padded = [[1] * (rank - len(shape)) + shape for shape in shapes]
    both = all(isinstance(side, Region) for side in sides)
    larger = [max(a, b) if isinstance(a, int) and isinstance(b, int) else a for a, b in zip(*padded, strict=True)]
    unequal = both and any(a != b and not _is_one(a) and not _is_one(b) for a, b in zip(*padded, strict=True))
    for side, other in ((0, 1), (1, 0)):
        own = sides[side]
        if isinstance(own, Region):
            starts = [b if _is_one(a) else a for a, b in zip(padded[side], padded[other], strict=True)]
            wider = (larger if unequal else starts)[rank - len(shapes[side]) :]
            sides[side] = Region(own.buffer, own.offsets, wider)
    if not _agree(*(list(extents_of(side) or ()) for side in sides)):
        return src, dst
    if unequal:
        message = f"the slices of {what} differ in shape: {describe_shape(shapes[0])} and {describe_shape(shapes[1])}"
        issue(Suspicion(message, where.here(), f"both are taken as {describe_shape(larger)}; give equal slices"))
    return sides[0], sides[1]


def _as_long_as(what: str, part: Any, tile: Any) -> Region | None:
    """A slice of a tensor with the lengths of a whole tile on the chip, where it has as many dimensions."""
    if not isinstance(part, Region) or not isinstance(tile, Buffer) or part.buffer.memory != "global":
        return None
    sizes, lengths = _wide(list(part.extents)), _wide(list(tile.shape))
    if tile.memory not in ("shared", "fragment") or sizes == lengths[::-1]:
        return None
    taken = list(tile.shape)
    if len(sizes) == len(lengths):
        rest = iter(lengths)
        taken = [1 if _is_one(size) else next(rest) for size in part.extents]
    elif len(part.extents) != len(taken) or all(isinstance(size, int) for size in sizes):
        return None  # else a length of run time meets a tile of one element
    message = f"the slice of {what} has shape {describe_shape(part.extents)}, the tile {describe_shape(tile.shape)}"
    issue(Suspicion(message, where.here(), "as many elements as the tile has are copied, zeros outside of the tensor"))
    return Region(part.buffer, part.offsets, taken)


def _is_one(size: Any) -> bool:
    return isinstance(size, int) and size == 1


def _wide(shape: Sequence[Any]) -> list[Any]:
    return [size for size in shape if not _is_one(size)]


def _agree(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether two shapes are equal up to dimensions of one, as far as is known."""
    wide = [_wide(left), _wide(right)]
    return len(wide[0]) == len(wide[1]) and all(
        same_size(a, b) or not (isinstance(a, int) and isinstance(b, int)) for a, b in zip(*wide, strict=True)
    )


def matching_extents(what: str, src: Any, dst: Any) -> Sequence[Any]:
    """The extents of the side that has them; both must agree up to dimensions of one."""
    left, right = extents_of(src), extents_of(dst)
    if left is None or right is None:
        return left or right or ()
    if not _agree(left, right):
        turned = describe_shape(_wide(left)) == describe_shape(_wide(right)[::-1])
        raise TileValueError(
            f"the source and target of {what} differ in shape: {describe_shape(left)} and {describe_shape(right)}",
            hint="T.transpose exchanges the dimensions of a tile" if turned else
                "slice the larger side, or give it as the address of its first element: A[i, j]",
        )  # fmt: skip
    return left


def describe_shape(shape: Sequence[Any]) -> str:
    return "(" + ", ".join(repr(size) if not isinstance(size, int) else str(size) for size in shape) + ")"


def _attributes(what: str, src: Any, dst: Any, options: dict[str, Any]) -> dict[str, ir.Attribute]:
    attributes: dict[str, ir.Attribute] = {}
    source, target = buffer_of(src, what).dtype, buffer_of(dst, what).dtype
    if source.is_unsigned and source != target:
        attributes["unsigned"] = ir.UnitAttr.get()
    width = options.get("coalesced_width")
    if width is not None:
        if not isinstance(width, int) or width < 1:
            raise TileValueError(f"coalesced_width must be a positive integer, got {describe(width)}")
        attributes["coalesced_width"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), width)
    for key in ("async", "explicit", "disable_tma"):
        if options.get(key):
            attributes[key] = ir.UnitAttr.get()
    for key, name, allowed in (("eviction_policy", "eviction", EVICTION), ("prefer_instruction", "prefer", _PREFER)):
        value = options.get(key)
        if value is not None:
            if value not in allowed:
                raise TileValueError(f"{key} must be one of {', '.join(allowed)}, got {value!r}")
            attributes[name] = ir.StringAttr.get(value)
    if options.get("prefer_instruction") in ("cp_async", "sync"):
        attributes["disable_tma"] = ir.UnitAttr.get()
    if options.get("loop_layout") is not None:
        layout = as_layout(options["loop_layout"], f"the layout of {what}")
        if layout is not None:
            attributes["loop_layout"] = to_attr(layout)
    return attributes


@takes_name
def fill(buffer: Any, value: Any, annotations: dict[str, Any] | None = None) -> None:
    """Set every element of a buffer or region; a reducer starts its reduction. `annotations` have no effect."""
    del annotations
    builder = require("T.fill")
    builder.require_launch("T.fill")
    target = buffer_of(buffer, "the target of T.fill")
    start = getattr(target, "start", None)
    if start is not None:
        start(value)
        return
    if isinstance(buffer, Variable):
        store(buffer.element, value)
        return
    if isinstance(buffer, Element):
        if _is_address(buffer):
            raise TileTypeError("T.fill needs a buffer or a slice, got a tile address", hint="write A[i:i + n, :]")
        store(buffer, value)
        return
    if isinstance(value, Buffer | Region):
        raise TileTypeError(f"T.fill needs a scalar value, got {describe(value)}", hint="use T.copy to copy a tile")
    part = Region(buffer, [0] * buffer.ndim, buffer.shape) if isinstance(buffer, Buffer) and buffer.room else buffer
    if isinstance(part, Region) and not all(isinstance(extent, int) for extent in part.extents):
        _fill_loop(part, value)  # a tile has a static size
        return
    element = value_of(builder, arith.cast(as_expr(value, None), target.dtype))
    builder.emit("tl.fill", [tile_of(buffer, "the target of T.fill"), element])


def _fill_loop(region: Region, value: Any) -> None:
    dims = [dim for dim, extent in enumerate(region.extents) if not (isinstance(extent, int) and extent == 1)]
    for ivs in control.run(control.Loop("parallel", extents=[region.extents[dim] for dim in dims]), (), None):
        places = dict(zip(dims, ivs if len(dims) > 1 else (ivs,), strict=True))
        store(Element(region.buffer, [arith.add(o, places.get(d, 0)) for d, o in enumerate(region.offsets)]), value)


@takes_name
def clear(buffer: Any, annotations: dict[str, Any] | None = None) -> None:
    """Set every element to zero, as `T.fill`."""
    fill(buffer, 0, annotations)


@takes_name
def transpose(src: Any, dst: Any, annotations: dict[str, Any] | None = None) -> None:
    """Write a tile with its last two dimensions exchanged; elements are converted when the dtypes differ.

    Tiles with different numbers of dimensions are two-dimensional beside dimensions of one element.

    Raises:
        TileValueError: the shapes do not fit.
    """
    del annotations
    builder = require("T.transpose")
    builder.require_launch("T.transpose")
    left, right = (extents_of(side) for side in (src, dst))
    if left is None or right is None:
        raise TileTypeError("T.transpose needs buffers or slices")
    swapped = len(left) == len(right) > 1 and all(
        _agree([a], [b]) for a, b in zip([*left[:-2], left[-1], left[-2]], right, strict=True)
    )
    flat = len(_wide(left)) == 2 and not (_is_one(left[-1]) or _is_one(left[-2]))
    if not swapped and (len(_wide(left)) > 2 or _wide(left) != _wide(right)[::-1]):
        raise TileValueError(
            f"T.transpose of shape {describe_shape(left)} does not fit {describe_shape(right)}",
            hint="it exchanges the last two dimensions" if max(len(left), len(right)) > 2 else "",
        )
    if swapped and (not flat or buffer_of(src, "a tile").dtype != buffer_of(dst, "a tile").dtype):
        _transpose_loop(_region(src, left), _region(dst, right))
        return
    builder.emit("tl.transpose", [tile_of(src, "the source of T.transpose"), tile_of(dst, "the target of T.transpose")])


def _transpose_loop(source: Region, target: Region) -> None:
    """Element by element: of tiles with further dimensions, which stay where they are."""
    dims = range(len(target.extents))
    theirs = [*dims[:-2], dims[-1], dims[-2]]
    for ivs in control.run(control.Loop("parallel", extents=list(target.extents)), (), None):
        store(Element(target.buffer, moved(target, dims, ivs)), Element(source.buffer, moved(source, theirs, ivs)))


def ptx_commit_group() -> None:
    """Close the current group of asynchronous copies."""
    require("T.ptx_commit_group").emit("tl.commit_group")


def ptx_wait_group(n: Any) -> None:
    """Wait until at most `n` groups of asynchronous copies are unfinished."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise TileValueError(f"T.ptx_wait_group needs a Python integer of 0 or more, got {describe(n)}")
    builder = require("T.ptx_wait_group")
    builder.emit("tl.wait_group", [], [], {"pending": ir.IntegerAttr.get(builder.type(INT32), n)})
