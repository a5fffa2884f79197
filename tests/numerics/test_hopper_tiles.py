"""Loops over tiles on sm_90a: grids that become them, those that programs write, and how results are stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import HOPPER, NUMPY, Gemm, check, check_gemm, compiled, f64, form, poisoned, random

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.target import Target

ALONE = (64 * 12, 64 * 12 - 8, 136)  # 144 tiles of 64x64, the last ones not whole; 132 CTAs take them
TOGETHER = (128 * 12, 64 * 12 - 8, 136)


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def schedule(kernel: Any) -> set[str]:
    """Which of the forms for many tiles a kernel has."""
    text = kernel.ir("scheduled")
    found = {"tiles": "tl.tiles" in text, "groups": "groups = 2" in text, "staged": '"tl.staged_store"' in text}
    return {name for name, present in found.items() if present}


@pytest.mark.parametrize("tb", [False, True])
def test_two_warpgroups_share_a_tile(tb: bool) -> None:
    kernel = check_gemm(Gemm(TOGETHER, (128, 64, 64), stages=3, threads=256, out="float16", transpose_B=tb))
    assert form(kernel) == HOPPER and schedule(kernel) == {"tiles", "staged"}
    assert kernel.plan.kernels[0].grid == (132, 1, 1)


@pytest.mark.parametrize(("grid", "shared"), [((4, 35), 16), ((3, 46), 128), ((2, 3), 16)], ids=["B", "A", "few"])
def test_pairs_of_blocks_share_loads(grid: tuple[int, int], shared: int) -> None:
    """B once for two neighbours along M; A for two along N where M has an odd number of tiles. Few tiles, too."""
    size = 128 * grid[0], 16 * grid[1] - 8, 72
    case = Gemm(size, (128, 16, 64), threads=256, out="float16", transpose_B=True)
    kernel = check_gemm(case, enable_cluster_multicast=True)
    (spec,) = kernel.plan.kernels
    assert spec.cluster == (2, 1, 1) and spec.grid == (min(grid[0] * grid[1], 132), 1, 1)
    (load,) = [line for line in kernel.ir("scheduled").splitlines() if "multicast = 3" in line]
    assert f"memref<1x{shared}x64xf16" in load


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_warpgroups_take_tiles_by_turns(seed: int) -> None:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True, "TILELANG_SIM_SEED": seed}):
        kernel = check_gemm(Gemm(ALONE, (64, 64, 64), stages=2, out="bfloat16", dtype="bfloat16", transpose_B=True))
    assert schedule(kernel) == {"tiles", "groups", "staged"}
    assert "wait_group.sync.aligned 1" in kernel.ir("lowered"), "one product is in flight"
    assert "memref<4x64x64xbf16" in kernel.ir("scheduled"), "the ring is twice as deep"


@pytest.mark.parametrize(
    ("out", "columns", "carried"),
    [("float8_e4m3", 192, False), ("int8", 176, True), ("float64", 192, False), ("float16", 125, True),
     ("float16", 192, True), ("float8_e4m3", 125, True)],
)  # fmt: skip
def test_groups_share_no_tile(
    out: str, columns: int, carried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot leave through the buffers of a warpgroup (narrow and wide elements, rows that no bulk copy takes)
    leaves through a tile, which two groups that work on tiles of their own must not share."""
    monkeypatch.setattr(Target, "multiprocessors", property(lambda _: 1))
    M, K = 200, 128

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, columns), "float16"), C: T.Tensor((M, columns), out)):
        with T.Kernel(T.ceildiv(columns, 64), T.ceildiv(M, 64), threads=128) as (bx, by):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            C_shared, acc = T.alloc_shared((64, 64), out), T.alloc_fragment((64, 64), "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, 64), num_stages=3):
                T.copy(A[by * 64, k * 64], A_shared)
                T.copy(B[k * 64, bx * 64], B_shared)
                T.gemm(A_shared, B_shared, acc)
            if carried:
                T.copy(acc, C_shared)
                T.copy(C_shared, C[by * 64, bx * 64])
            else:
                T.copy(acc, C[by * 64, bx * 64])

    kernel = compiled(main)
    a, b, c = random((M, K)), random((K, columns), seed=1), np.zeros((M, columns), NUMPY[out])
    kernel(a, b, c)
    want = f64(a) @ f64(b)
    check(c, np.trunc(want) if out == "int8" else want, out, {"float8_e4m3": 4e-2, "int8": 1e-2}.get(out, 2e-3))
    assert ("groups" in schedule(kernel)) == (out == "float16" and columns == 192)


def test_the_loop_over_tiles_can_be_switched_off() -> None:
    kernel = check_gemm(Gemm(ALONE, (64, 64, 64), out="float16"), disable_persistent=True)
    assert schedule(kernel) == {"staged"} and kernel.plan.kernels[0].grid == (12, 12, 1)


def test_a_grid_that_runs_at_once_keeps_its_form() -> None:
    kernel = check_gemm(Gemm((128, 128, 136), (64, 64, 64), out="float16"))
    assert schedule(kernel) == {"staged"}


@pytest.mark.parametrize(("columns", "out"), [(88, "float16"), (176, "bfloat16"), (40, "float32"), (8, "float16")])
def test_pieces_of_every_width_are_stored(columns: int, out: str) -> None:
    case = Gemm((200, columns * 2 - 8, 136), (64, columns, 64), threads=128, out=out, transpose_B=True)
    assert schedule(check_gemm(case)) == {"staged"}


@pytest.mark.parametrize(("rows", "threads", "tall"), [(88, 128, 1), (144, 256, 2), (8, 128, 2)])
def test_the_transpose_of_a_product_is_stored(rows: int, threads: int, tall: int) -> None:
    """C^T = B A^T, with more rows of B than of A: pieces of up to 64 rows of C, in blocks of 64 columns."""
    M, N, columns = 3 * rows - 5, 13 * 64 * tall * threads // 128 - 8, 64 * tall * threads // 128

    @T.prim_func
    def main(A: T.Tensor((M, 72), "float16"), B: T.Tensor((N, 72), "float16"), C: T.Tensor((M, N), "float16")):
        with T.Kernel(T.ceildiv(M, rows), T.ceildiv(N, columns), threads=threads) as (by, bx):
            A_shared, B_shared = T.alloc_shared((rows, 64), "float16"), T.alloc_shared((columns, 64), "float16")
            C_shared = T.alloc_shared((rows, columns), "float16")
            acc = T.alloc_fragment((columns, rows), "float32")
            T.clear(acc)
            for k in T.Pipelined(2, num_stages=2):
                T.copy(A[by * rows, k * 64], A_shared)
                T.copy(B[bx * columns, k * 64], B_shared)
                T.gemm(B_shared, A_shared, acc, transpose_B=True)
            for i, j in T.Parallel(rows, columns):
                C_shared[i, j] = acc[j, i]
            T.copy(C_shared, C[by * rows, bx * columns])

    kernel = compiled(main)
    assert "staged" in schedule(kernel) and "layout = #nvvm.mma_layout<col>" in kernel.ir("lowered")
    a, b, c = random((M, 72)), random((N, 72), seed=1), poisoned((M, N), "float16")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b).T, "float16")


