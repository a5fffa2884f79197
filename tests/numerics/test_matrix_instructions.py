"""Products of warps whose registers the program holds: mma, ldmatrix, stmatrix and the emitter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hopper_programs import NUMPY, f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.reference import evaluate


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def by_hand(dtype: str = "float16", sums: str = "float32") -> Any:
    """C = A B of 16x16x16, one instruction at a time."""

    @T.prim_func
    def main(A: T.Tensor((16, 16), dtype), B: T.Tensor((16, 16), dtype), C: T.Tensor((16, 16), sums)):
        with T.Kernel(1, threads=32) as _:
            a = T.alloc_shared((16, 16), dtype)
            b = T.alloc_shared((16, 16), dtype)
            al = T.alloc_local((8,), dtype)
            bl = T.alloc_local((2, 4), dtype)
            cl = T.alloc_local((8,), sums)
            tx = T.get_thread_binding()
            T.copy(A, a)
            T.copy(B, b)
            T.mma_fill(sums, 8, cl.data, 0)
            T.ptx_ldmatrix(False, 4, T.access_ptr(a[tx % 16, tx // 16 * 8], "r"), T.access_ptr(al[0], "w"))
            row, column = T.get_ldmatrix_offset("B", tx, 0, 16, dtype, False)
            T.ptx_ldmatrix(sums, T.bool(True), 4, ".b16", bl.data, 0, b.data, row * 16 + column)
            for j in range(2):
                T.ptx_mma(
                    sums, "m16n8k16", "row", "col", dtype, dtype, sums, al.data, 0, bl.data, j * 4, cl.data, j * 4,
                    T.bool(False),
                )  # fmt: skip
            T.mma_store(sums, 16, 16, T.access_ptr(C[0, 0], "w"), cl.data, 0, 16)

    return main


def check(result: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert np.linalg.norm(f64(result) - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize(("dtype", "sums", "tolerance"), [("float16", "float32", 1e-6), ("bfloat16", "float32", 1e-6),
                                                          ("float16", "float16", 2e-3)])
def test_instructions_by_hand(dtype: str, sums: str, tolerance: float) -> None:
    """The simulator and the reference evaluator, whose fragments are written out by themselves."""
    program = by_hand(dtype, sums)
    a, b = random((16, 16), dtype), random((16, 16), dtype)
    for run in (tilelang.compile(program, target="sim:sm_80"), lambda *t: evaluate(program.module, "main", t)):
        c = poisoned((16, 16), sums)
        run(a, b, c)
        check(c, f64(a) @ f64(b), tolerance)


def test_registers_stay_registers() -> None:
    ptx = tilelang.compile(by_hand(), target="sm_80").get_kernel_source()
    assert ptx.count("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32") == 2
    assert ptx.count("ldmatrix.sync.aligned.m8n8.x4") == 2 and ".local" not in ptx


@pytest.mark.parametrize("transposes", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(
    ("dtype", "sums", "tile", "tolerance"),
    [("float16", "float32", (32, 24), 1e-6), ("int8", "int32", (16, 16), 0), ("float32", "float32", (16, 8), 2e-3),
     ("float64", "float64", (16, 16), 1e-14)],
)  # fmt: skip
def test_emitter(dtype: str, sums: str, tile: tuple[int, int], tolerance: float, transposes: tuple[bool, bool]) -> None:
    """Two by two warps; odd numbers of instruction tiles; operands both ways round."""
    (ta, tb), chunk, K = transposes, 32, 64
    emitter = T.TensorCoreIntrinEmitter(dtype, dtype, sums, ta, tb, 2, 2, *tile, chunk)
    M, N = 2 * tile[0], 2 * tile[1]
    shape_a, shape_b = ((chunk, M) if ta else (M, chunk)), ((N, chunk) if tb else (chunk, N))

    @T.prim_func
    def main(
        A: T.Tensor((K, M) if ta else (M, K), dtype),
        B: T.Tensor((N, K) if tb else (K, N), dtype),
        C: T.Tensor((M, N), sums),
    ):
        with T.Kernel(1, threads=emitter.threads) as _:
            a = T.alloc_shared(shape_a, dtype)
            b = T.alloc_shared(shape_b, dtype)
            al = T.alloc_local((emitter.warp_rows * emitter.local_size_a,), dtype)
            bl = T.alloc_local((emitter.warp_cols * emitter.local_size_b,), dtype)
            cl = T.alloc_local((emitter.warp_rows * emitter.warp_cols * emitter.local_size_out,), sums)
            T.clear(cl)
            for ko in T.serial(K // chunk):
                if ta:
                    T.copy(A[ko * chunk, 0], a)
                else:
                    T.copy(A[0, ko * chunk], a)
                if tb:
                    T.copy(B[0, ko * chunk], b)
                else:
                    T.copy(B[ko * chunk, 0], b)
                for ki in T.serial(chunk // emitter.micro_size_k):
                    emitter.ldmatrix_a(al, a, ki)
                    emitter.ldmatrix_b(bl, b, ki)
                    emitter.mma(al, bl, cl)
            emitter.stmatrix(cl, C, pid_m=0, pid_n=0)

    numpy = {**NUMPY, "float64": np.float64}
    rng = np.random.default_rng(5)
    scale = 20 if dtype == "int8" else 1
    a = (scale * rng.standard_normal((K, M) if ta else (M, K))).astype(numpy[dtype])
    b = (scale * rng.standard_normal((N, K) if tb else (K, N))).astype(numpy[dtype])
    c = np.zeros((M, N), numpy[sums])
    tilelang.compile(main, target="sim:sm_80")(a, b, c)
    check(c, (f64(a).T if ta else f64(a)) @ (f64(b).T if tb else f64(b)), tolerance)


def test_fp8_and_half_sums() -> None:
    emitter = T.TensorCoreIntrinEmitter("float8_e4m3", "float8_e5m2", "float32", False, True, 1, 1, 16, 16, 32)

    @T.prim_func
    def main(
        A: T.Tensor((16, 32), "float8_e4m3"), B: T.Tensor((16, 32), "float8_e5m2"), C: T.Tensor((16, 16), "float32")
    ):
        with T.Kernel(1, threads=32) as _:
            a = T.alloc_shared((16, 32), "float8_e4m3")
            b = T.alloc_shared((16, 32), "float8_e5m2")
            al = T.alloc_local((16,), "float8_e4m3")
            bl = T.alloc_local((16,), "float8_e5m2")
            cl = T.alloc_local((8,), "float32")
            c = T.alloc_shared((1, 1, 16, 16), "float32")
            T.clear(cl)
            T.copy(A, a)
            T.copy(B, b)
            emitter.ldmatrix_a(al, a, 0)
            emitter.ldmatrix_b(bl, b, 0)
            emitter.mma(al, bl, cl)
            emitter.stmatrix(cl, c)
            for i, j in T.Parallel(16, 16):
                C[i, j] = c[0, 0, i, j]

    rng = np.random.default_rng(6)
    a = rng.standard_normal((16, 32)).astype(ml_dtypes.float8_e4m3fn)
    b = rng.standard_normal((16, 32)).astype(ml_dtypes.float8_e5m2)
    c = poisoned((16, 16), "float32")
    tilelang.compile(main, target="sim:sm_89")(a, b, c)
    check(c, f64(a) @ f64(b).T, 1e-6)
    with pytest.raises(UnsupportedError, match="mma.sync of e4m3 needs mma.sync fp8, which sim:sm_80 lacks"):
        tilelang.compile(main, target="sim:sm_80")


def test_stmatrix_transposes_back() -> None:
    """Loaded as it is and stored transposed, two matrices at a time."""

    @T.prim_func
    def main(A: T.Tensor((16, 8), "float16"), B: T.Tensor((16, 8), "float16")):
        with T.Kernel(1, threads=32) as _:
            a = T.alloc_shared((16, 8), "float16")
            b = T.alloc_shared((16, 8), "float16")
            own = T.alloc_local((4,), "float16")
            tx = T.get_thread_binding()
            T.copy(A, a)
            T.ptx_ldmatrix(False, 2, a[tx % 16, 0], own[0])
            T.ptx_stmatrix(True, 2, b[tx % 16, 0], own[0])
            T.sync_threads()
            T.copy(b, B)

    a = random((16, 8), "float16")
    for run in (tilelang.compile(main, target="sim:sm_90a"), lambda *t: evaluate(main.module, "main", t)):
        b = poisoned((16, 8), "float16")
        run(a, b)
        assert (b.reshape(2, 8, 8) == a.reshape(2, 8, 8).swapaxes(1, 2)).all()
    with pytest.raises(UnsupportedError, match="T.ptx_stmatrix needs stmatrix, which sim:sm_80 lacks"):
        tilelang.compile(main, target="sim:sm_80")


WRONG: list[tuple[str, type[Exception], str]] = [
    ("T.ptx_mma('float32', 'm16n8k16', 'col', 'col', *kinds, l, 0, l, 0, c, 0, False)", TileValueError, "A is in row"),
    ("T.ptx_mma('float32', 'm8n8k4', 'row', 'col', *kinds, l, 0, l, 0, c, 0, False)", TileValueError,
     "m16n8k8 or m16n8k16"),
    ("T.ptx_mma('float32', 'm16n8k16', 'row', 'col', 'fp16', 'bf16', 'fp32', l, 0, l, 0, c, 0)", TileValueError,
     "no instruction multiplies f16 with bf16"),
    ("T.ptx_mma('int32', 'm16n8k16', 'row', 'col', 'fp16', 'fp16', 'int32', l, 0, l, 0, c, 0)", TileValueError,
     "products of f16 are summed in f16 or f32, not s32"),
    ("T.ptx_mma('float32', 'm16n8k16', 'row', 'col', *kinds, s, 0, l, 0, c, 0, False)", TileTypeError,
     "A is in shared memory"),
    ("T.ptx_mma('float32', 'm16n8k16', 'row', 'col', *kinds, c, 0, l, 0, c, 0, False)", TileTypeError,
     "f16 needs elements of 16 bits, got an array of float32"),
    ("T.ptx_mma('float32', 'm16n8k16', 'row', 'col')", TileTypeError, "takes 13 or 14 arguments, got 4"),
    ("T.ptx_mma('float32', 'm16n8k16', 'row', 'col', *kinds, l, 0, l, 0, c, 0, True)", UnsupportedError, "saturation"),
    ("T.ptx_mma_sm70('m16n16k4')", TileTypeError, "takes 12 arguments, got 1"),
    ("T.ptx_mma_sm70('m8n8k4', 'row', 'col', *kinds, l, 0, l, 0, c, 0)", TileValueError, "expected 'm16n16k4'"),
    ("T.ptx_ldmatrix(False, 3, s[0, 0], l[0])", TileValueError, "1, 2 or 4 matrices, got int 3"),
    ("T.ptx_ldmatrix(False, 4, l[0], l[0])", TileTypeError, "the source is in local memory, expected shared memory"),
    ("T.ptx_ldmatrix(False, 4, s[0, 0])", TileTypeError, "takes 4 arguments"),
    ("T.mma_fill('float16', 8, c, 0)", TileTypeError, "T.mma_fill of float16 in an array of float32"),
    ("T.mma_store('float32', 8, 8, s[0, 0], c, 0, 16)", TileValueError, "tiles of 16x16, got 8x8"),
    ("T.TensorCoreIntrinEmitter('float16', warp_row_tiles=24)", TileValueError, "24x8 is no multiple of 16x8"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "message"), WRONG)
def test_wrong_use(line: str, kind: type[Exception], message: str) -> None:
    kinds = ("fp16", "fp16", "fp32")

    def body(own: Any, c: Any, s: Any) -> None:
        eval(line, {"T": T, "l": own, "c": c, "s": s, "kinds": kinds})

    with pytest.raises(kind, match=message):

        @T.prim_func
        def main(A: T.Tensor((16,), "float16")):
            with T.Kernel(1, threads=32) as _:
                own = T.alloc_local((8,), "float16")
                sums = T.alloc_local((8,), "float32")
                tile = T.alloc_shared((16, 16), "float16")
                body(own, sums, tile)


@pytest.mark.parametrize("sums", ["float16", "float32"])
@pytest.mark.parametrize("layouts", [("row", "col"), ("col", "row")])
def test_four_products_at_once(layouts: tuple[str, str], sums: str) -> None:
    """mma.m8n8k4: simulator and reference evaluator, whose fragments are written out, and the product itself."""

    @T.prim_func
    def main(A: T.Tensor((32, 4), "float16"), B: T.Tensor((32, 4), "float16"), C: T.Tensor((32, 8), sums)):
        with T.Kernel(1, threads=32) as _:
            a = T.alloc_local((4,), "float16")
            b = T.alloc_local((4,), "float16")
            c = T.alloc_local((8,), sums)
            tx = T.get_thread_binding()
            for i in T.serial(4):
                a[i] = A[tx, i]
                b[i] = B[tx, i]
            for i in T.serial(8):
                c[i] = C[tx, i]
            T.ptx_mma_sm70("m16n16k4", *layouts, "fp16", "fp16", sums, a.data, 0, b.data, 0, c.data, 0)
            for i in T.serial(8):
                C[tx, i] = c[i]

    a, b, start = random((32, 4), "float16"), random((32, 4), "float16"), random((32, 8), sums)
    results = []
    for run in (tilelang.compile(main, target="sim:sm_75"), lambda *t: evaluate(main.module, "main", t)):
        c = start.copy()
        run(a, b, c)
        results.append(f64(c))
    assert np.linalg.norm(results[0] - results[1]) <= (2e-3 if sums == "float16" else 1e-6) * np.linalg.norm(results[0])
    # Row 0 of product 0 is lane 0's (and, transposed, element 0 of the first lanes).
    left = f64(a[0]) if layouts[0] == "row" else f64(a[:4, 0])
    right = f64(b[0]) if layouts[1] == "col" else f64(b[:4, 0])
    assert abs(results[0][0, 0] - f64(start)[0, 0] - left @ right) < 1e-2
    ptx = tilelang.compile(main, target="sm_90a").get_kernel_source()
    assert f"mma.sync.aligned.m8n8k4.{layouts[0]}.{layouts[1]}" in ptx
