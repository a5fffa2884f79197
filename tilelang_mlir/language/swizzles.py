"""Swizzled places of shared tiles, for programs that compute them: `T.get_swizzle_layout`."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.layout import Layout, make_linear_layout, make_swizzled_layout


def get_swizzle_layout(
    row_idx: Any, col_idx: Any, row_size: int, dtype: Any = "float16", swizzle_bytes: int | None = None
) -> tuple[Any, Any, Any]:
    """Panel, row and column in the panel of element (row, column) of a tile with rows of `row_size` elements.

    A panel is `swizzle_bytes` wide (128, 64 or 32; the row's bytes, 128 at most); 16-byte chunk c of row r lies at
    chunk c ^ (r % 8) of its panel, c ^ (r % 8 // 2) of 64 bytes, c ^ (r % 8 // 4) of 32. Indices are numbers, arrays or
    expressions of a kernel.

        T.annotate_layout({tile: T.Layout((32, 128), lambda i, j: T.get_swizzle_layout(i, j, 128, "float16"))})

    Raises:
        TileValueError: rows of no multiple of 32 bytes, or another width of panels.
    """
    bits = DType(dtype).bits
    row_bytes = row_size * bits // 8
    width = min(128, row_bytes) if swizzle_bytes is None else swizzle_bytes
    if row_bytes % 32 or width not in (32, 64, 128):
        raise TileValueError(f"T.get_swizzle_layout: rows of {row_bytes} bytes in panels of {width}",
                             hint="rows are multiples of 32 bytes, panels 32, 64 or 128")
    chunk, span = 128 // bits, width // 16
    number = col_idx // chunk
    phase = row_idx % 8 // (8 // span)
    return number // span, row_idx, (number % span ^ phase) * chunk + col_idx % chunk


def make_mma_swizzle_layout(shared_buf: Any, is_smooth: bool = False) -> Layout:
    """A layout of a shared tile that matrix loads read without bank conflicts; with `is_smooth` the row-major one."""
    return make_linear_layout(shared_buf) if is_smooth else make_swizzled_layout(shared_buf)
