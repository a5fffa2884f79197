"""Functions of the reference pages that no other test runs by their values."""

from __future__ import annotations

import linecache
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


def test_places_of_a_thread() -> None:
    """Threads count x first; a size that the program computes counts as a number does."""

    @T.prim_func
    def main(n: T.int32, P: T.Tensor((7, 192), "int32")):
        with T.Kernel(1, threads=(8, 4, 6)):
            t = T.get_thread_binding(0) + 8 * T.get_thread_binding(1) + 32 * T.get_thread_binding(2)
            P[0, t] = T.get_lane_idx()
            P[1, t] = T.get_warp_idx_sync()
            P[2, t] = T.get_warp_idx(warp_size=n)
            P[3, t] = T.get_warp_group_idx()
            P[4, t] = T.get_warp_group_idx(32, warps_per_group=3)
            P[5, t] = T.shuffle_elect(64)
            P[6, t] = T.get_lane_idx(n)

    places = np.full((7, 192), -1, np.int32)
    tilelang.compile(main, target="sim:sm_90a")(24, places)
    t = np.arange(192)
    want = [t % 32, t // 32, t // 24, t // 128, t // 96, None, t % 24]
    for row, expected in zip(places, want, strict=True):
        assert expected is None or np.array_equal(row, expected)
    assert (places[5].reshape(3, 64).sum(1) == 1).all()


def test_shuffles_up_and_down_stay_in_their_groups() -> None:
    @T.prim_func
    def main(A: T.Tensor((64,), "float64"), B: T.Tensor((4, 64), "float64")):
        with T.Kernel(1, threads=64):
            t = T.get_thread_binding()
            B[0, t] = T.shfl_down(A[t], 3)
            B[1, t] = T.shfl_up(A[t], offset=5, width=8)
            B[2, t] = T.shfl_sync(A[t], t % 7, 16)
            B[3, t] = T.shfl_xor(A[t], 17)

    a, b = np.random.default_rng(0).standard_normal(64), np.full((4, 64), np.nan)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    t = np.arange(64)
    down = np.where(t % 32 + 3 < 32, t + 3, t)
    up = np.where(t % 8 >= 5, t - 5, t)
    for row, source in zip(b, (down, up, t // 16 * 16 + t % 7 % 16, t ^ 17), strict=True):
        assert np.array_equal(row, a[source])


@pytest.mark.parametrize(("bits", "target"), [(32, "sm_80"), (64, "sm_80"), (128, "sm_80"), (256, "sm_100a")])
def test_wide_accesses_where_a_predicate_holds(bits: int, target: str) -> None:
    count = bits // 16
    load, store = getattr(T, f"ldg{bits}"), getattr(T, f"stg{bits}")
    rows = T.Tensor((32, count), "float16")

    @T.prim_func
    def main(A: rows, B: rows, C: rows):
        with T.Kernel(1, threads=32):
            t = T.get_thread_binding()
            store(B[t, 0:count], load(A[t, 0:count], pred=t < 20))
            store(C[t, 0], load(A[t, 0]), pred=t % 2 == 0)

    a = np.random.default_rng(bits).standard_normal((32, count)).astype(np.float16)
    b, c = np.full_like(a, np.nan), np.full_like(a, -1)
    kernel = tilelang.compile(main, target=f"sim:{target}")
    kernel(a, b, c)
    t = np.arange(32)[:, None]
    assert np.array_equal(b, np.where(t < 20, a, 0)) and np.array_equal(c, np.where(t % 2 == 0, a, -1))
    assert {32: ".b32", 64: ".v2.b32", 128: ".v4.b32", 256: ".v4.b64"}[bits] in kernel.ir("ptx")


def test_a_barrier_of_the_grid_by_its_older_name() -> None:
    @T.prim_func
    def main(A: T.Tensor((4, 32), "float32"), B: T.Tensor((4, 32), "float32")):
        with T.Kernel(4, threads=32) as bx:
            t = T.get_thread_binding()
            A[bx, t] = bx + t
            T.sync_global()
            B[bx, t] = A[3 - bx, t]

    a, b = np.zeros((4, 32), np.float32), np.full((4, 32), np.nan, np.float32)
    tilelang.compile(main, target="sim:sm_90a")(a, b)
    assert np.array_equal(b, np.arange(3, -1, -1)[:, None] + np.arange(32)[None])


@pytest.mark.parametrize(
    ("hint", "register_moves"),
    [
        ("T.annotate_producer_reg_dealloc(40)", ["dec 40", "inc"]),
        ("T.annotate_consumer_reg_alloc(232)", ["dec", "inc 232"]),
        ("T.no_set_max_nreg()", []),
        ("T.disable_warp_group_reg_alloc()", []),
    ],
)
def test_hints_of_registers_move_them_between_roles(hint: str, register_moves: list[str]) -> None:
    program = f'''
@T.prim_func
def main(A: T.Tensor((128, 128), "float16"), B: T.Tensor((128, 128), "float16"), C: T.Tensor((128, 128), "float32")):
    with T.Kernel(1, threads=128):
        {hint}
        a, b = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64, 128), "float16")
        c = T.alloc_fragment((128, 128), "float32")
        T.clear(c)
        for k in T.Pipelined(2, num_stages=2):
            T.copy(A[0, k * 64], a)
            T.copy(B[k * 64, 0], b)
            T.gemm(a, b, c)
        T.copy(c, C)
'''
    file = f"<hint {hint}>"
    linecache.cache[file] = (len(program), None, program.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"T": T, "__name__": file}
    exec(compile(program, file, "exec"), scope)
    kernel = tilelang.compile(scope["main"], target="sim:sm_90a")
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal((128, 128)).astype(np.float16) for _ in range(2))
    c = np.full((128, 128), np.nan, np.float32)
    kernel(a, b, c)
    want = a.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(c - want) < 1e-5 * np.linalg.norm(want)
    lines = [line.split() for line in kernel.ir("ptx").splitlines() if "setmaxnreg" in line]
    moves = sorted({(line[0].split(".")[1], line[1].strip(";")) for line in lines})
    assert len(moves) == len(register_moves)
    for (kind, count), expected in zip(moves, register_moves, strict=True):
        assert f"{kind} {count}".startswith(expected)