@pytest.mark.parametrize("threads", [128, 256])
@pytest.mark.parametrize("through_shared", [False, True])
def test_sizes_at_run_time_and_an_epilogue(threads: int, through_shared: bool) -> None:
    rows = threads // 2
    M = T.dynamic("M")

    @T.prim_func
    def main(
        A: T.Tensor((M, 256), "float16"), B: T.Tensor((1024, 256), "float16"), bias: T.Tensor((1024,), "float32"),
        C: T.Tensor((M, 1024), "float16"), depth: T.int32,
    ):  # fmt: skip
        with T.Kernel(16, T.ceildiv(M, rows), threads=threads) as (bx, by):
            A_shared, B_shared = T.alloc_shared((rows, 64), "float16"), T.alloc_shared((64, 64), "float16")
            C_shared = T.alloc_shared((rows, 64), "float16")
            acc = T.alloc_fragment((rows, 64), "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(depth, 64), num_stages=2):
                T.copy(A[by * rows, k * 64], A_shared)
                T.copy(B[bx * 64, k * 64], B_shared)
                T.gemm(A_shared, B_shared, acc, transpose_B=True)
            for i, j in T.Parallel(rows, 64):
                acc[i, j] = T.max(acc[i, j] + bias[bx * 64 + j], 0)
            if through_shared:
                T.copy(acc, C_shared)
                T.copy(C_shared, C[by * rows, bx * 64])
            else:
                T.copy(acc, C[by * rows, bx * 64])

    kernel = compiled(main)
    assert schedule(kernel) == {"tiles", "staged"} | ({"groups"} if threads == 128 else set())
    for size, depth in ((1, 64), (9 * rows + 1, 192), (70, 0)):
        a, b, bias = random((size, 256)), random((1024, 256)), random((1024,), "float32")
        c = poisoned((size, 1024), "float16")
        kernel(a, b, bias, c, depth)
        check(c, np.maximum(f64(a)[:, :depth] @ f64(b)[:, :depth].T + f64(bias), 0), "float16")


@pytest.mark.parametrize("threads", [128, 256])
def test_tiles_of_different_depth(threads: int) -> None:
    """Groups of rows with weights of their own, each with the number of steps that memory says."""
    rows = threads // 2

    @T.prim_func
    def main(
        A: T.Tensor((4 * rows, 256), "float16"), B: T.Tensor((4, 64, 256), "float16"), steps: T.Tensor((4,), "int32"),
        C: T.Tensor((4 * rows, 64), "float16"),
    ):  # fmt: skip
        with T.Kernel(2, threads=threads) as bx:
            A_shared, B_shared = T.alloc_shared((rows, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((rows, 64), "float32")
            for group, _ in T.Persistent([4, 1], 2, bx):
                T.clear(acc)
                for k in T.Pipelined(steps[group], num_stages=3):
                    T.copy(A[group * rows, k * 64], A_shared)
                    T.copy(B[group, 0, k * 64], B_shared)
                    T.gemm(A_shared, B_shared, acc, transpose_B=True)
                T.copy(acc, C[group * rows, 0])

    kernel = compiled(main)
    assert form(kernel) == HOPPER
    a, b, steps = random((4 * rows, 256)), random((4, 64, 256)), np.array([3, 0, 4, 1], np.int32)
    c = poisoned((4 * rows, 64), "float16")
    kernel(a, b, steps, c)
    want = [f64(a)[g * rows : (g + 1) * rows, : 64 * n] @ f64(b)[g, :, : 64 * n].T for g, n in enumerate(steps)]
    check(c, np.concatenate(want), "float16")


def test_a_batch_of_products() -> None:
    @T.prim_func
    def main(
        A: T.Tensor((9, 256, 72), "float16"), B: T.Tensor((9, 256, 72), "float16"),
        C: T.Tensor((9, 256, 256), "float16"),
    ):  # fmt: skip
        with T.Kernel(4, 4, 9, threads=128) as (bx, by, bz):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            T.clear(acc)
            for k in T.Pipelined(2, num_stages=2):
                T.copy(A[bz, by * 64, k * 64], A_shared)
                T.copy(B[bz, bx * 64, k * 64], B_shared)
                T.gemm(A_shared, B_shared, acc, transpose_B=True)
            T.copy(acc, C[bz, by * 64, bx * 64])

    kernel = compiled(main)
    assert schedule(kernel) == {"tiles", "groups", "staged"}
    a, b, c = random((9, 256, 72)), random((9, 256, 72), seed=1), poisoned((9, 256, 256), "float16")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b).transpose(0, 2, 1), "float16")


STARTS = {  # where a tile starts in a row of halves, from an argument of 3, and whether that is a multiple of 16 bytes
    "constant": (lambda o: 4, 4, False),
    "argument": (lambda o: o, 3, False),
    "eights": (lambda o: o * 8, 24, True),
    "the smaller": (lambda o: T.min(o * 8, 64), 24, True),
}


@pytest.mark.parametrize("case", STARTS)
def test_boxes_start_at_16_bytes_of_a_row(case: str) -> None:
    """Hardware ends other bulk copies as illegal instructions: threads copy such tiles."""
    start, number, aligned = STARTS[case]

    @T.prim_func
    def product(
        A: T.Tensor((64, 192), "float16"),
        B: T.Tensor((64, 128), "float16"),
        C: T.Tensor((64, 136), "float16"),
        o: T.int32,
    ):
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            tile, sums = T.alloc_shared((64, 64), "float16"), T.alloc_fragment((64, 64), "float32")
            T.clear(sums)
            for k in T.Pipelined(2, num_stages=2):
                T.copy(A[0:64, start(o) + k * 64 : start(o) + k * 64 + 64], a)
                T.copy(B[0:64, k * 64 : k * 64 + 64], b)
                T.gemm(a, b, sums, transpose_B=True)
            T.copy(sums, tile)
            T.copy(tile, C[0:64, start(o)])

    kernel = compiled(product)
    assert form(kernel) & {"bulk load", "bulk store"} == ({"bulk load", "bulk store"} if aligned else set())
    a, b, c = random((64, 192)), random((64, 128), seed=2), poisoned((64, 136), "float16")
    kernel(a, b, c, 3)
    check(c[:, number : number + 64], f64(a)[:, number : number + 128] @ f64(b).T, "float16")
    assert np.isnan(c[:, :number]).all() and np.isnan(c[:, number + 64 :]).all()
