"""GEMMs of many groups in one launch, as the experts of a mixture of experts: every group has weights of its own.

`grouped_gemm` takes the rows of all groups one after another, each group padded to whole tiles; `experts` says which
group a tile of rows belongs to (-1: none, the tile is skipped). `masked_gemm` takes a fixed number of rows per group,
of which `counts` says how many are used, as when the batch must not depend on what the router decided: tiles
without used rows do nothing.

Shown here: the coordinates of a load read from a tensor, and blocks that skip their work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit(out_idx=[-1])
def grouped_gemm(M, N, K, groups, dtype="bfloat16", block_M=128, block_N=128, block_K=64, num_stages=4, threads=256):
    @T.prim_func
    def grouped_gemm_contiguous(
        A: T.Tensor((M, K), dtype),
        B: T.Tensor((groups, N, K), dtype),
        experts: T.Tensor((T.ceildiv(M, block_M),), "int32"),
        C: T.Tensor((M, N), dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.use_swizzle(8)
            expert = experts[by]
            if expert >= 0:
                T.clear(acc)
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                    T.copy(A[by * block_M, k * block_K], A_shared)
                    T.copy(B[expert, bx * block_N, k * block_K], B_shared)
                    T.gemm(A_shared, B_shared, acc, transpose_B=True)
                T.copy(acc, C[by * block_M, bx * block_N])

    return grouped_gemm_contiguous


@tilelang.jit(out_idx=[-1])
def masked_gemm(M, N, K, groups, dtype="bfloat16", block_M=128, block_N=128, block_K=64, num_stages=4, threads=256):
    @T.prim_func
    def grouped_gemm_masked(
        A: T.Tensor((groups, M, K), dtype),
        B: T.Tensor((groups, N, K), dtype),
        counts: T.Tensor((groups,), "int32"),
        C: T.Tensor((groups, M, N), dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), groups, threads=threads) as (bx, by, group):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            if by * block_M < counts[group]:
                T.clear(acc)
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                    T.copy(A[group, by * block_M, k * block_K], A_shared)
                    T.copy(B[group, bx * block_N, k * block_K], B_shared)
                    T.gemm(A_shared, B_shared, acc, transpose_B=True)
                T.copy(acc, C[group, by * block_M, bx * block_N])

    return grouped_gemm_masked


def contiguous(run: Run, sizes: Sequence[int], N: int, K: int, blocks: tuple[int, ...]) -> None:
    """`sizes`: rows of each group; one tile more is left without a group."""
    height = blocks[0] if blocks else 128
    tiles = [-(-size // height) for size in sizes]
    experts = np.repeat([*range(len(sizes)), -1], [*tiles, 1]).astype(np.int32)
    M = len(experts) * height
    kernel = run.kernel(grouped_gemm, M, N, K, len(sizes), run.dtype, *blocks)
    if run.compile_only:
        return
    a, b = run.random((M, K), run.dtype), run.random((len(sizes), N, K), run.dtype, K**-0.5)
    on_device = run.on_device(experts)
    got = kernel(a, b, on_device)
    starts = np.cumsum([0, *tiles[:-1]]) * height
    found, want = [], []
    for group, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if size:
            rows = [int(start) + row for row in run.rows(size)]
            want.append(float64(a[rows]) @ float64(b[group]).T)
            found.append(float64(got[rows]))
    run.check(f"grouped_gemm {sum(sizes)} rows, {len(sizes)} groups", np.concatenate(found), np.concatenate(want))

    def peer() -> Any:
        return [a[s : s + size] @ b[g].T for g, (s, size) in enumerate(zip(starts, sizes, strict=True))]

    run.time(lambda: kernel(a, b, on_device), peer, flops=2 * sum(sizes) * N * K)


def masked(run: Run, counts: Sequence[int], M: int, N: int, K: int, blocks: tuple[int, ...]) -> None:
    groups = len(counts)
    kernel = run.kernel(masked_gemm, M, N, K, groups, run.dtype, *blocks)
    if run.compile_only:
        return
    a, b = run.random((groups, M, K), run.dtype), run.random((groups, N, K), run.dtype, K**-0.5)
    on_device = run.on_device(np.array(counts, np.int32))
    got = kernel(a, b, on_device)
    rows = {group: run.rows(count) for group, count in enumerate(counts) if count}
    want = np.concatenate([float64(a[group, picked]) @ float64(b[group]).T for group, picked in rows.items()])
    found = np.concatenate([float64(got[group, picked]) for group, picked in rows.items()])
    run.check(f"masked_gemm {sum(counts)} of {groups * M} rows, {groups} groups", found, want)

    def peer() -> Any:
        import torch

        return torch.bmm(a, b.transpose(1, 2))  # all rows

    run.time(lambda: kernel(a, b, on_device), peer, flops=2 * sum(counts) * N * K)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small_blocks = (64, 64, 64, 2, 128)
    for sizes, N, K, blocks in run.pick(
        [((70, 1, 64), 72, 104, small_blocks), ((0, 130), 128, 200, (128, 128, 64, 2, 256))],
        # DeepSeek-V3, 8 experts of one device: up (2 x 2048) and down projections.
        [((1024,) * 8, 4096, 7168, ()), ((777, 1500, 3, 4096, 512, 129, 2048, 64), 7168, 2048, ())],
    ):
        contiguous(run, sizes, N, K, blocks)
    for counts, M, N, K, blocks in run.pick(
        [((5, 0, 70), 72, 72, 104, small_blocks)], [((96, 31, 0, 64, 128, 77, 1, 115), 1024, 4096, 7168, ())]
    ):
        masked(run, counts, M, N, K, blocks)
    return run


if __name__ == "__main__":
    main()
