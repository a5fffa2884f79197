"""A program written for TileLang: an eager kernel, checked with torch on "cuda"."""

import argparse

import tilelang
import tilelang.language as T
import tilelang.testing
import torch
from tilelang.profiler import cached, do_bench


@tilelang.jit
def scale_rows(X, S, block_M: int = 16, threads: int = 64):
    M, N = T.const("M, N")
    X: T.Tensor[[M, N], T.float32]
    S: T.Tensor[[M], T.float32]
    Y = T.empty((M, N), T.float32)
    with T.Kernel(T.ceildiv(M, block_M), threads=threads) as bx:
        tile = T.alloc_shared((block_M, N), T.float32)
        T.copy(X[bx * block_M, 0], tile)
        for i, j in T.Parallel(block_M, N):
            tile[i, j] = tile[i, j] * S[bx * block_M + i]
        T.copy(tile, Y[bx * block_M, 0])
    return Y


n = T.dynamic("n")


@tilelang.jit(out_idx=-1)
@T.prim_func
def halves(X: T.Tensor((n,), "float32"), Y: T.Tensor((n,), "float32")):
    with T.Kernel(T.ceildiv(n, 64), threads=64) as bx:
        for i in T.Parallel(64):
            Y[bx * 64 + i] = X[bx * 64 + i] / 2


def thirds(size):
    @T.prim_func
    def kernel(X: T.Tensor((size,), "float32"), Y: T.Tensor((size,), "float32")):
        with T.Kernel(1, threads=64):
            for i in T.Parallel(size):
                Y[i] = X[i] / 3

    return kernel


def main(m: int, n: int) -> None:
    tilelang.testing.set_random_seed(0)
    x = torch.randn(m, n, device="cuda")
    s = torch.randn(m, device="cuda")
    y = scale_rows(x, s)
    torch.cuda.synchronize()
    tilelang.testing.torch_assert_close(y, x * s[:, None], rtol=1e-5, atol=1e-5)
    assert isinstance(halves, tilelang.JITKernel)  # the decorator above a prim_func compiles at once
    tilelang.testing.torch_assert_close(halves(s), s / 2, rtol=0, atol=0)
    assert cached(thirds, [1], m) is cached(thirds, [1], m) is not cached(thirds, [1], n)
    tilelang.testing.torch_assert_close(cached(thirds, [1], m)(s), s / 3, rtol=1e-6, atol=1e-6)
    latency = do_bench(lambda: scale_rows(x, s), _n_warmup=1, _n_repeat=1)
    print(f"ok {m}x{n} on {torch.cuda.get_device_name()} in {latency > 0}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--m", type=int, default=33)
    parser.add_argument("--n", type=int, default=40)
    options = parser.parse_args()
    main(options.m, options.n)
