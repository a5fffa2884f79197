"""Reducers: accumulators with partial values in the threads, from a start to the one place that combines them.

A round goes from `T.reducer_init` (or `T.fill`, `T.clear`) over updates in `T.Parallel` loops to `T.finalize_reducer`.
What it holds in between is different in each thread, so it can only be combined with. The round ends in the block of
the program that started it, or in a branch of that block: in a loop the partial values would be combined twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dialect.tl import FRAGMENT, buffer_type
from tilelang_mlir.errors import Location, TileError, TileTypeError, TileValueError
from tilelang_mlir.frontend import arith, where
from tilelang_mlir.frontend.buffer import (
    Buffer,
    Element,
    buffer_of,
    extents_of,
    index_value,
    memory_of,
    subscript,
    tile_of,
)
from tilelang_mlir.frontend.builder import Builder, Frame, require
from tilelang_mlir.frontend.expr import Expr, as_expr, describe, value_of
from tilelang_mlir.frontend.spec import check_shape
from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.language.alloc import alloc_fragment
from tilelang_mlir.language.copy import copy
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.mlir import ir

_KINDS = {"bitand": "and", "bitor": "or", "bitxor": "xor"}
_START = "T.reducer_init(r) or T.fill(r, value) starts one, T.finalize_reducer(r, result) ends it"


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

    def item(self) -> Any:
        """What a use as a scalar asks for."""
        raise self.reducer.unreadable()

    def __add__(self, value: Any) -> Pending:
        return self.combine("sum", value)

    __radd__ = __add__

    def __and__(self, value: Any) -> Pending:
        return self.combine("and", value)

    def __or__(self, value: Any) -> Pending:
        return self.combine("or", value)

    def __xor__(self, value: Any) -> Pending:
        return self.combine("xor", value)


class Round:
    """From the start of a reduction to its end: where it started, and where it ended."""

    def __init__(self, frames: Sequence[Frame], place: Location | None) -> None:
        self.frames, self.place = tuple(frames), place
        self.begin: ir.Operation | None = None
        self.updated = False
        self.end: tuple[Frame, ...] = ()
        self.end_place: Location | None = None

    def holds(self, frames: Sequence[Frame]) -> bool:
        """Whether a place is in the block of the start, or in branches of it."""
        inner = frames[len(self.frames) :]
        return tuple(frames[: len(self.frames)]) == self.frames and all(frame.kind == "if" for frame in inner)

    def may_end_too(self, frames: Sequence[Frame]) -> bool:
        """Whether a second end is in the other branch of the `if` of the first."""
        left = [frame for frame in self.end if frame.kind == "if" and not frame.open]
        here = [frame for frame in frames if frame.kind == "if"]
        return any(a is not b and a.block.owner == b.block.owner for a in left for b in here)


class Reducer(Buffer):
    """An accumulator with partial values per thread until it is finalized."""

    def __init__(self, shape: Sequence[Any], dtype: Any, kind: str) -> None:
        super().__init__("", shape, dtype, "fragment")
        self.kind = kind
        self.final = False
        self.round: Round | None = None

    def start(self, value: Any = None, *, by_fill: bool = True) -> None:
        """Begin a reduction; neutral start values add nothing."""
        builder = require("T.reducer_init")
        if not by_fill and self.round is not None and not self.round.end:
            raise self._error("double T.reducer_init of", ": its reduction is under way", self.round.place)
        self.round, self.final = Round(builder.frames, where.here()), False
        operands = [memory_of(self)]
        if value is not None and not self._is_neutral(value):
            if isinstance(value, Expr) and value.dtype != self.dtype:
                raise TileTypeError(
                    f"the initial value of dtype {value.dtype} does not match reducer {self.name!r} of {self.dtype}",
                    hint=f'T.cast(value, "{self.dtype}")',
                )
            if isinstance(value, Buffer):
                operands.append(memory_of(value))
            else:
                operands.append(value_of(builder, arith.cast(as_expr(value, None), self.dtype)))
        begin = builder.emit("tl.reducer_init", operands)
        self.round.begin = begin if by_fill else None

    def _is_neutral(self, value: Any) -> bool:
        number = value.const if isinstance(value, Expr) else value
        return self.kind in ("sum", "or", "xor") and isinstance(number, int | float) and number == 0

    def update(self, index: Any, value: Any) -> None:
        """Combine a value into an element."""
        builder = require("T.reducer_update")
        builder.require_launch("T.reducer_update")
        element = subscript(self, index)
        if not isinstance(element, Element) or len(element.indices) != self.ndim:
            raise TileTypeError(f"T.reducer_update needs one element of the reducer, of rank {self.ndim}")
        if self.round is None:
            raise self._error("update of", " before T.reducer_init", None)
        if self.round.end and not self.round.may_end_too(builder.frames):
            raise self._error("update of", " after its T.finalize_reducer", self.round.end_place)
        if not any(frame.kind == "parallel" for frame in builder.frames):
            raise TileTypeError(
                f"update of reducer {self.name!r} outside any T.Parallel loop: every thread would add the value",
                hint="for i in T.Parallel(n): T.reducer_update(r[0], x[i])",
            )
        data = value_of(builder, arith.cast(as_expr(value, None), self.dtype))
        indices = [index_value(builder, i) for i in element.indices]
        builder.emit("tl.reducer_update", [memory_of(self), data, *indices])
        self.round.updated = True

    def finish(self, target: Any) -> None:
        """Combine the partial values, in place where there is no target."""
        builder = require("T.finalize_reducer")
        frames, done = builder.frames, self.round
        if done is None:
            raise self._error("T.finalize_reducer of", " before T.reducer_init", None)
        if done.end and not done.may_end_too(frames):
            raise self._error("a second T.finalize_reducer of", " after one T.reducer_init", done.end_place)
        if not done.holds(frames):
            raise self._error("T.finalize_reducer of", " is not in the scope of its T.reducer_init", done.place,
                              "start and end a reduction in the same block, both inside of a loop or both outside")
        self._combine_into(builder, target)
        done.end, done.end_place, self.final = tuple(frames), where.here(), target is None

    def _combine_into(self, builder: Builder, target: Any) -> None:
        """The result lies in registers, as what was combined: to other places and dtypes it is copied."""
        what = "the target of T.finalize_reducer"
        own = memory_of(self) if target is None else tile_of(target, what)
        buffer = self if target is None else buffer_of(target, what)
        if buffer.memory == FRAGMENT and buffer.dtype == self.dtype:
            builder.emit("tl.finalize_reducer", [memory_of(self), own])
            return
        result = alloc_fragment(tuple(extents_of(target) or self.shape), str(self.dtype))
        builder.emit("tl.finalize_reducer", [memory_of(self), memory_of(result)])
        copy(result, target)

    def check_end(self) -> None:
        """At the end of the kernel. One that was only filled is one that this variant of a program does not use."""
        if self.round is None or self.round.end:
            return
        if self.round.begin is not None and not self.round.updated:
            self.round.begin.erase()
        else:
            raise TileError(f"reducer {self.name!r} is never finalized", self.round.place, hint=_START)

    def unreadable(self) -> TileError:
        """What reading an element before the end is."""
        after = self.round is not None and bool(self.round.end)
        why = ": its result went to another buffer" if after else " before T.finalize_reducer"
        return self._error("illegal read of", why, self.round.place if self.round else None,
                           "read the result: T.finalize_reducer(r, result), or T.finalize_reducer(r) and r itself")

    def usable(self) -> None:
        if not self.final:
            raise self.unreadable()

    def _error(self, what: str, why: str, place: Location | None, hint: str = _START) -> TileError:
        notes = (("the reduction is started here" if "second" not in what else "the first one is here", place),)
        return TileTypeError(f"{what} reducer {self.name!r}{why}", notes=notes if place is not None else (), hint=hint)

    def __getitem__(self, index: Any) -> Any:
        element = super().__getitem__(index)
        return element if self.final or not isinstance(element, Element) else Pending(self, element.indices)

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
    """An accumulator of `op` (sum, max, min, bitand, bitor, bitxor) that all threads add to.

        r, total = T.alloc_reducer((1,), "float32"), T.alloc_fragment((1,), "float32")
        T.reducer_init(r)
        for i in T.Parallel(n):
            T.reducer_update(r[0], x[i])
        T.finalize_reducer(r, total)

    `T.fill(r, 0)`, `r[0] += x[i]` and `T.finalize_reducer(r)` do the same in place. `replication` has no effect.

    Raises:
        TileValueError: no such operation. TileTypeError: bits of floats; later: an update, a read, an end out of order.
    """
    del replication
    builder = require("T.alloc_reducer")
    builder.require_launch("T.alloc_reducer")
    kind = _KINDS.get(op, op)
    if kind not in ("sum", "max", "min", "and", "or", "xor"):
        raise TileValueError(f"unknown reducer operation {op!r}", hint="sum, max, min, bitand, bitor or bitxor")
    reducer = Reducer(check_shape(shape), to_dtype(dtype), kind)
    if kind in ("and", "or", "xor") and not reducer.dtype.is_integer:
        raise TileTypeError(f"a reducer of {op!r} needs an integer dtype, got {reducer.dtype}",
                            hint="the bits of a float: T.reinterpret")
    name = f"u{kind}" if reducer.dtype.is_unsigned and kind in ("max", "min") else kind
    type_ = buffer_type(list(reducer.shape), builder.type(reducer.dtype), "fragment")
    reducer.value = builder.emit("tl.alloc_reducer", [], [type_], {"kind": ir.StringAttr.get(name)}).results[0]
    reducer.frame = builder.frame
    builder.side.setdefault("reducers", []).append(reducer)  # looked at when the kernel ends
    return reducer


@takes_name
def reducer_init(reducer: Reducer, init: Any = None) -> None:
    """Start a reduction; `init` is combined exactly once into each element.

    Raises:
        TileTypeError: a reduction is under way, or the value has another dtype.
    """
    _require_reducer("T.reducer_init", reducer).start(init, by_fill=False)


def reducer_update(element: Any, value: Any) -> None:
    """Combine a value into `reducer[index]`, in a `T.Parallel` loop.

    Raises:
        TileTypeError: no reduction is under way, or the loop is missing.
    """
    if not isinstance(element, Pending):
        raise TileTypeError(f"T.reducer_update needs an element of a reducer, got {describe(element)}")
    element.reducer.update(element.indices, value)


@takes_name
def finalize_reducer(reducer: Reducer, dst: Any = None, batch: int = 1) -> None:
    """Combine the threads' partial values into `dst`, or in place. `batch` has no effect.

    Raises:
        TileTypeError: nothing to end here. TileValueError: a batch that does not divide the elements.
    """
    found = _require_reducer("T.finalize_reducer", reducer)
    total = math.prod(size for size in found.shape if isinstance(size, int))
    if batch < 1:
        raise TileValueError(f"T.finalize_reducer: batch must be >= 1, got {batch}", hint="leave it out")
    if batch > total or total % batch:
        why = "exceeds total output elements" if batch > total else "must evenly divide the output elements"
        raise TileValueError(f"T.finalize_reducer: batch {batch} {why} ({total})", hint="leave it out")
    found.finish(dst)


def _require_reducer(what: str, value: Any) -> Reducer:
    if not isinstance(value, Reducer):
        raise TileTypeError(f"{what} needs a buffer made by T.alloc_reducer, got {describe(value)}")
    return value
