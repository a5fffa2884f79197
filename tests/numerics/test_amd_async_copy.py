"""`T.async_copy` on gfx950: loads straight into LDS where tile, tensor and threads allow them, else by registers."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.jit.compile import compile_prim_func

DIRECT = re.compile(r"^\s+buffer_load_dwordx4 .* lds$", re.MULTILINE)


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def copies(shape: tuple[int, int], tile: tuple[int, int], dtype: str, threads: int, versions: int) -> Any:
    (R, C), (r, c) = shape, tile

    @T.prim_func
    def main(A: T.Tensor((R, C), dtype), B: T.Tensor((R, C), dtype)):
        with T.Kernel(T.ceildiv(C, c), T.ceildiv(R, r), threads=threads) as (bx, by):
            s = T.alloc_shared((versions, r, c) if versions > 1 else (r, c), dtype)
            if versions > 1:
                T.async_copy(A[by * r, bx * c], s[versions - 1, :, :])
            else:
                T.async_copy(A[by * r, bx * c], s)
            T.ptx_wait_group(0)
            T.sync_threads()
            if versions > 1:
                T.copy(s[versions - 1, :, :], B[by * r, bx * c])
            else:
                T.copy(s, B[by * r, bx * c])

    return main


@pytest.mark.parametrize(("shape", "tile", "threads", "versions", "direct"), [
    ((64, 64), (32, 64), 128, 1, True), ((70, 64), (32, 64), 128, 1, True), ((3, 48), (3, 16), 64, 1, False),
    ((5, 33), (4, 16), 64, 1, False), ((3, 16), (1, 16), 32, 1, False), ((64, 128), (16, 32), 128, 2, False),
    ((16, 16), (16, 16), 96, 1, False), ((9, 8), (7, 8), 64, 1, False),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float16", "int8", "int64"])
def test_every_tile(
    shape: tuple[int, int], tile: tuple[int, int], threads: int, versions: int, direct: bool, dtype: str
) -> None:
    """Tiles of no whole loads of the block, rows at odd places, threads that are no whole waves."""
    program = copies(shape, tile, dtype, threads, versions)
    a = np.random.default_rng(threads).integers(-100, 100, shape).astype(dtype)
    b = np.zeros_like(a)
    compile_prim_func(program, target="sim:gfx950")(a, b)
    np.testing.assert_array_equal(a, b)
    assert bool(DIRECT.search(compile_prim_func(program, target="hip:gfx950").ir("amdgcn"))) == direct


def test_stages_that_a_program_fills_itself() -> None:
    """The versions of an operand are tiles behind one another, each of which is loaded straight."""

    @T.prim_func
    def main(A: T.Tensor((64, 256), "float16"), B: T.Tensor((64, 256), "float16"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((2, 64, 64), "float16"), T.alloc_shared((2, 64, 64), "float16")
            c = T.alloc_fragment((64, 64), "float32")
            T.clear(c)
            for k in T.serial(4):
                T.async_copy(A[0, k * 64], a[k % 2, :, :])
                T.async_copy(B[0, k * 64], b[k % 2, :, :])
                T.ptx_wait_group(0)
                T.sync_threads()
                T.gemm(a[k % 2, :, :], b[k % 2, :, :], c, transpose_B=True)
            T.copy(c, C)

    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal((64, 256)).astype(np.float16) for _ in range(2))
    out = np.full((64, 64), np.nan, np.float32)
    compile_prim_func(main, target="sim:gfx950")(a, b, out)
    np.testing.assert_allclose(out, a.astype(np.float64) @ b.astype(np.float64).T, atol=1e-3)
    assert DIRECT.search(compile_prim_func(main, target="hip:gfx950").ir("amdgcn"))
