"""Where the factors of a block-scaled product start among those that are there, and factors in another order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tilelang_mlir.errors import TileValueError
from tilelang_mlir.frontend import arith, control
from tilelang_mlir.frontend.buffer import Element, Region, buffer_of, extents_of, store
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.expr import Expr, describe
from tilelang_mlir.language.alloc import alloc_shared
from tilelang_mlir.language.loops import Parallel

_PER_WORD = 4  # factors of a row in a word
_LANES = 32
ROWS, CHUNKED = "rowmajor", "blockscaled_chunk_kmajor"


class Side(NamedTuple):
    """An operand's factors: elements along k of one, and words of a row."""

    block: int
    words: int


def first_factors(builder: Builder, what: str, sides: Sequence[Side], depth: Any, k_start: Any) -> Iterator[list[int]]:
    """The numbers of the first factors of A and B, once for each place where a product of `depth` elements along k may
    start: `k_start` counts elements, and the words have the last that were brought there. Where it is known at run time
    only, every place is a branch, since instructions name a byte of a word.

    Raises:
        TileValueError: `k_start` is no integer, or no multiple of what it has to be.
    """
    firsts = lambda start: [start // side.block % (side.words * _PER_WORD) for side in sides]
    if isinstance(k_start, int) and not isinstance(k_start, bool):
        if any(k_start % side.block for side in sides):
            raise TileValueError(f"{what}: k_start is {k_start}, expected a multiple of what a factor covers",
                                 hint="it says in which byte of a column the first factor lies")
        yield firsts(k_start)
        return
    if not isinstance(k_start, Expr) or not k_start.dtype.is_integer:
        raise TileValueError(f"{what}: k_start is {describe(k_start)}, expected an integer")
    if not isinstance(depth, int) or any(depth % side.block for side in sides):
        raise TileValueError(f"{what}: k_start is known at run time only, and K = {depth} is no multiple of what a "
                             "factor covers", hint="such a k_start is a multiple of K")
    places: list[list[int]] = []
    while (found := firsts(len(places) * depth)) not in places:
        places.append(found)
    number = arith.floormod(arith.floordiv(k_start, depth), len(places)) if len(places) > 1 else 0
    yield from _cases(builder, number, places, 0)


def _cases(builder: Builder, number: Any, places: list[list[int]], at: int) -> Iterator[list[int]]:
    if at == len(places) - 1:
        yield places[at]
        return
    for taken in control.branch(builder, arith.compare("Eq", number, at), has_else=True):
        if taken:
            yield places[at]
        else:
            yield from _cases(builder, number, places, at + 1)


def by_rows(what: str, factors: Any, order: str) -> Any:
    """A tile of factors with those of a row in a row: itself, or a copy of one in the order of CUTLASS' basic chunks,
    in which word w of row r is number w * rows + r % 32 * (rows / 32) + r / 32.

    Raises:
        TileValueError: another order, or rows that are no multiple of 32.
    """
    if order == ROWS:
        return factors
    if order != CHUNKED:
        raise TileValueError(f"{what}: sf_layout is {order!r}, expected {ROWS!r} or {CHUNKED!r}")
    buffer = buffer_of(factors, f"factors of {what}")
    offsets = list(factors.offsets) if isinstance(factors, Region) else [0] * buffer.ndim
    rows, words = (extents_of(factors) or (0, 0))[-2:]
    if not isinstance(rows, int) or not isinstance(words, int) or rows % _LANES:
        raise TileValueError(f"{what}: factors of {rows} rows in the order {CHUNKED!r}, expected whole "
                             f"groups of {_LANES}")
    tile = alloc_shared((rows, words), buffer.dtype)
    for row, word in control.run(Parallel(rows, words), ("row", "word"), None):
        within = arith.mul(arith.floormod(row, _LANES), rows // _LANES)
        number = arith.add(arith.mul(word, rows), arith.add(within, arith.floordiv(row, _LANES)))
        place = (arith.floordiv(number, words), arith.floormod(number, words))
        inner = [arith.add(start, index) for start, index in zip(offsets[-2:], place, strict=True)]
        store(Element(tile, [row, word]), Element(buffer, [*offsets[:-2], *inner]).read())
    return tile
