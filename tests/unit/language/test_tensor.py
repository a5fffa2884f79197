"""Names of tensor memory: their IR, wrong use, and the PTX they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import TileError, TileTypeError, TileValueError, UnsupportedError


def kernel(body: Callable[..., None], threads: int = 128) -> Any:
    """A kernel around a macro that gets shared tiles, accumulators, scale factors and barriers."""

    @T.prim_func
    def main(C: T.Tensor((128, 64), "float32")):
        with T.Kernel(1, threads=threads):
            A, B = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64, 64), "float16")
            E, F = T.alloc_shared((128, 128), "float8_e4m3"), T.alloc_shared((64, 128), "float8_e4m3")
            W, S = T.alloc_shared((128,), "uint32"), T.alloc_tmem((128, 4), "uint32")
            D, frag = T.alloc_tmem((128, 64), "float32"), T.alloc_fragment((128, 64), "float32")
            mbar = T.alloc_barrier(1)
            body(A, B, D, frag, mbar, E, F, W, S)
            T.copy(frag, C)

    return main


@T.macro
def _gemm(A, B, D, frag, mbar, E, F, W, S):  # type: ignore[no-untyped-def]
    T.tcgen05_gemm(A, B, D, False, False, T.GemmWarpPolicy.FullRow, True, mbar=mbar)  # TileLang's order


@T.macro
def _arrive(A, B, D, frag, mbar, E, F, W, S):  # type: ignore[no-untyped-def]
    T.tcgen05_mma(A, B, D)
    T.tcgen05_mma_arrive(mbar)
    T.tcgen05_before_thread_sync()
    T.tcgen05_after_thread_sync()
    T.deallocate_tmem(S)


@T.macro
def _scaled(A, B, D, frag, mbar, E, F, W, S):  # type: ignore[no-untyped-def]
    T.tcgen05_sf_warp_transpose(W)
    T.tcgen05_cp_warpx4(W, S)
    T.tcgen05_gemm_blockscaled(E, F, D, S, S, transpose_B=True, mbar=mbar, clear_accum=True, k_start=0)


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (_gemm, ['"tl.tcgen05_mma"', '"tl.tcgen05_commit"']),
        (_arrive, ['"tl.tcgen05_commit"', 'kind = "before"', 'kind = "after"', '"tl.dealloc_tmem"']),
        (_scaled, ['"tl.tcgen05_cp"', '"tl.tcgen05_scaled_mma"', "scale_blocks = array<i64: 32, 32>"]),
    ],
    ids=["gemm", "arrive", "scaled"],
)
def test_emits(body: Callable[..., None], texts: list[str]) -> None:
    text = tilelang.compile(kernel(body), target="sim:sm_100a").ir("tl")
    assert all(part in text for part in texts), text


@pytest.mark.parametrize(
    ("body", "instructions"),
    [
        (_gemm, ["tcgen05.alloc", "tcgen05.mma.cta_group::1.kind::f16", "tcgen05.commit", "tcgen05.dealloc"]),
        (_arrive, ["tcgen05.fence::before_thread_sync", "tcgen05.fence::after_thread_sync", "tcgen05.commit"]),
        (_scaled, ["tcgen05.cp.cta_group::1.32x128b.warpx4", "tcgen05.mma.cta_group::1.kind::mxf8f6f4.block_scale"]),
    ],
    ids=["gemm", "arrive", "scaled"],
)
@pytest.mark.parametrize("arch", ["sm_100a", "sm_103a"])
def test_becomes_ptx(body: Callable[..., None], instructions: list[str], arch: str) -> None:
    source = tilelang.compile(kernel(body), target=f"cuda:{arch}").get_kernel_source()
    assert all(name in source for name in instructions)



WRONG: list[tuple[Callable[..., Any], type[TileError], str]] = [
    (lambda a: T.tcgen05_gemm(a.A, a.B, a.frag), TileTypeError, "operand C of T.tcgen05_gemm is in fragment memory"),
    (lambda a: T.tcgen05_gemm(a.frag, a.B, a.D), TileTypeError, "operand A of T.tcgen05_gemm is in fragment memory"),
    (lambda a: T.tcgen05_gemm(a.B, a.B, a.D), TileValueError, "the shapes of T.gemm do not agree"),
    (
        lambda a: T.tcgen05_gemm(a.A, a.B, a.D, use_2cta=True),
        TileValueError,
        r"half of op\(B\) is .*64.*, C is .*64",
    ),
    (lambda a: T.gemm(a.A, a.B, a.frag, mbar=a.mbar), TileTypeError, "T.gemm with mbar needs operand C in tmem"),
    (lambda a: T.tcgen05_mma_arrive(a.A), TileTypeError, "needs a barrier made by T.alloc_barrier"),
    (lambda a: T.deallocate_tmem(a.A), TileTypeError, "needs a buffer of T.alloc_tmem, got one in shared memory"),
    (lambda a: T.tcgen05_cp_warpx4(a.A, a.frag), TileTypeError, "copies from shared to tensor memory"),
    (lambda a: T.tcgen05_cp_warpx4(a.W, a.S, 4), TileValueError, "4 columns from 4 do not fit 4 columns"),
    (lambda a: T.tcgen05_sf_warp_transpose(a.A), TileTypeError, "needs 32-bit words in shared memory"),
    (
        lambda a: T.tcgen05_gemm_blockscaled(a.E, a.F, a.D, a.S, a.S, False, True, k_start=16),
        TileValueError,
        "k_start is 16, expected a multiple of what a factor covers",
    ),
    (
        lambda a: T.tcgen05_gemm_blockscaled(a.E, a.F, a.D, a.S, a.S, False, True, sf_a_granularity_k=16),
        TileValueError,
        "a factor covers a multiple of 32 elements",
    ),
    (
        lambda a: T.tcgen05_gemm_blockscaled(a.E, a.F, a.D, a.W, a.S, False, True),
        TileTypeError,
        "SFA_tmem of T.tcgen05_gemm_blockscaled must be uint32 in tensor memory",
    ),
    (lambda a: T.gemm_blockscaled(a.E, a.F, a.D, a.S, a.S, False, True), TileTypeError, "C in tmem memory needs mbar"),
    (
        lambda a: T.gemm_blockscaled(a.E, a.F, a.frag, a.W, a.W, False, True, mbar=a.mbar),
        TileTypeError,
        "C in fragment memory takes no mbar",
    ),
    (lambda a: T.make_blockscaled_gemm_layout(a.frag, a.E), TileTypeError, "C is float32 in fragment memory"),
    (lambda a: T.make_blockscaled_gemm_layout(a.D, a.F), TileValueError, "A has 64 rows, expected 128 of both"),
    (
        lambda a: T.annotate_layout({a.frag: T.make_blockscaled_gemm_layout(a.D, a.E)}),
        TileTypeError,
        "needs a layout of shared memory or registers, got TensorLayout",
    ),
    (lambda a: T.tma_load_2sm(a.A, a.mbar), TileTypeError, r"takes \(descriptor, barrier, address"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), WRONG, ids=[w[2][:40] for w in WRONG])
def test_wrong_use(call: Callable[..., Any], kind: type[TileError], text: str) -> None:
    class Names:
        pass

    def body(*values: Any) -> None:
        names = Names()
        vars(names).update(zip(("A", "B", "D", "frag", "mbar", "E", "F", "W", "S"), values, strict=True))
        call(names)

    with pytest.raises(kind, match=text):
        kernel(body)


def test_targets_without_tensor_memory_are_named() -> None:
    with pytest.raises(UnsupportedError, match="needs tcgen05 and tensor memory, which sim:sm_90a lacks") as caught:
        tilelang.compile(kernel(_gemm), target="sim:sm_90a")
    assert "sm_100a, sm_103a" in str(caught.value)
