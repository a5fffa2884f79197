"""6-bit floats: four in three bytes in tensors and shared tiles, conversions, and products on MFMA (gfx950)."""

from __future__ import annotations

import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from fp4_values import factors, halves, packed, sixes
from hopper_programs import check, poisoned
from tensor_programs import compiled

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import UnsupportedError

E2M3, E3M2, FP4, FP8 = "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn", "float8_e4m3fn"


@pytest.mark.parametrize(("target", "kind"), [("sim:sm_90a", E2M3), ("sim:gfx942", E3M2), ("sim:gfx1100", E2M3)])
def test_elements(target: str, kind: str) -> None:
    """Written in groups of four and read one by one, with conversions that round to even codes and saturate; a tile
    over the edge of its tensor, and one that is filled."""
    M, N = 5, 48

    @T.prim_func
    def main(A: T.Tensor((M, N), "float32"), Q: T.Tensor((M, N), kind), B: T.Tensor((M, N), "float16"),
             F: T.Tensor((M, N), kind)):  # fmt: skip
        with T.Kernel(T.ceildiv(N, 32), threads=64) as bx:
            x = T.alloc_fragment((8, 32), "float32")
            q = T.alloc_fragment((8, 32), kind)
            s, t = T.alloc_shared((8, 32), kind), T.alloc_shared((8, 32), kind)
            T.copy(A[0, bx * 32], x)
            for i, j in T.Parallel(8, 32):
                q[i, j] = x[i, j]
            T.copy(q, s)
            T.copy(s, Q[0, bx * 32])
            T.copy(s, B[0, bx * 32])
            T.fill(t, 1.5)
            T.copy(t, F[0, bx * 32])

    values = getattr(ml_dtypes, kind)
    a = (np.random.default_rng(3).standard_normal((M, N)) * 4).astype(np.float32)
    steps = np.arange(32, dtype=np.uint8).view(values).astype(np.float32)
    a[0, :31], a[1, :3] = (steps[1:] + steps[:-1]) / 2, [99, -99, -0.0]  # ties, and what is too large
    want = np.clip(a, -steps[-1], steps[-1]).astype(values)
    q, f = (np.full((M, N * 3 // 4), 77, np.uint8) for _ in range(2))
    b = poisoned((M, N), "float16")
    tilelang.compile(main, target=target)(a, q, b, f)
    assert np.array_equal(q, packed(want.view(np.uint8) & 63))
    assert np.array_equal(b.astype(np.float32), want.astype(np.float32))
    assert np.array_equal(f, packed(np.full((M, N), np.float32(1.5)).astype(values).view(np.uint8)))


def _stored(shape: tuple[int, int], kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if kind == FP4:
        return halves(shape, seed)
    if kind == FP8:
        a = np.random.default_rng(seed).standard_normal(shape).astype(ml_dtypes.float8_e4m3fn)
        return a, a.astype(np.float64)
    return sixes(shape, kind, seed)


def product(M: int, N: int, K: int, left: str, right: str, scaled: bool, threads: int = 64) -> Any:
    words = 256 // 32 // 4

    @T.prim_func
    def main(A: T.Tensor((M, K), left), B: T.Tensor((N, K), right), SA: T.Tensor((K // 128, M), "uint32"),
             SB: T.Tensor((K // 128, N), "uint32"), C: T.Tensor((M, N), "float32")):  # fmt: skip
        with T.Kernel(1, threads=threads):
            a, b = T.alloc_shared((M, 256), left), T.alloc_shared((N, 256), right)
            sa, sb = T.alloc_shared((M, words), "uint32"), T.alloc_shared((N, words), "uint32")
            c = T.alloc_fragment((M, N), "float32")
            T.clear(c)
            for k in T.Pipelined(T.ceildiv(K, 256), num_stages=2):
                T.copy(A[0, k * 256], a)
                T.copy(B[0, k * 256], b)
                if scaled:
                    for i, w in T.Parallel(M, words):
                        sa[i, w] = T.if_then_else(k * words + w < K // 128, SA[k * words + w, i], T.uint32(0))
                    for i, w in T.Parallel(N, words):
                        sb[i, w] = T.if_then_else(k * words + w < K // 128, SB[k * words + w, i], T.uint32(0))
                    T.gemm_blockscaled(a, b, c, sa, sb, transpose_B=True)
                else:
                    T.gemm(a, b, c, transpose_B=True)
            T.copy(c, C)

    return main


@pytest.mark.parametrize(
    ("M", "N", "left", "right", "scaled", "target"),
    [(32, 64, E2M3, E2M3, True, "gfx950"), (16, 48, E3M2, FP8, True, "gfx950"), (16, 32, FP4, E2M3, True, "gfx950"),
     (32, 32, E3M2, E2M3, False, "gfx950"), (16, 16, FP4, FP4, False, "gfx950"),
     (32, 16, E2M3, E3M2, True, "sm_120a"), (16, 48, FP8, E3M2, True, "sm_120a"), (32, 32, E2M3, FP4, True, "sm_120a"),
     (128, 48, E2M3, E3M2, True, "sm_100a"), (128, 16, E3M2, FP8, True, "sm_103a"),
     (128, 32, FP4, E2M3, True, "sm_100a"), (32, 16, E2M3, FP4, False, "sm_120a"),
     (64, 16, E3M2, FP8, False, "sm_100a"), (128, 16, FP4, FP4, False, "sm_103a"),
    ],
)  # fmt: skip
def test_products(M: int, N: int, left: str, right: str, scaled: bool, target: str) -> None:
    K = 384
    (a, x), (b, y) = _stored((M, K), left, 1), _stored((N, K), right, 2)
    (sa, scale_a), (sb, scale_b) = factors(M, K // 32, 32, 3), factors(N, K // 32, 32, 4)
    c = poisoned((M, N), "float32")
    threads = 128 if target in ("sm_100a", "sm_103a") else 64
    compiled(product(M, N, K, left, right, scaled, threads), f"sim:{target}")(a, b, sa, sb, c)
    check(c, (x * scale_a) @ (y * scale_b).T if scaled else x @ y.T, "float32")


def test_machine_code() -> None:
    """The formats, in six registers each, read 8 bytes at a time."""
    source = compiled(product(64, 64, 512, E2M3, E3M2, True), "hip:gfx950").ir("amdgcn")
    products = [line for line in source.splitlines() if "v_mfma_scale_f32_32x32x64_f8f6f4" in line]
    assert len(products) == 16
    assert all("cbsz:3 blgp:2" in line for line in products)  # B's columns are the instruction's rows


def test_machine_code_of_pairs() -> None:
    """Formats by name on mma.sync, as codes 3 and 4 of an instruction descriptor on tcgen05."""
    source = compiled(product(32, 32, 512, E2M3, E3M2, True), "cuda:sm_120a").get_kernel_source()
    assert source.count("m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e2m3.e3m2.f32.ue8m0") == 32
    source = compiled(product(128, 32, 512, E2M3, E3M2, True, 128), "cuda:sm_103a").get_kernel_source()
    words = [int(word) for word in re.findall(r"mov\.b32\s+%r\d+, (-?\d+);", source)]
    assert any(word & 0x1F8F == 4 << 10 | 3 << 7 for word in words if word >> 27 & 3 == 1), words  # of 128 rows
    assert source.count("tcgen05.mma.cta_group::1.kind::mxf8f6f4.block_scale") == 8


def test_targets_without() -> None:
    for target in ("sim:gfx942", "sim:sm_90a"):
        with pytest.raises(UnsupportedError, match="a product of e2m3 needs mma.sync with block scales, ") as caught:
            tilelang.compile(product(64, 64, 256, E2M3, E2M3, False), target=target)
        assert "gfx950" in str(caught.value)


def test_without_gaps() -> None:
    """Programs that start products of tcgen05 themselves have no tile in the form that these take."""

    @T.prim_func
    def main(A: T.Tensor((128, 128), E2M3), B: T.Tensor((64, 128), E2M3)):
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((128, 128), E2M3), T.alloc_shared((64, 128), E2M3)
            c, done = T.alloc_tmem((128, 64), "float32"), T.alloc_barrier(1)
            T.copy(A, a)
            T.copy(B, b)
            T.tcgen05_gemm(a, b, c, transpose_B=True, mbar=done, clear_accum=True)
            T.mbarrier_wait_parity(done, 0)

    with pytest.raises(UnsupportedError, match="tcgen05.mma takes e2m3 elements in tiles with gaps"):
        tilelang.compile(main, target="sim:sm_100a")
