"""Accesses of a fixed width, short vectors and random numbers, in the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import NUMPY, check, compiled, f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import UnsupportedError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.mark.parametrize("bits", [32, 64, 128])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_words_through_shared_memory(dtype: str, bits: int) -> None:
    """Each thread moves one access; the last thread's predicate fails, and what it stores is zero."""
    step = bits // (8 * np.dtype(NUMPY[dtype]).itemsize)
    load, store = getattr(T, f"ldg{bits}"), getattr(T, f"stg{bits}")
    load_shared, store_shared = getattr(T, f"lds{bits}"), getattr(T, f"sts{bits}")
    N = 32 * step

    @T.prim_func
    def main(X: T.Tensor((2, N), dtype), Y: T.Tensor((2, N), dtype), Z: T.Tensor((2, N), dtype)):
        with T.Kernel(2, threads=32) as bx:
            tile = T.alloc_shared((N,), dtype)
            tx = T.get_thread_binding()
            store_shared(tile[tx * step], load(X[bx, tx * step], pred=tx < 31))
            T.sync_threads()
            store(Y[bx, tx * step : tx * step + step], load_shared(tile[(31 - tx) * step]))
            store(Z[bx, tx * step], load(X[bx, tx * step]), pred=tx < 16)

    kernel = compiled(main)
    x, y, z = random((2, N), dtype), poisoned((2, N), dtype), poisoned((2, N), dtype)
    kernel(x, y, z)
    expected = x.copy().reshape(2, 32, step)
    expected[:, 31] = 0
    assert (y.reshape(2, 32, step) == expected[:, ::-1]).all()
    assert (z[:, : N // 2] == x[:, : N // 2]).all() and np.isnan(z[:, N // 2 :]).all()


def test_wide_accesses_reach_ptx() -> None:
    @T.prim_func
    def main(X: T.Tensor((256,), "float32"), Y: T.Tensor((256,), "float32")):
        with T.Kernel(1, threads=32) as _:
            tx = T.get_thread_binding()
            T.stg128(Y[tx * 4], T.ldg128(X[tx * 4], pred=tx < 20))

    source = tilelang.compile(main, target="sm_80").get_kernel_source()
    assert "ld.global.v4" in source.replace(".nc", "").replace(".L1::no_allocate", "") and "st.global.v4" in source


def test_256_bits_need_another_machine() -> None:
    @T.prim_func
    def main(X: T.Tensor((256,), "float32")):
        with T.Kernel(1, threads=32) as _:
            T.stg256(X[0], T.ldg256(X[8]))

    with pytest.raises(UnsupportedError, match="an access of 32 bytes needs 256-bit global accesses"):
        compiled(main)
    assert tilelang.compile(main, target="sim:sm_100a")


@pytest.mark.parametrize("synchronised", [True, False])
def test_cp_async_by_hand(synchronised: bool) -> None:
    """Other threads read what one has waited for: the barrier between is the program's, or else inserted."""
    N = 256

    @T.prim_func
    def main(X: T.Tensor((2, N), "float16"), Y: T.Tensor((2, N), "float16")):
        with T.Kernel(2, threads=32) as bx:
            tile = T.alloc_shared((N,), "float16")
            tx = T.get_thread_binding()
            T.ptx_cp_async(T.access_ptr(tile[tx * 8], "w", 8), T.access_ptr(X[bx, tx * 8], "r", 8), 8, tx != 3)
            T.ptx_commit_group()
            T.ptx_wait_group(0)
            if synchronised:
                T.sync_threads()
            for i in T.serial(8):
                Y[bx, i * 32 + tx] = tile[i * 32 + tx]

    kernel = compiled(main)
    assert kernel.ir("scheduled").count("tl.sync_threads") == 1
    x, y = random((2, N)), poisoned((2, N), "float16")
    kernel(x, y)
    expected = x.copy()
    expected[:, 24:32] = 0
    assert (y == expected).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_packed_arithmetic(dtype: str) -> None:
    N = 66

    @T.prim_func
    def main(A: T.Tensor((N,), dtype), B: T.Tensor((N,), dtype), C: T.Tensor((4, N), dtype)):
        with T.Kernel(1, threads=32) as _:
            for i in T.serial(N // 2):
                a, b = A[2 * i : 2 * i + 2], B[2 * i : 2 * i + 2]
                C[0, 2 * i : 2 * i + 2] = T.fma2(a, b, T.sub2(a, b))
                C[1, 2 * i : 2 * i + 2] = T.max2(T.abs2(a), T.mul2(b, b))
                C[2, 2 * i : 2 * i + 2] = T.Shuffle([T.add2(a, b)], [1, 0])
                C[3, 2 * i : 2 * i + 2] = T.min2(a, T.Broadcast(B[0], 2))

    kernel = compiled(main)
    a, b, c = random((N,), dtype), random((N,), dtype, 1), poisoned((4, N), dtype)
    kernel(a, b, c)
    x, y = f64(a), f64(b)
    check(c[0], x * y + (x - y), dtype)
    check(c[1], np.maximum(np.abs(x), y * y), dtype)
    check(c[2], (x + y).reshape(-1, 2)[:, ::-1].reshape(-1), dtype)
    check(c[3], np.minimum(x, y[0]), dtype)


def philox(seed: int, sequence: int, block: int) -> list[int]:
    """Philox4x32-10 as the paper writes it, in Python integers."""
    mask = 0xFFFFFFFF
    c = [block & mask, block >> 32, sequence & mask, sequence >> 32]
    k = [seed & mask, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & mask, (p0 >> 32) ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def test_the_oracle_knows_the_published_vectors() -> None:
    assert philox(0, 0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@pytest.mark.parametrize(("seed", "offset"), [(0, 0), (12345678901, 3), (7, 9)])
def test_random_words(seed: int, offset: int) -> None:
    @T.prim_func
    def main(Y: T.Tensor((2, 32, 6), "uint32")):
        with T.Kernel(2, threads=32) as bx:
            T.rng_init(seed, off=offset)
            for i in T.serial(6):
                Y[bx, T.get_thread_binding(), i] = T.rng_rand()

    y: Any = np.zeros((2, 32, 6), np.uint32)
    compiled(main)(y)
    for thread in (0, 1, 63):
        words = [w for block in range(4) for w in philox(seed, thread, block)]
        assert y.reshape(64, 6)[thread].tolist() == words[offset : offset + 6]


def test_random_floats() -> None:
    @T.prim_func
    def main(U: T.Tensor((256, 8), "float32"), V: T.Tensor((256, 8), "float32")):
        with T.Kernel(1, threads=256) as _:
            tx = T.get_thread_binding()
            T.rng_init(3, seq=tx)
            for i in T.serial(8):
                U[tx, i] = T.rng_rand_float()
            for i in T.serial(8):
                V[tx, i] = T.rng_rand_float(dist="normal")

    u, v = poisoned((256, 8), "float32"), poisoned((256, 8), "float32")
    compiled(main)(u, v)
    words = np.array([[w for block in range(4) for w in philox(3, t, block)] for t in range(256)], np.float64)
    check(u, words[:, :8] * 2.0**-32 + 2.0**-33, "float32")
    assert (u > 0).all() and (u <= 1).all()
    left, right = words[:, 8::2] * 2.0**-32 + 2.0**-33, words[:, 9::2] * 2.0**-32 * 2 * np.pi + 2.0**-33 * 2 * np.pi
    radius = np.sqrt(-2 * np.log(left))
    expected = np.stack([radius * np.sin(right), radius * np.cos(right)], -1).reshape(256, 8)
    check(v, expected, "float32")
