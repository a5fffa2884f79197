"""Shapes: empty, dynamic, strided, past 2**31 elements; sizes that solve linear equations; negative indices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import ArgumentError, AssumptionError, ResourceError, TileTypeError

TARGETS = ["sim:sm_80", "sim:sm_90a"]


def random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_empty_and_odd_tensors(target: str, rows: int) -> None:
    """Of static, constant and dynamic sizes; a kernel without blocks is not launched."""
    m = T.dynamic("m")

    @tilelang.jit(target=target, out_idx=[-1])
    def factory(m):
        @T.prim_func
        def double(A: T.Tensor((m, 40), "float32"), B: T.Tensor((m, 40), "float32")):
            with T.Kernel(T.ceildiv(m, 4), threads=32) as b:
                tile = T.alloc_shared((4, 40), "float32")
                T.copy(A[b * 4, 0], tile)
                for i, j in T.Parallel(4, 40):
                    tile[i, j] = tile[i, j] * 2
                T.copy(tile, B[b * 4, 0])

        return double

    @tilelang.jit(target=target)
    def eager(A):
        M = T.const("M")
        A: T.Tensor((M, 40), "float32")
        B = T.empty((M, 40), "float32")
        with T.Kernel(T.ceildiv(M, 4), threads=32) as b:
            for i, j in T.Parallel(4, 40):
                B[b * 4 + i, j] = A[b * 4 + i, j] * 2
        return B

    x = random(rows, 40)
    for kernel in (factory(rows), factory(m), eager):
        y = kernel(x)
        assert y.shape == x.shape
        np.testing.assert_array_equal(y, 2 * x)


@pytest.mark.parametrize("target", TARGETS)
def test_linear_equations_between_sizes(target: str) -> None:
    m, n = T.dynamic("m, n")

    @tilelang.jit(target=target, out_idx=[-1])
    def odd():
        @T.prim_func
        def kernel(A: T.Tensor((2 * m + 1,), "float32"), B: T.Tensor((m,), "float32")):
            with T.Kernel(T.ceildiv(m, 32), threads=32) as b:
                for i in T.Parallel(32):
                    B[b * 32 + i] = A[2 * (b * 32 + i) + 1]

        return kernel

    @tilelang.jit(target=target, out_idx=[-1])
    def tail():
        @T.prim_func
        def kernel(A: T.Tensor((m + n,), "float32"), C: T.Tensor((m,), "float32"), B: T.Tensor((n,), "float32")):
            with T.Kernel(T.ceildiv(n, 32), threads=32) as b:
                for i in T.Parallel(32):
                    B[b * 32 + i] = A[m + b * 32 + i] + C[0]

        return kernel

    x = random(101)
    np.testing.assert_array_equal(odd()(x), x[1::2])
    with pytest.raises(ArgumentError, match=r"A: shape\[0\] is 100, but no m makes"):
        odd()(x[:100])
    np.testing.assert_array_equal(tail()(x, np.zeros(40, np.float32)), x[40:])
    with pytest.raises(ArgumentError, match="A"):
        tail()(x, np.zeros(140, np.float32))


@pytest.mark.parametrize("target", TARGETS)
def test_strides(target: str) -> None:
    m, s = T.dynamic("m, s")

    @tilelang.jit(target=target, out_idx=[-1])
    def gather():
        @T.prim_func
        def kernel(A: T.StridedTensor((m, 8), (s, 2), "float32"), B: T.Tensor((m, 8), "float32")):
            with T.Kernel(T.ceildiv(m, 4), threads=32) as b:
                tile = T.alloc_shared((4, 8), "float32")
                T.copy(A[b * 4, 0], tile)
                T.copy(tile, B[b * 4, 0])

        return kernel

    @tilelang.jit(target=target)
    def contiguous(A):
        M, N, S, U = T.const("M, N, S, U")
        A: T.StridedTensor((M, N), (S, U), "float32")
        B = T.empty((M, N), "float32")
        with T.Kernel(M, threads=32) as b:
            for i in T.Parallel(N):
                B[b, i] = A[b, i]
        return B

    wide = random(7, 41)
    np.testing.assert_array_equal(gather()(wide[:, :16:2]), wide[:, :16:2])
    np.testing.assert_array_equal(contiguous(wide.T), wide.T)
    np.testing.assert_array_equal(contiguous(wide[1::3, 2::5]), wide[1::3, 2::5])


@pytest.mark.parametrize("target", TARGETS)
def test_negative_indices_and_dynamic_loops(target: str) -> None:
    m = T.dynamic("m")

    @tilelang.jit(target=target)
    def ends(A):
        N = T.const("N")
        A: T.Tensor((N, N), "float32")
        B = T.empty((N,), "float32")
        with T.Kernel(1, threads=32) as _:
            for i in T.Parallel(N):
                B[i] = A[-1, i] + A[i, -2] + A[2, -i - 1] + A[i - N, -N]
        return B

    @tilelang.jit(target=target)
    def picked(A, I, J, K):
        A: T.Tensor((256,), "float32")
        I: T.Tensor((32,), "uint8")
        J: T.Tensor((32,), "int8")
        K: T.Tensor((32,), "int64")
        B = T.empty((3, 32), "float32")
        with T.Kernel(1, threads=32) as _:
            for i in T.Parallel(32):
                B[0, i] = A[I[i]]
                B[1, i] = A[J[i] + 128]
                B[2, i] = A[K[i]] - A[i - 7]
        return B

    @tilelang.jit(target=target, out_idx=[-1])
    def sums():
        @T.prim_func
        def kernel(A: T.Tensor((4, m), "float32"), B: T.Tensor((4,), "float32")):
            with T.Kernel(4, threads=32) as b:
                total = T.alloc_var("float32", 0.0)
                for k in T.serial(m):
                    total += A[b, k]
                B[b] = total

        return kernel

    x = random(9, 9)
    want = x[-1].astype(np.float64) + x[:, -2] + x[2, ::-1] + x[:, 0]
    np.testing.assert_allclose(ends(x), want, rtol=1e-5, atol=1e-6)
    line, rng = random(256), np.random.default_rng(5)
    i, j, k = (rng.integers(low, low + 256, 32).astype(t) for low, t in ((0, "uint8"), (-128, "int8"), (-50, "int64")))
    inside = np.where(k >= 0, line[np.maximum(k, 0)], 0) - np.r_[np.zeros(7, np.float32), line[:25]]
    np.testing.assert_array_equal(picked(line, i, j, k), [line[i], line[j.astype(int) + 128], inside])
    for size in (1, 13):
        y = random(4, size)
        np.testing.assert_allclose(sums()(y), y.astype(np.float64).sum(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(sums()(np.zeros((4, 0), np.float32)), np.zeros(4))


@pytest.mark.parametrize(("target", "dynamic"), [("sim:sm_80", False), ("sim:sm_90a", True)])
def test_offsets_past_2_to_the_31(target: str, dynamic: bool, tmp_path: Path) -> None:
    """Three rows a GiB apart, in a sparse file; offsets and sizes need 64 bits."""
    gap = 2**30

    @tilelang.jit(target=target, out_idx=[-1])
    def factory(gap):
        @T.prim_func
        def kernel(A: T.StridedTensor((3, 64), (gap, 1), "int8"), B: T.Tensor((3, 64), "int8")):
            with T.Kernel(3, threads=32) as b:
                for i in T.Parallel(64):
                    B[b, i] = A[b, i]

        return kernel

    buffer = np.memmap(tmp_path / "sparse", dtype=np.int8, mode="w+", shape=(2 * gap + 64,))
    x = np.lib.stride_tricks.as_strided(buffer, (3, 64), (gap, 1))
    x[:] = np.random.default_rng(0).integers(-99, 99, (3, 64))
    np.testing.assert_array_equal(factory(T.dynamic("gap") if dynamic else gap)(x), x)


@pytest.mark.parametrize("target", TARGETS)
def test_workspaces_of_dynamic_sizes(target: str) -> None:
    """One kernel fills them, the next reads them; sizes are symbols and products of symbols."""
    n, m = T.dynamic("n"), T.dynamic("m")

    @T.prim_func
    def main(A: T.Tensor((n, m), "float32"), B: T.Tensor((n, m), "float32")):
        pieces = T.alloc_global((2, n, m), "float32")
        ones = T.alloc_global((n * 2, 3), "float32")
        with T.Kernel(T.ceildiv(n, 8), threads=64) as bx:
            for i, j in T.Parallel(8, 16):
                if bx * 8 + i < n and j < m:
                    pieces[0, bx * 8 + i, j] = A[bx * 8 + i, j]
                    pieces[1, bx * 8 + i, j] = A[bx * 8 + i, j] * 2
            for i in T.Parallel(8):
                if bx * 8 + i < n:
                    ones[bx * 8 + i + n, 1] = 1
        with T.Kernel(T.ceildiv(n, 8), threads=64) as bx:
            for i, j in T.Parallel(8, 16):
                if bx * 8 + i < n and j < m:
                    row = bx * 8 + i
                    B[row, j] = pieces[0, row, j] + pieces[1, row, j] + ones[row + n, 1]

    kernel = tilelang.compile(main, target=target)
    for shape in ((13, 16), (1, 7), (32, 1)):
        a, b = random(*shape), np.full(shape, np.nan, np.float32)
        kernel(a, b)
        assert np.linalg.norm(b - (3.0 * a + 1)) < 1e-5 * np.linalg.norm(3.0 * a + 1)


def test_slices_that_start_a_tile() -> None:
    """Dimensions of one on either side, and slices of one element that take the other side's extent."""

    @T.prim_func
    def main(A: T.Tensor((4, 16, 32), "float32"), B: T.Tensor((3, 16, 32), "float32")):
        with T.Kernel(1, threads=64) as _:
            tile, part = T.alloc_shared((16, 1, 32), "float32"), T.alloc_shared((11, 32), "float32")
            row = T.alloc_fragment((32,), "float32")
            T.copy(A[1, :, :], tile)
            T.copy(tile, B[0, :, :])
            T.copy(A[2, 5:6, 0:1], part)
            T.copy(part, B[1, 0:1, :])
            T.copy(A[3, 2, 0:1], row)
            T.copy(row, B[2, 7, 0:1])

    a, b = random(4, 16, 32), np.zeros((3, 16, 32), np.float32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    assert np.array_equal(b[0], a[1]) and np.array_equal(b[1, :11], a[2, 5:]) and np.array_equal(b[2, 7], a[3, 2])
    assert not b[1, 11:].any() and not b[2, :7].any() and not b[2, 8:].any()


def test_assumptions_about_arguments_are_checked_at_calls() -> None:
    n, m = T.dynamic("n"), T.dynamic("m")

    @T.prim_func
    def main(A: T.Tensor((n, m), "float32"), k: T.int32, B: T.Tensor((n, m), "float32")):
        T.assume(m % 4 == 0)
        with T.Kernel(n, threads=32) as bx:
            T.assume(n % 2 == 1 and k < 100)
            T.assume(bx < n)
            for i in T.Parallel(m):
                B[bx, i] = A[bx, i] * k

    kernel = tilelang.compile(main, target="sim:sm_80")
    a, b = random(3, 8), np.zeros((3, 8), np.float32)
    kernel(a, 5, b)
    assert np.array_equal(b, a * np.float32(5))
    for tensor, factor, text in (
        (random(3, 6), 5, "Assume: m % 4 == 0"), (random(2, 8), 5, "Assume: n % 2 == 1"), (a, 100, "and k < 100"),
    ):  # fmt: skip
        with pytest.raises(AssumptionError, match=text):
            kernel(tensor, factor, np.zeros_like(tensor))


def test_slices_of_run_time_size() -> None:
    """A tile bounds the loop, or the other slice, or nothing does; a source that ends early reads as zero."""
    n, m = T.dynamic("n"), T.dynamic("m")

    @T.prim_func
    def main(A: T.Tensor((n,), "int32"), B: T.Tensor((3 * n,), "int32"), C: T.Tensor((32, m), "float16"),
             D: T.Tensor((32, 64), "float16"), rows: T.int32):  # fmt: skip
        with T.Kernel(1, threads=64):
            line = T.alloc_fragment((128,), "int32")
            tile = T.alloc_shared((32, 64), "float16")
            T.copy(A[2 : 2 + rows], line)
            T.copy(line, B[1 : n + 1])
            T.copy(A[0 : n - 1], B[2 * n : 3 * n - 1])
            T.fill(tile, 5)
            T.copy(C[:rows, : m - 1], tile[:rows, 1:m])
            T.fill(tile[rows : rows + 1, :7], -1)
            T.copy(tile, D)

    kernel = tilelang.compile(main, target="sim:sm_90a")
    for count, width, rows in ((100, 64, 9), (37, 2, 0), (33, 33, 31)):
        a, b, c = np.arange(count, dtype=np.int32) + 1, np.full(3 * count, -7, np.int32), random(32, width)
        d = np.full((32, 64), np.nan, np.float16)
        kernel(a, b, c.astype(np.float16), d, rows)
        line = np.zeros(count, np.int32)
        line[:rows] = a[2 : 2 + rows]
        want = np.concatenate([[-7], line, np.full(count - 1, -7), a[:-1], [-7]])
        assert np.array_equal(b, want)
        tile = np.full((32, 64), 5, np.float16)
        tile[:rows, 1:width] = c[:rows, : width - 1]
        tile[rows, :7] = -1
        assert np.array_equal(d, tile)


@pytest.mark.parametrize("target", TARGETS)
def test_assumptions_give_asynchronous_copies_back(target: str) -> None:
    """Of rows and starts that are known at run time only; without them the threads copy, and a remark says why."""
    groups, rows, columns = (T.dynamic(name) for name in "GMK")

    def build(stated: str) -> Any:
        @T.prim_func
        def main(
            A: T.Tensor((rows, columns), "float16"), S: T.Tensor((groups,), "int64"),
            C: T.Tensor((groups, 64, 64), "float32"),
        ):  # fmt: skip
            with T.Kernel(groups, threads=128) as bx:
                left, right = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
                acc = T.alloc_fragment((64, 64), "float32")
                start = S[bx]
                if "row" in stated:
                    T.assume(columns % 8 == 0)
                if "start" in stated:
                    T.assume(start % 8 == 0 and start >= 0)
                T.clear(acc)
                for k in T.Pipelined(3, num_stages=2):
                    T.copy(A[bx * 64, start + k * 64], left)
                    T.copy(A[bx * 64 + 64, start + k * 64], right)
                    T.gemm(left, right, acc, transpose_B=True)
                T.copy(acc, C[bx, 0, 0])

        return tilelang.compile(main, target=target)

    name = "cp.async.bulk.tensor" if "90" in target else "cp.async.cg"
    a, starts = random(200, 208).astype(np.float16), np.array([8, 0, 16], np.int64)
    for stated, reason in (("", "strides [?, 1]"), ("row", "a start in the innermost"), ("row and start", "")):
        kernel, c = build(stated), np.full((3, 64, 64), np.nan, np.float32)
        assert (name in kernel.ir("ptx")) == (not reason)
        assert [reason in str(r) for r in kernel.remarks] == [True] * 2 * bool(reason and "90" in target)
        kernel(a, starts, c)
        for b, start in enumerate(starts):
            x, y = (np.zeros((64, 192)) for _ in range(2))
            for tile, row in ((x, b * 64), (y, b * 64 + 64)):
                part = a[row : row + 64, start : start + 192].astype(np.float64)
                tile[: part.shape[0], : part.shape[1]] = part
            want = x @ y.T
            assert np.linalg.norm(c[b] - want) < 1e-5 * np.linalg.norm(want)
    with pytest.raises(AssumptionError, match="columns % 8"):
        build("row")(random(200, 204).astype(np.float16), starts, np.zeros((3, 64, 64), np.float32))


def test_slices_take_the_lengths_of_the_tile() -> None:
    """All columns of a tensor to a wider tile and back: what is outside reads as zero and is not written."""

    @T.prim_func
    def main(A: T.Tensor((2, 9, 30), "float32"), B: T.Tensor((9, 3, 30), "float32"), C: T.Tensor((16, 32), "float32")):
        with T.Kernel(1, threads=32):
            tile = T.alloc_shared((16, 32), "float32")
            T.copy(A[1, 0:8, :], tile)
            T.copy(tile, B[0:9, 2, 0:30])
            T.copy(tile, C)

    a, b, c = random(2, 9, 30), np.zeros((9, 3, 30), np.float32), np.full((16, 32), np.nan, np.float32)
    tilelang.compile(main, target="sim:sm_90a")(a, b, c)
    assert np.array_equal(b[:, 2], a[1]) and not b[:, :2].any()
    assert np.array_equal(c[:9, :30], a[1]) and not c[9:].any() and not c[:, 30:].any()


@pytest.mark.parametrize("target", TARGETS)
def test_shared_tiles_of_as_many_rows_as_an_argument_says(target: str) -> None:
    m = T.dynamic("m")

    @T.prim_func
    def main(A: T.Tensor((m,), "float32"), B: T.Tensor((m,), "float32"), C: T.Tensor((2, m, 8), "float16")):
        with T.Kernel(1, threads=64):
            line, rows = T.alloc_shared((m,), "float32"), T.alloc_shared((m, 8), "float16")
            T.copy(A, line)
            T.copy(C[0, 0, 0], rows)
            for i in T.Parallel(m):
                B[i] = line[m - 1 - i] * rows[i, 3]
            T.copy(rows, C[1, :, :])
            T.fill(line, 3)
            T.copy(line, A)

    kernel = tilelang.compile(main, target=target)
    for count in (100, 1, 333):
        a, b, c = random(count), np.full(count, np.nan, np.float32), random(2, count, 8).astype(np.float16)
        reverse = a[::-1].copy()
        kernel(a, b, c)
        assert np.array_equal(b, reverse * c[0, :, 3].astype(np.float32)) and (a == 3).all()
        assert np.array_equal(c[1], c[0])
    long = np.zeros(13000, np.float32)
    with pytest.raises(AssumptionError, match="T.alloc_shared: there is room for 12288 rows of 4 bytes"):
        kernel(long, long.copy(), np.zeros((2, 13000, 8), np.float16))
    with pytest.raises(ResourceError, match="a row of 80000 bytes is more than the 49152"):

        @T.prim_func
        def wide(A: T.Tensor((m, 8), "float16")):
            with T.Kernel(1, threads=64):
                T.alloc_shared((m, 40000), "float16")

    with pytest.raises(TileTypeError, match="needs a tile of static size"):

        @T.prim_func
        def wrong(A: T.Tensor((m, 8), "float16")):
            with T.Kernel(1, threads=64):
                rows, total = T.alloc_shared((m, 8), "float16"), T.alloc_fragment((8,), "float16")
                T.reduce_sum(rows, total, dim=0)


@pytest.mark.parametrize("target", [*TARGETS, "sim:gfx942"])
def test_indices_of_64_bits_that_32_bits_cannot_hold_are_outside(target: str) -> None:
    """Of elements and of tiles, read and written: 2**32 is no second 0."""

    @T.prim_func
    def main(
        A: T.Tensor((9, 40), "float32"), S: T.Tensor((8,), "int64"), U: T.Tensor((8,), "uint64"),
        B: T.Tensor((2, 8, 40), "float32"), C: T.Tensor((9, 40), "float32"),
    ):  # fmt: skip
        with T.Kernel(8, threads=32) as b:
            tile = T.alloc_shared((1, 40), "float32")
            for j in T.Parallel(40):
                B[0, b, j] = A[S[b], j]
                C[U[b], j] = 1
            T.copy(A[S[b], 0], tile)
            T.copy(tile, B[1, b, 0])

    a, b, c = random(9, 40), np.full((2, 8, 40), np.nan, np.float32), np.zeros((9, 40), np.float32)
    signed = np.array([8, 2**32, 2**32 + 5, 7 - 2**32, -1, 2**31, -(2**31), 2**62])
    unsigned = np.array([8, 2**32, 2**32 + 5, 2**63 + 4, 2**64 - 2**32 + 3, 2**31, 2**31 - 1, 7], np.uint64)
    tilelang.compile(main, target=target)(a, signed, unsigned, b, c)
    assert np.array_equal(b, np.broadcast_to(np.where(signed[:, None] == 8, a[8], 0), (2, 8, 40)))
    assert c.all(1).nonzero()[0].tolist() == [7, 8] and c.sum() == 80


@pytest.mark.parametrize("size", [1, 6])
def test_slices_of_lengths_of_run_time_fill_the_tile(size: int) -> None:
    """A tile of one element too; zeros past the end of a slice."""
    n = T.dynamic("n")

    @T.prim_func
    def main(A: T.Tensor((n,), "int32"), B: T.Tensor((size,), "int32")):
        with T.Kernel(1, threads=32):
            starts, ends = T.alloc_fragment((size,), "int32"), T.alloc_fragment((size,), "int32")
            T.copy(A[: n - 1], starts)
            T.copy(A[1:], ends)
            for i in T.Parallel(size):
                B[i] = ends[i] - starts[i]

    a, b = np.array([3, 5, 11, 40], np.int32), np.zeros(size, np.int32)
    tilelang.compile(main, target="sim:sm_90a")(a, b)
    assert b.tolist() == [2, 6, 29, 0, 0, 0][:size]
