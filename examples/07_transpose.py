"""Matrix transpose through shared memory, so that both the reads and the writes of global memory are contiguous.

Shown here: a shared tile with a padding column, which spreads a column of the tile over the banks of shared memory,
and parallel loops that the compiler turns into 16-byte loads and stores of global memory on both sides. Sizes need
not be multiples of the tile: global memory is guarded at the edges.
"""

from __future__ import annotations

from collections.abc import Sequence

from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit
def transpose(x, dtype: str = "float16", block: int = 64, threads: int = 256):
    M, N = T.const("M, N")
    x: T.Tensor((M, N), dtype)
    y = T.empty((N, M), dtype)
    with T.Kernel(T.ceildiv(N, block), T.ceildiv(M, block), threads=threads) as (bx, by):
        tile = T.alloc_shared((block, block + 1), dtype)
        for i, j in T.Parallel(block, block):
            tile[i, j] = x[by * block + i, bx * block + j]
        for i, j in T.Parallel(block, block):
            y[bx * block + i, by * block + j] = tile[j, i]
    return y


def turn(run: Run, M: int, N: int) -> None:
    kernel = run.kernel(transpose, M=M, N=N, dtype=run.dtype)
    if run.compile_only:
        return
    x = run.random((M, N), run.dtype)
    rows = run.rows(N)
    run.check(f"transpose {M}x{N} {run.dtype}", kernel(x)[rows], float64(x[:, rows]).T, "float32")
    run.time(lambda: kernel(x), lambda: x.T.contiguous(), bytes_moved=2 * M * N * 2)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    for case in run.pick([(192, 128), (100, 77)], [(14336, 4096), (28672, 8192)]):
        turn(run, *case)
    return run


if __name__ == "__main__":
    main()
