"""A program whose fp8 results are stored and read again: what `compiler.packed_conversions` is for."""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T


def sums_and_largest() -> Any:
    """S [16] sums of the columns of A [128, 16], M [1] the largest of them, all e4m3."""

    @T.prim_func
    def main(A: T.Tensor((128, 16), "float8_e4m3fn"), S: T.Tensor((16,), "float8_e4m3fn"),
             M: T.Tensor((1,), "float8_e4m3fn")):  # fmt: skip
        with T.Kernel(1, threads=64):
            a, s = T.alloc_fragment((128, 16), "float8_e4m3fn"), T.alloc_fragment((16,), "float8_e4m3fn")
            m = T.alloc_fragment((1,), "float8_e4m3fn")
            T.copy(A, a)
            T.reduce_sum(a, s, dim=0)
            T.reduce_max(s, m, dim=0)
            T.copy(s, S)
            T.copy(m, M)

    return main
