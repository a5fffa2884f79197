"""Single dimensions of more than 2**31 - 1 elements: elements, tiles, loops, atomics, gathers, addresses.

Only the last elements exist: the simulator is given addresses that lie as far in front of them as the tensor is long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import ArgumentError, UnsupportedError
from tilelang_mlir.jit.simulated import SimulatedKernel
from tilelang_mlir.simulator.memory import GlobalMemory

N = 3 * 2**30 + 64 + 13
BLOCK = 64
FIRST = N // BLOCK - 3  # the block that a grid of 5 starts at; the fourth is ragged, the fifth lies outside
START = FIRST * BLOCK
TAIL = N - START
TARGETS = ["sim:sm_80", "sim:sm_90a"]


def ends(*shape: int, dtype: Any = np.int8) -> np.ndarray[Any, Any]:
    """Random elements from START on."""
    return np.random.default_rng(sum(shape)).integers(-50, 50, shape).astype(dtype)


def run(kernel: Any, grid: int, *args: Any) -> None:
    """Launch the kernel with indices of 64 bits. A tuple is the end of a tensor, and how many elements come before."""
    simulated = kernel.adapter if kernel.plan.wide else kernel._widened()
    assert isinstance(simulated, SimulatedKernel) and simulated.plan.wide
    memory, values, written = GlobalMemory(), [], []
    for arg in args:
        array, before = arg if isinstance(arg, tuple) else (arg, 0)
        if not isinstance(array, np.ndarray):
            values.append(array)
            continue
        place = memory.allocate(array.nbytes)
        memory.write(place, array.reshape(-1).view(np.uint8))
        written.append((array, place))
        values.append(place - before * array.itemsize)
    values += [N] * sum(param.kind == "symbol" for param in simulated.plan.params)
    program: Any = simulated._loaded()
    program.launch(simulated.plan.kernels[0].name, (grid, 1, 1), values, checked=False, memory=memory)
    for array, place in written:
        array.reshape(-1).view(np.uint8)[:] = memory.read(place, array.nbytes)


@pytest.mark.parametrize("target", [*TARGETS, "sim:gfx942"])
@pytest.mark.parametrize("kind", ["static", "int32", "int64"])
def test_elements_and_tiles(target: str, kind: str) -> None:
    n: Any = N if kind == "static" else T.dynamic("n", kind)

    @T.prim_func
    def main(A: T.Tensor((n,), "int8"), B: T.Tensor((n,), "int8"), first: T.int32, C: T.Tensor((5, BLOCK), "int8")):
        with T.Kernel(5, threads=32) as b:
            start = (b + first) * BLOCK
            tile = T.alloc_shared((BLOCK,), "int8")
            T.copy(A[start], tile)
            for i in T.Parallel(BLOCK):
                C[b, i] = tile[i]
            for i in T.Parallel(BLOCK):
                if start + i < n:
                    B[start + i] = A[start + i] + (start + i) % 7
            T.copy(tile, A[start : start + BLOCK])

    kernel = tilelang.compile(main, target=target)
    a, b, c = ends(TAIL), ends(TAIL), np.full((5, BLOCK), 99, np.int8)
    before = a.copy()
    run(kernel, 5, (a, START), (b, START), FIRST, c)
    assert np.array_equal(a, before) and np.array_equal(b, (a + np.arange(START, N) % 7).astype(np.int8))
    assert np.array_equal(c.reshape(-1)[:TAIL], a) and not c.reshape(-1)[TAIL:].any()


@pytest.mark.parametrize("target", TARGETS)
def test_either_dimension_of_two(target: str) -> None:
    """The rows of the flat tensor begin 300 elements apart, so that their ends lie next to each other."""
    n = T.dynamic("n")

    @T.prim_func
    def main(A: T.Tensor((n, 4), "int8"), B: T.StridedTensor((3, n), (300, 1), "int8"),
             C: T.Tensor((n, 4), "int8"), first: T.int32):  # fmt: skip
        with T.Kernel(5, threads=32) as b:
            start = (b + first) * BLOCK
            tall, flat = T.alloc_shared((BLOCK, 4), "int8"), T.alloc_fragment((3, BLOCK), "int8")
            for k in T.Pipelined(1, num_stages=1):
                T.copy(A[start + k * BLOCK, 0], tall)
                T.copy(B[0, start], flat)
                for i, j in T.Parallel(BLOCK, 4):
                    tall[i, j] = tall[i, j] + B[2, start + i]
                T.copy(tall, C[start + k * BLOCK, 0])
                for i, j in T.Parallel(3, BLOCK):
                    flat[i, j] = flat[i, j] * 2
                T.copy(flat, B[0, start])

    kernel = tilelang.compile(main, target=target)
    a, b, c = ends(TAIL, 4), ends(3, 300), ends(TAIL, 4)
    before = b.copy()
    run(kernel, 5, (a, 4 * START), (b, START), (c, 4 * START), FIRST)
    assert np.array_equal(c, a + before[2, :TAIL, None])
    assert np.array_equal(b[:, :TAIL], before[:, :TAIL] * 2) and np.array_equal(b[:, TAIL:], before[:, TAIL:])


def test_rows_as_long_as_the_dimension() -> None:
    """Windows have sizes of 32 bits and strides of 64; what divides a static size divides theirs."""
    n, even = T.dynamic("n", "int64"), 3 * 2**30

    @T.prim_func
    def main(A: T.Tensor((3, n), "int8"), B: T.Tensor((even,), "int8"), first: T.int64):
        with T.Kernel(3, threads=32) as b:
            tile, line = T.alloc_shared((1, 512), "int8"), T.alloc_shared((512,), "int8")
            T.copy(A[b, first * 512], tile)
            T.copy(B[(b + first) * 512], line)
            for i in T.Parallel(512):
                line[i] = line[i] + tile[0, i]
            T.copy(line, B[(b + first) * 512])

    kernel = tilelang.compile(main, target="sim:sm_80")
    assert kernel.plan.wide and "v4" in kernel.ir("ptx").split("ld.shared")[0]
    a, b, first = ends(512), ends(3 * 512), even // 512 - 3
    want = b.copy()
    want[:512] += a
    run(kernel, 1, (a, first * 512), (b, first * 512), first)
    assert np.array_equal(b, want)


def test_loops_atomics_gathers_and_addresses() -> None:
    n = T.dynamic("n", "int64")

    @T.prim_func
    def main(A: T.Tensor((n,), "int32"), I: T.Tensor((32,), "int64"), B: T.Tensor((4, 32), "int32")):
        with T.Kernel(1, threads=32):
            total = T.alloc_var("int32", 0)
            for i in T.serial(n - 9, n):
                total = total + A[i]
            B[0, 0] = total
            for i in T.serial(n - 32, n):
                if i >= n - 2:
                    break
                B[2, i - (n - 32)] = A[i]
            for i in T.Parallel(32):
                B[1, i] = A[I[i]] - A[-1]
            for i in T.Parallel(32):
                T.atomic_add(A[I[i] - 40], 5)
            lane = T.get_thread_binding()
            word = T.ldg32(A[n - 32 + lane])
            B[3, lane] = T.reinterpret(word, "int32")

    a, count = ends(200, dtype=np.int32), 200
    index = N - 1 - np.random.default_rng(2).permutation(32).astype(np.int64)
    index[3] = N + 5  # outside: reads as zero
    before, b = a.copy(), np.full((4, 32), -1, np.int32)
    run(tilelang.compile(main, target="sim:sm_80"), 1, (a, N - count), index, b)
    inside = np.where(index < N, before[np.minimum(index - N, -1)], 0)
    assert b[0, 0] == before[-9:].sum() and np.array_equal(b[1], inside - before[-1])
    assert np.array_equal(b[2, :30], before[-32:-2]) and np.array_equal(b[3], before[-32:])
    np.add.at(before, index - 40 - N, 5)
    assert np.array_equal(a, before)


def test_calls_choose_the_kernel() -> None:
    """One element that all indices mean: the binder finds the size too large and the kernel is compiled anew."""
    n, s = T.dynamic("n, s")

    @T.prim_func
    def main(A: T.StridedTensor((n,), (s,), "int8"), first: T.int32, B: T.Tensor((4, BLOCK), "int8")):
        with T.Kernel(4, threads=32) as b:
            for i in T.Parallel(BLOCK):
                B[b, i] = A[(b + first) * BLOCK + i] + ((b + first) * BLOCK + i) % 11

    kernel = tilelang.compile(main, target="sim:sm_80")
    b = np.zeros((4, BLOCK), np.int8)
    for length, first in ((N, FIRST), (200, 0)):
        b[:] = 0
        kernel(np.broadcast_to(np.int8(9), (length,)), first, b)
        place = first * BLOCK + np.arange(4 * BLOCK)
        assert np.array_equal(b.reshape(-1), np.where(place < length, 9, 0) + place % 11)
    assert not kernel.plan.wide
    with pytest.raises(ArgumentError, match=r"A: shape\[0\] is 3221225549, and n is 32 bits wide"):
        tilelang.JITKernel.from_database(kernel.serialize())(np.broadcast_to(np.int8(9), (N,)), 0, b)


def test_sizes_that_are_products() -> None:
    """Written down before anyone knew that their symbols need 64 bits."""
    m, n = T.dynamic("m, n")

    @T.prim_func
    def main(A: T.StridedTensor((m * n + 1,), (0,), "int8"), C: T.StridedTensor((m, n), (0, 0), "int8"),
             B: T.Tensor((2, 4), "int32")):  # fmt: skip
        with T.Kernel(2, threads=32) as b:
            for i in T.Parallel(4):
                B[b, i] = A[b * m * n + i] + A.shape[0] // 1000000 + T.ceildiv(m, 2) + C[0, 0]

    b = np.zeros((2, 4), np.int32)
    one = np.ones(1, np.int8)
    rows, columns = 2**20, 3 * 2**10
    whole = np.lib.stride_tricks.as_strided(one, (rows * columns + 1,), (0,))
    tilelang.compile(main, target="sim:sm_80")(whole, np.lib.stride_tricks.as_strided(one, (rows, columns), (0, 0)), b)
    read = np.array([[1, 1, 1, 1], [1, 0, 0, 0]])  # the second block reads from the last element on
    assert np.array_equal(b, read + (rows * columns + 1) // 1000000 + rows // 2 + 1)


def test_other_kernels_keep_their_indices() -> None:
    """A size of 64 bits costs nothing until a call has one that needs it: tiles are bulk copies all the same."""
    m = T.dynamic("m", "int64")

    @T.prim_func
    def main(A: T.Tensor((m, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((m, 64), "float16")):
        with T.Kernel(T.ceildiv(m, 64), threads=128) as b:
            left, right = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            out = T.alloc_fragment((64, 64), "float32")
            T.clear(out)
            for k in T.Pipelined(4, num_stages=2):
                T.copy(A[b * 64, k * 64], left)
                T.copy(B[k * 64, 0], right)
                T.gemm(left, right, out)
            T.copy(out, C[b * 64, 0])

    assert "cp.async.bulk.tensor" in tilelang.compile(main, target="sim:sm_90a").ir("ptx")


def test_a_tensor_made_too_late_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="has begun with indices of 32 bits"):

        @T.prim_func
        def main(P: T.ptr(T.int8), B: T.Tensor((4,), "int8")):
            with T.Kernel(1, threads=32):
                B[0] = T.make_tensor(P, (N,), "int8")[N - 1]
