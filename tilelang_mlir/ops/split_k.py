"""Products of few tiles: K is split into parts, which run side by side and whose sums are added in the order of K.

Two ways to add them. A second kernel may (`split_program`), which costs its start and the way of all sums through the
L2 cache; or the CTA of the first part adds those of the others one after the other (`fused_program`), which is better
for two parts of large tiles. Either way the second kernel starts beside the first one (programmatic dependent launch).

Sums that are handed over go from registers to registers: thread by thread, in the order of the registers, each with a
flag of its own that it releases and that its counterpart acquires. No barrier is needed. A first kernel clears the
flags; the product waits for its end where it needs them, after its loop. The first part is the last one to start, so
that no CTA keeps one from running that it waits for.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.ops.product_tiles import add_product, load_tiles, store_sums
from tilelang_mlir.ops.tiling import Tiling


@T.macro
def _place(i: Any, j: Any) -> Any:
    """Which thread of a warpgroup holds an element of its product, and in which of four registers of 8 columns."""
    return i % 64 // 16 * 32 + i % 8 * 4 + j % 8 // 2, i // 8 % 2 * 2 + j % 2


@T.macro
def hand_over(sums: Any, parts: Any, flags: Any, slot: Any) -> None:
    """Store sums in the order of the registers, and say so."""
    rows, columns = sums.shape
    for i, j in T.Parallel(rows, columns):
        thread, register = _place(i, j)
        parts[slot, i // 64, j // 8, thread, register] = sums[i, j]
    for t in T.Parallel(flags.shape[1]):
        T.atomic_store(flags[slot, t], 1, "release")


@T.macro
def take_over(sums: Any, parts: Any, flags: Any, slot: Any) -> None:
    """Wait for the sums of another CTA and add them."""
    rows, columns = sums.shape
    for t in T.Parallel(flags.shape[1]):
        while T.atomic_load(flags[slot, t], "acquire") == 0:
            T.evaluate(0)
    for i, j in T.Parallel(rows, columns):
        thread, register = _place(i, j)
        sums[i, j] += parts[slot, i // 64, j // 8, thread, register]


def split_program(
    M: int, N: int, K: int, dtype: str, out_dtype: str, tiling: Tiling,
    *, trans_A: bool = False, trans_B: bool = True, early: bool = False,
) -> Any:  # fmt: skip
    """C[M, N] = A[M, K] B[K, N] with K in `tiling.parts` parts, whose sums a second kernel adds in their order.

    With `early` the second kernel is launched while the first one runs (programmatic dependent launch).
    """
    block_M, block_N, block_K, parts = tiling.block_M, tiling.block_N, tiling.block_K, tiling.parts
    shape_A, tile_A = ((K, M), (block_K, block_M)) if trans_A else ((M, K), (block_M, block_K))
    shape_B, tile_B = ((N, K), (block_N, block_K)) if trans_B else ((K, N), (block_K, block_N))
    steps = -(-K // (block_K * parts))  # what lies behind K reads as zero
    rows, columns = 8, 128  # of a CTA that adds
    swapped = tiling.swapped
    shape, piece = ((N, M), (columns, rows)) if swapped else ((M, N), (rows, columns))

    @T.prim_func
    def matmul_split(A: T.Tensor(shape_A, dtype), B: T.Tensor(shape_B, dtype), C: T.Tensor((M, N), out_dtype)):
        Parts = T.alloc_global((parts, *shape), "float32")
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), parts, threads=tiling.threads) as (bx, by, part):
            if early:
                T.pdl_trigger()
            A_shared, B_shared = T.alloc_shared(tile_A, dtype), T.alloc_shared(tile_B, dtype)
            sums = T.alloc_fragment(tiling.sums, "float32")
            T.clear(sums)
            for step in T.Pipelined(steps, num_stages=tiling.stages):
                k = (part * steps + step) * block_K
                load_tiles(A, B, A_shared, B_shared, by * block_M, bx * block_N, k, trans_A, trans_B)
                add_product(A_shared, B_shared, sums, trans_A, trans_B, swapped)
            if swapped:
                T.copy(sums, Parts[part, bx * block_N : (bx + 1) * block_N, by * block_M : (by + 1) * block_M])
            else:
                T.copy(sums, Parts[part, by * block_M : (by + 1) * block_M, bx * block_N : (bx + 1) * block_N])
        with T.Kernel(T.ceildiv(N, columns), T.ceildiv(M, rows), threads=128) as (bx, by):
            if early:
                T.pdl_sync()
            total, more = T.alloc_fragment(piece, "float32"), T.alloc_fragment(piece, "float32")
            T.clear(total)
            for part in T.unroll(parts):
                if swapped:
                    T.copy(Parts[part, bx * columns : (bx + 1) * columns, by * rows : (by + 1) * rows], more)
                else:
                    T.copy(Parts[part, by * rows : (by + 1) * rows, bx * columns : (bx + 1) * columns], more)
                for i, j in T.Parallel(*piece):
                    total[i, j] += more[i, j]
            store_sums(total, C, by * rows, bx * columns, swapped)

    return matmul_split


def fused_program(
    M: int, N: int, K: int, dtype: str, out_dtype: str, tiling: Tiling, *, trans_A: bool = False, trans_B: bool = True
) -> Any:
    """C[M, N] = A[M, K] B[K, N] with K in `tiling.parts` parts, whose CTAs have to fit the machine at once."""
    block_M, block_N, block_K, parts = tiling.block_M, tiling.block_N, tiling.block_K, tiling.parts
    shape_A, tile_A = ((K, M), (block_K, block_M)) if trans_A else ((M, K), (block_M, block_K))
    shape_B, tile_B = ((N, K), (block_N, block_K)) if trans_B else ((K, N), (block_K, block_N))
    steps = -(-K // (block_K * parts))  # what lies behind K reads as zero
    rows, columns = -(-M // block_M), -(-N // block_N)
    slots = rows * columns * (parts - 1)
    height, width = tiling.sums

    @T.prim_func
    def matmul_fused(A: T.Tensor(shape_A, dtype), B: T.Tensor(shape_B, dtype), C: T.Tensor((M, N), out_dtype)):
        Parts = T.alloc_global((slots, height // 64, width // 8, 128, 4), "float32")
        Flags = T.alloc_global((slots, tiling.threads), "int32")
        with T.Kernel(slots, threads=tiling.threads) as slot:
            T.pdl_trigger()
            for t in T.Parallel(tiling.threads):
                Flags[slot, t] = 0
        with T.Kernel(columns, rows, parts, threads=tiling.threads) as (bx, by, bz):
            A_shared, B_shared = T.alloc_shared(tile_A, dtype), T.alloc_shared(tile_B, dtype)
            sums = T.alloc_fragment(tiling.sums, "float32")
            part = parts - 1 - bz
            T.clear(sums)
            for step in T.Pipelined(steps, num_stages=tiling.stages):
                k = (part * steps + step) * block_K
                load_tiles(A, B, A_shared, B_shared, by * block_M, bx * block_N, k, trans_A, trans_B)
                add_product(A_shared, B_shared, sums, trans_A, trans_B, tiling.swapped)
            T.pdl_sync()
            slot = (by * columns + bx) * (parts - 1)
            if part > 0:
                hand_over(sums, Parts, Flags, slot + part - 1)
            else:
                for other in T.serial(parts - 1):
                    take_over(sums, Parts, Flags, slot + other)
                store_sums(sums, C, by * block_M, bx * block_N, tiling.swapped)

    return matmul_fused
