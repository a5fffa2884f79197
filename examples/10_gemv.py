"""A matrix times a vector, y = W @ x: decoding one token reads every weight once, so memory speed is all that counts.

Each block takes `rows` rows and walks along them in tiles, eight elements per load. Products accumulate per element
of the tile in float32, and one reduction at the end sums them across the threads of the block. Eager style.

    y = gemv(w, x)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit
def gemv(w, x, dtype: str = "float16", rows: int = 4, block_K: int = 1024, threads: int = 128):
    N, K = T.const("N, K")
    w: T.Tensor((N, K), dtype)
    x: T.Tensor((K,), dtype)
    y = T.empty((N,), "float32")
    with T.Kernel(T.ceildiv(N, rows), threads=threads) as block:
        tile = T.alloc_fragment((rows, block_K), dtype)
        products = T.alloc_fragment((rows, block_K), "float32")
        sums = T.alloc_fragment((rows,), "float32")
        T.clear(products)
        for k in T.serial(T.ceildiv(K, block_K)):
            T.copy(w[block * rows, k * block_K], tile)
            for i, j in T.Parallel(rows, block_K):
                products[i, j] += T.cast(tile[i, j], "float32") * T.cast(x[k * block_K + j], "float32")
        T.reduce_sum(products, sums, dim=1)
        T.copy(sums, y[block * rows])
    return y


def reference(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    return w @ x


def multiply(run: Run, N: int, K: int, rows: int, block_K: int) -> None:
    kernel = run.kernel(gemv, N=N, K=K, dtype=run.dtype, rows=rows, block_K=block_K)
    if run.compile_only:
        return
    w, x = run.random((N, K), run.dtype), run.random((K,), run.dtype)
    sample = run.rows(N)
    want = reference(float64(w[sample]), float64(x))
    run.check(f"gemv {N}x{K} {run.dtype}", kernel(w, x)[sample], want, "float32")
    run.time(lambda: kernel(w, x), lambda: w @ x, bytes_moved=2 * N * K)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    real = [(14336, 4096, 4, 1024), (8192, 28672, 4, 1024), (128256, 4096, 4, 1024)]  # MLPs; logits over the vocabulary
    for case in run.pick([(100, 1024, 4, 256), (37, 700, 2, 256)], real):
        multiply(run, *case)
    return run


if __name__ == "__main__":
    main()
