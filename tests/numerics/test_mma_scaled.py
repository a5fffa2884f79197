"""Block-scaled products of warps: mxfp8, mxfp4 and nvfp4 on mma.sync."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fp4_values import factors, halves
from hopper_programs import check, f64, poisoned, random
from tensor_programs import compiled

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileError, TileTypeError, TileValueError, UnsupportedError

FP8, FP4, TARGET = "float8_e4m3", "float4_e2m1fn", "sim:sm_120a"


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def product(M: int, N: int, K: int, dtype: str, block: int, bk: int = 0, threads: int = 128, stages: int = 1) -> Any:
    bm, bn, words = 64, 48, (bk or K) // block // 4
    bk = bk or K

    @T.prim_func
    def main(
        A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), SFA: T.Tensor((M, K // block // 4), "uint32"),
        SFB: T.Tensor((N, K // block // 4), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(M, bm), T.ceildiv(N, bn), threads=threads) as (by, bx):
            a, b = T.alloc_shared((bm, bk), dtype), T.alloc_shared((bn, bk), dtype)
            sa, sb = T.alloc_shared((bm, words), "uint32"), T.alloc_shared((bn, words), "uint32")
            c = T.alloc_fragment((bm, bn), "float32")
            T.clear(c)
            for k in T.Pipelined(K // bk, num_stages=stages):
                T.copy(A[by * bm, k * bk], a)
                T.copy(B[bx * bn, k * bk], b)
                T.copy(SFA[by * bm, k * words], sa)
                T.copy(SFB[bx * bn, k * words], sb)
                T.mma_gemm_blockscaled(
                    a, b, c, sa, sb, transpose_B=True, sf_a_granularity_k=block, sf_b_granularity_k=block
                )
            T.copy(c, C[by * bm, bx * bn])

    return main


@pytest.mark.parametrize(
    ("size", "block", "options"),
    [
        ((100, 70, 256), 32, {"bk": 128, "stages": 2}),
        ((64, 48, 128), 16, {}),
        ((70, 48, 128), 16, {"bk": 64, "threads": 64}),
    ],
    ids=["mxfp4, two stages", "nvfp4", "nvfp4, two warps"],
)
def test_4_bits(size: tuple[int, int, int], block: int, options: dict[str, int]) -> None:
    M, N, K = size
    (a, left), (b, right) = halves((M, K)), halves((N, K), 1)
    (sa, scale_a), (sb, scale_b) = (factors(rows, K // block, block, seed) for seed, rows in ((2, M), (3, N)))
    c = poisoned((M, N), "float32")
    compiled(product(M, N, K, FP4, block, **options), TARGET)(a, b, sa.T.copy(), sb.T.copy(), c)
    check(c, (left * scale_a) @ (right * scale_b).T, "float32")


@pytest.mark.parametrize("block", [32, 64])
def test_8_bits(block: int) -> None:
    M, N, K = 100, 70, 256
    a, b, c = random((M, K), FP8), random((N, K), FP8, 1), poisoned((M, N), "float32")
    (sa, scale_a), (sb, scale_b) = (factors(rows, K // block, block, seed) for seed, rows in ((2, M), (3, N)))
    compiled(product(M, N, K, FP8, block), TARGET)(a, b, sa.T.copy(), sb.T.copy(), c)
    check(c, (f64(a) * scale_a) @ (f64(b) * scale_b).T, "float32")


@pytest.mark.parametrize(
    ("dtype", "block", "text"),
    [
        (FP8, 32, "m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e4m3.f32.ue8m0"),
        (FP4, 32, "m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0"),
        (FP4, 16, "m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::4X.f32.e2m1.e2m1.f32.ue4m3"),
    ],
)
def test_machine_code(dtype: str, block: int, text: str) -> None:
    kernel = compiled(product(256, 96, 256, dtype, block, bk=128, stages=2), "cuda:sm_120a")
    assert f"mma.sync.aligned.{text}" in kernel.get_kernel_source()
    assert kernel.artifact.binary[:4] == b"\x7fELF" and kernel.n_spills == 0


@pytest.mark.parametrize(
    ("dtype", "block", "target", "kind", "text"),
    [
        (FP8, 32, "sim:sm_90a", UnsupportedError, "needs mma.sync with block scales, which sim:sm_90a lacks"),
        (FP8, 16, TARGET, TileValueError, "a factor covers a multiple of 32 elements"),
        (FP4, 64, TARGET, UnsupportedError, "4-bit operands with factors of 64 and 64 elements"),
        ("float16", 32, TARGET, TileTypeError, "a block-scaled product of float16"),
    ],
    ids=["target", "granularity", "factors", "dtype"],
)
def test_wrong_use(dtype: str, block: int, target: str, kind: type[TileError], text: str) -> None:
    with pytest.raises(kind, match=text):
        tilelang.compile(product(64, 48, 256, dtype, block), target=target)
