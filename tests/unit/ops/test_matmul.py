"""`ops.matmul` in the simulator against float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir as tilelang
from tilelang_mlir import errors, knobs, ops
from tilelang_mlir.ops.gemm import program
from tilelang_mlir.ops.split_k import fused_program, split_program

TARGET = "sim:sm_90a"
KINDS: dict[str, Any] = {
    "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float8_e4m3": ml_dtypes.float8_e4m3fn,
}  # fmt: skip


def random(shape: tuple[int, int], dtype: str = "float16", seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(KINDS[dtype])


def error_of(got: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    want = a.astype(np.float64) @ b.astype(np.float64)
    return float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want))


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize(("dtype", "limit"), [("float16", 2e-3), ("bfloat16", 1e-2)])
def test_products_of_matrices_and_transposes(dtype: str, limit: float, trans_a: bool, trans_b: bool) -> None:
    M, N, K = 72, 200, 136
    a = random((K, M), dtype).T if trans_a else random((M, K), dtype)
    b = random((N, K), dtype, 1).T if trans_b else random((K, N), dtype, 1)
    c = ops.matmul(a, b, target=TARGET)
    assert c.dtype == KINDS[dtype] and error_of(c, a, b) < limit


def test_eight_bit_operands_give_bfloat16() -> None:
    a, b = random((70, 144), "float8_e4m3"), random((80, 144), "float8_e4m3", 1).T
    c = ops.matmul(a, b, target=TARGET)
    assert c.dtype == ml_dtypes.bfloat16 and error_of(c, a, b) < 1e-2


def test_the_result_may_be_wider() -> None:
    a, b = random((65, 72)), random((72, 72), seed=1)
    c = ops.matmul(a, b, out_dtype="float32", target=TARGET)
    assert c.dtype == np.float32 and error_of(c, a, b) < 1e-5


def check(program: Any, M: int, N: int, K: int, trans_a: bool, trans_b: bool) -> Any:
    """The kernel, after one checked run with random operands."""
    a, b = random((K, M) if trans_a else (M, K)), random((N, K) if trans_b else (K, N), seed=1)
    kernel = tilelang.compile(program, target=TARGET)
    got = np.full((M, N), np.nan, np.float16)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True}):
        kernel(a, b, got)
    assert error_of(got, a.T if trans_a else a, b.T if trans_b else b) < 2e-3
    return kernel


@pytest.mark.parametrize(
    ("M", "N", "K", "trans_a", "trans_b", "swapped"),
    [(70, 136, 1030, False, True, False), (1, 64, 1096, True, False, False), (13, 136, 1032, False, True, True)],
)
def test_parts_of_k_add_up(M: int, N: int, K: int, trans_a: bool, trans_b: bool, swapped: bool) -> None:
    """Rows, columns and depths that are no multiples of the tiles, and parts that end behind K."""
    tiling = ops.Tiling(16 if swapped else 64, 64, 64, 3, 128, parts=3, swapped=swapped)
    options: Any = {"trans_A": trans_a, "trans_B": trans_b}
    check(split_program(M, N, K, "float16", "float16", tiling, **options, early=True), M, N, K, trans_a, trans_b)
    if not trans_a:
        kernel = check(fused_program(M, N, K, "float16", "float16", tiling, **options), M, N, K, trans_a, trans_b)
        assert "wait_dependencies" in kernel.ir("scheduled")


@pytest.mark.parametrize(
    ("M", "N", "K", "trans_a", "trans_b", "rows"),
    [
        (1, 200, 136, False, False, 8),
        (13, 136, 200, False, True, 16),
        (72, 72, 136, True, False, 64),
        (13, 135, 72, False, True, 16),
    ],
)
def test_the_transpose_of_a_tile_is_computed(M: int, N: int, K: int, trans_a: bool, trans_b: bool, rows: int) -> None:
    """Rows of A become columns of the instructions; the tile is turned on its way to memory."""
    tiling = ops.Tiling(rows, 64, 64, 3, 128, swapped=True)
    made = program(M, N, K, "float16", "float16", tiling, trans_A=trans_a, trans_B=trans_b)
    scheduled = check(made, M, N, K, trans_a, trans_b).ir("scheduled")
    assert "tl.specialize" in scheduled
    assert ("tl.staged_store" in scheduled) == (N % 8 == 0), (
        "rows of C that do not start at 16 bytes are stored by threads"
    )


def test_few_tiles_run_in_parts() -> None:
    a, b = random((16, 2048)), random((64, 2048), seed=1).T
    assert ops.choose(16, 64, 2048).parts > 1
    c = ops.matmul(a, b, target=TARGET)
    assert error_of(c, a, b) < 2e-3 and np.array_equal(c, ops.matmul(a, b, target=TARGET))


def test_kernels_are_kept() -> None:
    options: dict[str, Any] = {"target": TARGET}
    assert ops.gemm(64, 64, 64, **options) is ops.gemm(64, 64, 64, **options)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (random((64, 72)), random((64, 64)), r"shapes \[64, 72\] and \[64, 64\], expected \(M, K\) and \(K, N\)"),
        (random((64, 64)), random((64, 64), "bfloat16"), "product of float16 and bfloat16, expected one dtype"),
        (random((64, 128))[:, ::2], random((64, 64)), "a is neither contiguous nor the transpose"),
        (random((64, 64), "float8_e4m3"), random((64, 64), "float8_e4m3"), "eight-bit elements need A as"),
    ],
    ids=["shapes", "dtypes", "strides", "layout of eight-bit elements"],
)
def test_what_is_refused(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises((errors.TileValueError, errors.TileTypeError), match=message):
        ops.matmul(a, b, target=TARGET)


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(errors.TileTypeError, match="no ready product of int8"):
        ops.gemm(64, 64, 64, "int8", target=TARGET)
