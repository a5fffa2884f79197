"""Names of earlier releases, and of extensions for other machines."""

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import TileTypeError, UnsupportedError
from tilelang_mlir.language import missing


def numbered(M: int, N: int, K: int):
    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(1, threads=256):
            a, b = T.alloc_shared((2, M, 32), "float16"), T.alloc_shared((2, 32, N), "float16")
            c = T.alloc_fragment((M, N), "float32")
            T.create_list_of_mbarrier([128, 128] * 2)
            with T.ws(1):
                for k in T.serial(K // 32):
                    T.mbarrier_wait_parity(mbarrier=k % 2 + 2, parity=k // 2 % 2 ^ 1)
                    T.copy(A[0, k * 32], a[k % 2, :, :])
                    T.copy(B[k * 32, 0], b[k % 2, :, :])
                    T.mbarrier_arrive(k % 2)
            with T.ws(0):
                T.clear(c)
                for k in T.serial(K // 32):
                    T.mbarrier_wait_parity(T.get_mbarrier(k % 2), k // 2 % 2)
                    T.gemm_v2(a[k % 2, :, :], b[k % 2, :, :], c, wg_wait=-1)
                    T.wait_wgmma(0)
                    T.mbarrier_arrive(mbarrier=k % 2 + 2)
                T.copy(c, C)

    return main


def test_barriers_by_number_and_products_by_version() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((64, 160)).astype(np.float16), rng.standard_normal((160, 32)).astype(np.float16)
    c = np.full((64, 32), np.nan, np.float32)
    tilelang.compile(numbered(64, 32, 160), target="sim:sm_90a")(a, b, c)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(c - expected) <= 1e-6 * np.linalg.norm(expected)


def test_wrong_use_of_numbered_barriers() -> None:
    with pytest.raises(TileTypeError, match=r"T.get_mbarrier needs the barriers that T.create_list_of_mbarrier makes"):

        @T.prim_func
        def none():
            with T.Kernel(1):
                T.mbarrier_arrive(T.get_mbarrier(0))

    with pytest.raises(TileTypeError, match="a kernel has one list of barriers"):

        @T.prim_func
        def two():
            with T.Kernel(1):
                T.create_list_of_mbarrier(1)
                T.create_list_of_mbarrier(1, 2)


def test_names_of_extensions_say_what_they_are_for() -> None:
    for machine, names in missing.elsewhere().items():
        for name in names:
            with pytest.raises(UnsupportedError) as info:
                getattr(T, name)
            assert str(info.value).startswith(f"T.{name} belongs to extensions of the language for {machine}\n")
    with pytest.raises(UnsupportedError, match="hint: T.annotate_safe_value"):
        _ = T.annotate_padding
