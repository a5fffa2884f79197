"""Running sums along the rows of a matrix, of any length: what top-p sampling does over a vocabulary.

A block walks along its row in tiles, and loads the next ones ahead. `T.cumsum` scans a tile in registers; the sum of
all of it is carried into the next one. Eager style.

    y = cumsum(x)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit
def cumsum(x, block_N: int = 1024, threads: int = 256, num_stages: int = 2):
    M, N = T.const("M, N")
    x: T.Tensor((M, N), "float32")
    y = T.empty((M, N), "float32")
    with T.Kernel(M, threads=threads) as row:
        tile = T.alloc_shared((1, block_N), "float32")
        sums = T.alloc_fragment((1, block_N), "float32")
        total = T.alloc_fragment((1,), "float32")
        carry = T.alloc_fragment((1,), "float32")
        T.clear(carry)
        for k in T.Pipelined(T.ceildiv(N, block_N), num_stages=num_stages):
            T.copy(x[row, k * block_N], tile)
            T.copy(tile, sums)
            T.reduce_sum(sums, total, dim=1)
            T.cumsum(sums, dim=1)
            for i, j in T.Parallel(1, block_N):
                sums[i, j] = sums[i, j] + carry[i]
            T.copy(sums, y[row, k * block_N])
            for i in T.Parallel(1):
                carry[i] = carry[i] + total[i]
    return y


def reference(x: np.ndarray) -> np.ndarray:
    return np.cumsum(x, axis=1)


def scan(run: Run, M: int, N: int, block_N: int) -> None:
    kernel = run.kernel(cumsum, M=M, N=N, block_N=block_N)
    if run.compile_only:
        return
    x = run.random((M, N))
    rows = run.rows(M)
    run.check(f"cumsum {M}x{N}", kernel(x)[rows], reference(float64(x[rows])), "float32")
    run.time(lambda: kernel(x), lambda: x.cumsum(1), bytes_moved=8 * M * N)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    for case in run.pick([(5, 1000, 256), (3, 257, 512)], [(4096, 128256, 1024), (32768, 4096, 1024)]):
        scan(run, *case)
    return run


if __name__ == "__main__":
    main()
