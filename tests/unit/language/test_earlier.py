"""Names of earlier releases, and of extensions for other machines."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import TileAttributeError, TileTypeError, UnsupportedError
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


def test_counts_of_bytes_and_totals_of_threads() -> None:
    """`T.ptx_cp_async` by bytes, schedulers with their name in front, and `T.atomic_add(total, A[thread])`."""

    @T.prim_func
    def main(A: T.Tensor((4, 64), "float16"), B: T.Tensor((4, 64), "float16"), total: T.Tensor((1,), "float16")):
        with T.Kernel(2, threads=8) as block:
            t = T.get_thread_binding()
            tile = T.alloc_shared((64,), "float16")
            tiles = T.PersistentTileScheduler("rows", 4, 1)
            tiles.init(block)
            while tiles.valid():
                T.ptx_cp_async(T.access_ptr(tile[t * 8], "w", 8), T.access_ptr(A[tiles.m_idx, t * 8], "r", 8), 16)
                T.ptx_commit_group()
                T.ptx_wait_group(0)
                T.sync_threads()
                T.copy(tile, B[tiles.m_idx, 0])
                T.sync_threads()
                tiles.next_tile()
            T.atomic_max(total, A[block, t])

    a = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float16)
    b, total = np.full_like(a, np.nan), np.full(1, -9, np.float16)
    tilelang.compile(main, target="sim:sm_80")(a, b, total)
    assert (a == b).all() and total[0] == a[:2, :8].max()


def test_names_of_extensions_say_what_they_are_for() -> None:
    for machine, names in missing.elsewhere().items():
        for name in names:
            with pytest.raises(UnsupportedError) as info:
                getattr(T, name)
            assert str(info.value).startswith(f"T.{name} belongs to extensions of the language for {machine}\n")
    with pytest.raises(TileAttributeError, match="PassConfigKey has no TL_ENABLE_MUSA_BURST\nhint: .* MUSA"):
        _ = tilelang.PassConfigKey.TL_ENABLE_MUSA_BURST
    with pytest.raises(TileAttributeError, match="did you mean PassConfigKey.TL_DISABLE_WGMMA"):
        _ = tilelang.PassConfigKey.TL_DISABLE_WGMMAS
    with pytest.raises(UnsupportedError, match="hint: T.annotate_safe_value"):
        _ = T.annotate_padding
