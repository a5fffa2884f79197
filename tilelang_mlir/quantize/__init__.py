"""TileLang's `tilelang.quantize`: packed integers in kernels, and weights for them.

Functions that begin with `_tir_` make expressions of a kernel. They take a word (`storage_type` and `storage_nbit` say
of which dtype), the position of a number in it, and the dtype to give. The others handle tensors of torch.
"""

from __future__ import annotations

from tilelang_mlir.quantize.expressions import (
    _tir_packed_int_to_int_convert,
    _tir_packed_to_fp4_to_f16,
    _tir_packed_to_signed_convert,
    _tir_packed_to_unsigned_convert,
    _tir_packed_to_unsigned_convert_with_zeros,
    _tir_u8_to_f4_to_bf16,
    _tir_u8_to_f8_e4m3_to_f16,
)
from tilelang_mlir.quantize.intrinsics import get_lop3_intrin_group, get_mxfp_intrin_group
from tilelang_mlir.quantize.weights import gen_quant4, general_compress, interleave_weight

__all__ = [
    "_tir_packed_int_to_int_convert",
    "_tir_packed_to_fp4_to_f16",
    "_tir_packed_to_signed_convert",
    "_tir_packed_to_unsigned_convert",
    "_tir_packed_to_unsigned_convert_with_zeros",
    "_tir_u8_to_f4_to_bf16",
    "_tir_u8_to_f8_e4m3_to_f16",
    "gen_quant4",
    "general_compress",
    "get_lop3_intrin_group",
    "get_mxfp_intrin_group",
    "interleave_weight",
]
