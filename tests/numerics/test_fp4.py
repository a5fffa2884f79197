"""4-bit floats: tiles of half bytes in copies, and products with factors of 16 or 32 elements (nvfp4, mxfp4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
            tile = T.alloc_shared((128, 128), FP4)
            body(A, B, tile)

    return main


@T.macro
def _convert(A: Any, B: Any, tile: Any) -> None:
    T.copy(B, tile)


@T.macro
def _odd(A: Any, B: Any, tile: Any) -> None:
    T.copy(A[0, 1], tile)


@pytest.mark.parametrize(
    ("body", "text"), [(_convert, "written one by one, or used without a conversion"), (_odd, "stride or place of 1")],
    ids=["conversion", "odd place"],
)  # fmt: skip
def test_wrong_use(body: Any, text: str) -> None:
    with pytest.raises(UnsupportedError, match=text) as caught:
        tilelang.compile(_wrong(body), target="sim:sm_100a")
    assert "T.copy" in str(caught.value)


def test_elements_are_converted() -> None:
    """One by one in a parallel loop, and by a copy of the tile."""

    @T.prim_func
    def main(A: T.Tensor((32, 64), FP4), B: T.Tensor((32, 64), "float16"), C: T.Tensor((32, 64), "float32")):
        with T.Kernel(1, threads=128):
            tile, wide = T.alloc_shared((32, 64), FP4), T.alloc_fragment((32, 64), "float32")
            T.copy(A, tile)
            for i, j in T.Parallel(32, 64):
                B[i, j] = T.cast(tile[i, j], "float16")
            T.copy(tile, wide)
            T.copy(wide, C)

    codes = np.random.default_rng(5).integers(0, 256, (32, 32)).astype(np.int8)
    b, c = np.full((32, 64), np.nan, np.float16), np.full((32, 64), np.nan, np.float32)
    tilelang.compile(main, target="sim:sm_80")(codes, b, c)
    table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
    want = table[np.stack([codes & 15, (codes >> 4) & 15], -1).reshape(32, 64)]
    np.testing.assert_array_equal(b, want)
    np.testing.assert_array_equal(c, want)
