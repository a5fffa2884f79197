"""Branches inside parallel loops whose conditions neighbours in a row share: several elements at a time, and the right
ones; conditions that differ between neighbours one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs

TARGETS = ["sim:sm_80", "sim:sm_90a", "sim:gfx942", "sim:gfx1100"]


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def rows_below(n: int) -> Any:
    @T.prim_func
    def main(A: T.Tensor((n, 64), "float16"), S: T.Tensor((1,), "int32"), C: T.Tensor((n, 64), "float16")):
        with T.Kernel(T.ceildiv(n, 32), threads=64) as bx:
            a = T.alloc_fragment((32, 64), "float16")
            T.copy(A[bx * 32, 0], a)
            for i, j in T.Parallel(32, 64):
                if bx * 32 + i < S[0]:
                    C[bx * 32 + i, j] = a[i, j] * 2.0
                else:
                    C[bx * 32 + i, j] = a[i, j] + 1.0

    return main


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("n", "seen"), [(70, 45), (33, 0), (64, 99)])
def test_both_arms(target: str, n: int, seen: int) -> None:
    a, c = random((n, 64)), poisoned((n, 64), "float16")
    tilelang.compile(rows_below(n), target=target)(a, np.array([seen], np.int32), c)
    np.testing.assert_array_equal(c, np.where(np.arange(n)[:, None] < seen, a * np.float16(2), a + np.float16(1)))


def test_rows_are_stored_whole() -> None:
    """Sixteen bytes at a time: two float16 at a time would take four times as many stores, one eight times."""
    ptx = tilelang.compile(rows_below(64), target="cuda:sm_90a").get_kernel_source()
    assert len(re.findall(r"st\.global\.v4\.b32", ptx)) == 2 * 32 * 64 // 64 // 8
    assert not re.findall(r"st\.global(?!\.v4\.b32)", ptx)


@pytest.mark.parametrize("target", TARGETS)
def test_registers_of_one_arm(target: str) -> None:
    """What an arm writes is kept, what it does not is what it was; arms within arms."""

    @T.prim_func
    def main(A: T.Tensor((32, 64), "float32"), S: T.Tensor((2,), "int32"), C: T.Tensor((32, 64), "float32")):
        with T.Kernel(1, threads=64):
            a, b = T.alloc_fragment((32, 64), "float32"), T.alloc_fragment((32, 64), "float32")
            T.copy(A, a)
            T.fill(b, 7.0)
            for i, j in T.Parallel(32, 64):
                if i < S[0]:
                    b[i, j] = a[i, j]
                    if i >= S[1]:
                        b[i, j] = b[i, j] * 3.0
                    else:
                        a[i, j] = 0.0
            for i, j in T.Parallel(32, 64):
                C[i, j] = a[i, j] + b[i, j]

    a, c = random((32, 64), "float32"), poisoned((32, 64), "float32")
    tilelang.compile(main, target=target)(a, np.array([21, 5], np.int32), c)
    row = np.arange(32)[:, None]
    b = np.where(row < 21, np.where(row >= 5, a * np.float32(3), a), np.float32(7))
    np.testing.assert_array_equal(c, np.where(row < 5, np.float32(0), a) + b)


@pytest.mark.parametrize("target", TARGETS)
def test_conditions_that_neighbours_do_not_share(target: str) -> None:
    """On the column, on its pair, on an element, and on one that the body writes."""

    @T.prim_func
    def main(A: T.Tensor((32, 64), "float16"), C: T.Tensor((4, 32, 64), "float16")):
        with T.Kernel(1, threads=64):
            a, s = T.alloc_fragment((32, 64), "float16"), T.alloc_shared((32, 64), "float16")
            T.copy(A, a)
            T.copy(A, s)
            for i, j in T.Parallel(32, 64):
                C[0, i, j] = 0.0
                if j <= i:
                    C[0, i, j] = a[i, j]
            for i, j in T.Parallel(32, 64):
                C[1, i, j] = 0.0
                if j // 2 % 3 == i % 3:
                    C[1, i, j] = a[i, j]
            for i, j in T.Parallel(32, 64):
                C[2, i, j] = 0.0
                if a[i, j] > 0.0:
                    C[2, i, j] = a[i, j]
            for i, j in T.Parallel(32, 64):
                if s[i, j] > 0.0:
                    s[i, j] = 5.0
            T.copy(s, C[3, 0, 0])

    a, c = random((32, 64)), poisoned((4, 32, 64), "float16")
    tilelang.compile(main, target=target)(a, c)
    i, j = np.mgrid[:32, :64]
    zero = np.float16(0)
    np.testing.assert_array_equal(c[0], np.where(j <= i, a, zero))
    np.testing.assert_array_equal(c[1], np.where(j // 2 % 3 == i % 3, a, zero))
    np.testing.assert_array_equal(c[2], np.where(a > 0, a, zero))
    np.testing.assert_array_equal(c[3], np.where(a > 0, np.float16(5), a))


@pytest.mark.parametrize("target", TARGETS)
def test_what_one_iteration_writes_and_the_next_one_reads(target: str) -> None:
    """A sum along the row within a thread, kept in one element: in order, whatever the branch allows."""

    @T.prim_func
    def main(A: T.Tensor((32, 64), "float32"), S: T.Tensor((1,), "int32"), C: T.Tensor((32, 8), "float32")):
        with T.Kernel(1, threads=32):
            total, a = T.alloc_fragment((32, 8), "float32"), T.alloc_fragment((32, 64), "float32")
            T.annotate_layout({a: T.Fragment((32, 64), forward_fn=lambda i, j: (i, j))})
            T.copy(A, a)
            T.clear(total)
            for i, j in T.Parallel(32, 64):
                if i < S[0]:
                    total[i, j // 8] = total[i, j // 8] * 0.5 + a[i, j]
            T.copy(total, C)

    a, c = random((32, 64), "float32"), poisoned((32, 8), "float32")
    tilelang.compile(main, target=target)(a, np.array([19], np.int32), c)
    want = np.zeros((32, 8), np.float32)
    for k in range(8):
        want = want * np.float32(0.5) + a.reshape(32, 8, 8)[:, :, k]
    want[19:] = 0
    np.testing.assert_allclose(c, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_additions_and_lengths_of_run_time(target: str) -> None:
    n = T.dynamic("n")

    @T.prim_func
    def main(A: T.Tensor((n, 64), "float32"), L: T.Tensor((2,), "int32"), C: T.Tensor((n, 64), "float32")):
        with T.Kernel(2, threads=64) as bx:
            a = T.alloc_fragment((32, 64), "float32")
            start = T.alloc_var("int32")
            start = L[bx]
            T.copy(A[start, 0], a)
            for i, j in T.Parallel(32, 64):
                if start + i < n:
                    T.atomic_add(C[start + i, j], a[i, j])

    a, c = random((50, 64), "float32"), random((50, 64), "float32", seed=1)
    want = c + a * np.float32(1)
    want[20:32] += a[20:32]
    tilelang.compile(main, target=target)(a, np.array([0, 20], np.int32), c)
    np.testing.assert_allclose(c, want, rtol=1e-5, atol=1e-5)
