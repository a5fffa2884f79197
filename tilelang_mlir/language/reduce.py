"""Reductions and scans over tiles, and reductions over warps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tilelang_mlir.dialect.tl import LOCAL
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import (
    Element,
    Region,
    Variable,
    buffer_of,
    extents_of,
    store,
    subscript,
    tile_of,
)
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import Expr, Lanes, as_expr, value_of
from tilelang_mlir.language.alloc import alloc_fragment, alloc_local
from tilelang_mlir.language.copy import describe_shape
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.mlir import ir

_KINDS = {"bitand": "and", "bitor": "or", "bitxor": "xor"}


def _kind(name: str, unsigned: bool) -> str:
    name = _KINDS.get(name, name)
    if unsigned and name in ("max", "min"):
        return f"u{name}"
    return {"abssum": "sum", "absmax": "umax"}.get(name, name) if unsigned else name


@takes_name
def reduce(
    buffer: Any,
    out: Any,
    reduce_type: str,
    dim: int,
    clear: bool,
    batch: int = 1,
    nan_propagate: bool = False,
    annotations: dict[str, Any] | None = None,
) -> None:
    """Reduce dimension `dim` of a tile into `out`, which has the shape without it or with size one there.

    With `clear` false the result is combined with what `out` held. Elements become those of `out` before they are
    combined where `out` has more bits. `out` may be a variable of `T.alloc_var`.

    Raises:
        TileValueError: the dimension or the shapes do not fit.
    """
    del batch, annotations
    what = f"T.reduce_{reduce_type}"
    builder = require(what)
    builder.require_launch(what)
    if isinstance(out, Variable):
        _into_variable(buffer, out, reduce_type, dim, clear, nan_propagate)
        return
    shape, result = (extents_of(side) for side in (buffer, out))
    source, target = buffer_of(buffer, f"the source of {what}"), buffer_of(out, f"the target of {what}")
    if shape is None or result is None:
        raise TileTypeError(f"{what} needs buffers or slices, got a tile address")
    for tile in (source, target):
        if tile.memory not in ("fragment", "shared", "local"):
            raise TileTypeError(
                f"{what} works on fragments, shared and local buffers, got {tile!r}", hint="copy the tile first"
            )
    axis = _axis(what, dim, len(shape))
    dropped, kept = [*shape[:axis], *shape[axis + 1 :]] or [1], [*shape[:axis], 1, *shape[axis + 1 :]]
    if list(result) not in (dropped, kept):
        raise TileValueError(
            f"{what} of shape {describe_shape(shape)} over dimension {axis} gives {describe_shape(dropped)}, "
            f"but the target has shape {describe_shape(result)}"
        )
    if reduce_type in _KINDS and source.dtype.is_float:
        raise TileTypeError(f"{what} needs integers, got {source.dtype}")
    attributes: dict[str, ir.Attribute] = {
        "kind": ir.StringAttr.get(_kind(reduce_type, source.dtype.is_unsigned)),
        "dim": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), axis),
        "clear": ir.BoolAttr.get(bool(clear)),
    }
    if nan_propagate:
        attributes["nan_propagate"] = ir.UnitAttr.get()
    if source.dtype.is_unsigned and source.dtype != target.dtype:
        attributes["unsigned"] = ir.UnitAttr.get()
    builder.emit("tl.reduce", [tile_of(buffer, what), tile_of(out, what)], [], attributes)


def _into_variable(buffer: Any, out: Variable, kind: str, dim: int, clear: bool, nan_propagate: bool) -> None:
    """Through a tile of one element: per thread where the source is."""
    local = buffer_of(buffer, f"the source of T.reduce_{kind}").memory == LOCAL
    result = (alloc_local if local else alloc_fragment)((1,), out.dtype)
    if not clear:
        store(result[0], out)
    reduce(buffer, result, kind, dim, clear, nan_propagate=nan_propagate)
    store(out.element, result[0])


def _axis(what: str, dim: Any, rank: int) -> int:
    if isinstance(dim, bool) or not isinstance(dim, int) or not -rank <= dim < rank:
        raise TileValueError(f"{what}: dimension {dim!r} is out of range for a tile of rank {rank}")
    return dim % rank


def _reducer_of(kind: str) -> Callable[..., None]:
    def run(
        buffer: Any,
        out: Any,
        dim: int = -1,
        clear: bool = True,
        batch: int = 1,
        nan_propagate: bool = False,
        annotations: dict[str, Any] | None = None,
    ) -> None:
        reduce(buffer, out, kind, dim, clear, batch, nan_propagate, annotations=annotations)

    run.__name__ = f"reduce_{kind}"
    run.__doc__ = f"Reduce a dimension of a tile with {kind}; see `reduce`."
    return run


reduce_sum = _reducer_of("sum")
reduce_max = _reducer_of("max")
reduce_min = _reducer_of("min")
reduce_absmax = _reducer_of("absmax")
reduce_abssum = _reducer_of("abssum")
reduce_bitand = _reducer_of("bitand")
reduce_bitor = _reducer_of("bitor")
reduce_bitxor = _reducer_of("bitxor")


def _scan(kind: str, src: Any, dst: Any, dim: int, reverse: bool) -> None:
    what = f"T.cum{kind}"
    builder = require(what)
    builder.require_launch(what)
    dst = src if dst is None else dst
    shape, result = (extents_of(side) for side in (src, dst))
    if shape is None or result is None:
        raise TileTypeError(f"{what} needs buffers or slices, got a tile address")
    if list(shape) != list(result):
        raise TileValueError(f"{what} of shape {describe_shape(shape)} does not fit {describe_shape(result)}")
    for tile in (src, dst):
        if buffer_of(tile, what).memory not in ("fragment", "shared"):
            raise TileTypeError(f"{what} works on fragments and shared buffers, got {buffer_of(tile, what)!r}")
    attributes: dict[str, ir.Attribute] = {
        "kind": ir.StringAttr.get(_kind(kind, buffer_of(src, what).dtype.is_unsigned)),
        "dim": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), _axis(what, dim, len(shape))),
        "reverse": ir.BoolAttr.get(bool(reverse)),
    }
    builder.emit("tl.scan", [tile_of(src, what), tile_of(dst, what)], [], attributes)


@takes_name
def cumsum(
    src: Any, dst: Any = None, dim: int = 0, reverse: bool = False, annotations: dict[str, Any] | None = None
) -> None:
    """Inclusive sums along a dimension, in place when there is no target. `annotations` have no effect."""
    del annotations
    _scan("sum", src, dst, dim, reverse)


@takes_name
def cummax(
    src: Any, dst: Any = None, dim: int = 0, reverse: bool = False, annotations: dict[str, Any] | None = None
) -> None:
    """Inclusive maxima along a dimension, in place when there is no target. `annotations` have no effect."""
    del annotations
    _scan("max", src, dst, dim, reverse)


# Reductions over warps.


def _warp_reduce(kind: str) -> Callable[[Any], Expr]:
    def run(value: Any) -> Expr:
        builder = require(f"T.warp_reduce_{kind}")
        builder.require_launch(f"T.warp_reduce_{kind}")
        operand = as_expr(value)
        attributes: dict[str, ir.Attribute] = {"kind": ir.StringAttr.get(_kind(kind, operand.dtype.is_unsigned))}
        op = builder.emit("tl.warp_reduce", [value_of(builder, operand)], [builder.type(operand.dtype)], attributes)
        return Expr(operand.dtype, value=op.results[0], frame=builder.frame)

    run.__name__ = f"warp_reduce_{kind}"
    run.__doc__ = f"Reduce a scalar with {kind} over the lanes of a warp; every lane gets the result."
    return run


warp_reduce_sum = _warp_reduce("sum")
warp_reduce_max = _warp_reduce("max")
warp_reduce_min = _warp_reduce("min")
warp_reduce_bitand = _warp_reduce("bitand")
warp_reduce_bitor = _warp_reduce("bitor")


def _over_run(buffer: Any, what: str, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine the truth of a short run of elements, each thread for itself."""
    if isinstance(buffer, Lanes) and not isinstance(buffer, Region):
        return functools.reduce(combine, [arith.to_bool(lane) for lane in buffer.vector()])
    whole = buffer_of(buffer, f"the argument of {what}")
    target = buffer if isinstance(buffer, Region) else subscript(whole, tuple(slice(None) for _ in whole.shape))
    if not isinstance(target, Region) or not all(isinstance(extent, int) for extent in target.extents[-1:]):
        raise UnsupportedError(f"{what} over a run of dynamic length")
    if any(extent != 1 for extent in target.extents[:-1]):
        raise TileValueError(f"{what} takes a run along the last dimension, got {describe_shape(target.extents)}")
    result: Any = None
    for offset in range(target.extents[-1]):
        indices = [*target.offsets[:-1], arith.add(target.offsets[-1], offset)]
        test = arith.to_bool(Element(target.buffer, indices))
        result = test if result is None else combine(result, test)
    return result


def any_of(buffer: Any) -> Any:
    """Whether any element of a run, or lane of a vector, is not zero."""
    return _over_run(buffer, "T.any_of", arith.logical_or)


def all_of(buffer: Any) -> Any:
    """Whether all elements of a run, or lanes of a vector, are not zero."""
    return _over_run(buffer, "T.all_of", arith.logical_and)
