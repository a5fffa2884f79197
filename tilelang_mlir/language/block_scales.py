"""Block-scaled products that fit every target, and the layout of their sums in tensor memory."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dialect.layout.tensor import TensorLayout, dense
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.buffer import buffer_of, extents_of
from tilelang_mlir.language.copy import describe_shape
from tilelang_mlir.language.gemm import GemmWarpPolicy
from tilelang_mlir.language.tensor import mma_gemm_blockscaled, tcgen05_gemm_blockscaled

_ROWS, _COLUMN_BITS = 128, 32


def gemm_blockscaled(
    A: Any,
    B: Any,
    C: Any,
    SFA: Any,
    SFB: Any,
    transpose_A: bool = False,
    transpose_B: bool = False,
    policy: GemmWarpPolicy = GemmWarpPolicy.Square,
    clear_accum: Any = False,
    mbar: Any = None,
    *,
    k_start: Any = 0,
    sf_a_granularity_k: Any = 32,
    sf_b_granularity_k: Any = 32,
    sf_layout: str | None = None,
) -> None:
    """`C += (op(A) * SFA) @ (op(B) * SFB)`: every factor scales some elements of a row along K.

    With C in registers it is complete when the call ends, and runs on what the target has: mma.sync with block scales,
    MFMA with scales, or tcgen05 (128 rows of C; the compiler moves C and the factors to tensor memory). With C in
    tensor memory it is `T.tcgen05_gemm_blockscaled`.

        T.gemm_blockscaled(A_shared, B_shared, C_local, SFA_shared, SFB_shared, transpose_B=True)

    Args:
        A, B: float8 or float4_e2m1fn tiles in shared memory (these as [M, K] and [N, K] with transpose_B); one of each
            on every target that has these products. On gfx950 also float6_e2m3fn and float6_e3m2fn, stored likewise.
        C: float32, a fragment or in tensor memory.
        SFA, SFB: uint32. For a fragment in shared memory, [M, words] and [N, words]: a word has four factors of a row,
            as bytes. Factors are float8_e8m0 (powers of two); those of 16 elements float8_e4m3.
        clear_accum: set C instead of adding to it (for a fragment a Python bool).
        mbar: for C in tensor memory, the barrier that gets an arrival when the product is complete.
        k_start: where this tile starts along K; the words have the factors around it. One that is known at run time
            only is a multiple of K.
        sf_a_granularity_k, sf_b_granularity_k: elements along K of one factor: a multiple of 32; of float4_e2m1fn 16
            or 32.
        sf_layout: the order of factors of a fragment's product, as for `T.mma_gemm_blockscaled`.

    Raises:
        TileValueError: the shapes disagree.
        TileTypeError: dtypes or memories without such a product, a barrier where none is needed, or none where one is.
        UnsupportedError: on compilation, for a target without such a product.
    """
    memory = buffer_of(C, "operand C of T.gemm_blockscaled").memory
    if (memory == "tmem") != (mbar is not None):
        needed = "needs mbar" if memory == "tmem" else "takes no mbar"
        raise TileTypeError(f"T.gemm_blockscaled with C in {memory} memory {needed}",
                            hint="products into tensor memory complete at a barrier, those into fragments at once")
    if memory == "tmem":
        tcgen05_gemm_blockscaled(
            A, B, C, SFA, SFB, transpose_A, transpose_B, clear_accum, mbar=mbar, k_start=k_start,
            sf_a_granularity_k=sf_a_granularity_k, sf_b_granularity_k=sf_b_granularity_k,
        )  # fmt: skip
        return
    mma_gemm_blockscaled(
        A, B, C, SFA, SFB, transpose_A, transpose_B, policy, clear_accum, k_start, sf_a_granularity_k,
        sf_b_granularity_k, sf_layout,
    )  # fmt: skip


def make_blockscaled_gemm_layout(C: Any, A: Any, transpose_A: bool = False) -> TensorLayout:
    """The layout that a block-scaled product gives its sums in tensor memory: row r in lane r.

        T.annotate_layout({C_tmem: T.make_blockscaled_gemm_layout(C_tmem, A_shared)})

    The compiler finds it out by itself; naming it changes nothing.

    Args:
        C: a float32 buffer of `T.alloc_tmem` of 128 rows. A, transpose_A: operand A, as in the product.

    Raises:
        TileTypeError: C is elsewhere, or of another dtype. TileValueError: the rows of A and C differ, or are not 128.
    """
    what = "T.make_blockscaled_gemm_layout"
    buffer = buffer_of(C, f"C of {what}")
    if buffer.memory != "tmem" or str(buffer.dtype) != "float32":
        raise TileTypeError(f"{what}: C is {buffer.dtype} in {buffer.memory} memory, expected float32 in tmem memory")
    rows = (extents_of(A) or [None])[-1 if transpose_A else -2]
    shape = [size for size in buffer.shape if isinstance(size, int)]
    if len(shape) != len(buffer.shape) or rows != shape[-2] or rows != _ROWS:
        raise TileValueError(
            f"{what}: C is {describe_shape(buffer.shape)} and A has {rows} rows, expected {_ROWS} of both"
        )
    return dense(shape, _COLUMN_BITS)
