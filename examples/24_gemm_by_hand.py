"""A GEMM whose warp roles, barriers and asynchronous copies are written by hand, for comparison and for learning.

Example 3 is the same product without a word of all this: there the compiler makes the roles, the ring of stages and
the loop over tiles. Here a CTA walks over tiles of C (persistent). Warpgroup 2 loads tiles of A and B into a ring of
stages with the tensor memory accelerator; warpgroups 0 and 1 multiply them, 64 rows each, with one product under way
while the next one is issued. Stage s is `full[s]` when its bytes have arrived and `empty[s]` when both consumers have
read it; the parity of a wait counts how often the ring went round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.target import Feature

NEEDS = Feature.WGMMA
CONSUMERS = 2  # warpgroups


@tilelang.jit(out_idx=[-1])
def gemm_by_hand(M, N, K, dtype="float16", block_M=128, block_N=256, block_K=64, num_stages=3, group=16, ctas=132):
    rows, columns, steps = -(-M // block_M), -(-N // block_N), -(-K // block_K)
    tiles = rows * columns

    @T.prim_func
    def gemm_producer_consumers(
        A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((M, N), dtype)
    ):
        with T.Kernel(min(ctas, tiles), threads=128 * (CONSUMERS + 1)) as cta:
            A_shared = T.alloc_shared((num_stages, block_M, block_K), dtype)
            B_shared = T.alloc_shared((num_stages, block_N, block_K), dtype)
            C_shared = T.alloc_shared((block_M, block_N), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            full = T.alloc_barrier([2] * num_stages)  # the loads of A and of B
            empty = T.alloc_barrier([128 * CONSUMERS] * num_stages)
            mine = T.ceildiv(tiles - cta, min(ctas, tiles))
            with T.ws(CONSUMERS):
                T.dec_max_nreg(40)
                for t in T.serial(mine):
                    by, bx = place(cta + t * min(ctas, tiles), rows, columns, group)
                    for k in T.serial(steps):
                        turn = t * steps + k
                        stage = turn % num_stages
                        T.barrier_wait(empty[stage], (turn // num_stages + 1) % 2)
                        T.tma_copy(A[by * block_M, k * block_K], A_shared[stage, :, :], barrier=full[stage])
                        T.tma_copy(B[bx * block_N, k * block_K], B_shared[stage, :, :], barrier=full[stage])
            with T.ws(0, 1):
                T.inc_max_nreg(232)
                for t in T.serial(mine):
                    by, bx = place(cta + t * min(ctas, tiles), rows, columns, group)
                    T.clear(acc)
                    for k in T.serial(steps):
                        turn = t * steps + k
                        stage = turn % num_stages
                        T.barrier_wait(full[stage], turn // num_stages % 2)
                        T.wgmma_gemm(A_shared[stage, :, :], B_shared[stage, :, :], acc, transpose_B=True)
                        T.wait_wgmma(1)
                        if k > 0:  # the product before this one has read its stage
                            T.barrier_arrive(empty[(turn - 1) % num_stages])
                    T.wait_wgmma(0)
                    T.barrier_arrive(empty[(t * steps + steps - 1) % num_stages])
                    T.copy(acc, C_shared)
                    T.copy(C_shared, C[by * block_M, bx * block_N])

    return gemm_producer_consumers


@T.macro
def place(tile: Any, rows: int, columns: int, group: int) -> Any:
    """Row and column of a tile: `group` rows of tiles are walked through column by column, so that they share loads."""
    first = tile // (group * columns) * group
    height = T.min(group, rows - first)
    inside = tile % (group * columns)
    return first + inside % height, inside // height


def multiply(run: Run, M: int, N: int, K: int, blocks: tuple[int, ...]) -> None:
    kernel = run.kernel(gemm_by_hand, M, N, K, run.dtype, *blocks)
    if run.compile_only:
        return
    a, b = run.random((M, K), run.dtype), run.random((N, K), run.dtype)
    rows = run.rows(M)
    run.check(f"gemm_by_hand {M}x{N}x{K}", kernel(a, b)[rows], float64(a[rows]) @ float64(b).T)
    run.time(lambda: kernel(a, b), lambda: a @ b.T, flops=2 * M * N * K)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    # Small: 3 x 2 tiles on two CTAs, with tails everywhere.
    small = [(300, 200, 136, (128, 128, 64, 2, 2, 2))]
    real = [(4096, 4096, 4096, ()), (8192, 8192, 8192, ())]
    for case in run.pick(small, real):
        multiply(run, *case)
    return run


if __name__ == "__main__":
    main()
