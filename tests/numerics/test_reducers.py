"""Reducers: sums of threads that `T.finalize_reducer` brings together."""

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("apart", [False, True])
def test_reducer_at_a_place_that_differs_between_threads(apart):
    """Places without digits, `min(2, j // 4)`: every thread has the whole reducer, and picks the register."""

    @T.prim_func
    def kernel(A: T.Tensor((40, 24), "float32"), B: T.Tensor((3,), "float32")):
        with T.Kernel(1, threads=64):
            x = T.alloc_fragment((40, 24), "float32")
            sums = T.alloc_reducer(3, "float32", replication="none" if apart else "all")
            T.clear(sums)
            T.copy(A, x)
            for i, j in T.Parallel(40, 24):
                sums[T.min(2, j // 4)] += x[i, j]
            if apart:
                result = T.alloc_fragment(3, "float32")
                T.finalize_reducer(sums, result)
                T.copy(result, B)
            else:
                T.finalize_reducer(sums)
                T.copy(sums, B)

    a, b = RNG.standard_normal((40, 24)).astype(np.float32), np.full(3, np.nan, np.float32)
    tilelang.compile(kernel, target="sim")(a, b)
    wide = a.astype(np.float64).sum(0)
    want = np.array([wide[:4].sum(), wide[4:8].sum(), wide[8:].sum()])
    assert np.linalg.norm(b - want) <= 1e-5 * np.linalg.norm(want)


@pytest.mark.parametrize("used", [False, True])
def test_a_reducer_that_a_variant_leaves_out_and_a_variable_chosen_by_a_constant(used):
    """What T.Select gives is the value of then, no other name for the variable; a filled reducer may go unused."""

    @T.prim_func
    def main(A: T.Tensor((32,), "float32"), B: T.Tensor((32,), "float32")):
        with T.Kernel(1, threads=32):
            t = T.get_thread_binding()
            count = T.alloc_reducer(1, "int32", replication="all")
            T.fill(count, 0)
            top, total = T.alloc_var("float32"), T.alloc_var("float32", init=-1.0)
            top = A[t]
            if t < 20:
                total = T.Select(used, top, top + 1)
            top = 7.0
            if used:
                for _ in T.Parallel(32):
                    count[0] += 1
                T.finalize_reducer(count)
                total += count[0]
            B[t] = total

    a, b = RNG.standard_normal(32).astype(np.float32), np.full(32, np.nan, np.float32)
    tilelang.compile(main, target="sim")(a, b)
    want = np.where(np.arange(32) < 20, a if used else a + 1, -1) + 32 * used
    assert np.abs(b - want).max() < 1e-5


@pytest.mark.parametrize("where", ["fragment", "shared", "global"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_result_of_another_place_or_dtype(where, dtype):
    @T.prim_func
    def main(A: T.Tensor((50, 24), "float32"), B: T.Tensor((50,), dtype)):
        with T.Kernel(1, threads=64):
            sums = T.alloc_reducer((50,), "float32")
            rows = (T.alloc_shared if where == "shared" else T.alloc_fragment)((50,), dtype)
            T.clear(sums)
            for i, j in T.Parallel(50, 24):
                sums[i] += A[i, j]
            if where == "global":
                T.finalize_reducer(sums, B)
            else:
                T.finalize_reducer(sums, rows)
                T.copy(rows, B)

    a, b = np.random.default_rng(4).standard_normal((50, 24)).astype(np.float32), np.full(50, np.nan, dtype)
    tilelang.compile(main, target="sim")(a, b)
    want = a.astype(np.float64).sum(1)
    assert np.linalg.norm(b - want) <= (1e-3 if dtype == "float16" else 1e-6) * np.linalg.norm(want)
