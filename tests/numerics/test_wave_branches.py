"""Branches on the thread where there are no barriers of some of the threads: one wave exchanges elements and shares
tile operations there; where several would have to meet, that is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import UnsupportedError

WAVES = {"gfx90a": 64, "gfx942": 64, "gfx950": 64, "gfx1100": 32, "gfx1201": 32}
N = 192
waves = pytest.mark.parametrize(("arch", "wave"), WAVES.items())


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@T.macro
def reverse(A: Any, B: Any, tile: Any, tx: Any, first: int, last: int) -> None:
    tile[tx] = A[tx]
    value = tile[first + last - 1 - tx] * 2.0
    tile[tx] = value + 1.0
    B[tx] = tile[first + last - 1 - tx]


def exchange(first: int, last: int) -> Any:
    """Threads of a range reverse their elements twice, the others leave theirs."""

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), B: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=N):
            tile = T.alloc_shared((N,), "float32")
            tx = T.get_thread_binding()
            B[tx] = A[tx]
            if first == 0:
                if tx < last:
                    reverse(A, B, tile, tx, first, last)
            elif tx >= first:
                reverse(A, B, tile, tx, first, last)

    return main


@waves
@pytest.mark.parametrize("where", ["first", "last"])
def test_threads_of_one_wave_exchange_elements(arch: str, wave: int, where: str) -> None:
    first, last = (0, wave) if where == "first" else (N - wave, N)
    a, b = np.random.default_rng(0).standard_normal(N).astype(np.float32), np.zeros(N, np.float32)
    tilelang.compile(exchange(first, last), target=f"sim:{arch}")(a, b)
    want = a.copy()
    want[first:last] = want[first:last] * 2 + 1
    assert np.array_equal(b, want)


@pytest.mark.parametrize("arch", ["gfx942", "gfx1100"])
def test_llvm_keeps_accesses_on_their_side_of_a_barrier_of_a_wave(arch: str) -> None:
    kernel = tilelang.compile(exchange(0, WAVES[arch]), target=f"hip:{arch}")
    lines = [line.strip() for line in kernel.ir("llvm").splitlines()]
    places = [i for i, line in enumerate(lines) if line == "call void @llvm.amdgcn.wave.barrier()"]
    assert places
    for i in places:
        assert lines[i - 1] == 'fence syncscope("wavefront") release'
        assert lines[i + 1] == 'fence syncscope("wavefront") acquire'
    assert "s_barrier" not in kernel.ir("amdgcn")


@waves
def test_several_waves_that_would_have_to_meet(arch: str, wave: int) -> None:
    """Some threads at a barrier of the block would wait for ever, and without one nothing orders them."""
    with pytest.raises(UnsupportedError, match=f"a barrier of some of the threads, which hip:{arch} lacks") as caught:
        tilelang.compile(exchange(0, 2 * wave), target=f"hip:{arch}")
    assert f"one wave ({wave})" in str(caught.value.hint) and caught.value.location is not None
    assert "tile[first + last - 1 - tx]" in str(caught.value)


@waves
def test_tile_operations_of_one_wave(arch: str, wave: int) -> None:
    """One wave reduces rows while the others scale a tile of their own."""
    rows, columns, others = 10, 70, 2 * wave

    @T.prim_func
    def main(A: T.Tensor((rows, columns), "float32"), S: T.Tensor((rows,), "float32"),
             X: T.Tensor((333,), "float32"), Y: T.Tensor((333,), "float32")):  # fmt: skip
        with T.Kernel(1, threads=wave + others):
            tx = T.get_thread_binding()
            if tx < wave:
                a, s = T.alloc_fragment((rows, columns), "float32"), T.alloc_fragment((rows,), "float32")
                tile = T.alloc_shared((rows, columns), "float32")
                T.copy(A, tile)
                for i, j in T.Parallel(rows, columns):
                    a[i, j] = tile[i, columns - 1 - j] * (j + 1)
                T.reduce_sum(a, s, dim=1)
                T.copy(s, S)
            else:
                x = T.alloc_fragment((333,), "float32")
                T.copy(X, x)
                for i in T.Parallel(333):
                    x[i] = x[i] * 3.0
                T.copy(x, Y)

    rng = np.random.default_rng(1)
    a, x = rng.standard_normal((rows, columns)).astype(np.float32), rng.standard_normal(333).astype(np.float32)
    s, y = np.full(rows, np.nan, np.float32), np.full(333, np.nan, np.float32)
    tilelang.compile(main, target=f"sim:{arch}")(a, s, x, y)
    want = (a[:, ::-1].astype(np.float64) * np.arange(1, columns + 1)).sum(axis=1)
    assert np.linalg.norm(s - want) < 1e-5 * np.linalg.norm(want)
    assert np.array_equal(y, x * 3)


@waves
def test_product_of_one_wave(arch: str, wave: int) -> None:
    @T.prim_func
    def main(A: T.Tensor((32, 32), "float16"), B: T.Tensor((32, 32), "float16"), C: T.Tensor((32, 32), "float32"),
             D: T.Tensor((N,), "float32")):  # fmt: skip
        with T.Kernel(1, threads=2 * wave):
            tx = T.get_thread_binding()
            if tx >= wave:
                a, b = T.alloc_shared((32, 32), "float16"), T.alloc_shared((32, 32), "float16")
                c = T.alloc_fragment((32, 32), "float32")
                T.copy(A, a)
                T.copy(B, b)
                T.clear(c)
                T.gemm(a, b, c)
                T.copy(c, C)
            else:
                for i in T.Parallel(N):
                    D[i] = i

    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal((32, 32)).astype(np.float16) for _ in range(2))
    c, d = np.full((32, 32), np.nan, np.float32), np.full(N, np.nan, np.float32)
    tilelang.compile(main, target=f"sim:{arch}")(a, b, c, d)
    want = a.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(c - want) < 1e-5 * np.linalg.norm(want)
    assert np.array_equal(d, np.arange(N))


@waves
@pytest.mark.parametrize("explicit", [True, False], ids=["counted", "configured"])
def test_barriers_of_the_block_in_both_arms(arch: str, wave: int, explicit: bool) -> None:
    """All waves meet, wherever each of them stands."""

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), B: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=N):
            tile = T.alloc_shared((N,), "float32")
            tx = T.get_thread_binding()
            if tx < wave:
                tile[tx] = A[tx]
                if explicit:
                    T.sync_threads(0, N)
                else:
                    T.sync_threads()
                B[tx] = tile[N - 1 - tx]
            else:
                tile[tx] = A[tx] * 2.0
                if explicit:
                    T.sync_threads(0, N)
                else:
                    T.sync_threads()
                B[tx] = tile[N - 1 - tx]

    configs = {} if explicit else {"tl.disable_thread_storage_sync": True}
    a, b = np.random.default_rng(3).standard_normal(N).astype(np.float32), np.full(N, np.nan, np.float32)
    tilelang.compile(main, target=f"sim:{arch}", pass_configs=configs)(a, b)
    want = np.where(np.arange(N) < wave, a, a * 2)[::-1]
    assert np.array_equal(b, want)
