"""4-bit floats: tiles of half bytes in copies, and products with factors of 16 or 32 elements (nvfp4, mxfp4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from fp4_values import factors, halves
from hopper_programs import check, poisoned
from tensor_programs import compiled

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import UnsupportedError

FP4 = "float4_e2m1fn"


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def test_sizes_read_off_a_packed_tensor() -> None:
    """An eager kernel sees twice the elements that the stored tensor has, also between its rows."""

    @tilelang.jit(target="sim:sm_90a")
    def copied(A: Any) -> Any:
        M, K, S = T.const("M K S")
        A: T.StridedTensor((M, K), (S, 1), FP4)
        B = T.empty((M, K), FP4)
        with T.Kernel(1, threads=32):
            T.copy(A, B)
        return B

    wide = np.random.default_rng(3).integers(0, 256, (6, 32)).astype(np.uint8)
    assert np.array_equal(copied(wide[:, :16]), wide[:, :16])


@pytest.mark.parametrize("target", ["sim:sm_80", "sim:sm_90a"])
def test_copies(target: str) -> None:
    """A part of a tensor through shared memory, over its edge."""
    M, K = 40, 96

    @T.prim_func
    def main(A: T.Tensor((M, K), FP4), B: T.Tensor((M, K), FP4)):
        with T.Kernel(T.ceildiv(M, 16), T.ceildiv(K, 64), threads=64) as (by, bx):
            tile = T.alloc_shared((16, 64), FP4)
            T.copy(A[by * 16, bx * 64], tile)
            T.copy(tile, B[by * 16, bx * 64])

    a, b = halves((M, K))[0], np.zeros((M, K // 2), np.uint8)
    compiled(main, target)(a, b)
    assert (a == b).all()


def product(N: int, K: int, block: int, stages: int = 0) -> Any:
    M, words = 128, K // block // 4

    @T.prim_func
    def main(
        A: T.Tensor((M, K), FP4), B: T.Tensor((N, K), FP4), SFA: T.Tensor((words, M), "uint32"),
        SFB: T.Tensor((words, 128), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((M, K), FP4), T.alloc_shared((N, K), FP4)
            sa, sb = T.alloc_shared((words, M), "uint32"), T.alloc_shared((words, 128), "uint32")
            ta, tb = T.alloc_tmem((128, words * 4), "uint32"), T.alloc_tmem((128, words * 4), "uint32")
            c, mbar = T.alloc_tmem((M, N), "float32"), T.alloc_barrier(1)
            T.copy(A, a)
            T.copy(B, b)
            T.copy(SFA, sa)
            T.copy(SFB, sb)
            if T.get_thread_binding() < 32:
                for w in T.unroll(words):
                    T.tcgen05_sf_warp_transpose(sa[w, 0:128])
                    T.tcgen05_sf_warp_transpose(sb[w, 0:128])
            for w in T.unroll(words):
                T.tcgen05_cp_warpx4(sa[w, 0:128], ta, w * 4)
                T.tcgen05_cp_warpx4(sb[w, 0:128], tb, w * 4)
            T.tcgen05_gemm_blockscaled(
                a, b, c, ta, tb, transpose_B=True, mbar=mbar, clear_accum=True,
                sf_a_granularity_k=block, sf_b_granularity_k=block,
            )  # fmt: skip
            T.mbarrier_wait_parity(mbar, 0)
            T.copy(c, C)

    return main


@pytest.mark.parametrize(("N", "K", "block"), [(128, 256, 32), (64, 128, 16), (96, 256, 16)])
def test_block_scales(N: int, K: int, block: int) -> None:
    (a, left), (b, right) = halves((128, K)), halves((N, K), 1)
    (sa, scale_a), (sb, scale_b) = factors(128, K // block, block, 2), factors(128, K // block, block, 3)
    c = poisoned((128, N), "float32")
    compiled(product(N, K, block))(a, b, sa, sb, c)
    check(c, (left * scale_a) @ (right * scale_b[:N]).T, "float32")


@pytest.mark.parametrize("arch", ["sm_100a", "sm_103a"])
@pytest.mark.parametrize(("block", "kind"), [(32, "mxf4.block_scale"), (16, "mxf4nvf4.block_scale")])
def test_machine_code(arch: str, block: int, kind: str) -> None:
    kernel = compiled(product(128, 256, block), f"cuda:{arch}")
    assert f"tcgen05.mma.cta_group::1.kind::{kind}" in kernel.get_kernel_source()
    assert kernel.artifact.binary[:4] == b"\x7fELF"


def _wrong(body: Any) -> Any:
    @T.prim_func
    def main(A: T.Tensor((128, 128), FP4), B: T.Tensor((128, 128), "float32")):
        with T.Kernel(1, threads=128):
            tile = T.alloc_fragment((128, 128), FP4)
            body(A, B, tile)

    return main


@T.macro
def _alone(A: Any, B: Any, tile: Any) -> None:
    for i, j in T.Parallel(128, 64):
        tile[i, j * 2] = B[i, j]


@T.macro
def _guarded(A: Any, B: Any, tile: Any) -> None:
    for i, j in T.Parallel(128, 128):
        if j < 64:
            tile[j, i] = B[i, j]


@pytest.mark.parametrize(
    ("body", "text", "hint"),
    [
        (_alone, "a 4-bit element is written by itself", "an even number of them in one loop"),
        (_guarded, "a 4-bit element is written by itself", "an even number of them in one loop"),
    ],
    ids=["every second", "other dimension"],
)  # fmt: skip
def test_wrong_use(body: Any, text: str, hint: str) -> None:
    with pytest.raises(UnsupportedError, match=text) as caught:
        tilelang.compile(_wrong(body), target="sim:sm_100a")
    assert hint in str(caught.value)


@pytest.mark.parametrize("target", ["sim:sm_80", "sim:gfx942"])
def test_elements_by_themselves(target: str) -> None:
    """Neighbours in a byte are other threads' in memory that threads share; arrays of a thread start at zero."""

    @T.prim_func
    def main(A: T.Tensor((2, 30), "int32"), B: T.Tensor((2, 30), "int4"), C: T.Tensor((2, 30), "int32"),
             D: T.Tensor((2, 30), "int32")):  # fmt: skip
        with T.Kernel(2, threads=64) as b:
            tx, tile, own = T.get_thread_binding(), T.alloc_shared((30,), "uint4"), T.alloc_local((6,), "int4")
            if tx < 30:
                B[b, 29 - tx] = T.cast(A[b, tx], "int4")
                tile[tx * 7 % 30] = T.cast(A[b, tx] + 8, "uint4")
            T.sync_threads()
            for i in T.Parallel(30):
                C[b, i] = T.cast(tile[i], "int32")
            if tx < 30:
                own[tx % 5 + 1] = T.cast(A[b, tx], "int4")
                D[b, tx] = T.cast(own[tx % 5 + 1], "int32") + T.cast(own[0], "int32")

    rng = np.random.default_rng(0)
    a, b = rng.integers(-8, 8, (2, 30)).astype(np.int32), rng.integers(-128, 128, (2, 15)).astype(np.int8)
    c, d = np.zeros((2, 30), np.int32), np.zeros((2, 30), np.int32)
    tilelang.compile(main, target=target)(a, b, c, d)
    codes = a[:, ::-1] & 15
    assert np.array_equal(b.view(np.uint8), codes[:, ::2] | codes[:, 1::2] << 4) and np.array_equal(d, a)
    want = np.zeros((2, 30), np.int32)
    want[:, np.arange(30) * 7 % 30] = a + 8
    assert np.array_equal(c, want)


