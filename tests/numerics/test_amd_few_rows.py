"""Products of 4, 8 or 12 rows or columns on AMD targets: MFMA of blocks of 4 x 4, whose blocks share the rows."""

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
from tilelang_mlir.errors import TileError
from tilelang_mlir.jit.compile import compile_prim_func

CDNA = ("gfx90a", "gfx942", "gfx950")
NUMPY: dict[str, Any] = {
    "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64,
    "int8": np.int8,
}  # fmt: skip
SUMS = {"float64": "float64", "int8": "int32", "uint8": "int32"}


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def product(sizes: tuple[int, int, int], dtype: str, transposed: tuple[bool, bool], threads: int = 64) -> Any:
    (M, N, K), (ta, tb), sums = sizes, transposed, SUMS.get(dtype, "float32")
    shape_a, shape_b = (K, M) if ta else (M, K), (N, K) if tb else (K, N)

    @T.prim_func
    def multiply(A: T.Tensor(shape_a, dtype), B: T.Tensor(shape_b, dtype), C: T.Tensor((M, N), sums)):
        with T.Kernel(1, threads=threads):
            a, b = T.alloc_shared(shape_a, dtype), T.alloc_shared(shape_b, dtype)
            c = T.alloc_fragment((M, N), sums)
            T.copy(A, a)
            T.copy(B, b)
            T.copy(C, c)
            T.gemm(a, b, c, transpose_A=ta, transpose_B=tb)
            T.copy(c, C)

    return multiply


def check(arch: str, sizes: tuple[int, int, int], dtype: str, transposed: tuple[bool, bool], threads: int) -> None:
    M, N, K = sizes
    rng = np.random.default_rng(M + N + K)
    scale = 30 if dtype == "int8" else 1
    a, b = ((rng.standard_normal((rows, K)) * scale).astype(NUMPY[dtype]) for rows in (M, N))
    start = (rng.standard_normal((M, N)) * scale).astype(SUMS.get(dtype, "float32"))
    out = start.copy()
    left, right = np.ascontiguousarray(a.T if transposed[0] else a), np.ascontiguousarray(b if transposed[1] else b.T)
    compile_prim_func(product(sizes, dtype, transposed, threads), target=f"sim:{arch}")(left, right, out)
    want = start + a.astype(np.float64) @ b.astype(np.float64).T
    error = np.linalg.norm(out - want) / np.linalg.norm(want)
    assert error < (1e-14 if dtype in SUMS else 1e-6), f"{dtype} {sizes} on {arch}: {error:.1e}"


SIZES = [
    ((4, 64, 64), 64), ((64, 4, 64), 64), ((4, 256, 20), 256), ((8, 128, 36), 128), ((12, 36, 44), 64), ((4, 4, 4), 64),
    ((96, 8, 32), 128), ((20, 16, 128), 256),
]  # fmt: skip


@pytest.mark.parametrize("transposed", [(False, True), (True, False)], ids=["along K", "across K"])
@pytest.mark.parametrize("dtype", NUMPY)
@pytest.mark.parametrize("arch", CDNA)
def test_few_rows_or_columns(arch: str, dtype: str, transposed: tuple[bool, bool]) -> None:
    for sizes, threads in SIZES if arch == "gfx950" else SIZES[1::3]:
        check(arch, sizes, dtype, transposed, threads)


def test_k_needs_no_multiple_of_four_where_an_instruction_takes_one() -> None:
    check("gfx942", (4, 64, 7), "float32", (False, True), 64)


