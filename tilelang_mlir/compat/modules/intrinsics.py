"""`tilelang.intrinsics`: swizzled layouts of tiles that feed matrix instructions."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.layout import make_swizzled_layout

__all__ = ["get_swizzle_layout", "make_mma_swizzle_layout"]


def make_mma_swizzle_layout(shared_buf: Any, is_smooth: bool = False) -> Any:
    """A layout of a shared tile that matrix loads read without bank conflicts."""
    del is_smooth
    return make_swizzled_layout(shared_buf)


def get_swizzle_layout(
    row_idx: int, col_idx: int, row_size: int, dtype: Any = "float16", swizzle_bytes: int | None = None
) -> tuple[Any, Any]:
    """Row and column at which element (row, column) of a tile with rows of `row_size` elements lies.

    Chunks of 16 bytes change places within a span of `swizzle_bytes` (128, 64 or 32; the widest that fits the row).
    """
    from tilelang_mlir.dtypes import DType

    bits = DType(dtype).bits
    chunk = 128 // bits
    span = min(swizzle_bytes or 128, row_size * bits // 8) // 16
    if span < 2:
        return row_idx, col_idx
    phase = row_idx % 8 // (8 // span)
    within = col_idx // chunk % span
    swapped = sum(((within // (1 << bit) + phase // (1 << bit)) % 2) << bit for bit in range(span.bit_length() - 1))
    return row_idx, (col_idx // (chunk * span) * span + swapped) * chunk + col_idx % chunk
