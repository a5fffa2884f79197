"""Kernels written in Python, traced and evaluated, against numpy."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir.errors import DeadlockError, DeviceAssertError, UninitializedReadError
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.reference import evaluate


def run(kernel: PrimFunc, *args: object) -> list[str]:
    return evaluate(kernel.module, kernel.name, args)


def _error(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want))


def test_gemm_odd_sizes() -> None:
    M, N, K = 100, 75, 50

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, 32), T.ceildiv(M, 64), threads=128) as (bx, by):
            A_shared = T.alloc_shared((64, 32), "float16")
            B_shared = T.alloc_shared((32, 32), "float16")
            acc = T.alloc_fragment((64, 32), "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, 32), num_stages=2):
                T.copy(A[by * 64, k * 32], A_shared)
                T.copy(B[k * 32, bx * 32], B_shared)
                T.gemm(A_shared, B_shared, acc)
            T.copy(acc, C[by * 64, bx * 32])

    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(np.float16) for s in ((M, K), (K, N)))
    c = np.full((M, N), np.nan, np.float32)
    run(main, a, b, c)
    assert _error(c, a.astype(np.float64) @ b.astype(np.float64)) < 1e-6


def test_softmax_rows() -> None:
    M, N = 37, 50

    @T.prim_func
    def main(X: T.Tensor((M, N), "float32"), Y: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(M, 8), threads=64) as bx:
            x = T.alloc_fragment((8, N), "float32")
            top = T.alloc_fragment((8,), "float32")
            total = T.alloc_fragment((8,), "float32")
            T.copy(X[bx * 8, 0], x)
            T.reduce_max(x, top, dim=1)
            for i, j in T.Parallel(8, N):
                x[i, j] = T.exp(x[i, j] - top[i])
            T.reduce_sum(x, total, dim=1)
            for i, j in T.Parallel(8, N):
                x[i, j] = x[i, j] / total[i]
            T.copy(x, Y[bx * 8, 0])

    x = np.random.default_rng(1).standard_normal((M, N)).astype(np.float32) * 4
    y = np.full((M, N), np.nan, np.float32)
    run(main, x, y)
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    assert _error(y, e / e.sum(1, keepdims=True)) < 1e-6


def test_masked_elements_and_bfloat16() -> None:
    N = 131

    @T.prim_func
    def main(X: T.Tensor((N,), "bfloat16"), Y: T.Tensor((N,), "bfloat16")):
        with T.Kernel(T.ceildiv(N, 32), threads=32) as bx:
            for i in T.Parallel(32):
                k = bx * 32 + i
                if k < N:
                    Y[k] = T.if_then_else(k % 3 == 0, X[k] * 2, X[k] + 1)

    x = np.random.default_rng(2).standard_normal(N).astype(ml_dtypes.bfloat16)
    y = np.full(N, 99, ml_dtypes.bfloat16)
    run(main, x, y)
    wide = x.astype(np.float32)
    want = np.where(np.arange(N) % 3 == 0, wide * 2, wide + 1)
    assert _error(y, want) < 1e-2
    np.testing.assert_array_equal(y, want.astype(ml_dtypes.bfloat16))


def test_cumsum_and_reduce_over_rows() -> None:
    @T.prim_func
    def main(X: T.Tensor((6, 5), "float32"), Y: T.Tensor((6, 5), "float32"), Z: T.Tensor((5,), "float32")):
        with T.Kernel(1, threads=32) as _:
            s = T.alloc_shared((6, 5), "float32")
            z = T.alloc_fragment((5,), "float32")
            T.copy(X, s)
            T.reduce_absmax(s, z, dim=0)
            T.copy(z, Z)
            T.cumsum(s, dim=1, reverse=True)
            T.copy(s, Y)

    x = np.random.default_rng(3).standard_normal((6, 5)).astype(np.float32)
    y, z = np.full((6, 5), np.nan, np.float32), np.full(5, np.nan, np.float32)
    run(main, x, y, z)
    assert _error(y, np.cumsum(x[:, ::-1].astype(np.float64), 1)[:, ::-1]) < 1e-6
    np.testing.assert_array_equal(z, np.abs(x).max(0))


def test_histogram_by_atomics() -> None:
    N = 200

    @T.prim_func
    def main(X: T.Tensor((N,), "int32"), H: T.Tensor((7,), "int32")):
        with T.Kernel(2, threads=64) as bx:
            for i in T.Parallel(N // 2):
                T.atomic_add(H[X[bx * (N // 2) + i]], 1)

    x = np.random.default_rng(4).integers(0, 7, N).astype(np.int32)
    h = np.zeros(7, np.int32)
    run(main, x, h)
    np.testing.assert_array_equal(h, np.bincount(x, minlength=7))


def test_warp_shuffles_and_votes() -> None:
    @T.prim_func
    def main(X: T.Tensor((64,), "float32"), Y: T.Tensor((64,), "float32"), V: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=64) as _:
            t = T.get_thread_binding(0)
            v = T.alloc_var("float32")
            v = X[t]
            for k in T.serial(5):
                v = v + T.shfl_xor(v, 1 << k)
            Y[t] = v
            V[t] = T.any_sync(X[t] > 2.0) + 10 * T.syncthreads_count(t < 5)

    x = np.random.default_rng(5).standard_normal(64).astype(np.float32)
    x[40] = 3
    x[:32] = np.minimum(x[:32], 1)
    y, v = np.full(64, np.nan, np.float32), np.full(64, -1, np.int32)
    run(main, x, y, v)
    assert _error(y, np.repeat(x.astype(np.float64).reshape(2, 32).sum(1), 32)) < 1e-6
    np.testing.assert_array_equal(v, np.repeat([50, 51], 32))


def test_divergent_loops() -> None:
    @T.prim_func
    def main(Y: T.Tensor((32,), "int32")):
        with T.Kernel(1, threads=32) as _:
            t = T.get_thread_binding(0)
            n = T.alloc_var("int32")
            n = t + 1
            steps = T.alloc_var("int32")
            steps = 0
            while n != 1:
                if n % 2 == 0:
                    n = n // 2
                else:
                    n = 3 * n + 1
                steps = steps + 1
            Y[t] = steps

    y = np.full(32, -1, np.int32)
    run(main, y)

    def collatz(n: int) -> int:
        return 0 if n == 1 else 1 + collatz(n // 2 if n % 2 == 0 else 3 * n + 1)

    np.testing.assert_array_equal(y, [collatz(n) for n in range(1, 33)])


def _ring(arrive: bool) -> PrimFunc:
    """A producer warp group that fills a ring of two buffers for a consumer warp group."""

    @T.prim_func
    def main(X: T.Tensor((8, 32), "float32"), Y: T.Tensor((8, 32), "float32")):
        with T.Kernel(1, threads=256) as _:
            ring = T.alloc_shared((2, 32), "float32")
            full = T.alloc_barrier([128, 128])
            free = T.alloc_barrier([128, 128])
            t = T.get_thread_binding(0)
            if t < 128:
                for k in T.serial(8):
                    T.mbarrier_wait_parity(free[k % 2], (k // 2 + 1) % 2)
                    T.copy(X[k, 0:32], ring[k % 2, 0:32])
                    T.mbarrier_arrive(full[k % 2])
            else:
                for k in T.serial(8):
                    T.mbarrier_wait_parity(full[k % 2], (k // 2) % 2)
                    T.copy(ring[k % 2, 0:32], Y[k, 0:32])
                    if arrive:
                        T.mbarrier_arrive(free[k % 2])

    return main


def test_producer_and_consumer() -> None:
    x = np.random.default_rng(6).standard_normal((8, 32)).astype(np.float32)
    y = np.full((8, 32), np.nan, np.float32)
    run(_ring(True), x, y)
    np.testing.assert_array_equal(y, x)


def test_a_producer_that_waits_forever() -> None:
    x = np.zeros((8, 32), np.float32)
    with pytest.raises(DeadlockError, match="1 CTAs wait for"):
        run(_ring(False), x, x.copy())


def test_reducer() -> None:
    @T.prim_func
    def main(X: T.Tensor((40, 12), "float16"), Y: T.Tensor((12,), "float16")):
        with T.Kernel(1, threads=64) as _:
            total = T.alloc_reducer((12,), "float16", op="sum")
            T.reducer_init(total)
            for i, j in T.Parallel(40, 12):
                T.reducer_update(total[j], X[i, j])
            T.finalize_reducer(total)
            T.copy(total, Y)

    x = np.random.default_rng(7).standard_normal((40, 12)).astype(np.float16)
    y = np.full(12, np.nan, np.float16)
    run(main, x, y)
    assert _error(y, x.astype(np.float64).sum(0)) < 2e-3


def test_fp8_casts_saturate() -> None:
    @T.prim_func
    def main(X: T.Tensor((16,), "float32"), Y: T.Tensor((16,), "float8_e4m3fn")):
        with T.Kernel(1, threads=32) as _:
            for i in T.Parallel(16):
                Y[i] = T.cast(X[i], "float8_e4m3fn")

    x = np.linspace(-1000, 1000, 16).astype(np.float32)
    y = np.zeros(16, ml_dtypes.float8_e4m3fn)
    run(main, x, y)
    np.testing.assert_array_equal(y, np.clip(x, -448, 448).astype(ml_dtypes.float8_e4m3fn))


def test_indices_of_64_bits_saturate() -> None:
    @T.prim_func
    def main(X: T.Tensor((4,), "float32"), S: T.Tensor((4,), "int64"), U: T.Tensor((4,), "uint64"),
             Y: T.Tensor((2, 4), "float32")):  # fmt: skip
        with T.Kernel(1, threads=32) as _:
            for i in T.Parallel(4):
                Y[0, i] = X[S[i]]
                Y[1, i] = X[U[i]]

    x, y = np.arange(1, 5, dtype=np.float32), np.full((2, 4), np.nan, np.float32)
    run(main, x, np.array([3, 2**32, -(2**33), 0]), np.array([3, 2**32 + 1, 2**64 - 2**32, 1], np.uint64), y)
    assert y.tolist() == [[4, 0, 0, 1], [4, 0, 0, 2]]


def test_uninitialised_accumulator_names_the_python_line() -> None:
    @T.prim_func
    def main(A: T.Tensor((16, 16), "float16"), C: T.Tensor((16, 16), "float32")):
        with T.Kernel(1, threads=32) as _:
            s = T.alloc_shared((16, 16), "float16")
            acc = T.alloc_fragment((16, 16), "float32")
            T.copy(A, s)
            T.gemm(s, s, acc)  # the line of the error
            T.copy(acc, C)

    with pytest.raises(UninitializedReadError, match="fragment buffer acc") as caught:
        run(main, np.zeros((16, 16), np.float16), np.zeros((16, 16), np.float32))
    where = caught.value.location
    assert where is not None and where.file == __file__
    with open(__file__) as source:
        assert "# the line of the error" in source.read().splitlines()[where.line - 1]


def test_print_and_assert() -> None:
    @T.prim_func
    def main(X: T.Tensor((4,), "int32")):
        with T.Kernel(1, threads=32) as _:
            t = T.get_thread_binding(0)
            if t == 3:
                T.print(X[t], msg="x")
            T.device_assert(X[0] == 5, "x is five")

    assert run(main, np.array([5, 6, 7, 8], np.int32)) == ["x [8]"]
    with pytest.raises(DeviceAssertError, match="x is five"):
        run(main, np.zeros(4, np.int32))
