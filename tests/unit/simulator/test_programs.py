"""T programs whose instructions the simulator runs: block votes, matches, arithmetic with a rounding mode."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import tilelang_mlir.language as T
from tests.unit.simulator.programs import compiled
from tilelang_mlir import errors


def test_votes_and_matches() -> None:
    @T.prim_func
    def main(X: T.Tensor((2, 96), "int32"), Y: T.Tensor((2, 96, 7), "int32")):
        with T.Kernel(2, threads=96) as bx:
            tx = T.get_thread_binding()
            x = X[bx, tx]
            Y[bx, tx, 0] = T.syncthreads_count(x > 0)
            Y[bx, tx, 1] = T.syncthreads_and(x > -3)
            Y[bx, tx, 2] = T.syncthreads_or(x > 2)
            Y[bx, tx, 3] = T.cast(T.match_any_sync(x), "int32")
            Y[bx, tx, 4] = T.cast(T.match_all_sync(x), "int32")
            Y[bx, tx, 5] = T.cast(T.ballot_sync(x > 0), "int32")
            if tx % 2 == 1:
                Y[bx, tx, 6] = T.cast(T.activemask(), "int32")

    x = np.random.default_rng(0).integers(-3, 4, (2, 96)).astype(np.int32)
    x[1, 32:64] = 1
    y = np.full((2, 96, 7), -7, np.int32)
    compiled(main, "sim:sm_80")(x, y)
    for b in range(2):
        assert (y[b, :, :3] == [(x[b] > 0).sum(), (x[b] > -3).all(), (x[b] > 2).any()]).all()
        for i in range(96):
            warp = x[b, i // 32 * 32 : i // 32 * 32 + 32]
            masks = [warp == x[b, i], np.full(32, (warp == warp[0]).all()), warp > 0, np.arange(32) % 2 == 1]
            want = [sum(1 << int(j) for j in np.flatnonzero(m)) for m in masks]
            assert [int(z) & 0xFFFFFFFF for z in y[b, i, 3:]] == [*want[:3], want[3] if i % 2 else 2**32 - 7]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounded_arithmetic(dtype: str) -> None:
    n = 128

    @T.prim_func
    def main(A: T.Tensor((n,), dtype), B: T.Tensor((n,), dtype), C: T.Tensor((10, n), dtype)):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(n):
                C[0, i] = T.ieee_add(A[i], B[i], "rd")
                C[1, i] = T.ieee_add(A[i], B[i], "ru")
                C[2, i] = T.ieee_mul(A[i], B[i], "rd")
                C[3, i] = T.ieee_mul(A[i], B[i], "ru")
                C[4, i] = T.ieee_fdiv(A[i], B[i], "rd")
                C[5, i] = T.ieee_fdiv(A[i], B[i], "ru")
                C[6, i] = T.ieee_fmaf(A[i], B[i], A[i], "rz")
                C[7, i] = T.ieee_fsqrt(A[i] * A[i], "rz")
                C[8, i] = T.ieee_frcp(B[i], "rz")
                C[9, i] = T.ieee_sub(A[i], B[i], "rn")

    kind = np.dtype(dtype).type
    a, b = np.random.default_rng(1).standard_normal((2, n)).astype(kind)
    c = np.full((10, n), np.nan, kind)
    compiled(main, "sim:sm_80")(a, b, c)
    for i in range(n):
        x, y = Fraction(float(a[i])), Fraction(float(b[i]))
        for row, exact in ((0, x + y), (2, x * y), (4, x / y)):
            low, high = c[row, i], c[row + 1, i]
            assert Fraction(float(low)) <= exact <= Fraction(float(high))
            assert high in (low, np.nextafter(low, kind(np.inf)))
        for row, exact in ((6, x * y + x), (8, 1 / y)):
            got = c[row, i]
            assert abs(Fraction(float(got))) <= abs(exact) < abs(Fraction(float(np.nextafter(got, got * 2))))
        assert c[7, i] <= abs(a[i]) * (1 + np.finfo(kind).eps)
    assert np.array_equal(c[9], a - b)


def test_half_precision_has_no_other_modes() -> None:
    @T.prim_func
    def main(A: T.Tensor((32,), "float16")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(32):
                A[i] = T.ieee_add(A[i], A[i], "rz")

    with pytest.raises(errors.UnsupportedError, match="exists for float32 and float64, not for f16"):
        compiled(main, "sim:sm_80")
