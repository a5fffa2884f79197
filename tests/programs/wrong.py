"""A program with a mistake, whose message is shown without a traceback."""

import tilelang
import tilelang.language as T


@tilelang.jit
def wrong(n):
    @T.prim_func
    def main(A: T.Tensor((n,), "float32")):
        with T.Kernel(1) as bx:
            A[bx, 0] = 1.0

    return main


wrong(4)