@pytest.mark.parametrize("target", ["sim:sm_90a", "sim:gfx942"])
def test_elements(target: str) -> None:
    """Written in pairs and read one by one, with conversions that round to even codes and saturate."""
    M, N = 4, 32

    @T.prim_func
    def main(A: T.Tensor((M, N), "float32"), Q: T.Tensor((M, N), FP4), P: T.Tensor((M, N), "int4"),
             B: T.Tensor((M, N), "bfloat16"), C: T.Tensor((M, N), "int32")):  # fmt: skip
        with T.Kernel(1, threads=64):
            x = T.alloc_fragment((M, N), "float32")
            q = T.alloc_fragment((M, N), FP4)
            s = T.alloc_shared((M, N), FP4)
            p = T.alloc_shared((M, N), "int4")
            T.copy(A, x)
            for i, j in T.Parallel(M, N):
                q[i, j] = x[i, j]
            T.copy(q, s)
            T.copy(s, Q)
            T.copy(s, B)
            for i, j in T.Parallel(M, N):
                p[i, j] = T.clamp(T.cast(x[i, j], "int32"), -8, 7)
            T.copy(p, P)
            for i in T.serial(M):
                for j in T.Parallel(N):
                    C[i, j] = p[i, j]

    a = (np.random.default_rng(3).standard_normal((M, N)) * 4).astype(np.float32)
    a[0, :18] = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -5, -0.25, -0.75, 0, 0.5, 6, 7, -99, 0.26, -1.74, -0.0]
    want, integers = a.astype(ml_dtypes.float4_e2m1fn), np.clip(a.astype(np.int32), -8, 7)
    q, i = (np.zeros((M, N // 2), kind) for kind in (np.uint8, np.int8))
    b, c = np.zeros((M, N), ml_dtypes.bfloat16), np.zeros((M, N), np.int32)
    tilelang.compile(main, target=target)(a, q, i, b, c)
    codes = want.view(np.uint8) & 15
    assert np.array_equal(q, codes[:, ::2] | codes[:, 1::2] << 4)
    assert np.array_equal(b.astype(np.float32), want.astype(np.float32))
    assert np.array_equal(c, integers)
    assert np.array_equal(i.view(np.uint8), ((integers[:, ::2] & 15) | (integers[:, 1::2] & 15) << 4).astype(np.uint8))


@pytest.mark.parametrize("kind", ["int4", "uint4", FP4])
def test_places_known_at_run_time(kind: str) -> None:
    """Lengths, odd starts in the middle of bytes, tails, and numbers without a sign."""
    m, n = T.dynamic("m, n")

    @T.prim_func
    def main(A: T.Tensor((m, n), kind), start: T.int32, B: T.Tensor((m, 32), "float32"), C: T.Tensor((m, n), kind)):
        with T.Kernel(m, threads=32) as b:
            tile, whole = T.alloc_shared((1, 32), kind), T.alloc_shared((1, 128), kind)
            T.copy(A[b, start], tile)
            for i in T.Parallel(32):
                B[b, i] = T.cast(tile[0, i], "float32") * 100 + T.cast(A[b, i * 2 + 1], "float32")
            T.copy(A[b, 0], whole)
            T.copy(whole, C[b, 0])

    kernel = tilelang.compile(main, target="sim:sm_80")
    for width, start in ((33, 7), (64, 32), (9, -1)):
        a = np.random.default_rng(width).integers(0, 256, (3, width)).astype(np.uint8)
        codes = np.stack([a & 15, a >> 4], -1).reshape(3, -1)
        values = {"uint4": codes, "int4": (codes.astype(np.int8) ^ 8) - 8}.get(kind, _fp4(codes)).astype(np.float32)
        around = np.pad(values, ((0, 0), (1, 200)))
        b, c = np.full((3, 32), np.nan, np.float32), np.zeros_like(a)
        kernel(a, start, b, c)
        assert np.array_equal(b, around[:, 1 + start : 33 + start] * 100 + around[:, 2:66:2])
        assert np.array_equal(c, a)


def _fp4(codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return codes.view(ml_dtypes.float4_e2m1fn).astype(np.float32)


@pytest.mark.parametrize("kind", ["int4", "uint4"])
def test_integer_product(kind: str) -> None:
    """A product of packed integers, which becomes one of bytes."""
    M, N, K = 64, 32, 64

    @T.prim_func
    def main(A: T.Tensor((M, K), kind), B: T.Tensor((N, K), kind), C: T.Tensor((M, N), "int32")):
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((M, 32), kind), T.alloc_shared((N, 32), kind)
            acc = T.alloc_fragment((M, N), "int32")
            T.clear(acc)
            for k in T.Pipelined(K // 32, num_stages=2):
                T.copy(A[0, k * 32], a)
                T.copy(B[0, k * 32], b)
                T.gemm(a, b, acc, transpose_B=True)
            T.copy(acc, C)

    rng = np.random.default_rng(4)
    low = 0 if kind == "uint4" else -8
    a, b = rng.integers(low, low + 16, (M, K)), rng.integers(low, low + 16, (N, K))
    packed = [((x[:, ::2] & 15) | (x[:, 1::2] & 15) << 4).astype(np.uint8).view(np.int8) for x in (a, b)]
    c = np.full((M, N), 99, np.int32)
    tilelang.compile(main, target="sim:sm_90a")(*packed, c)
    assert np.array_equal(c, a @ b.T)
