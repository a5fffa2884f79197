"""Operands that lie across K on gfx950: transposing reads of LDS, and tiles for which they are not aligned."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.jit.compile import compile_prim_func

NUMPY: dict[str, Any] = {
    "float16": np.float16, "int8": np.int8, "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def product(sizes: tuple[int, int, int], dtype: str, transposed: tuple[bool, bool], threads: int, first: int = 0,
            width: int = 0) -> Any:  # fmt: skip
    """A product whose B begins at column `first` of a tile of `width` columns."""
    (M, N, K), (ta, tb), sums = sizes, transposed, "int32" if dtype == "int8" else "float32"
    width = width or N
    shape_a, shape_b = (K, M) if ta else (M, K), (N, K) if tb else (K, width)

    @T.prim_func
    def multiply(A: T.Tensor(shape_a, dtype), B: T.Tensor(shape_b, dtype), C: T.Tensor((M, N), sums)):
        with T.Kernel(1, threads=threads):
            a, b = T.alloc_shared(shape_a, dtype), T.alloc_shared(shape_b, dtype)
            c = T.alloc_fragment((M, N), sums)
            T.copy(A, a)
            T.copy(B, b)
            if tb:
                T.gemm(a, b, c, transpose_A=ta, transpose_B=True, clear_accum=True)
            else:
                T.gemm(a, b[0:K, first : first + N], c, transpose_A=ta, clear_accum=True)
            T.copy(c, C)

    return multiply


def operands(sizes: tuple[int, int, int], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    M, N, K = sizes
    rng = np.random.default_rng(M + N)
    scale = 40 if dtype == "int8" else 1
    a, b = ((rng.standard_normal(shape) * scale).astype(NUMPY[dtype]) for shape in ((M, K), (K, N)))
    return a, b


@pytest.mark.parametrize("transposed", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("dtype", ["int8", "float8_e4m3fn", "float8_e5m2"])
def test_bytes_across_k(dtype: str, transposed: tuple[bool, bool]) -> None:
    for sizes, threads in (((64, 64, 128), 64), ((48, 80, 128), 64), ((128, 96, 256), 256)):
        program = product(sizes, dtype, transposed, threads)
        a, b = operands(sizes, dtype)
        out = np.full(sizes[:2], -1, "int32" if dtype == "int8" else "float32")
        left, right = (np.ascontiguousarray(x.T if t else x) for x, t in zip((a, b), transposed, strict=True))
        compile_prim_func(program, target="sim:gfx950")(left, right, out)
        want = a.astype(np.float64) @ b.astype(np.float64)
        assert np.linalg.norm(out - want) / np.linalg.norm(want) < (1e-14 if dtype == "int8" else 1e-6)
        assembly = compile_prim_func(program, target="hip:gfx950").ir("amdgcn")
        assert "ds_read_b64_tr_b8" in assembly and not re.search(r"^\s(v_perm|ds_read_u)", assembly, re.MULTILINE)


def weighted(sizes: tuple[int, int, int], dtype: str, threads: int) -> Any:
    (M, N, K), sums = sizes, "int32" if dtype == "int8" else "float32"

    @T.prim_func
    def weigh(P: T.Tensor((M, K), dtype), V: T.Tensor((K, N), dtype), O: T.Tensor((M, N), sums)):
        with T.Kernel(1, threads=threads):
            p, v = T.alloc_fragment((M, K), dtype), T.alloc_shared((K, N), dtype)
            o = T.alloc_fragment((M, N), sums)
            T.copy(P, p)
            T.copy(V, v)
            T.gemm(p, v, o, clear_accum=True)
            T.copy(o, O)

    return weigh


@pytest.mark.parametrize("dtype", ["int8", "float8_e4m3fn", "float16"])
def test_the_other_operand_in_registers(dtype: str) -> None:
    """Weights of attention lie in runs of four along K, as a result does: 8 bytes are two runs then."""
    for sizes, threads in (((64, 64, 128), 64), ((128, 128, 128), 256), ((32, 96, 64), 64), ((16, 48, 128), 64)):
        program = weighted(sizes, dtype, threads)
        p, v = operands(sizes, dtype)
        out = np.full(sizes[:2], -1, "int32" if dtype == "int8" else "float32")
        compile_prim_func(program, target="sim:gfx950")(p, v, out)
        want = p.astype(np.float64) @ v.astype(np.float64)
        assert np.linalg.norm(out - want) / np.linalg.norm(want) < (1e-14 if dtype == "int8" else 1e-6)
        assembly = compile_prim_func(program, target="hip:gfx950").ir("amdgcn")
        assert "ds_read_b64_tr_b" in assembly and not re.search(r"^\s(v_perm|ds_read_u)", assembly, re.MULTILINE)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize(("first", "width"), [(8, 72), (4, 72), (2, 72), (1, 72), (3, 67), (0, 67), (5, 128)])
def test_tiles_that_begin_anywhere(first: int, width: int, dtype: str) -> None:
    """Transposing reads take aligned 8 bytes; a tile for which they are none is read element by element."""
    sizes = (64, 64, 64)
    program = product(sizes, dtype, (False, False), 64, first, width)
    a, b = operands((64, width, 64), dtype)
    out = np.full((64, 64), -1, "int32" if dtype == "int8" else "float32")
    compile_prim_func(program, target="sim:gfx950")(a, b, out)
    want = a.astype(np.float64) @ b[:, first : first + 64].astype(np.float64)
    assert np.linalg.norm(out - want) / np.linalg.norm(want) < 1e-5
    aligned = first * NUMPY[dtype]().itemsize % 8 == 0 and width % 8 == 0
    assembly = compile_prim_func(program, target="hip:gfx950").ir("amdgcn")
    assert ("ds_read_b64_tr" in assembly) == aligned
