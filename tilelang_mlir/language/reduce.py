"""Reductions and scans over tiles, and reducers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tilelang_mlir.dialect.tl import LOCAL, buffer_type
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import (
    Buffer,
    Element,
    Region,
    Variable,
    buffer_of,
    extents_of,
    index_value,
    memory_of,
    store,
    subscript,
    tile_of,
)
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import Expr, Lanes, as_expr, describe, value_of
from tilelang_mlir.frontend.spec import check_shape
from tilelang_mlir.frontend.typename import to_dtype
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

    With `clear` false the result is combined with what `out` held. `out` may be a variable of `T.alloc_var`.

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
        "kind": ir.StringAttr.get(kind),
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


# Reducers.


class Pending:
    """`reducer[i] op value` before it is stored back, or `reducer[i]` itself."""

    def __init__(self, reducer: Reducer, indices: Sequence[Any], kind: str = "", value: Any = None) -> None:
        self.reducer, self.indices, self.kind, self.value = reducer, tuple(indices), kind, value

    def combine(self, kind: str, value: Any) -> Pending:
        if self.kind or kind != self.reducer.kind:
            raise TileTypeError(
                f"a reducer of kind {self.reducer.kind!r} can only be combined with that operation, got {kind!r}"
            )
        return Pending(self.reducer, self.indices, kind, value)

    def __add__(self, value: Any) -> Pending:
        return self.combine("sum", value)

    __radd__ = __add__

    def __and__(self, value: Any) -> Pending:
        return self.combine("and", value)

    def __or__(self, value: Any) -> Pending:
        return self.combine("or", value)

    def __xor__(self, value: Any) -> Pending:
        return self.combine("xor", value)


class Reducer(Buffer):
    """An accumulator with partial values per thread until it is finalized."""

    def __init__(self, shape: Sequence[Any], dtype: Any, kind: str) -> None:
        super().__init__("", shape, dtype, "fragment")
        self.kind = kind
        self.final = False

    def start(self, value: Any = None) -> None:
        """Begin a reduction; neutral start values add nothing."""
        builder = require("T.reducer_init")
        self.final = False
        operands = [memory_of(self)]
        if value is not None and not self._is_neutral(value):
            data = (
                memory_of(value)
                if isinstance(value, Buffer)
                else value_of(builder, arith.cast(as_expr(value, None), self.dtype))
            )
            operands.append(data)
        builder.emit("tl.reducer_init", operands)

    def _is_neutral(self, value: Any) -> bool:
        number = value.const if isinstance(value, Expr) else value
        return self.kind in ("sum", "or", "xor") and isinstance(number, int | float) and number == 0

    def update(self, index: Any, value: Any) -> None:
        """Combine a value into an element."""
        builder = require("T.reducer_update")
        builder.require_launch("T.reducer_update")
        element = subscript(self, index)
        if isinstance(element, Region) or len(element.indices) != self.ndim:
            raise TileTypeError(f"T.reducer_update needs one element of the reducer, of rank {self.ndim}")
        data = value_of(builder, arith.cast(as_expr(value, None), self.dtype))
        indices = [index_value(builder, i) for i in element.indices]
        builder.emit("tl.reducer_update", [memory_of(self), data, *indices])

    def __getitem__(self, index: Any) -> Any:
        element = super().__getitem__(index)
        return element if self.final or isinstance(element, Region) else Pending(self, element.indices)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Pending) and value.reducer is self and value.kind:
            self.update(index, value.value)
        elif self.final:
            super().__setitem__(index, value)
        else:
            raise TileTypeError(
                "an element of a reducer can only be combined with a value before T.finalize_reducer",
                hint="write reducer[i] += value, reducer[i] = T.max(reducer[i], value), or T.reducer_update",
            )

    def augment_element(self, index: Any, op: str, value: Any) -> bool:
        """`reducer[index] op= value`; False when the reducer is final and an ordinary buffer."""
        if self.final:
            return False
        kinds = {"Add": "sum", "BitAnd": "and", "BitOr": "or", "BitXor": "xor"}
        Pending(self, ()).combine(kinds.get(op, op), value)
        self.update(index, value)
        return True


def alloc_reducer(shape: Any, dtype: Any, op: str = "sum", replication: str | None = None) -> Reducer:
    """An accumulator of `op` (sum, max, min, bitand, bitor, bitxor) that all threads add to."""
    del replication
    builder = require("T.alloc_reducer")
    builder.require_launch("T.alloc_reducer")
    kind = _KINDS.get(op, op)
    if kind not in ("sum", "max", "min", "and", "or", "xor"):
        raise TileValueError(f"unknown reducer operation {op!r}", hint="sum, max, min, bitand, bitor or bitxor")
    reducer = Reducer(check_shape(shape), to_dtype(dtype), kind)
    name = f"u{kind}" if reducer.dtype.is_unsigned and kind in ("max", "min") else kind
    type_ = buffer_type(list(reducer.shape), builder.type(reducer.dtype), "fragment")
    reducer.value = builder.emit("tl.alloc_reducer", [], [type_], {"kind": ir.StringAttr.get(name)}).results[0]
    reducer.frame = builder.frame
    return reducer


@takes_name
def reducer_init(reducer: Reducer, init: Any = None) -> None:
    """Start a reduction; `init` is combined exactly once into each element."""
    _require_reducer("T.reducer_init", reducer).start(init)


def reducer_update(element: Any, value: Any) -> None:
    """Combine a value into `reducer[index]`."""
    if not isinstance(element, Pending):
        raise TileTypeError(f"T.reducer_update needs an element of a reducer, got {describe(element)}")
    element.reducer.update(element.indices, value)


@takes_name
def finalize_reducer(reducer: Reducer, dst: Any = None, batch: int = 1) -> None:
    """Combine the threads' partial values into `dst`, or in place."""
    del batch
    _require_reducer("T.finalize_reducer", reducer)
    builder = require("T.finalize_reducer")
    target = memory_of(reducer) if dst is None else tile_of(dst, "the target of T.finalize_reducer")
    builder.emit("tl.finalize_reducer", [memory_of(reducer), target])
    reducer.final = dst is None


def _require_reducer(what: str, value: Any) -> Reducer:
    if not isinstance(value, Reducer):
        raise TileTypeError(f"{what} needs a buffer made by T.alloc_reducer, got {describe(value)}")
    return value


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
    target = buffer if isinstance(buffer, Region) else subscript(buffer, tuple(slice(None) for _ in buffer.shape))
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
