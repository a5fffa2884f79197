"""A GEMM whose number of rows is known only when it is called: one compiled kernel serves every batch size.

Shown here: `T.dynamic`, a size that stays symbolic in the kernel. The grid depends on it, the last row of tiles is
guarded, and the runtime reads its value off the arguments. B is stored as (N, K), as the weights of a linear layer
are, and multiplied as its transpose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit(out_idx=[-1])
def linear(N, K, dtype="float16", block_M=128, block_N=128, block_K=64, num_stages=3):
    m = T.dynamic("m")

    @T.prim_func
    def linear_any_m(A: T.Tensor((m, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((m, N), dtype)):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(m, block_M), threads=128) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[by * block_M, k * block_K], A_shared)
                T.copy(B[bx * block_N, k * block_K], B_shared)
                T.gemm(A_shared, B_shared, acc, transpose_B=True)
            T.copy(acc, C[by * block_M, bx * block_N])

    return linear_any_m


def reference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ b.T


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    N, K = run.pick((72, 96), (14336, 4096))
    kernel = run.kernel(linear, N, K, run.dtype, *run.pick((64, 64, 32), (128, 128, 64)))
    if run.compile_only:
        return run
    b = run.random((N, K), run.dtype, K**-0.5)
    for m in run.pick([1, 64, 77, 130], [1, 17, 512, 4096]):
        a = run.random((m, K), run.dtype)
        rows = run.rows(m)
        want = reference(float64(a[rows]), float64(b))
        run.check(f"linear m={m} {N}x{K} {run.dtype}", kernel(a, b)[rows], want)
        run.time(lambda a=a: kernel(a, b), lambda a=a: a @ b.T, flops=2 * m * N * K)
    return run


if __name__ == "__main__":
    main()
