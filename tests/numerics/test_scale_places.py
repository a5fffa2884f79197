"""Factors of block-scaled products that start where the program finds out, and factors in CUTLASS' order."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fp4_values import factors, halves
from hopper_programs import check, f64, poisoned, random
from tensor_programs import compiled

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileValueError

FP8, FP4 = "float8_e4m3", "float4_e2m1fn"


@pytest.mark.parametrize("target", ["sim:sm_120a", "sim:gfx950", "sim:sm_100a"])
@pytest.mark.parametrize(("block", "deep"), [(128, 128), (64, 128), (128, 256), (32, 128)])
def test_a_word_for_several_steps(target: str, block: int, deep: int) -> None:
    """A word has four factors of a row; it is loaded where a step starts at its first."""
    M, N, K = 128 if target == "sim:sm_100a" else 64, 48, 1024
    period = max(1, 4 * block // deep)
    words = max(1, deep // block // 4)

    @T.prim_func
    def main(
        A: T.Tensor((M, K), FP8), B: T.Tensor((N, K), FP8), SFA: T.Tensor((M, K // block // 4), "uint32"),
        SFB: T.Tensor((N, K // block // 4), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((M, deep), FP8), T.alloc_shared((N, deep), FP8)
            sa, sb = T.alloc_shared((M, words), "uint32"), T.alloc_shared((N, words), "uint32")
            c = T.alloc_fragment((M, N), "float32")
            T.clear(c)
            for k in T.serial(K // deep):
                T.copy(A[0, k * deep], a)
                T.copy(B[0, k * deep], b)
                if k % period == 0:
                    T.copy(SFA[0, k // period * words], sa)
                    T.copy(SFB[0, k // period * words], sb)
                T.mma_gemm_blockscaled(a, b, c, sa, sb, transpose_B=True, k_start=k * deep,
                                       sf_a_granularity_k=block, sf_b_granularity_k=block)  # fmt: skip
            T.copy(c, C)

    a, b, c = random((M, K), FP8), random((N, K), FP8, 1), poisoned((M, N), "float32")
    (sa, scale_a), (sb, scale_b) = factors(M, K // block, block, 2), factors(N, K // block, block, 3)
    compiled(main, target)(a, b, sa.T.copy(), sb.T.copy(), c)
    check(c, (f64(a) * scale_a) @ (f64(b) * scale_b).T, "float32")


@pytest.mark.parametrize("block", [128, 64])
def test_tensor_memory(block: int) -> None:
    """A word of four factors in tensor memory for several products of 128 elements along K."""
    M, N, K, deep = 128, 64, 1024, 128
    period = 4 * block // deep

    @T.prim_func
    def main(
        A: T.Tensor((M, K), FP8), B: T.Tensor((N, K), FP8), SFA: T.Tensor((K // block // 4, M), "uint32"),
        SFB: T.Tensor((K // block // 4, 128), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((M, deep), FP8), T.alloc_shared((N, deep), FP8)
            sa, sb = T.alloc_shared((M,), "uint32"), T.alloc_shared((128,), "uint32")
            ta, tb = T.alloc_tmem((128, 4), "uint32"), T.alloc_tmem((128, 4), "uint32")
            sums, c = T.alloc_tmem((M, N), "float32"), T.alloc_fragment((M, N), "float32")
            bar = T.alloc_barrier(1)
            for k in T.serial(K // deep):
                T.copy(A[0, k * deep], a)
                T.copy(B[0, k * deep], b)
                if k % period == 0:
                    T.copy(SFA[k // period, 0], sa)
                    T.copy(SFB[k // period, 0], sb)
                    T.tcgen05_sf_warp_transpose(sa)
                    T.tcgen05_sf_warp_transpose(sb)
                    T.tcgen05_cp_warpx4(sa, ta)
                    T.tcgen05_cp_warpx4(sb, tb)
                T.tcgen05_gemm_blockscaled(
                    a, b, sums, ta, tb, transpose_B=True, clear_accum=k == 0, mbar=bar, k_start=k * deep,
                    sf_a_granularity_k=block, sf_b_granularity_k=block,
                )  # fmt: skip
                T.mbarrier_wait_parity(bar, k % 2)
            T.copy(sums, c)
            T.copy(c, C)

    a, b, c = random((M, K), FP8), random((N, K), FP8, 1), poisoned((M, N), "float32")
    (sa, scale_a), (sb, scale_b) = factors(M, K // block, block, 2), factors(128, K // block, block, 3)
    compiled(main, "sim:sm_100a")(a, b, sa, sb, c)
    check(c, (f64(a) * scale_a) @ (f64(b) * scale_b[:N]).T, "float32")


@pytest.mark.parametrize(
    ("target", "block", "rows"),
    [("sim:sm_120a", 16, 128), ("sim:sm_120a", 16, 64), ("sim:gfx950", 32, 64), ("sim:sm_100a", 16, 128)],
)
def test_words_in_the_order_of_basic_chunks(target: str, block: int, rows: int) -> None:
    M, N, K = rows, 64, 512
    deep, words = 16 * block, 4

    @T.prim_func
    def main(
        A: T.Tensor((M, K), FP4), B: T.Tensor((N, K), FP4), SFA: T.Tensor((K // deep * M, words), "uint32"),
        SFB: T.Tensor((K // deep * N, words), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((M, deep), FP4), T.alloc_shared((N, deep), FP4)
            sa, sb = T.alloc_shared((2, M, words), "uint32"), T.alloc_shared((N, words), "uint32")
            c = T.alloc_fragment((M, N), "float32")
            T.clear(c)
            for k in T.serial(K // deep):
                T.copy(A[0, k * deep], a)
                T.copy(B[0, k * deep], b)
                T.copy(SFA[k * M, 0], sa[k % 2, :, :])
                T.copy(SFB[k * N, 0], sb)
                T.mma_gemm_blockscaled(
                    a, b, c, sa[k % 2, :, :], sb, transpose_B=True, k_start=k * deep, sf_a_granularity_k=block,
                    sf_b_granularity_k=block, sf_layout="blockscaled_chunk_kmajor",
                )  # fmt: skip
            T.copy(c, C)

    def chunks(given: np.ndarray) -> np.ndarray:
        """Words [words, rows] as tiles of `words` words of all rows each, in which word w of row r has its number."""
        count = given.shape[1]
        number = np.arange(words)[:, None] * count + np.arange(count) % 32 * (count // 32) + np.arange(count) // 32
        out = np.zeros((given.shape[0] // words, words * count), np.uint32)
        out[:, number.reshape(-1)] = given.reshape(len(out), -1)
        return out.reshape(-1, words)

    (a, left), (b, right) = halves((M, K)), halves((N, K), 1)
    (sa, scale_a), (sb, scale_b) = factors(M, K // block, block, 2), factors(N, K // block, block, 3)
    c = poisoned((M, N), "float32")
    compiled(main, target)(a, b, chunks(sa), chunks(sb), c)
    check(c, (left * scale_a) @ (right * scale_b).T, "float32")


@pytest.mark.parametrize(
    ("options", "rows", "text"),
    [
        ({"k_start": "step"}, 64, "K = 64 is no multiple of what a factor covers"),
        ({"k_start": 1.5}, 64, "k_start is float 1.5, expected an integer"),
        ({"k_start": 64}, 64, "k_start is 64, expected a multiple of what a factor covers"),
        ({"sf_layout": "chunks"}, 64, "sf_layout is 'chunks', expected 'rowmajor' or 'blockscaled_chunk_kmajor'"),
        ({"sf_layout": "blockscaled_chunk_kmajor"}, 48, "factors of 48 rows in the order .*whole groups of 32"),
    ],
)
def test_wrong_use(options: dict[str, Any], rows: int, text: str) -> None:
    deep = 64

    with pytest.raises(TileValueError, match=text):

        @T.prim_func
        def main(A: T.Tensor((rows, deep), FP8)):
            with T.Kernel(1, threads=128):
                a, b = T.alloc_shared((rows, deep), FP8), T.alloc_shared((64, deep), FP8)
                sa, sb = T.alloc_shared((rows, 1), "uint32"), T.alloc_shared((64, 1), "uint32")
                c = T.alloc_fragment((rows, 64), "float32")
                for step in T.serial(4):
                    start = options.get("k_start", 0)
                    given = {**options, "k_start": step * deep if start == "step" else start}
                    T.mma_gemm_blockscaled(a, b, c, sa, sb, transpose_B=True, sf_a_granularity_k=128,
                                           sf_b_granularity_k=128, **given)  # fmt: skip
