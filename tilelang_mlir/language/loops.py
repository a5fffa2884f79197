"""Loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tilelang_mlir.dialect.layout import Fragment, SharedLayout, TensorLayout
from tilelang_mlir.dialect.layout.attrs import to_attr
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith, control, where
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.control import Loop
from tilelang_mlir.frontend.expr import Expr, describe
from tilelang_mlir.frontend.suspicion import Suspicion, issue
from tilelang_mlir.language.marks import loop_name
from tilelang_mlir.mlir import ir


def serial(start: Any, stop: Any = None, step: Any = None, *, annotations: dict[str, Any] | None = None) -> Loop:
    """A sequential loop: `for i in T.serial(n)`."""
    start, stop = (0, start) if stop is None else (start, stop)
    return Loop("serial", start, stop, 1 if step is None else step, attributes=loop_name(annotations))


def unroll(
    start: Any,
    stop: Any = None,
    step: Any = None,
    *,
    explicit: bool = False,
    unroll_factor: int | None = None,
    annotations: dict[str, Any] | None = None,
) -> Loop:
    """A loop to unroll: fully, or by `unroll_factor` iterations."""
    if explicit and unroll_factor is not None:
        raise TileValueError("T.unroll takes explicit or unroll_factor, not both")
    start, stop = (0, start) if stop is None else (start, stop)
    attribute: Callable[[], ir.Attribute] = ir.UnitAttr.get
    if unroll_factor is not None:
        factor = unroll_factor

        def attribute() -> ir.Attribute:
            return ir.IntegerAttr.get(ir.IntegerType.get_signless(32), factor)

    named: control.Attributes = {"tl.unroll": attribute, **loop_name(annotations)}
    return Loop("unroll", start, stop, 1 if step is None else step, attributes=named)


def vectorized(start: Any, stop: Any = None, *, annotations: dict[str, Any] | None = None) -> Loop:
    """A loop whose iterations one thread runs as vector instructions."""
    start, stop = (0, start) if stop is None else (start, stop)
    return Loop("vectorize", start, stop, attributes={"tl.vectorize": ir.UnitAttr.get, **loop_name(annotations)})


def Parallel(
    *extents: Any,
    coalesced_width: int | None = None,
    loop_layout: Any = None,
    prefer_async: bool | None = None,
    annotations: dict[str, Any] | None = None,
) -> Loop:
    """Iterations in no order, spread over the threads of the block: `for i, j in T.Parallel(128, 64)`."""
    options = annotations or {}
    coalesced_width = options.get("coalesced_width", coalesced_width)
    if not extents:
        raise TileTypeError("T.Parallel needs at least one extent")
    for dim, extent in enumerate(extents):
        integer = isinstance(extent, int) or (isinstance(extent, Expr) and extent.dtype.is_integer)
        if not integer:
            raise TileTypeError(f"extent {dim} of T.Parallel must be an integer, got {describe(extent)}")
        if isinstance(extent, int) and extent < 1:
            raise TileValueError(f"extent {dim} of T.Parallel is {extent}, expected a positive number")
    attributes: control.Attributes = loop_name(annotations)
    if coalesced_width is not None:
        width = coalesced_width
        attributes["coalesced_width"] = lambda: ir.IntegerAttr.get(ir.IntegerType.get_signless(32), width)
    if prefer_async:
        attributes["prefer_async"] = ir.UnitAttr.get
    if loop_layout is not None:
        layout = as_layout(loop_layout, "the layout of the loop")
        if layout is not None:
            attributes["layout"] = lambda: to_attr(layout)
    return Loop("parallel", extents=extents, attributes=attributes)


def as_layout(layout: Any, what: str) -> Any:
    """A layout value; objects that wrap one give it as `layout`.

    None for a map that the compiler has no digits for: where elements lie changes no value, so that the program runs
    with a layout of the compiler's choice, and a `TileWarning` says so.
    """
    from tilelang_mlir.layout.recover import NoDigits

    try:
        found = getattr(layout, "layout", layout)
        if not isinstance(found, Fragment | SharedLayout | TensorLayout):
            raise TileTypeError(f"{what} must be a layout, got {describe(found)}",
                                hint="T.Fragment(shape, fn), T.Layout(shape, fn), or a maker of tilelang.layout")
        return found
    except NoDigits as error:
        hint = error.hint or "digits of the indices, as in (i * 4 + j // 16, j % 16), can be placed"
        issue(Suspicion(f"{what} has no effect: {error.message}", where.here(), hint))
        return None


def Pipelined(
    start: Any,
    stop: Any = None,
    num_stages: Any = 0,
    order: Sequence[int] | None = None,
    stage: Sequence[int] | None = None,
    sync: Any = None,
    group: Any = None,
    annotations: dict[str, Any] | None = None,
) -> Loop:
    """A loop whose copies run ahead of its computation: `num_stages` versions of each buffer are in flight."""
    del sync, group
    if isinstance(num_stages, bool) or not isinstance(num_stages, int) or num_stages < 0:
        raise TileValueError(f"num_stages must be a Python integer of 0 or more, got {describe(num_stages)}")
    if (order is None) != (stage is None) or (order is not None and stage is not None and len(order) != len(stage)):
        raise TileValueError("order and stage of T.Pipelined come together and have one entry per statement each")
    start, stop = (0, start) if stop is None else (start, stop)

    def attribute() -> ir.Attribute:
        entries: dict[str, ir.Attribute] = {
            "num_stages": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), num_stages)
        }
        if order is not None and stage is not None:
            entries["order"] = ir.DenseI64ArrayAttr.get(list(order))
            entries["stage"] = ir.DenseI64ArrayAttr.get(list(stage))
        return ir.DictAttr.get(entries)

    attributes: control.Attributes = loop_name(annotations)
    if num_stages == 0 and order is None:
        return Loop("serial", start, stop, attributes=attributes)
    return Loop("pipelined", start, stop, attributes={"tl.pipeline": attribute, **attributes})


class _Nest:
    """`T.grid(a, b)`: nested serial loops in one for statement."""

    def __init__(self, extents: Sequence[Any]) -> None:
        self.extents = extents

    def run_loop(self, names: Sequence[str], jumps: control.Jumps | None) -> Iterator[Any]:
        if jumps is not None and jumps.may_break:
            raise TileTypeError("a T.grid loop has no break", hint="write nested T.serial loops")
        return self._nest(list(self.extents), list(names), (), jumps)

    def _nest(
        self, extents: list[Any], names: list[str], ivs: tuple[Any, ...], jumps: control.Jumps | None
    ) -> Iterator[Any]:
        inner = len(extents) == 1
        for iv in control.run(Loop("serial", 0, extents[0], 1), names[:1], jumps if inner else None):
            if inner:
                yield (*ivs, iv)
            else:
                yield from self._nest(extents[1:], names[1:], (*ivs, iv), jumps)


def grid(*extents: Any) -> Any:
    """Nested sequential loops: `for i, j in T.grid(n, m)`."""
    if not extents:
        raise TileTypeError("T.grid needs at least one extent")
    return serial(extents[0]) if len(extents) == 1 else _Nest(extents)


class _Persistent:
    """`T.Persistent`: the tiles of a domain that one block works on."""

    def __init__(self, domain: Sequence[Any], wave_size: Any, index: Any, group_size: int) -> None:
        self.domain, self.wave_size, self.index, self.group_size = list(domain), wave_size, index, group_size

    def run_loop(self, names: Sequence[str], jumps: control.Jumps | None) -> Iterator[Any]:
        if jumps is not None and jumps.may_break:
            raise TileTypeError("a T.Persistent loop has no break")
        builder = require("T.Persistent")
        last = self.domain[-1]
        group = arith.minimum(self.group_size, last)
        # Tiles are numbered group by group along the last dimension, so that neighbours share operands.
        grouped = [arith.ceildiv(last, group), *self.domain[:-1], group]
        total: Any = 1
        for size in grouped:
            total = arith.mul(total, size)
        waves = Loop("serial", 0, arith.ceildiv(total, self.wave_size), 1)
        for wave in control.run(waves, ("wave",), jumps):
            linear = arith.add(arith.mul(wave, self.wave_size), self.index)
            parts = coordinates(linear, grouped)
            place = arith.add(arith.mul(parts[0], group), parts[-1])
            inside = arith.logical_and(arith.compare("Lt", linear, total), arith.compare("Lt", place, last))
            tile = (*parts[1:-1], place)
            if isinstance(inside, bool):
                yield tile if len(tile) > 1 else place
                continue
            for _ in control.branch(builder, inside, has_else=False):
                yield tile if len(tile) > 1 else place


def Persistent(
    domain: Sequence[Any], wave_size: Any, index: Any, group_size: int = 8, num_stages: int = 0, *,
    annotations: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    """The tiles `index, index + wave_size, ...` of a domain of tiles; yields their coordinates, or the one there is.

    Tiles are numbered in groups of `group_size` along the last dimension. `num_stages` and `annotations` are accepted:
    loops of T.Pipelined inside are what is pipelined, over the end of a tile too where roles walk the tiles.
    """
    del num_stages, annotations
    return _Persistent(domain, wave_size, index, group_size)


def coordinates(index: Any, shape: Sequence[Any]) -> list[Any]:
    """Row-major coordinates of a linear index."""
    result: list[Any] = []
    for size in reversed(shape[1:]):
        result.insert(0, arith.floormod(index, size))
        index = arith.floordiv(index, size)
    return [index, *result]


index_to_coordinates = coordinates
Serial = serial
Unroll = unroll
Vectorized = vectorized
parallel = Parallel
