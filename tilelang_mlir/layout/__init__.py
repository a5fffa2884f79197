"""Layouts as users write them: `tilelang.layout`.

    Layout((64, 64), lambda i, j: i * 72 + j)                       # where an element of a shared tile lies
    Fragment((16, 8), lambda i, j: (i % 8 * 4 + j // 2, i // 8 * 2 + j % 2))   # (thread, register) that hold it
    T.annotate_layout({A_shared: make_swizzled_layout(A_shared)})

A function is evaluated once for all indices, on numpy arrays, so it may use arithmetic (`+ - * // % ^ & | >> <<`) and
nothing that needs a value (`if`, `and`). `layout` is the compiler's form of the object; the compiler knows mixed-radix
maps, for shared tiles followed by one XOR of bits, and functions that are no such map are an error.
"""

from __future__ import annotations

from tilelang_mlir.layout.makers import (
    SwizzleMode,
    make_cutlass_metadata_layout,
    make_full_bank_swizzled_layout,
    make_fully_replicated_layout_fragment,
    make_gemm_fragment_8x8,
    make_gemm_fragment_8x8_transposed,
    make_half_bank_swizzled_layout,
    make_linear_layout,
    make_mma_accumulator_fragment,
    make_mma_operand_a_fragment,
    make_mma_operand_b_fragment,
    make_quarter_bank_swizzled_layout,
    make_swizzled_layout,
    make_tcgen05mma_swizzled_layout,
    make_volta_swizzled_layout,
    make_wgmma_swizzled_layout,
)
from tilelang_mlir.layout.maps import Fragment, Layout

__all__ = [
    "Fragment",
    "Layout",
    "SwizzleMode",
    "make_cutlass_metadata_layout",
    "make_full_bank_swizzled_layout",
    "make_fully_replicated_layout_fragment",
    "make_gemm_fragment_8x8",
    "make_gemm_fragment_8x8_transposed",
    "make_half_bank_swizzled_layout",
    "make_linear_layout",
    "make_mma_accumulator_fragment",
    "make_mma_operand_a_fragment",
    "make_mma_operand_b_fragment",
    "make_quarter_bank_swizzled_layout",
    "make_swizzled_layout",
    "make_tcgen05mma_swizzled_layout",
    "make_volta_swizzled_layout",
    "make_wgmma_swizzled_layout",
]
