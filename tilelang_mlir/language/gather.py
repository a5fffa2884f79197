"""Copies of four rows from anywhere in a tensor, and back (Blackwell)."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.buffer import Buffer, buffer_of, extents_of, int32_value, memory_of, tile_of
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.frontend.wide import require_narrow
from tilelang_mlir.language.copy import EVICTION
from tilelang_mlir.language.sync import barrier_operands, in_kernel
from tilelang_mlir.mlir import ir

ROWS = 4


def tma_gather4(
    src: Any,
    dst: Any,
    col: Any,
    rows: Any,
    *,
    barrier: Any,
    swizzle: int | None = None,
    eviction_policy: str | None = None,
) -> None:
    """Start copying four rows of a two-dimensional tensor to four rows of shared memory; nothing waits for it.

    Row i of `dst` gets `src[rows[i], col : col + columns]`; rows and columns outside of the tensor read as zero. One of
    the threads that reach the call issues the copy. Announce its bytes first.

        if T.get_thread_binding() == 0:
            T.mbarrier_arrive_expect_tx(bar, T.tma_gather4_bytes(64, "float16"))
            T.tma_gather4(A, A_shared[0:4, 0:64], 0, [R[0], R[1], R[2], R[3]], barrier=bar)

    Args:
        src: a tensor in device memory. dst: four rows of a shared tile. col, rows: integers, `rows` four of them.
        barrier: of `T.alloc_barrier`, where the bytes complete.
        swizzle: accepted; the layout of the tile says how it is swizzled.
        eviction_policy: evict_normal, evict_first or evict_last: how long the L2 cache keeps the rows.

    Raises:
        TileTypeError: other memories, ranks or dtypes that differ. TileValueError: not four rows, or no such policy.
        UnsupportedError: when compiled, before sm_100 or for rows the hardware cannot copy.
    """
    del swizzle
    what = "T.tma_gather4"
    builder = in_kernel(what)
    tensor, tile, attributes = _sides(what, src, dst, eviction_policy)
    _, place = barrier_operands(what, barrier)
    builder.emit("tl.tma_gather4", [tensor, tile, *place, *_places(what, builder, col, rows)], [], attributes)


def tma_scatter4(
    src: Any, dst: Any, col: Any, rows: Any, *, swizzle: int | None = None, eviction_policy: str | None = None
) -> None:
    """Start copying four rows of shared memory to four rows of a tensor, the counterpart of `T.tma_gather4`.

    It is one bulk group: wait with `T.tma_store_wait`. What lies outside of the tensor is not written.

    Raises:
        TileTypeError, TileValueError, UnsupportedError: as `T.tma_gather4`.
    """
    del swizzle
    what = "T.tma_scatter4"
    builder = in_kernel(what)
    tensor, tile, attributes = _sides(what, dst, src, eviction_policy)
    builder.emit("tl.tma_scatter4", [tile, tensor, *_places(what, builder, col, rows)], [], attributes)


def tma_gather4_bytes(K_box: Any, dtype: Any) -> int:
    """Bytes that a `T.tma_gather4` of so many columns completes at its barrier.

    Raises:
        TileValueError: the number of columns is no positive integer.
    """
    if isinstance(K_box, bool) or not isinstance(K_box, int) or K_box < 1:
        raise TileValueError(f"T.tma_gather4_bytes needs a positive number of columns, got {describe(K_box)}")
    kind: DType = to_dtype(dtype)
    return ROWS * K_box * kind.bits // 8


def _sides(
    what: str, tensor: Any, tile: Any, eviction_policy: str | None
) -> tuple[ir.Value, ir.Value, dict[str, ir.Attribute]]:
    if not isinstance(tensor, Buffer) or tensor.memory != "global" or tensor.ndim != 2:
        raise TileTypeError(f"{what} needs a whole tensor of two dimensions in device memory, got {describe(tensor)}")
    require_narrow(what, tensor)
    shared = buffer_of(tile, f"the tile of {what}")
    if shared.memory != "shared" or shared.dtype != tensor.dtype:
        raise TileTypeError(f"{what} needs a shared tile of {tensor.dtype}, got {shared!r}")
    extents = extents_of(tile)
    if extents is None or [size for size in extents[:-1] if size != 1] != [ROWS]:
        raise TileValueError(f"{what} copies four rows", hint="give a slice of 4 rows: A_shared[i : i + 4, 0:64]")
    attributes: dict[str, ir.Attribute] = {}
    if eviction_policy is not None:
        if eviction_policy not in EVICTION:
            raise TileValueError(f"eviction_policy must be one of {', '.join(EVICTION)}, got {eviction_policy!r}")
        attributes["eviction"] = ir.StringAttr.get(eviction_policy)
    return memory_of(tensor), tile_of(tile, f"the tile of {what}", extents), attributes


def _places(what: str, builder: Builder, col: Any, rows: Any) -> list[ir.Value]:
    if not isinstance(rows, list | tuple) or len(rows) != ROWS:
        raise TileValueError(f"{what} needs a list of {ROWS} rows, got {describe(rows)}")
    return [int32_value(builder, value) for value in (col, *rows)]
