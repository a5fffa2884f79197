"""Running sums and maxima: along any dimension, over registers, lanes and warps, of tiles that fit no power of two."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.reference import evaluate


def scan_program(
    shape: tuple[int, ...], dim: int, threads: int, kind: str, dtype: str, shared: bool, reverse: bool
) -> Any:
    scan = T.cumsum if kind == "sum" else T.cummax

    @T.prim_func
    def scan_tile(X: T.Tensor(shape, dtype), Y: T.Tensor(shape, dtype)):
        with T.Kernel(1, threads=threads):
            tile = T.alloc_shared(shape, dtype) if shared else T.alloc_fragment(shape, dtype)
            T.copy(X, tile)
            scan(tile, dim=dim, reverse=reverse)
            T.copy(tile, Y)

    return scan_tile


def check(
    shape: tuple[int, ...], dim: int, threads: int, kind: str = "sum", dtype: str = "float32", *,
    shared: bool = False, reverse: bool = False, target: str = "sim:sm_90a",
) -> None:  # fmt: skip
    rng = np.random.default_rng([*shape, dim])
    x = rng.integers(-50, 50, shape).astype(dtype) if "int" in dtype else rng.standard_normal(shape).astype(dtype)
    run = np.cumsum if kind == "sum" else np.maximum.accumulate
    wide = x if "int" in dtype else x.astype(np.float64)
    want = np.flip(run(np.flip(wide, dim), axis=dim), dim) if reverse else run(wide, axis=dim)
    got = np.full_like(x, -77)
    kernel = tilelang.compile(scan_program(shape, dim, threads, kind, dtype, shared, reverse), target=target)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True}):
        kernel(x, got)
    limit = 2e-3 if dtype == "float16" else 1e-6
    assert np.linalg.norm(got - want) <= limit * np.linalg.norm(want)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("shape", "dim", "threads", "shared"),
    [
        ((1, 2048), 1, 256, False),  # registers, lanes, warps, registers
        ((37,), 0, 128, False),  # padded, and threads that hold the same
        ((48, 16), 0, 128, True),  # runs of a line in threads, three per thread
        ((5, 13), 1, 96, False),  # digits that no shuffle divides
        ((2, 7, 8), 1, 64, True),
        ((520, 4), 1, 32, True),  # too large for registers
    ],
)
def test_sums_of_any_shape(shape: tuple[int, ...], dim: int, threads: int, shared: bool, reverse: bool) -> None:
    check(shape, dim, threads, shared=shared, reverse=reverse)


@pytest.mark.parametrize(
    ("kind", "dtype", "reverse"), [("max", "float32", True), ("sum", "int32", False), ("sum", "float16", True)]
)
def test_other_scans(kind: str, dtype: str, reverse: bool) -> None:
    check((3, 200), 1, 64, kind, dtype, reverse=reverse)


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "int8"])
@pytest.mark.parametrize(("shape", "shared"), [((3, 200), False), ((3, 4096), True)])
def test_maxima_of_integers(shape: tuple[int, int], shared: bool, dtype: str) -> None:
    """Unsigned ones have no sign, also as the evaluator has it."""
    ends = np.iinfo(dtype)
    x = np.random.default_rng(1).integers(ends.min, ends.max, shape, dtype, endpoint=True)
    program = scan_program(shape, 1, 64, "max", dtype, shared, False)
    simulated, meant = np.zeros_like(x), np.zeros_like(x)
    tilelang.compile(program, target="sim")(x, simulated)
    evaluate(program.module, "scan_tile", [x, meant])
    want = np.maximum.accumulate(x, axis=1)
    assert (simulated == want).all() and (meant == want).all()


def test_scans_over_waves_of_sixty_four_lanes() -> None:
    check((1, 1024), 1, 256, target="sim:gfx942")


@pytest.mark.parametrize(("lines", "shared", "reverse"), [(1, False, False), (3, True, False), (3, True, True)])
def test_sums_of_halves_are_kept_in_single_precision(lines: int, shared: bool, reverse: bool) -> None:
    """2048 + 1 is 2048 in float16: a sum that is rounded at every step stays there. In registers, and line by line."""
    x, y = np.ones((lines, 4096), np.float16), np.zeros((lines, 4096), np.float16)
    program = scan_program(x.shape, 1, 128, "sum", "float16", shared, reverse)
    tilelang.compile(program, target="sim:sm_90a")(x, y)
    assert (y[:, 0 if reverse else -1] == 4096).all()


@pytest.mark.parametrize("clear", [True, False])
def test_results_of_reductions_that_other_threads_need(clear: bool):
    """Sums over two dimensions of one tile, added element by element: one of them moves to the other's threads."""

    @T.prim_func
    def main(A: T.Tensor((8, 4, 4), "float32"), B: T.Tensor((8, 4), "float32")):
        with T.Kernel(1, threads=128):
            tile = T.alloc_shared((8, 4, 4), "float32")
            last, middle = T.alloc_fragment((8, 4), "float32"), T.alloc_fragment((8, 4), "float32")
            T.copy(A, tile)
            T.fill(middle, 0.5)
            T.reduce_sum(tile, last, dim=-1)
            T.reduce_sum(tile, middle, dim=-2, clear=clear)
            for i, j in T.Parallel(8, 4):
                last[i, j] += middle[i, j]
            T.copy(last, B)

    a, b = np.random.default_rng(3).standard_normal((8, 4, 4)).astype(np.float32), np.full((8, 4), np.nan, np.float32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    expected = a.sum(-1, dtype=np.float64) + a.sum(-2, dtype=np.float64) + (0 if clear else 0.5)
    assert np.linalg.norm(b - expected) <= 1e-6 * np.linalg.norm(expected)


def test_parallel_loops_over_arrays_of_the_threads() -> None:
    """Every thread has an array of its own: no iteration of it is another thread's."""

    @T.prim_func
    def main(A: T.Tensor((32, 6), "float32"), B: T.Tensor((32, 6), "float32")):
        with T.Kernel(1, threads=32):
            t = T.get_thread_binding()
            own, factor = T.alloc_local((2, 3), "float32"), T.alloc_var("float32", init=t)
            for i in T.serial(6):
                own[i // 3, i % 3] = A[t, i]
            for i, j in T.Parallel(2, 3):
                own[i, j] = own[i, j] * factor + i * 3 + j
            for i in T.serial(6):
                B[t, i] = own[i // 3, i % 3]

    a, b = np.random.default_rng(4).standard_normal((32, 6)).astype(np.float32), np.full((32, 6), np.nan, np.float32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    expected = a.astype(np.float64) * np.arange(32)[:, None] + np.arange(6)
    assert np.linalg.norm(b - expected) <= 1e-6 * np.linalg.norm(expected)
