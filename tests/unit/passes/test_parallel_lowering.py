"""Parallel loops whose iterations do not fit the threads, or whose indices do not fit vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir.passes import pipelines
from tilelang_mlir.simulator import Program
from tilelang_mlir.target import parse_target


def run(func: Any, *arrays: np.ndarray, grid: tuple[int, int, int] = (1, 1, 1)) -> None:
    pipelines.lower(func.module, parse_target("sm_80"))
    program = Program(func.module)
    program.launch(program.kernels[0], grid, list(arrays))


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def poison(*shape: int) -> np.ndarray:
    return np.full(shape, np.nan, np.float32)


@pytest.mark.parametrize(("m", "n"), [(5, 8), (7, 13), (13, 7), (80, 3), (1, 176), (3, 1), (31, 17)])
@pytest.mark.parametrize("threads", [32, 96, 128])
def test_tiles_that_threads_do_not_divide(m: int, n: int, threads: int) -> None:
    """A tile next to another in memory: what a padded loop writes past its edge would be seen there."""

    @T.prim_func
    def main(A: T.Tensor((2 * m, 2 * n), "float32"), B: T.Tensor((2 * m, 2 * n), "float32")):
        with T.Kernel(2, 2, threads=threads) as (bx, by):
            s = T.alloc_shared((m, n), "float32")
            guard = T.alloc_shared((m, n), "float32")
            f = T.alloc_fragment((m, n), "float32")
            T.fill(guard, 1.0)
            T.copy(A[by * m, bx * n], s)
            for i, j in T.Parallel(m, n):
                f[i, j] = s[i, j] * 2.0 + guard[i, j]
            T.copy(f, B[by * m, bx * n])

    a, b = numbers(2 * m, 2 * n), poison(2 * m, 2 * n)
    run(main, a, b, grid=(2, 2, 1))
    np.testing.assert_array_equal(b, a * 2 + 1)


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32"])
def test_registers_are_those_of_the_iteration_at_hand(dtype: str) -> None:
    """Seven elements in a row, in one thread: the loop reaches them one by one, the fragment holds them apart."""

    @T.prim_func
    def main(A: T.Tensor((32, 7), dtype), B: T.Tensor((32, 7), "float32")):
        with T.Kernel(1, threads=32):
            s = T.alloc_shared((32, 7), dtype)
            f = T.alloc_fragment((32, 7), "float32")
            T.copy(A, s)
            T.copy(s, f)
            T.copy(f, B)

    a, b = (numbers(32, 7) * 20).astype(dtype), poison(32, 7)
    run(main, a, b)
    np.testing.assert_array_equal(b, a.astype(np.float32))


N = 64
INDICES = {
    "wrapped": (lambda i, j: (i, (j + 1) % N), lambda a: np.roll(a, -1, 1)),
    "reversed": (lambda i, j: (i, N - 1 - j), lambda a: a[:, ::-1]),
    "halved": (lambda i, j: (i, j // 2), lambda a: a[:, np.arange(N) // 2]),
    "twisted": (lambda i, j: (i, j ^ 5), lambda a: a[:, np.arange(N) ^ 5]),
    "product": (lambda i, j: (i, (i * j) % N), lambda a: np.take_along_axis(a, np.outer(range(8), range(N)) % N, 1)),
    "transposed": (lambda i, j: (j % 8, i * 8 + j // 8), lambda a: a.reshape(8, 8, 8).transpose(1, 2, 0).reshape(8, N)),
}  # fmt: skip


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("scope", ["shared", "global"])
def test_indices_of_any_form(name: str, scope: str) -> None:
    index, wanted = INDICES[name]

    @T.prim_func
    def main(A: T.Tensor((8, N), "float32"), B: T.Tensor((8, N), "float32")):
        with T.Kernel(1, threads=32):
            s = T.alloc_shared((8, N), "float32")
            T.copy(A, s)
            for i, j in T.Parallel(8, N):
                B[i, j] = (s if scope == "shared" else A)[index(i, j)]

    a, b = numbers(8, N), poison(8, N)
    run(main, a, b)
    np.testing.assert_array_equal(b, wanted(a))


def test_stores_to_any_index() -> None:
    @T.prim_func
    def main(A: T.Tensor((8, N), "float32"), B: T.Tensor((8, N), "float32")):
        with T.Kernel(1, threads=32):
            s = T.alloc_shared((8, N), "float32")
            for i, j in T.Parallel(8, N):
                s[i, (j * 5 + 3) % N] = A[i, j]
            T.copy(s, B)

    a, b = numbers(8, N), poison(8, N)
    run(main, a, b)
    np.testing.assert_array_equal(b[:, (np.arange(N) * 5 + 3) % N], a)


def test_a_fragment_is_read_across_threads_through_shared_memory() -> None:
    @T.prim_func
    def main(A: T.Tensor((8, N), "float32"), B: T.Tensor((8, N), "float32")):
        with T.Kernel(1, threads=32):
            f = T.alloc_fragment((8, N), "float32")
            g = T.alloc_fragment((8, N), "float32")
            T.copy(A, f)
            for i, j in T.Parallel(8, N):
                g[i, j] = f[i, N - 1 - j]
            T.copy(g, B)

    a, b = numbers(8, N), poison(8, N)
    run(main, a, b)
    np.testing.assert_array_equal(b, a[:, ::-1])


def test_a_loop_may_walk_rows_inside_its_iterations() -> None:
    @T.prim_func
    def main(A: T.Tensor((13, 24), "float32"), B: T.Tensor((13,), "float32")):
        with T.Kernel(1, threads=32):
            s = T.alloc_shared((13, 24), "float32")
            f = T.alloc_fragment((13,), "float32")
            T.copy(A, s)
            for i in T.Parallel(13):
                f[i] = 0.0
                for k in T.serial(24):
                    f[i] = f[i] * 0.5 + s[i, k]
            T.copy(f, B)

    a, b = numbers(13, 24), poison(13)
    run(main, a, b)
    want = np.zeros(13, np.float32)
    for k in range(24):
        want = want * np.float32(0.5) + a[:, k]
    assert np.linalg.norm(b - want) < 1e-5 * np.linalg.norm(want)
