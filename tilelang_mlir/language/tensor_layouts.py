"""Layouts of tensor memory that a program gives as functions of the indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.dialect.layout import TensorLayout
from tilelang_mlir.dialect.layout.tensor import LANES, accumulator, dense
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import where
from tilelang_mlir.frontend.buffer import Buffer
from tilelang_mlir.frontend.suspicion import Suspicion, issue


def tensor_layout_of(given: Any, buffer: Buffer) -> TensorLayout | None:
    """The layout that a map to lanes and columns is: rows in lanes, or an accumulator's.

    None for another map: products, loads and stores have no such form, and no value of the program depends on where
    elements lie, so that the compiler's choice is taken, and a `TileWarning` says so.

    Raises:
        TileTypeError: the map does not give a lane and a column. TileValueError: of another shape, a lane beyond 127,
            or two elements in one place.
    """
    shape, tables = tuple(given.shape), given.tables
    if shape != tuple(buffer.shape):
        raise TileValueError(f"the layout of {buffer!r} is for shape {list(shape)}")
    if len(tables) != 2:
        raise TileTypeError(f"the layout of {buffer!r} gives {len(tables)} numbers, expected a lane and a column")
    lanes, columns = (np.broadcast_to(table, shape) for table in tables)
    if lanes.min() < 0 or lanes.max() >= LANES or columns.min() < 0:
        raise TileValueError(f"the layout of {buffer!r} leaves the {LANES} lanes of tensor memory")
    if len(np.unique(columns * LANES + lanes)) != lanes.size:
        raise TileValueError(f"the layout of {buffer!r} puts two elements into one place")
    bits = buffer.dtype.bits
    for candidate in (dense(shape, bits), accumulator(shape, bits), accumulator(shape, bits, pair=True)):
        found = _places(candidate)
        if (found[0] == lanes).all() and (found[1] == columns).all():
            return candidate
    hint = "rows in lanes, or the accumulator of a product: lambda i, j: (i, j) for 128 rows"
    issue(Suspicion(f"the layout of {buffer.name} has no effect: tensor memory has none like it", where.here(), hint))
    return None


def _places(layout: TensorLayout) -> tuple[Any, Any]:
    """Lane and column, in elements, of every element of the buffer."""
    per_column = 32 // layout.bits
    *lead, rows, width = layout.shape
    row, column = np.arange(rows)[:, None], np.arange(width)[None, :]
    part, inside = column // layout.part_columns, column % layout.part_columns
    lane = np.array([layout.lane(r) for r in range(rows)])[row] + part * (LANES // layout.parts)
    version = np.arange(int(np.prod(lead))).reshape(*lead, 1, 1) * layout.version_columns * per_column
    return lane, version + inside * (layout.pitch // layout.bits)
