"""GEMMs of many groups in one launch, as the experts of a mixture of experts: every group has weights of its own.

`grouped_gemm` takes the rows of all groups one after another, each group padded to whole tiles; `experts` says which
group a tile of rows belongs to (-1: none, the tile is skipped). `masked_gemm` takes a fixed number of rows per group,
of which `counts` says how many are used, as when the batch must not depend on what the router decided: tiles
without used rows do nothing. `packed_gemm` takes rows without any padding, and where each group starts from device
memory: a tile at the end of a group must not write the rows of the next one.

The programs are those of the ready operations `ops.grouped_matmul`, `ops.masked_matmul` (tilelang_mlir/ops/grouped.py)
and `ops.packed_matmul` (tilelang_mlir/ops/packed.py). Shown there: the coordinates of a load read from a tensor, blocks
that skip their work, and a view of rows that the kernel counts, through which bulk copies store them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

from tilelang_mlir.ops import Tiling, grouped_gemm, grouped_tiling, masked_gemm, packed_gemm


def contiguous(run: Run, sizes: Sequence[int], N: int, K: int, tiling: Tiling) -> None:
    """`sizes`: rows of each group; one tile more is left without a group."""
    height = tiling.block_M
    tiles = [-(-size // height) for size in sizes]
    experts = np.repeat([*range(len(sizes)), -1], [*tiles, 1]).astype(np.int32)
    M = len(experts) * height
    kernel = run.kernel(grouped_gemm, M, N, K, len(sizes), run.dtype, tiling)
    if run.compile_only:
        return
    a, b = run.random((M, K), run.dtype), run.random((len(sizes), N, K), run.dtype, K**-0.5)
    on_device = run.on_device(experts)
    got = kernel(a, b, on_device)
    starts = np.cumsum([0, *tiles[:-1]]) * height
    _compare(run, "grouped_gemm", (a, b, got), starts, sizes)
    run.time(lambda: kernel(a, b, on_device), lambda: _one_by_one(a, b, starts, sizes), flops=2 * sum(sizes) * N * K)


def masked(run: Run, counts: Sequence[int], M: int, N: int, K: int, tiling: Tiling) -> None:
    groups = len(counts)
    kernel = run.kernel(masked_gemm, M, N, K, groups, run.dtype, tiling)
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


def packed(run: Run, sizes: Sequence[int], N: int, K: int, tiling: Tiling) -> None:
    """Groups of `sizes` rows, one right after the other."""
    offsets = np.cumsum([0, *sizes]).astype(np.int32)
    M = int(offsets[-1])
    kernel = run.kernel(packed_gemm, N, K, len(sizes), run.dtype, tiling)
    if run.compile_only:
        return
    a, b = run.random((M, K), run.dtype), run.random((len(sizes), N, K), run.dtype, K**-0.5)
    on_device = run.on_device(offsets)
    got = kernel(a, b, on_device)
    _compare(run, "packed_gemm", (a, b, got), offsets[:-1], sizes)
    run.time(lambda: kernel(a, b, on_device), lambda: _one_by_one(a, b, offsets[:-1], sizes), flops=2 * M * N * K)


def _compare(run: Run, name: str, tensors: tuple[Any, Any, Any], starts: np.ndarray, sizes: Sequence[int]) -> None:
    """Some rows of each group of A, B and C; group g has `sizes[g]` rows from `starts[g]` on."""
    a, b, got = tensors
    found, want = [], []
    for group, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if size:
            rows = [int(start) + row for row in run.rows(size)]
            want.append(float64(a[rows]) @ float64(b[group]).T)
            found.append(float64(got[rows]))
    run.check(f"{name} {sum(sizes)} rows, {len(sizes)} groups", np.concatenate(found), np.concatenate(want))


def _one_by_one(a: Any, b: Any, starts: np.ndarray, sizes: Sequence[int]) -> list[Any]:
    """The products of the groups, each by the vendor's library."""
    return [a[s : s + size] @ b[g].T for g, (s, size) in enumerate(zip(starts, sizes, strict=True))]


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    large, few = grouped_tiling(run.target), Tiling(64, 64, 64, 2, 128)
    for sizes, N, K, tiling in run.pick(
        [((70, 1, 64), 72, 104, few), ((0, 130), 128, 200, Tiling(128, 128, 64, 2, 256))],
        # DeepSeek-V3, 8 experts of one device: up (2 x 2048) and down projections.
        [((1024,) * 8, 4096, 7168, large), ((777, 1500, 3, 4096, 512, 129, 2048, 64), 7168, 2048, large)],
    ):
        contiguous(run, sizes, N, K, tiling)
        packed(run, sizes, N, K, tiling)
    for counts, M, N, K, tiling in run.pick(
        [((5, 0, 70), 72, 72, 104, few)], [((96, 31, 0, 64, 128, 77, 1, 115), 1024, 4096, 7168, large)]
    ):
        masked(run, counts, M, N, K, tiling)
    return run


if __name__ == "__main__":
    main()
