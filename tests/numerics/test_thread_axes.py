"""Thread axes by name, reductions over them, shuffles under their older names and nested parallel loops, simulated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, compiled, f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.mark.parametrize(
    ("threads", "axis"), [((32, 4), 0), ((8, 3), 0), ((7, 3), 0), ((64, 2), 0), ((4, 8), 1), ((3, 5), 1)]
)
def test_allreduce_over_an_axis(threads: tuple[int, int], axis: int) -> None:
    """Through shuffles where the axis is part of a warp, else through shared memory; every thread gets the sum."""
    reduced, kept = threads[axis], threads[1 - axis]

    @T.prim_func
    def main(X: T.Tensor((kept, reduced), "float32"), Y: T.Tensor((kept, reduced), "float32")):
        with T.Kernel(1, threads=threads):
            row = T.get_thread_binding(1 - axis)
            k = T.thread_binding(0, reduced, thread=f"threadIdx.{'xy'[axis]}")
            value = T.alloc_local((1,), "float32")
            total = T.alloc_local((1,), "float32")
            value[0] = X[row, k]
            with T.attr(
                T.comm_reducer(lambda x, y: x + y, [T.float32(0)]),
                "reduce_scope",
                T.reinterpret(T.uint64(0), dtype="handle"),
            ):
                T.evaluate(T.tvm_thread_allreduce(T.uint32(1), value[0], k > 0, total[0], k, dtype="handle"))
            Y[row, k] = total[0]

    x = random((kept, reduced), "float32", 1)
    y = poisoned((kept, reduced), "float32")
    compiled(main)(x, y)
    want = np.repeat(f64(x)[:, 1:].sum(1, keepdims=True), reduced, 1)
    check(y, want, "float32")


def test_allreduce_of_pairs_is_an_argmax() -> None:
    @T.prim_func
    def main(X: T.Tensor((3, 16), "float32"), Y: T.Tensor((3,), "float32"), P: T.Tensor((3,), "int32")):
        with T.Kernel(3, threads=16) as b:
            k = T.get_thread_binding(0)
            best = T.alloc_local((1,), "float32")
            place = T.alloc_local((1,), "int32")
            reducer = T.comm_reducer(
                lambda a, i, b, j: (T.max(a, b), T.if_then_else(a >= b, i, j)), [T.float32(-1e30), T.int32(-1)]
            )
            with T.attr(reducer, "reduce_scope"):
                T.tvm_thread_allreduce(2, X[b, k], k, True, best[0], place[0], k)
            if k == 5:
                Y[b] = best[0]
                P[b] = place[0]

    x = random((3, 16), "float32", 2)
    y, place = poisoned((3,), "float32"), np.full(3, -7, np.int32)
    compiled(main)(x, y, place)
    assert np.array_equal(y, x.max(1)) and np.array_equal(place, x.argmax(1))


def test_shuffles_under_their_older_names() -> None:
    @T.prim_func
    def main(X: T.Tensor((32,), "float32"), Y: T.Tensor((3, 32), "float32")):
        with T.Kernel(1, threads=32):
            for tx in T.thread_binding(32, "threadIdx.x"):
                v = X[tx]
                Y[0, tx] = T.tvm_warp_shuffle(0xFFFFFFFF, v, tx ^ 3, 32, 32)
                Y[1, tx] = T.tvm_warp_shuffle_up(0xFFFFFFFF, v, 2, 32, 32)
                Y[2, tx] = T.tvm_warp_shuffle_down(0xFFFFFFFF, v, 5, 32, 32)
                T.tvm_storage_sync("shared")

    x, y = random((32,), "float32", 3), poisoned((3, 32), "float32")
    compiled(main)(x, y)
    lane = np.arange(32)
    sources = lane ^ 3, np.where(lane < 2, lane, lane - 2), np.where(lane > 26, lane, lane + 5)
    for row, source in zip(y, sources, strict=True):
        assert np.array_equal(row, x[source])


def test_nested_parallel_loops() -> None:
    """The first nest is one loop; in the second the inner loop stands beside a store, in the third under a branch."""

    @T.prim_func
    def main(X: T.Tensor((13, 40), "float32"), Y: T.Tensor((13, 40), "float32"), n: T.int32):
        with T.Kernel(1, threads=64):
            tile = T.alloc_fragment((13, 40), "float32")
            ones = T.alloc_shared((13,), "float32")
            T.copy(X, tile)
            for i in T.Parallel(13):
                for j in T.Parallel(40):
                    if j > i:
                        tile[i, j] = 0.0
            T.copy(tile, Y)
            T.sync_threads()
            for i in T.Parallel(13):
                ones[i] = 1.0
                first = Y[i, 0]
                for j in T.Parallel(40):
                    Y[i, j] = Y[i, j] + first + ones[i]
            T.sync_threads()
            for i in T.Parallel(13):
                if i < 5:
                    for j in T.Parallel(n):
                        Y[i, j] = -1.0

    x, y = random((13, 40), "float32", 4), poisoned((13, 40), "float32")
    kernel = compiled(main)
    assert kernel.ir("tl").count("tl.parallel") == 3 and "array<i64: 13, 40>" in kernel.ir("tl")
    kernel(x, y, 7)
    want = np.tril(f64(x))
    want = want + want[:, :1] + 1
    want[:5, :7] = -1
    check(y, want, "float32")


@pytest.mark.parametrize("target", ["sim:sm_80", "sim:sm_90a"])
def test_a_flat_view_of_a_tensor_argument(target: str) -> None:
    """The argument keeps its own shape, and no tensor map of that shape serves the view."""

    @tilelang.jit(target=target)
    def times(A: Any, B: Any) -> Any:
        K, C = T.const("K, C")
        A: T.Tensor((64, K * C), "float16")
        B: T.Tensor((K, C, 64), "float16")
        out = T.empty((64, 64), "float32")
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((64, 32), "float16"), T.alloc_shared((32, 64), "float16")
            c = T.alloc_fragment((64, 64), "float32")
            flat = T.Tensor((K * C, 64), "float16", B.data)
            T.clear(c)
            for k in T.Pipelined(T.ceildiv(K * C, 32), num_stages=2):
                T.copy(A[0, k * 32], a)
                T.copy(flat[k * 32, 0], b)
                T.gemm(a, b, c)
            T.copy(c, out)
        return out

    a, b = random((64, 96), "float16", 5), random((3, 32, 64), "float16", 6)
    check(times(a, b), f64(a) @ f64(b).reshape(96, 64), "float32")


def test_a_truth_value_is_a_number() -> None:
    @T.prim_func
    def main(X: T.Tensor((8,), "float32"), B: T.Tensor((8,), "bool"), Y: T.Tensor((2, 8), "int32")):
        with T.Kernel(1, threads=8):
            t = T.get_thread_binding()
            Y[0, t] = (X[t] > 0).astype("int32")
            Y[1, t] = T.cast(B[t], "int32") + 1

    x = random((8,), "float32", 7)
    b = np.arange(8) % 3 == 0
    y = np.full((2, 8), -5, np.int32)
    compiled(main)(x, b, y)
    assert np.array_equal(y, [x > 0, b.astype(int) + 1])


def test_annotations_in_the_body_of_a_prim_func() -> None:
    """Parameters keep the order of the signature; a kernel without a grid is one block."""

    @T.prim_func
    def main(X, n: T.int32, Y):  # type: ignore[no-untyped-def]
        Y: T.Tensor[(8), T.float32]
        X: T.Tensor((8,), "float32")
        with T.Kernel(threads=8):
            t = T.get_thread_binding()
            Y[t] = X[t] * n

    assert [param.name for param in main.params] == ["X", "n", "Y"]
    x, y = random((8,), "float32", 8), poisoned((8,), "float32")
    compiled(main)(x, 3, y)
    check(y, 3 * f64(x), "float32")


def test_vectors_as_indices_and_packed_additions() -> None:
    @T.prim_func
    def main(
        X: T.Tensor((8,), "float32"), S: T.Tensor((4,), "float32"), P: T.Tensor((4,), "float32"),
        B: T.Tensor((4,), "uint32"), Y: T.Tensor((2, 4), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=1) as b:
            start = T.int32()
            T.let(start, b + 3)
            Y[0, T.Ramp(0, 1, 4)] = X[T.Ramp(start, 1, 4)]
            P[0:4] = T.atomic_addx4(S[T.Ramp(0, 1, 4)], X[0:4], return_prev=True)
            T.atomic_addx2(S[1:3], T.float32x2(0.5, 0.25))
            B[0:4] = T.reinterpret(T.ldg128(X[4:8]), "uint32x4")
            Y[1, 0:4] = T.reinterpret(T.ldg128(X[0]), T.float32x4)

    x, s = random((8,), "float32", 9), random((4,), "float32", 10)
    total, before, bits = s.copy(), poisoned((4,), "float32"), np.zeros(4, np.uint32)
    y = poisoned((2, 4), "float32")
    compiled(main)(x, total, before, bits, y)
    assert np.array_equal(y, [x[3:7], x[:4]]) and np.array_equal(before, s) and np.array_equal(bits, x[4:].view("u4"))
    check(total, f64(s) + f64(x[:4]) + [0, 0.5, 0.25, 0], "float32")


def test_filling_a_slice_of_run_time_extent() -> None:
    @T.prim_func
    def main(X: T.Tensor((40, 3), "int64"), start: T.int32, stop: T.int32):
        with T.Kernel(1, threads=32):
            T.fill(X[start:stop, 1:3], 7)

    x = np.zeros((40, 3), np.int64)
    compiled(main)(x, 3, 38)
    want = np.zeros_like(x)
    want[3:38, 1:] = 7
    assert np.array_equal(x, want)


def test_scans_of_parts_of_a_tile() -> None:
    @T.prim_func
    def main(X: T.Tensor((16, 4, 33), "float32"), Y: T.Tensor((16, 4, 33), "float32")):
        with T.Kernel(1, threads=64):
            tile = T.alloc_shared((16, 4, 33), "float32")
            T.copy(X, tile)
            T.cumsum(tile[:, 1, :], dim=0)
            T.cummax(tile[2:7, 3, 8:16], dim=2, reverse=True)
            T.copy(tile, Y)

    x, y = random((16, 4, 33), "float32", 11), poisoned((16, 4, 33), "float32")
    compiled(main)(x, y)
    want = f64(x).copy()
    want[:, 1] = want[:, 1].cumsum(0)
    want[2:7, 3, 8:16] = np.maximum.accumulate(want[2:7, 3, 15:7:-1], 1)[:, ::-1]
    check(y, want, "float32")


def test_a_product_over_nothing() -> None:
    """Tensors of no columns: the loop does not run and the accumulator stays zero."""

    def over(K: int) -> Any:
        @T.prim_func
        def main(A: T.Tensor((64, K), "float16"), B: T.Tensor((K, 64), "float16"), C: T.Tensor((64, 64), "float32")):
            with T.Kernel(1, threads=128):
                a, b = T.alloc_shared((64, 32), "float16"), T.alloc_shared((32, 64), "float16")
                c = T.alloc_fragment((64, 64), "float32")
                T.clear(c)
                for k in T.Pipelined(T.ceildiv(K, 32), num_stages=2):
                    T.copy(A[0, k * 32], a)
                    T.copy(B[k * 32, 0], b)
                    T.gemm(a, b, c)
                T.copy(c, C)

        return main

    c = poisoned((64, 64), "float32")
    compiled(over(0))(np.zeros((64, 0), np.float16), np.zeros((0, 64), np.float16), c)
    assert not c.any()


@pytest.mark.parametrize("clear", [True, False])
def test_reductions_into_a_variable(clear: bool) -> None:
    @T.prim_func
    def main(X: T.Tensor((8,), "float32"), Y: T.Tensor((2,), "float32")):
        with T.Kernel(1, threads=32):
            own = T.alloc_local((8,), "float32")
            tile = T.alloc_fragment((8,), "float32")
            low = T.alloc_var("float32", 0.0)
            total = T.alloc_var("float32", 100.0)
            for i in T.serial(8):
                own[i] = X[i]
            T.copy(X, tile)
            T.reduce_min(own, low, dim=0, clear=clear)
            T.reduce_sum(tile, total, dim=0, clear=clear)
            if T.get_thread_binding() == 31:
                Y[0] = low
                Y[1] = total

    x, y = abs(random((8,), "float32", 12)), poisoned((2,), "float32")
    compiled(main)(x, y)
    want = np.array([x.min() if clear else 0, f64(x).sum() + (0 if clear else 100)])
    check(y, want, "float32")


def test_branches_as_contexts_and_loops_around_kernels() -> None:
    """`T.If` with and without its other side, around tiles too; what loops around kernels count is Python's."""

    @T.prim_func
    def main(A: T.Tensor((50,), "float32"), B: T.Tensor((50,), "float32"), n: T.int32):
        total = 0
        for step in range(5, -1, -2):
            total += step
            with T.Kernel(1, threads=32):
                tile = T.alloc_shared((50,), "float32")
                with T.If(n > 10 * step):
                    with T.Then():
                        T.copy(A, tile)
                        with T.If(step == 1), T.Then():
                            T.fill(tile, total)
                    with T.Else():
                        T.fill(tile, -step)
                for i in T.Parallel(50):
                    with T.If(i < n), T.Then():
                        B[i] = B[i] + tile[i]

    a, b = random((50,), "float32", 5), np.zeros(50, np.float32)
    for n in (7, 20, 48):
        b[:] = 0
        compiled(main)(a, b, n)
        parts = {5: a if n > 50 else -5, 3: a if n > 30 else -3, 1: 9 if n > 10 else -1}
        want = np.where(np.arange(50) < n, sum(f64(np.full(50, 1, np.float32)) * part for part in parts.values()), 0)
        check(b, want, "float32")
