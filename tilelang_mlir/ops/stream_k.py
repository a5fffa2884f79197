"""Products of matrices whose tiles are too few for the machine, or leave its last wave nearly empty: stream-K.

A grid of CTAs shares the steps of K of the first tiles evenly, whatever tile they belong to; what is left of the tiles
fills whole waves, as without sharing. A CTA that starts in the middle of a tile hands its sums over in device memory;
the one that has the start of the tile adds the parts of the others to its own, in the order of K, and stores the tile.
So results do not depend on what happens to run first.

* Parts are handed over from registers to registers: thread by thread, in the order of the registers, each with a flag
  of its own that it releases and that its counterpart acquires. No barrier is needed.
* A CTA waits for those that started before it only, so that it never keeps one from running that it waits for.
* A first kernel clears the flags; the second starts beside it and waits for its end before it does anything else.

Where `sharers` is a multiple of `shared`, every CTA has the same part of its tile (split-K): then all work on the same
rows and columns of K at the same time, which the L2 cache needs where A and B do not fit. Even shares of other numbers
run apart: they were slower in every case measured, by up to a half.

Source: Osama et al., "Stream-K: Work-centric Parallel Decomposition for Dense Matrix-Matrix Multiplication on the GPU",
2023.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.ops.product_tiles import add_product, load_tiles, store_sums
from tilelang_mlir.ops.split_k import hand_over, take_over
from tilelang_mlir.ops.tiling import Tiling

GROUP = 8  # rows of tiles that are walked column by column


def stream_program(
    M: int, N: int, K: int, dtype: str, out_dtype: str, tiling: Tiling, shared: int, sharers: int, ctas: int,
    *, trans_A: bool = False, trans_B: bool = True,
) -> Any:  # fmt: skip
    """C[M, N] = A[M, K] B[K, N] by `ctas` CTAs, of which `sharers` share the first `shared` tiles.

    A is stored as [K, M] with `trans_A`, B as [N, K] with `trans_B`. All CTAs have to fit the machine at once.
    """
    block_M, block_N, block_K = tiling.block_M, tiling.block_N, tiling.block_K
    rows, columns, steps = -(-M // block_M), -(-N // block_N), -(-K // block_K)
    whole, total = rows * columns - shared, shared * steps
    shape_A, tile_A = ((K, M), (block_K, block_M)) if trans_A else ((M, K), (block_M, block_K))
    shape_B, tile_B = ((N, K), (block_N, block_K)) if trans_B else ((K, N), (block_K, block_N))

    @T.prim_func
    def matmul_stream(A: T.Tensor(shape_A, dtype), B: T.Tensor(shape_B, dtype), C: T.Tensor((M, N), out_dtype)):
        Parts = T.alloc_global((sharers, tiling.sums[0] // 64, tiling.sums[1] // 8, 128, 4), "float32")
        Flags = T.alloc_global((sharers, tiling.threads), "int32")
        with T.Kernel(sharers, threads=tiling.threads) as slot:
            T.pdl_trigger()
            for t in T.Parallel(tiling.threads):
                Flags[slot, t] = 0
        with T.Kernel(ctas, threads=tiling.threads) as cta:
            T.pdl_sync()
            A_shared, B_shared = T.alloc_shared(tile_A, dtype), T.alloc_shared(tile_B, dtype)
            sums = T.alloc_fragment(tiling.sums, "float32")
            slot = sharers - 1 - cta  # who waits, waits for CTAs that started before
            begin = T.if_then_else(slot >= 0, slot * total // sharers, 0)
            end = T.if_then_else(slot >= 0, (slot + 1) * total // sharers, 0)
            tile_0 = begin // steps
            pieces = T.if_then_else(slot >= 0, T.ceildiv(end, steps) - tile_0, 0)
            for p in T.serial(pieces + T.max(T.ceildiv(whole - cta, ctas), 0)):
                tile = T.if_then_else(p < pieces, tile_0 + p, shared + cta + (p - pieces) * ctas)
                first = T.if_then_else(p < pieces, T.max(begin - tile * steps, 0), 0)
                last = T.if_then_else(p < pieces, T.min(end - tile * steps, steps), steps)
                top = tile // (GROUP * columns) * GROUP
                height = T.min(rows - top, GROUP)
                by = top + tile % (GROUP * columns) % height
                bx = tile % (GROUP * columns) // height
                T.clear(sums)
                for k in T.Pipelined(last - first, num_stages=tiling.stages):
                    at = (first + k) * block_K
                    load_tiles(A, B, A_shared, B_shared, by * block_M, bx * block_N, at, trans_A, trans_B)
                    add_product(A_shared, B_shared, sums, trans_A, trans_B, tiling.swapped)
                if first > 0:
                    hand_over(sums, Parts, Flags, slot)
                else:
                    others = T.if_then_else(last < steps, ((tile + 1) * steps * sharers - 1) // total - slot, 0)
                    for other in T.serial(others):
                        take_over(sums, Parts, Flags, slot + 1 + other)
                    store_sums(sums, C, by * block_M, bx * block_N, tiling.swapped)

    return matmul_stream