def attention(M: int, N: int, D: int, threads: int) -> Any:
    @T.prim_func
    def attend(
        Q: T.Tensor((M, D), "float16"), K: T.Tensor((2 * N, D), "float16"), V: T.Tensor((2 * N, D), "float16"),
        O: T.Tensor((M, D), "float32"), L: T.Tensor((M,), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=threads):
            q, k, v = (T.alloc_shared(shape, "float16") for shape in ((M, D), (N, D), (N, D)))
            s, o = T.alloc_fragment((M, N), "float32"), T.alloc_fragment((M, D), "float32")
            p = T.alloc_fragment((M, N), "float16")
            total, part = T.alloc_fragment((M,), "float32"), T.alloc_fragment((M,), "float32")
            T.copy(Q, q)
            T.clear(o)
            T.clear(total)
            for i in T.Pipelined(2, num_stages=2):
                T.copy(K[i * N, 0], k)
                T.copy(V[i * N, 0], v)
                T.gemm(q, k, s, transpose_B=True, clear_accum=True)
                for a, b in T.Parallel(M, N):
                    s[a, b] = T.exp2(s[a, b] * 0.1)
                T.reduce_sum(s, part, dim=1)
                for a in T.Parallel(M):
                    total[a] += part[a]
                T.copy(s, p)
                T.gemm(p, v, o)
            T.copy(o, O)
            T.copy(total, L)

    return attend


@pytest.mark.parametrize(("sizes", "threads"), [((4, 64, 64), 64), ((8, 32, 128), 128), ((12, 36, 20), 64)])
@pytest.mark.parametrize("arch", CDNA)
def test_a_result_is_reduced_and_is_the_next_operand(arch: str, sizes: tuple[int, int, int], threads: int) -> None:
    """Attention of a few queries: a row of the result lies in all lanes, and becomes A of the next product."""
    M, N, D = sizes
    rng = np.random.default_rng(M)
    q, k, v = (rng.standard_normal((rows, D)).astype(np.float16) for rows in (M, 2 * N, 2 * N))
    out, total = np.full((M, D), np.nan, np.float32), np.full(M, np.nan, np.float32)
    compile_prim_func(attention(M, N, D, threads), target=f"sim:{arch}")(q, k, v, out, total)
    weights = np.exp2(0.1 * (q.astype(np.float64) @ k.astype(np.float64).T))
    want = weights @ v.astype(np.float64)
    assert np.linalg.norm(out - want) / np.linalg.norm(want) < 1e-3
    np.testing.assert_allclose(total, weights.sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("flag", [0, 1])
def test_products_of_two_types_into_one_accumulator(flag: int) -> None:
    """Cleared as an argument says, with another extent of K in the second product, whose operands lie otherwise."""

    @T.prim_func
    def both(
        A: T.Tensor((8, 32), "float16"), B: T.Tensor((64, 32), "float16"), A2: T.Tensor((36, 8), "bfloat16"),
        B2: T.Tensor((36, 64), "bfloat16"), F: T.Tensor((1,), "int32"), C: T.Tensor((8, 64), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((8, 32), "float16"), T.alloc_shared((64, 32), "float16")
            a2, b2 = T.alloc_shared((36, 8), "bfloat16"), T.alloc_shared((36, 64), "bfloat16")
            c = T.alloc_fragment((8, 64), "float32")
            T.copy(A, a)
            T.copy(B, b)
            T.copy(A2, a2)
            T.copy(B2, b2)
            T.fill(c, 3.0)
            T.gemm(a, b, c, transpose_B=True, clear_accum=F[0] == 1)
            T.gemm(a2, b2, c, transpose_A=True)
            T.copy(c, C)

    rng = np.random.default_rng(flag)
    a, b = (rng.standard_normal((n, 32)).astype(np.float16) for n in (8, 64))
    a2, b2 = (rng.standard_normal((36, n)).astype(ml_dtypes.bfloat16) for n in (8, 64))
    out = np.zeros((8, 64), np.float32)
    compile_prim_func(both, target="sim:gfx942")(a, b, a2, b2, np.array([flag], np.int32), out)
    wide = [x.astype(np.float64) for x in (a, b, a2, b2)]
    want = wide[0] @ wide[1].T + wide[2].T @ wide[3] + (0 if flag else 3)
    np.testing.assert_allclose(out, want, atol=1e-5)


@pytest.mark.parametrize("arch", CDNA)
def test_the_rows_are_read_once(arch: str) -> None:
    """K = 64: 16 products, one read of 16 bytes per lane for all four rows, 8 for 64 columns."""
    assembly = compile_prim_func(product((4, 64, 64), "float16", (False, True)), target=f"hip:{arch}").ir("amdgcn")
    products = re.findall(r"^\s+v_mfma_f32_4x4x4\S*f16 (.*)$", assembly, re.MULTILINE)
    assert len(products) == 16 and all("cbsz:4" in line for line in products)
    blocks = {int(found[1]) if (found := re.search(r"abid:(\d+)", line)) else 0 for line in products}
    assert blocks == set(range(8))
    assert len(re.findall(r"^\s+ds_read_b128", assembly, re.MULTILINE)) == 9 and "ds_read_b64" not in assembly


def test_two_eight_bit_formats_are_named_with_the_targets_of_both() -> None:
    @T.prim_func
    def main(A: T.Tensor((16, 32), "float8_e4m3fn"), B: T.Tensor((16, 32), "float8_e5m2")):
        with T.Kernel(1, threads=64):
            a, b = T.alloc_shared((16, 32), "float8_e4m3fn"), T.alloc_shared((16, 32), "float8_e5m2")
            T.copy(A, a)
            T.copy(B, b)
            T.gemm(a, b, T.alloc_fragment((16, 16), "float32"), transpose_B=True, clear_accum=True)

    with pytest.raises(TileError, match="f8E4M3FN and f8E5M2 needs mfma fp8") as caught:
        compile_prim_func(main, target="hip:gfx90a")
    assert "gfx1201, gfx950, sm_100a" in caught.value.hint and "gfx942" not in caught.value.hint


@pytest.mark.parametrize(("arch", "dtype", "sizes", "message", "hint"), [
    ("gfx1100", "float16", (4, 64, 64), "C of 4x64 is no multiple of 16x16", "gfx90a, gfx942, gfx950"),
    ("gfx1201", "int8", (64, 12, 64), "C of 64x12 is no multiple of 16x16", "gfx90a, gfx942, gfx950"),
    ("gfx942", "float8_e4m3fnuz", (4, 64, 64), "C of 4x64 is no multiple of 16x16", "for f64, f16, bf16, f32, i8"),
    ("gfx942", "float16", (6, 64, 64), "C of 6x64 is no multiple of 4x4", "choose other block sizes"),
    ("gfx942", "float16", (64, 50, 64), "C of 64x50 is no multiple of", "choose other block sizes"),
    ("gfx90a", "bfloat16", (4, 64, 6), "K = 6 is no multiple of 4", "larger block_K"),
    ("gfx942", "uint8", (64, 64, 64), "no matrix product of unsigned i8 on hip:gfx942", "gfx1100, gfx1201, sm_75"),
])  # fmt: skip
def test_sizes_and_types_that_no_instruction_takes(
    arch: str, dtype: str, sizes: tuple[int, int, int], message: str, hint: str
) -> None:
    with pytest.raises(TileError, match=message) as caught:
        compile_prim_func(product(sizes, dtype, (False, True)), target=f"hip:{arch}")
    assert hint in caught.value.hint and caught.value.location is not None
