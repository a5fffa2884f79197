"""Kernels around products on sm_90a in the simulator: epilogues, slices of batches, sizes known at run time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import HOPPER, accumulate, check, compiled, f64, form, poisoned, random

import tilelang_mlir.language as T
from tilelang_mlir import knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.mark.parametrize("out", ["float16", "float32"])
def test_epilogue_with_bias_relu_and_residual(out: str) -> None:
    M, N, K = 100, 72, 128

    @T.prim_func
    def main(
        A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), bias: T.Tensor((N,), "float32"),
        R: T.Tensor((M, N), "float16"), C: T.Tensor((M, N), out),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(N, 64), T.ceildiv(M, 64), threads=128) as (bx, by):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            R_shared = T.alloc_shared((64, 64), "float16")
            acc, b = T.alloc_fragment((64, 64), "float32"), T.alloc_fragment((64,), "float32")
            accumulate(A, B, A_shared, B_shared, acc, by * 64, bx * 64, K // 64)
            T.copy(bias[bx * 64 : bx * 64 + 64], b)
            T.copy(R[by * 64, bx * 64], R_shared)
            for i, j in T.Parallel(64, 64):
                acc[i, j] = T.max(acc[i, j] + b[j], 0) + R_shared[i, j]
            T.copy(acc, C[by * 64, bx * 64])

    kernel = compiled(main)
    a, b, bias, r = random((M, K)), random((K, N)), random((N,), "float32"), random((M, N))
    c = poisoned((M, N), out)
    kernel(a, b, bias, r, c)
    check(c, np.maximum(f64(a) @ f64(b) + f64(bias), 0) + f64(r), out)
    assert form(kernel) == HOPPER


@pytest.mark.parametrize(("M", "N"), [(64, 64), (100, 72)])
def test_result_through_a_shared_tile(M: int, N: int) -> None:
    @T.prim_func
    def main(A: T.Tensor((M, 128), "float16"), B: T.Tensor((128, N), "float16"), C: T.Tensor((M, N), "float16")):
        with T.Kernel(T.ceildiv(N, 64), T.ceildiv(M, 64), threads=128) as (bx, by):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            C_shared, acc = T.alloc_shared((64, 64), "float16"), T.alloc_fragment((64, 64), "float32")
            accumulate(A, B, A_shared, B_shared, acc, by * 64, bx * 64, 2)
            T.copy(acc, C_shared)
            T.copy(C_shared, C[by * 64, bx * 64])

    kernel = compiled(main)
    a, b, c = random((M, 128)), random((128, N)), poisoned((M, N), "float16")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b), "float16")
    assert form(kernel) == HOPPER


def test_reductions_across_warpgroups() -> None:
    @T.prim_func
    def main(
        A: T.Tensor((128, 128), "float16"), B: T.Tensor((128, 64), "float16"),
        columns: T.Tensor((64,), "float32"), rows: T.Tensor((128,), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=256):
            A_shared, B_shared = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((128, 64), "float32")
            c, r = T.alloc_fragment((64,), "float32"), T.alloc_fragment((128,), "float32")
            accumulate(A, B, A_shared, B_shared, acc, 0, 0, 2)
            T.reduce_sum(acc, c, dim=0)
            T.reduce_max(acc, r, dim=1)
            T.copy(c, columns)
            T.copy(r, rows)

    kernel = compiled(main)
    a, b, columns, rows = random((128, 128)), random((128, 64)), poisoned((64,), "float32"), poisoned((128,), "float32")
    kernel(a, b, columns, rows)
    product = f64(a) @ f64(b)
    check(columns, product.sum(0), "float32")
    check(rows, product.max(1), "float32")
    assert form(kernel) == HOPPER - {"bulk store"}


@pytest.mark.parametrize(("dtype", "threads", "N"), [("float16", 128, 64), ("float16", 256, 128), ("bfloat16", 256, 72),
                                                     ("float8_e4m3", 128, 64), ("float8_e5m2", 256, 24)])  # fmt: skip
def test_left_operand_in_registers(dtype: str, threads: int, N: int) -> None:
    M = threads // 2

    @T.prim_func
    def main(A: T.Tensor((M, 128), dtype), B: T.Tensor((N, 128), dtype), C: T.Tensor((M, N), "float32")):
        with T.Kernel(1, threads=threads):
            a, B_shared = T.alloc_fragment((M, 64), dtype), T.alloc_shared((N, 64), dtype)
            acc = T.alloc_fragment((M, N), "float32")
            T.clear(acc)
            for k in T.Pipelined(2, num_stages=2):
                T.copy(B[0, k * 64], B_shared)
                T.copy(A[0, k * 64], a)
                T.gemm(a, B_shared, acc, transpose_B=True)
            T.copy(acc, C)

    kernel = compiled(main)
    a, b, c = random((M, 128), dtype, 1), random((N, 128), dtype, 2), poisoned((M, N), "float32")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b).T, "float32")
    assert form(kernel) >= {"roles", "wgmma"}


def test_weights_converted_in_the_loop() -> None:
    """The consumers write the tile that the product reads."""

    @T.prim_func
    def main(
        A: T.Tensor((64, 192), "float16"), B: T.Tensor((192, 64), "int8"), scale: T.Tensor((64,), "float16"),
        C: T.Tensor((64, 64), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_packed = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "int8")
            B_shared, acc = T.alloc_shared((64, 64), "float16"), T.alloc_fragment((64, 64), "float32")
            T.clear(acc)
            for k in T.Pipelined(3, num_stages=2):
                T.copy(A[0, k * 64], A_shared)
                T.copy(B[k * 64, 0], B_packed)
                for i, j in T.Parallel(64, 64):
                    B_shared[i, j] = B_packed[i, j].astype("float16") * scale[j]
                T.gemm(A_shared, B_shared, acc)
            T.copy(acc, C)

    kernel = compiled(main)
    a, b, scale, c = random((64, 192)), random((192, 64), "int8"), random((64,)), poisoned((64, 64), "float32")
    kernel(a, b, scale, c)
    check(c, f64(a) @ f64((b * scale).astype(np.float16)), "float32")
    assert form(kernel) == HOPPER


@pytest.mark.parametrize("batch", [(2,), (2, 3)], ids=str)
def test_slices_of_a_batch(batch: tuple[int, ...]) -> None:
    M, N, K = 72, 80, 64
    count = int(np.prod(batch))

    @T.prim_func
    def main(
        A: T.Tensor((*batch, M, K), "float16"), B: T.Tensor((*batch, K, N), "float16"),
        C: T.Tensor((*batch, M, N), "float16"),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(N, 64), T.ceildiv(M, 64), count, threads=128) as (bx, by, bz):
            A_shared, B_shared = T.alloc_shared((64, 32), "float16"), T.alloc_shared((32, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            row, column = by * 64, bx * 64
            T.clear(acc)
            for k in T.Pipelined(2, num_stages=2):
                if len(batch) == 2:
                    T.copy(A[bz // 3, bz % 3, row : row + 64, k * 32 : k * 32 + 32], A_shared)
                    T.copy(B[bz // 3, bz % 3, k * 32 : k * 32 + 32, column : column + 64], B_shared)
                else:
                    T.copy(A[bz, row : row + 64, k * 32 : k * 32 + 32], A_shared)
                    T.copy(B[bz, k * 32 : k * 32 + 32, column : column + 64], B_shared)
                T.gemm(A_shared, B_shared, acc)
            if len(batch) == 2:
                T.copy(acc, C[bz // 3, bz % 3, row : row + 64, column : column + 64])
            else:
                T.copy(acc, C[bz, row : row + 64, column : column + 64])

    kernel = compiled(main)
    a, b, c = random((*batch, M, K)), random((*batch, K, N)), poisoned((*batch, M, N), "float16")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b), "float16")
    assert form(kernel) == HOPPER


def run_time(M: Any, K: Any) -> Any:
    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, 64), "float16"), C: T.Tensor((M, 64), "float32")):
        with T.Kernel(T.ceildiv(M, 64), threads=128) as bx:
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            accumulate(A, B, A_shared, B_shared, acc, bx * 64, 0, T.ceildiv(K, 64))
            T.copy(acc, C[bx * 64, 0])

    return compiled(main)


def test_one_kernel_for_every_m() -> None:
    kernel = run_time(T.dynamic("m"), 128)
    assert form(kernel) == HOPPER
    b = random((128, 64))
    for m in (1, 63, 64, 65, 200):
        a, c = random((m, 128)), poisoned((m, 64), "float32")
        kernel(a, b, c)
        check(c, f64(a) @ f64(b), "float32")


def test_one_kernel_for_every_k() -> None:
    """Rows of a length known at run time need not be multiples of 16 bytes."""
    kernel = run_time(64, T.dynamic("k"))
    assert not form(kernel) & {"roles", "bulk load"}
    for k in (128, 72, 33, 1):
        a, b, c = random((64, k)), random((k, 64)), poisoned((64, 64), "float32")
        kernel(a, b, c)
        check(c, f64(a) @ f64(b), "float32")
    c = poisoned((64, 64), "float32")
    kernel(random((64, 0)), random((0, 64)), c)
    assert not c.any()


@pytest.mark.parametrize("configs", [{}, {"disable_warp_specialized": True}], ids=["roles", "within the warps"])
def test_loop_bounds_at_run_time(configs: dict[str, bool]) -> None:
    @T.prim_func
    def main(
        A: T.Tensor((64, 320), "float16"), B: T.Tensor((320, 64), "float16"), C: T.Tensor((64, 64), "float32"),
        first: T.int32, last: T.int32,
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            T.clear(acc)
            for k in T.Pipelined(first, last, num_stages=3):
                T.copy(A[0, k * 64], A_shared)
                T.copy(B[k * 64, 0], B_shared)
                T.gemm(A_shared, B_shared, acc)
            T.copy(acc, C)

    kernel = compiled(main, **configs)
    assert ("roles" in form(kernel)) == (not configs)
    a, b = random((64, 320)), random((320, 64))
    for first, last in ((0, 5), (1, 4), (4, 5), (0, 0), (3, 2)):
        c = poisoned((64, 64), "float32")
        kernel(a, b, c, first, last)
        if last <= first:
            assert not c.any()
        else:
            part = slice(first * 64, last * 64)
            check(c, f64(a)[:, part] @ f64(b)[part], "float32")


def test_two_kernels_in_one_function() -> None:
    @T.prim_func
    def main(
        A: T.Tensor((64, 128), "float16"), B: T.Tensor((128, 64), "float16"), C: T.Tensor((64, 64), "float16"),
        D: T.Tensor((64, 64), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            accumulate(A, B, A_shared, B_shared, acc, 0, 0, 2)
            T.copy(acc, C)
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 32), "float16"), T.alloc_shared((32, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            accumulate(C, B, A_shared, B_shared, acc, 0, 0, 2)
            T.copy(acc, D)

    kernel = compiled(main)
    a, b, c, d = random((64, 128)), random((128, 64)), poisoned((64, 64), "float16"), poisoned((64, 64), "float32")
    kernel(a, b, c, d)
    check(c, f64(a) @ f64(b), "float16")
    check(d, f64(c) @ f64(b)[:64], "float32")
    assert kernel.ir("lowered").count("tl.tensor_maps") == 2


def test_several_tiles_per_block() -> None:
    """Both roles walk the tiles; the rounds of the ring carry on from one tile to the next."""

    @T.prim_func
    def main(A: T.Tensor((192, 128), "float16"), B: T.Tensor((128, 64), "float16"), C: T.Tensor((192, 64), "float16")):
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            for tile in T.serial(3):
                accumulate(A, B, A_shared, B_shared, acc, tile * 64, 0, 2)
                T.copy(acc, C[tile * 64, 0])

    kernel = compiled(main)
    a, b, c = random((192, 128)), random((128, 64)), poisoned((192, 64), "float16")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b), "float16")
    assert form(kernel) == HOPPER


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_store_in_every_iteration_and_products_under_conditions(seed: int) -> None:
    @T.prim_func
    def main(
        A: T.Tensor((64, 256), "float16"), B: T.Tensor((256, 64), "float16"), C: T.Tensor((3, 4, 64, 64), "float16")
    ):
        with T.Kernel(4, threads=128) as bx:
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            T.clear(acc)
            for k in T.Pipelined(4, num_stages=2):
                T.copy(A[0, k * 64], A_shared)
                T.copy(B[k * 64, 0], B_shared)
                if k != bx:
                    T.gemm(A_shared, B_shared, acc)
                if bx < 3:
                    T.copy(acc, C[bx, k, :, :])

    kernel = compiled(main)
    a, b, c = random((64, 256)), random((256, 64)), poisoned((3, 4, 64, 64), "float16")
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True, "TILELANG_SIM_SEED": seed}):
        kernel(a, b, c)
    parts = np.stack([f64(a)[:, k : k + 64] @ f64(b)[k : k + 64] for k in range(0, 256, 64)])
    want = np.stack([np.cumsum(np.where(np.arange(4)[:, None, None] == block, 0, parts), 0) for block in range(3)])
    check(c[1:], want[1:], "float16")
    check(c[0, 1:], want[0, 1:], "float16")
    assert not c[0, 0].any()
    assert form(kernel) == HOPPER


@pytest.mark.parametrize(("length", "roles"), [(32, True), (64, True), (24, False), (36, False)])
def test_a_vector_per_iteration(length: int, roles: bool) -> None:
    """Versions of the vector must start at multiples of 128 bytes to be loaded in bulk."""

    @T.prim_func
    def main(
        A: T.Tensor((64, 256), "float16"), B: T.Tensor((256, 64), "float16"), V: T.Tensor((4 * length,), "float32"),
        C: T.Tensor((64, 64), "float32"), S: T.Tensor((length,), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            V_shared, s = T.alloc_shared((length,), "float32"), T.alloc_fragment((length,), "float32")
            acc = T.alloc_fragment((64, 64), "float32")
            T.clear(acc)
            T.clear(s)
            for k in T.Pipelined(4, num_stages=3):
                T.copy(A[0, k * 64], A_shared)
                T.copy(B[k * 64, 0], B_shared)
                T.copy(V[k * length : (k + 1) * length], V_shared)
                T.gemm(A_shared, B_shared, acc)
                for i in T.Parallel(length):
                    s[i] += V_shared[i]
            T.copy(acc, C)
            T.copy(s, S)

    kernel = compiled(main)
    a, b, v = random((64, 256)), random((256, 64)), random((4 * length,), "float32")
    c, s = poisoned((64, 64), "float32"), poisoned((length,), "float32")
    kernel(a, b, v, c, s)
    check(c, f64(a) @ f64(b), "float32")
    check(s, f64(v).reshape(4, length).sum(0), "float32")
    assert ("roles" in form(kernel)) == roles
