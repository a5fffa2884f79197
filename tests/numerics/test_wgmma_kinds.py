"""Warpgroup products of every kind of element, width, operand memory and major order, against float64."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hopper_programs import NUMPY, check, compiled, f64, form, poisoned

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.layout import make_swizzled_layout

FLOATS = ["float16", "bfloat16", "float32", "float8_e4m3", "float8_e5m2"]
FP8 = [(a, b) for a in FLOATS[3:] for b in FLOATS[3:]]
INTEGERS = [(a, b) for a in ("int8", "uint8") for b in ("int8", "uint8")]
KINDS = [(kind, kind) for kind in FLOATS[:3]] + FP8 + INTEGERS
K = 144  # no whole number of tiles


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def program(
    kinds: tuple[str, str],
    n: int,
    *,
    registers: bool = False,
    majors: tuple[bool, bool] = (True, True),
    block_K: int = 64,
    half: bool = False,
) -> Any:
    """C = A B of 80 rows and n columns; `majors` say which operands are stored along K, `half` adds up in float16."""
    sums = "float16" if half else "int32" if "int" in kinds[0] else "float32"
    along_a, along_b = majors
    shape_a, shape_b = (80, K) if along_a else (K, 80), (n, K) if along_b else (K, n)
    tile_a, tile_b = (64, block_K) if along_a else (block_K, 64), (n, block_K) if along_b else (block_K, n)

    @T.prim_func
    def main(A: T.Tensor(shape_a, kinds[0]), B: T.Tensor(shape_b, kinds[1]), C: T.Tensor((80, n), sums)):
        with T.Kernel(T.ceildiv(80, 64), threads=128) as by:
            A_shared, B_shared = T.alloc_shared(tile_a, kinds[0]), T.alloc_shared(tile_b, kinds[1])
            a, acc = T.alloc_fragment(tile_a, kinds[0]), T.alloc_fragment((64, n), sums)
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=2):
                if along_a:
                    T.copy(A[by * 64, k * block_K], A_shared)
                else:
                    T.copy(A[k * block_K, by * 64], A_shared)
                if along_b:
                    T.copy(B[0, k * block_K], B_shared)
                else:
                    T.copy(B[k * block_K, 0], B_shared)
                if registers:
                    T.copy(A_shared, a)
                    T.gemm(a, B_shared, acc, transpose_A=not along_a, transpose_B=along_b)
                else:
                    T.gemm(A_shared, B_shared, acc, transpose_A=not along_a, transpose_B=along_b)
            T.copy(acc, C[by * 64, 0])

    return main


@cache
def elements(kind: str, rows: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng([rows, columns])
    if "int" in kind:
        info = np.iinfo(kind)
        return rng.integers(info.min, info.max + 1, (rows, columns)).astype(kind)
    return rng.standard_normal((rows, columns)).astype(NUMPY[kind])


def run(kinds: tuple[str, str], n: int, **options: Any) -> Any:
    """Check the product on random inputs, whole ranges of integers; returns the kernel."""
    kernel = compiled(program(kinds, n, **options))
    a, b = elements(kinds[0], 80, K), elements(kinds[1], K, n)
    along_a, along_b = options.get("majors", (True, True))
    half = options.get("half", False)
    sums = "float16" if half else "int32" if "int" in kinds[0] else "float32"
    c = poisoned((80, n), sums)
    kernel(np.ascontiguousarray(a if along_a else a.T), np.ascontiguousarray(b.T if along_b else b), c)
    if half:
        # Each of S steps rounds sums that have grown to its share of the last ones', by up to 2**-11 of them:
        # (1 + .. + S) / S of that squared, beside the last one's own.
        steps = -(-K // (16 if kinds[0] == "float16" else 32))
        error = np.linalg.norm(f64(c) - f64(a) @ f64(b)) / np.linalg.norm(f64(a) @ f64(b))
        assert error < 2**-11 * ((steps + 1) / 2) ** 0.5
        return kernel
    # tf32 has ten bits and what float32 has beyond them is cut off.
    check(c, f64(a) @ f64(b), sums, 2e-3 if kinds[0] == "float32" else 0.0)
    return kernel


@pytest.mark.parametrize("registers", [False, True], ids=["shared", "registers"])
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_kinds(kinds: tuple[str, str], registers: bool) -> None:
    found = form(run(kinds, 48, registers=registers, block_K=32 if kinds[0] == "float32" else 64))
    assert "wgmma" in found and "mma" not in found


@pytest.mark.parametrize("registers", [False, True], ids=["shared", "registers"])
@pytest.mark.parametrize("kinds", [("float16", "float16"), ("float8_e4m3", "float8_e5m2")], ids="-".join)
def test_sums_of_float16(kinds: tuple[str, str], registers: bool) -> None:
    """Half the registers; as machine code there are no spills, and ptxas serialises nothing."""
    kernel = run(kinds, 72, registers=registers, half=True)
    assert "wgmma" in form(kernel) and f"m64n72k{16 if 'float16' in kinds else 32}.f16." in kernel.get_kernel_source()
    assembled = tilelang.compile(program(kinds, 72, registers=registers, half=True), target="sm_90a")
    for used in assembled.resources.values():
        assert used.spills == 0 and not used.advice


@pytest.mark.parametrize("majors", [(a, b) for a in (True, False) for b in (True, False)])
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_major_orders_of_16_bit_elements(kind: str, majors: tuple[bool, bool]) -> None:
    assert "wgmma" in form(run((kind, kind), 64, majors=majors))


@pytest.mark.parametrize("kinds", [("float32", "float32"), ("float8_e4m3", "float8_e5m2"), ("int8", "uint8")])
def test_other_elements_run_on_mma_unless_both_are_stored_along_k(kinds: tuple[str, str]) -> None:
    assert "mma" in form(run(kinds, 64, majors=(True, False)))


@pytest.mark.parametrize("n", [8, 24, 40, 104, 248, 256])
def test_widths_of_floats(n: int) -> None:
    assert "wgmma" in form(run(("float16", "float16"), n))
    assert "wgmma" in form(run(("float8_e5m2", "float8_e4m3"), n))


@pytest.mark.parametrize(("n", "wgmma"), [(8, True), (24, True), (32, True), (40, False), (48, True), (240, True)])
def test_widths_of_integers(n: int, wgmma: bool) -> None:
    """From 32 columns on they come in sixteens."""
    assert ("wgmma" in form(run(("uint8", "int8"), n))) == wgmma


@pytest.mark.parametrize("registers", [False, True], ids=["shared", "registers"])
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_machine_code(kinds: tuple[str, str], registers: bool) -> None:
    """It assembles, without spills, and ptxas serialises nothing."""
    options = {"registers": registers, "block_K": 32 if kinds[0] == "float32" else 64}
    kernel = tilelang.compile(program(kinds, 96, **options), target="sm_90a")
    assert "wgmma" in form(kernel)
    for used in kernel.resources.values():
        assert used.spills == 0 and not used.advice


def test_versions_with_a_layout_and_a_sum_of_each_group() -> None:
    """Tiles of several versions that the program lays out; each warpgroup waits for the sums of its own region only."""

    @T.prim_func
    def main(A: T.Tensor((2, 64, 64), "float16"), B: T.Tensor((2, 64, 64), "float16"),
             C: T.Tensor((2, 64, 64), "float32")):  # fmt: skip
        with T.Kernel(1, threads=256) as _:
            a, b = T.alloc_shared((2, 64, 64), "float16"), T.alloc_shared((2, 64, 64), "float16")
            T.annotate_layout({a: make_swizzled_layout(a), b: make_swizzled_layout(b)})
            T.copy(A, a)
            T.copy(B, b)
            with T.ws(0):
                first = T.alloc_fragment((64, 64), "float32")
                T.wgmma_gemm(a[0, :, :], b[0, :, :], first, transpose_B=True, clear_accum=True)
                T.wait_wgmma(0)
                T.wgmma_gemm(a[1, :, :], b[1, :, :], first, transpose_B=True)
                T.wait_wgmma(0)
                T.copy(first, C[0, :, :])
            with T.ws(1):
                second = T.alloc_fragment((64, 64), "float32")
                T.wgmma_gemm(a[0, :, :], b[1, :, :], second, clear_accum=True)
                T.wait_wgmma(0)
                T.copy(second, C[1, :, :])

    a, b = (np.random.default_rng(i).standard_normal((2, 64, 64)).astype(np.float16) for i in (1, 2))
    c = poisoned((2, 64, 64), "float32")
    compiled(main)(a, b, c)
    check(c, np.stack([f64(a[0]) @ f64(b[0]).T + f64(a[1]) @ f64(b[1]).T, f64(a[0]) @ f64(b[1])]), "float32")
