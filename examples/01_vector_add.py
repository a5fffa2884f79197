"""Vector addition, in the eager style: call the kernel with arrays and it compiles for their sizes.

Shown here: `T.const` sizes read off the arguments, an output made with `T.empty`, a grid of blocks, and
`T.Parallel`, which spreads iterations over the threads of a block. The loop becomes 16-byte loads and stores, and
the last block is guarded because its tile may reach past the end.

    c = vector_add(a, b)
"""

from __future__ import annotations

from collections.abc import Sequence

from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit
def vector_add(a, b, block: int = 1024):
    n = T.const("n")
    a: T.Tensor((n,), "float32")
    b: T.Tensor((n,), "float32")
    c = T.empty((n,), "float32")
    with T.Kernel(T.ceildiv(n, block), threads=256) as bx:
        for i in T.Parallel(block):
            c[bx * block + i] = a[bx * block + i] + b[bx * block + i]
    return c


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    n = run.pick(10_007, 1 << 26)
    kernel = run.kernel(vector_add, n=n)
    if run.compile_only:
        return run
    a, b = run.random((n,)), run.random((n,))
    run.check(f"vector add of {n}", kernel(a, b), float64(a) + float64(b), "float32")
    run.time(lambda: kernel(a, b), lambda: a + b, bytes_moved=12 * n)
    return run


if __name__ == "__main__":
    main()
