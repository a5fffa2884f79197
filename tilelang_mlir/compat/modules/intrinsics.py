"""`tilelang.intrinsics`: swizzled layouts, fragments of matrix instructions and the emitter of products.

The maps have TileLang's names: `shared_RxC_to_mma_...` gives lane and register of an element, `mma_...` and
`ldmatrix_...` row and column of a lane's register. `sr` is a matrix [M or N, K], `rs` one [K, M or N].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir.language import swizzles as panels
from tilelang_mlir.language.emitter import (
    TensorCoreIntrinEmitter,
    TensorCoreIntrinEmitterWithLadderTransform,
    get_ldmatrix_offset,
    get_mma_micro_size,
)
from tilelang_mlir.language.matrix import mma_store_index_map
from tilelang_mlir.language.swizzles import make_mma_swizzle_layout
from tilelang_mlir.language.tensor_emitter import TCGEN05TensorCoreIntrinEmitter
from tilelang_mlir.language.wgmma_emitter import WGMMATensorCoreIntrinEmitter

Map = Callable[[Any, Any], tuple[Any, Any]]

__all__ = [
    "TCGEN05TensorCoreIntrinEmitter", "TensorCoreIntrinEmitter", "TensorCoreIntrinEmitterWithLadderTransform",
    "WGMMATensorCoreIntrinEmitter", "get_ldmatrix_offset", "get_mma_micro_size", "get_swizzle_layout",
    "make_mma_swizzle_layout", "mma_store_index_map",
]  # fmt: skip


def get_swizzle_layout(
    row_idx: Any, col_idx: Any, row_size: int, dtype: Any = "float16", swizzle_bytes: int | None = None
) -> tuple[Any, Any]:
    """Row and column of `T.get_swizzle_layout`, whose panel stays where it is in the row: what this module returned
    before there were panels."""
    from tilelang_mlir.dtypes import DType

    bits = DType(dtype).bits
    if row_size * bits % 256:
        return row_idx, col_idx
    width = min(128, row_size * bits // 8) if swizzle_bytes is None else swizzle_bytes
    panel, row, column = panels.get_swizzle_layout(row_idx, col_idx, row_size, dtype, width)
    return row, panel * (width * 8 // bits) + column


def _operand_maps(per: int, side: str) -> tuple[Map, Map]:
    """(element to lane and register, the inverse) of a 16-row operand with `per` elements per 32-bit register.

    A's registers run down the rows first, B's (two instructions side by side) along K first.
    """
    half = 4 * per

    def forward(i: Any, j: Any) -> tuple[Any, Any]:
        down, along = i // 8, j // half
        register = along * 2 + down if side == "A" else down * 2 + along
        return 4 * (i % 8) + j % half // per, register * per + j % per

    def backward(thread_id: Any, local_id: Any) -> tuple[Any, Any]:
        register = local_id // per
        down, along = (register % 2, register // 2) if side == "A" else (register // 2, register % 2)
        return thread_id // 4 + 8 * down, thread_id % 4 * per + local_id % per + half * along

    return forward, backward


def _swapped(function: Map) -> Map:
    return lambda i, j: function(j, i)


def _ldmatrix_map(chunk: int, side: str) -> Map:
    """The row and first element a lane points at, and the elements after it."""

    def place(thread_id: Any, local_id: Any) -> tuple[Any, Any]:
        low, high = thread_id // 8 % 2, thread_id // 16
        down, along = (low, high) if side == "A" else (high, low)
        return thread_id % 8 + 8 * down, chunk * along + local_id % chunk

    return place


for _per, _k in ((1, 8), (2, 16), (4, 32)):
    _shape, _registers = f"16x{_k}", f"32x{4 * _per}"
    for _side in ("A", "B"):
        _forward, _backward = _operand_maps(_per, _side)
        _low = _side.lower()
        globals()[f"shared_{_shape}_to_mma_{_registers}_layout_sr_{_low}"] = _forward
        globals()[f"shared_{_shape}_to_mma_{_registers}_layout_rs_{_low}"] = _swapped(_forward)
        globals()[f"shared_{_shape}_to_mma_{_low}_{_registers}_layout"] = _forward
        globals()[f"shared_{_shape}_to_mma_{_low}_{_registers}_layout_trans"] = _swapped(_forward)
        globals()[f"mma_load_{_low}_{_registers}_to_shared_{_shape}_layout"] = _backward
        globals()[f"ldmatrix_{_registers}_to_shared_{_shape}_layout_{_low}"] = _ldmatrix_map(4 * _per, _side)
    globals()[f"shared_{_shape}_to_mma_{_registers}_layout"] = _operand_maps(_per, "A")[0]
ldmatrix_32x8_to_shared_16x16_layout = _ldmatrix_map(8, "A")
ldmatrix_trans_32x8_to_shared_16x16_layout = _ldmatrix_map(8, "B")
mma_store_32x8_to_shared_16x16_layout = mma_store_index_map
mma_32x8_to_shared_16x16_layout = mma_store_index_map
