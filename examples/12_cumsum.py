"""Running sums along the rows of a matrix, of any length: what top-p sampling does over a vocabulary.

A block walks along its row in tiles. `T.cumsum` scans a tile, and the last sum is carried into the next one. Eager
style.

    y = cumsum(x)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit
def cumsum(x, block_N: int = 2048, threads: int = 256):
    M, N = T.const("M, N")
    x: T.Tensor((M, N), "float32")
    y = T.empty((M, N), "float32")
    with T.Kernel(M, threads=threads) as row:
        tile = T.alloc_shared((1, block_N), "float32")
        sums = T.alloc_fragment((1, block_N), "float32")
        carry = T.alloc_fragment((1,), "float32")
        T.clear(carry)
        for k in T.serial(T.ceildiv(N, block_N)):
            T.copy(x[row, k * block_N], tile)
            T.cumsum(tile, dim=1)
            for i, j in T.Parallel(1, block_N):
                sums[i, j] = tile[i, j] + carry[i]
            T.copy(sums, y[row, k * block_N])
            for i in T.Parallel(1):
                carry[i] = carry[i] + tile[i, block_N - 1]
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
    for case in run.pick([(5, 1000, 256), (3, 257, 512)], [(4096, 128256, 2048), (32768, 4096, 2048)]):
        scan(run, *case)
    return run


if __name__ == "__main__":
    main()
