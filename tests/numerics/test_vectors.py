"""Vectors: variables and buffers of vector dtypes, places by vectors, arithmetic by lanes, bits of other widths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def floats(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def run(program: Any, *arguments: Any) -> None:
    tilelang.compile(program, target="sim:sm_80")(*arguments)


def test_variables_take_vectors_and_rows_are_read_at_once() -> None:
    """Sums of squares of rows by eight lanes; a loop over a variable of lanes."""

    @T.prim_func
    def squares(A: T.Tensor((32, 40), "float16"), B: T.Tensor((32,), "float32")):
        with T.Kernel(1, threads=32) as _:
            tx = T.get_thread_binding()
            acc, other = T.alloc_var("float32x8"), T.alloc_var(T.float32x8, 0.5)
            k = T.alloc_var("int32", 0)
            while k < 5:
                row = T.cast(A[tx, T.Ramp(k * 8, 1, 8)], "float32x8")
                acc += row * row
                other = T.max(other, acc) if k > 0 else acc
                k += 1
            total = T.alloc_var("float32")
            for lane in T.unroll(8):
                total += acc[lane] + other[lane]
            B[tx] = total

    a, b = floats(32, 40, dtype=np.float16), np.full(32, np.nan, np.float32)
    run(squares, a, b)
    expected = 2 * (a.astype(np.float64) ** 2).sum(1)
    assert np.linalg.norm(b - expected) < 1e-6 * np.linalg.norm(expected)
    ptx = tilelang.compile(squares, target="sm_80").get_kernel_source()
    assert "ld.global.nc.v4.b32" in ptx and ".local" not in ptx
    assert "global_load_dwordx4" in tilelang.compile(squares, target="gfx942").get_kernel_source()


def test_buffers_of_vectors() -> None:
    """Shared, private and fragment buffers whose elements are vectors."""

    @T.prim_func
    def turned(A: T.Tensor((32, 64), "float32"), B: T.Tensor((32, 64), "float32")):
        with T.Kernel(1, threads=64) as _:
            tx = T.get_thread_binding()
            shared, parts = T.alloc_shared((32, 16), "float32x4"), T.alloc_fragment((32, 16), "float32x4")
            own = T.alloc_local((8,), "float32x4")
            for i in T.serial(8):
                own[i] = A[tx // 2, T.Ramp(tx % 2 * 32 + i * 4, 1, 4)]
            for i in T.unroll(8):
                shared[tx // 2, tx % 2 * 8 + i] = T.Shuffle([own[i]], [3, 2, 1, 0])
            T.copy(shared, parts)
            for i, j in T.Parallel(32, 16):
                B[i, T.Ramp(j * 4, 1, 4)] = parts[i, j] * 2.0 + shared[i, 15 - j]

    a, b = floats(32, 64), np.full((32, 64), np.nan, np.float32)
    run(turned, a, b)
    s = a.reshape(32, 16, 4)[:, :, ::-1]
    assert np.array_equal(b, (s * np.float32(2) + s[:, ::-1]).reshape(32, 64))


def test_places() -> None:
    """Steps, repeated and shuffled places, places from the end, and a name that keeps what it read."""

    @T.prim_func
    def places(A: T.Tensor((128,), "float32"), B: T.Tensor((6, 128), "float32")):
        with T.Kernel(1, threads=32) as _:
            tx = T.get_thread_binding()
            kept = A[T.Ramp(tx * 4, 1, 4)]
            B[0, T.Ramp(tx, 32, 4)] = kept
            B[1, tx * 4 : tx * 4 + 4] = A[T.Broadcast(tx, 4)]
            B[2, T.Ramp(tx * 4, 1, 4)] = A[T.Ramp(tx - 2, 1, 4)]
            B[3, T.Shuffle([tx, tx + 32, tx + 64, tx + 96], [3, 2, 1, 0])] = T.Ramp(0.0, 1.0, 4)
            B[4, tx * 4 : tx * 4 + 4 : 2] = A[tx * 4 + 1 : tx * 4 + 5 : 2]
            B[4, tx * 4 + 1 : tx * 4 + 4 : 2] = -1.0
            T.sync_threads()
            for i in T.serial(4):
                A[tx * 4 + i] = 0.0
            B[5, T.Ramp(tx * 4, 1, 4)] = kept
            B[5, tx * 4 : tx * 4 + 4] += kept
            B[5, T.Ramp(tx * 4, 2, 2)] *= 2.0

    a, b = floats(128), np.full((6, 128), np.nan, np.float32)
    before = a.copy()
    run(places, a, b)
    rows = before.reshape(32, 4)
    assert np.array_equal(b[0].reshape(4, 32), rows.T) and np.array_equal(b[1], np.repeat(before[:32], 4))
    assert np.array_equal(b[2].reshape(32, 4), [[before[t - 2 + lane] for lane in range(4)] for t in range(32)])
    assert np.array_equal(b[3].reshape(4, 32), np.repeat([3, 2, 1, 0], 32).reshape(4, 32))
    assert np.array_equal(b[4, ::2], before[1::2]) and (b[4, 1::2] == -1).all()
    assert np.array_equal(b[5].reshape(32, 4), rows * [4, 2, 4, 2])


def test_operators_by_lanes() -> None:
    @T.prim_func
    def integers(A: T.Tensor((128,), "int32"), B: T.Tensor((128,), "int32"), C: T.Tensor((128,), "bool"),
                 D: T.Tensor((32, 2), "int32")):  # fmt: skip
        with T.Kernel(1, threads=32) as _:
            tx = T.get_thread_binding()
            v = A[T.Ramp(tx * 4, 1, 4)]
            w = (((v >> 2) & 15) | (v << 8)) ^ (v // 3)
            w = -(w - v % 5)
            B[tx * 4 : tx * 4 + 4] = T.if_then_else(v > 100, T.min(T.max(w, -1000000), ~v), T.Broadcast(7, 4))
            C[tx * 4 : tx * 4 + 4] = v > w
            D[tx, 0], D[tx, 1] = T.cast(T.any_of(v < 0), "int32"), T.cast(T.all_of(v < 0), "int32")

    a = np.random.default_rng(3).integers(-10000, 10000, 128).astype(np.int32)
    b, c, d = np.full(128, -9, np.int32), np.zeros(128, bool), np.full((32, 2), -9, np.int32)
    run(integers, a, b, c, d)
    w = -(((((a >> 2) & 15) | (a << 8)) ^ (a // 3)) - a % 5)
    assert np.array_equal(b, np.where(a > 100, np.minimum(np.maximum(w, -1000000), ~a), 7)) and np.array_equal(c, a > w)
    rows = a.reshape(32, 4) < 0
    assert np.array_equal(d, np.stack([rows.any(1), rows.all(1)], 1))


def test_bits_of_vectors() -> None:
    """Lanes of 16 bits as words of 32 and 64 and back; conversions and functions of floats by lanes."""

    @T.prim_func
    def bits(A: T.Tensor((128,), "float16"), B: T.Tensor((128,), "float16"), C: T.Tensor((32,), "uint64"),
             D: T.Tensor((128,), "bfloat16")):  # fmt: skip
        with T.Kernel(1, threads=32) as _:
            tx = T.get_thread_binding()
            words = T.reinterpret(A[T.Ramp(tx * 4, 1, 4)], "uint32x2")
            C[tx] = T.reinterpret(words, "uint64")
            B[T.Ramp(tx * 4, 1, 4)] = T.reinterpret(T.reinterpret("uint64", words), T.float16x4)
            D[T.Ramp(tx * 4, 1, 4)] = T.Cast("bfloat16x4", T.exp2(T.cast(A[tx * 4 : tx * 4 + 4], "float32x4")))

    torch = pytest.importorskip("torch")
    a, b, c = floats(128, dtype=np.float16), np.zeros(128, np.float16), np.zeros(32, np.uint64)
    d = torch.full((128,), float("nan"), dtype=torch.bfloat16)
    run(bits, *(torch.from_numpy(x) for x in (a, b, c)), d)
    assert np.array_equal(a.view(np.uint16), b.view(np.uint16)) and np.array_equal(c, a.view(np.uint64))
    expected = np.exp2(a.astype(np.float64))
    assert np.linalg.norm(d.double().numpy() - expected) < 5e-3 * np.linalg.norm(expected)


def test_vectorized_loops_whose_places_are_read_run_in_order() -> None:
    """p[j] + j may be one place for all j."""

    @T.prim_func
    def main(P: T.Tensor((4,), "int32"), S: T.Tensor((16,), "float32")):
        with T.Kernel(1, threads=1):
            places = T.alloc_local((4,), "int32")
            for j in T.serial(4):
                places[j] = P[j]
            for j in T.vectorized(4):
                S[places[j] + j] = S[places[j] + j] + 1

    sums = np.zeros(16, np.float32)
    run(main, np.array([5, 4, 3, 2], np.int32), sums)
    assert sums[5] == 4 and sums.sum() == 4


def test_vectorized_loops_whose_iterations_share_a_place_run_in_order():
    """`s[j % 2] += x[j]` and `h[j // 4] = x[j]` carry or overwrite; `u[(j + t) % 8]` and `v[j ^ t]` do not."""

    @T.prim_func
    def main(A: T.Tensor((8, 8), "float32"), B: T.Tensor((4, 8, 8), "float32")):
        with T.Kernel(1, threads=8):
            t = T.get_thread_binding()
            s, h, x, u = (T.alloc_local((n,), "float32") for n in (2, 2, 8, 8))
            v = T.alloc_shared((8, 8), "float32")
            T.clear(s)
            for j in T.vectorized(8):
                x[j] = A[t, j]
            for j in T.vectorized(8):
                s[j % 2] += x[j]
                h[j // 4] = x[j]
            for j in T.vectorized(8):
                u[(j + t) % 8] = x[j]
                v[t, j ^ t] = x[j]
            for j in T.vectorized(8):
                B[0, t, j] = s[j % 2]
                B[1, t, j] = h[j // 4]
                B[2, t, j] = u[j]
                B[3, t, j] = v[t, j]

    a, b = np.random.default_rng(4).standard_normal((8, 8)).astype(np.float32), np.zeros((4, 8, 8), np.float32)
    tilelang.compile(main, target="sim")(a, b)
    j, t = np.arange(8), np.arange(8)[:, None]
    sums = np.stack([a[:, ::2].sum(1), a[:, 1::2].sum(1)], 1)
    want = np.stack([sums[:, j % 2], a[:, [3, 7]][:, j // 4], a[t, (j - t) % 8], a[t, j ^ t]])
    assert np.abs(b - want).max() < 1e-5
