"""`tilelang.rocm.intrinsics`: which lane and register of a wave of 64 holds an element of an MFMA operand.

The maps have TileLang's names: `shared_RxC_to_local_...` gives lane and register of an element, and
`thread_id_shared_access_...` row and column of a lane's register. AMD CDNA3 ISA, section 7.1: a lane holds `per`
successive elements along K; lanes count the rows (of B the columns) first, then along K.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir.layout import make_swizzled_layout

Map = Callable[[Any, Any], tuple[Any, Any]]


def get_mma_micro_size(dtype: Any) -> tuple[int, int, int]:
    """Rows, columns and depth of the MFMA for operands of a dtype: 16 x 16 x 16, of 8-bit elements 16 x 16 x 32."""
    from tilelang_mlir.dtypes import DType

    return 16, 16, 32 if DType(dtype).bits == 8 else 16


def make_mfma_swizzle_layout(shared_buf: Any, vecSize: int = 8) -> Any:
    """A layout of a shared tile that lanes read without bank conflicts."""
    del vecSize
    return make_swizzled_layout(shared_buf)


def _operand(rows: int, per: int) -> tuple[Map, Map]:
    """(element to lane and register, the inverse) of an operand [rows, K]."""
    return (
        lambda i, j: (i + rows * (j // per), j % per),
        lambda thread_id, local_id: (thread_id % rows, thread_id // rows * per + local_id),
    )


def _swapped(maps: tuple[Map, Map]) -> tuple[Map, Map]:
    """The same of the transposed matrix."""
    forward, backward = maps
    return lambda i, j: forward(j, i), lambda thread_id, local_id: backward(thread_id, local_id)[::-1]


for _rows, _k, _per in ((16, 4, 1), (16, 16, 4), (16, 32, 8), (16, 64, 16), (32, 32, 16)):
    _wide, _tall, _lanes = f"{_rows}x{_k}", f"{_k}x{_rows}", f"64x{_per}"
    for _side, _shape, _maps in (
        ("A", _wide, _operand(_rows, _per)),
        ("B", _tall if _k == 4 else _wide, _swapped(_operand(_rows, _per))),
    ):
        globals()[f"shared_{_shape}_to_local_{_lanes}_layout_{_side}"] = _maps[0]
        globals()[f"thread_id_shared_access_{_lanes}_to_{_shape}_layout_{_side}"] = _maps[1]

# Results: [M, N] lies like the operand [K, N], its transpose like [M, K].
_of_rows, _of_columns = _operand(16, 4), _swapped(_operand(16, 4))
shared_16x16_to_local_64x4_layout_C = _of_columns[0]
shared_16x16_to_local_64x4_layout_m_n = shared_16x16_to_local_64x4_layout_n_k = _of_rows[0]
shared_16x16_to_local_64x4_layout_n_m = shared_16x16_to_local_64x4_layout_k_n = _of_columns[0]
thread_id_shared_access_64x4_to_16x16_layout_C_m_n = _of_columns[1]
thread_id_shared_access_64x4_to_16x16_layout_C_n_m = mfma_store_index_map = _of_rows[1]


def mfma_store_index_map_32x32(thread_id: Any, local_id: Any) -> tuple[Any, Any]:
    """Row and column of a register of a 32 x 32 result: four successive columns, then every eighth."""
    return thread_id % 32, thread_id // 32 * 4 + local_id % 4 + local_id // 4 * 8


thread_id_shared_access_64x16_to_32x32_layout_C_m_n = mfma_store_index_map_32x32
thread_id_shared_access_64x16_to_32x32_layout_C_n_m = mfma_store_index_map_32x32
