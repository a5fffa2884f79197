"""Products through tensor memory on sm_100a in the simulator, against float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hopper_programs import Gemm, check, f64, poisoned, random
from tensor_programs import TensorGemm, check_gemm, compiled, form, instructions

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import LayoutError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


TILES = (128, 64, 64)
SIZE = (136, 72, 136)


@pytest.mark.parametrize(
    ("dtypes", "tb"),
    [
        (("float16", "float32", "float16"), True),
        (("float16", "float32", "float32"), False),
        (("bfloat16", "float32", "bfloat16"), False),
        (("float8_e4m3", "float32", "float16"), True),
        (("float8_e5m2", "float32", "float32"), True),
        (("int8", "int32", "int32"), True),
        (("float16", "float16", "float16"), True),
    ],
    ids=str,
)
def test_dtypes(dtypes: tuple[str, str, str], tb: bool) -> None:
    dtype, sums, out = dtypes
    kernel = check_gemm(Gemm((136, 80, 144), TILES, dtype=dtype, sums=sums, out=out, transpose_B=tb))
    assert "tcgen05" in form(kernel) and "mma" not in form(kernel)


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_transposes(ta: bool, tb: bool, waits: bool) -> None:
    check_gemm(TensorGemm(SIZE, TILES, transpose_A=ta, transpose_B=tb, waits=waits))


@pytest.mark.parametrize(
    ("tiles", "threads", "tb"),
    [
        ((64, 64, 64), 128, False),
        ((64, 8, 32), 128, True),
        ((64, 80, 16), 128, True),
        ((64, 128, 64), 256, False),
        ((128, 16, 128), 128, True),
        ((128, 256, 32), 256, True),
        ((128, 128, 64), 256, False),
    ],
    ids=str,
)
def test_tiles(tiles: tuple[int, int, int], threads: int, tb: bool) -> None:
    check_gemm(TensorGemm((137, 257, 72), tiles, threads=threads, transpose_B=tb))


@pytest.mark.parametrize(
    ("case", "threads"),
    [
        (Gemm((300, 152, 136), (256, 64, 64), transpose_B=True, out="float16"), 256),
        (Gemm((304, 40, 72), (256, 64, 64), transpose_A=True), 128),
        (Gemm((257, 32, 256), (256, 32, 128), dtype="float8_e4m3", transpose_B=True), 512),
    ],
    ids=["a warpgroup for each half", "both halves in a thread", "more warpgroups"],
)
def test_256_rows(case: Gemm, threads: int) -> None:
    """Two products side by side in the columns."""
    kernel = check_gemm(replace(case, threads=threads))
    assert "tcgen05" in form(kernel) and kernel.ir("lowered").count("tcgen05.mma") == 8
    assert "(memref<1x256x" in kernel.ir("scheduled")


@pytest.mark.parametrize("stages", [0, 1, 2, 3, 4])
def test_stages(stages: int) -> None:
    check_gemm(Gemm((129, 72, 328), TILES, stages=stages, transpose_B=True, out="float16"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_of_landing(seed: int) -> None:
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        check_gemm(Gemm(SIZE, TILES, stages=3, transpose_B=True))
        check_gemm(TensorGemm(SIZE, TILES, stages=2))


@pytest.mark.parametrize(
    ("tiles", "threads", "dtype"), [((64, 80, 16), 128, "float16"), ((128, 64, 32), 256, "float8_e5m2")], ids=str
)
def test_float16_sums(tiles: tuple[int, int, int], threads: int, dtype: str) -> None:
    """An element has a column of its own; loads and stores pack two into a register."""
    m, n, _ = tiles

    @T.prim_func
    def main(A: T.Tensor((m, 64), dtype), B: T.Tensor((n, 64), dtype), C: T.Tensor((m, n), "float16")):
        with T.Kernel(1, threads=threads):
            A_shared, B_shared = T.alloc_shared((m, 64), dtype), T.alloc_shared((n, 64), dtype)
            start, C_tmem = T.alloc_fragment((m, n), "float16"), T.alloc_tmem((m, n), "float16")
            T.copy(A, A_shared)
            T.copy(B, B_shared)
            T.fill(C_tmem, 0.5)
            T.copy(C_tmem, start)
            for i, j in T.Parallel(m, n):
                start[i, j] += i - j
            T.copy(start, C_tmem)
            T.gemm(A_shared, B_shared, C_tmem, transpose_B=True)
            T.copy(C_tmem, C)

    kernel = compiled(main)
    a, b, c = random((m, 64), dtype), random((n, 64), dtype, 1), poisoned((m, n), "float16")
    kernel(a, b, c)
    i, j = np.ogrid[:m, :n]
    check(c, f64(a) @ f64(b).T + 0.5 + i - j, "float16")
    assert ".pack::16b" in kernel.ir("lowered") and ".unpack::16b" in kernel.ir("lowered")
    found = instructions(main)
    assert found["LDTM"] and found["STTM"] and found["UTCQMMA"] + found["UTCHMMA"]


def test_depth_of_run_time() -> None:
    """A loop that may not run: its sum is in tensor memory, with roles, and zero where it did not run."""
    n, k = T.dynamic("n"), T.dynamic("k")

    @T.prim_func
    def main(A: T.Tensor((137, k), "float16"), B: T.Tensor((n, k), "float16"), C: T.Tensor((137, n), "float32")):
        with T.Kernel(T.ceildiv(n, 64), 2, threads=128) as (bx, by):
            T.assume(k % 8 == 0)
            A_shared, B_shared = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((128, 64), "float32")
            T.clear(acc)
            for i in T.Pipelined(T.ceildiv(k, 64), num_stages=2):
                T.copy(A[by * 128, i * 64], A_shared)
                T.copy(B[bx * 64, i * 64], B_shared)
                T.gemm(A_shared, B_shared, acc, transpose_B=True)
            T.copy(acc, C[by * 128, bx * 64])

    kernel = compiled(main)
    assert "tl.tensor_roles" in kernel.ir("scheduled") and "bulk load" in form(kernel)
    for K in (136, 0, 264):
        a, b, c = random((137, K)), random((72, K), seed=1), poisoned((137, 72), "float32")
        kernel(a, b, c)
        assert np.abs(c - f64(a) @ f64(b).T).max() < 1e-4 * max(K, 1)


def test_float16_sum_is_no_operand() -> None:
    """The first operand lies two to a column, so that a sum of float16 has to be copied."""

    @T.prim_func
    def main(A: T.Tensor((128, 64), "float16"), C: T.Tensor((128, 64), "float16")):
        with T.Kernel(1, threads=128):
            A_shared = T.alloc_shared((128, 64), "float16")
            S_tmem, C_tmem = T.alloc_tmem((128, 128), "float16"), T.alloc_tmem((128, 64), "float16")
            T.copy(A, A_shared)
            T.gemm(A_shared, A_shared, S_tmem, transpose_B=True, clear_accum=True)
            T.gemm(S_tmem, A_shared, C_tmem, clear_accum=True)
            T.copy(C_tmem, C)

    with pytest.raises(LayoutError, match="S_tmem needs two different layouts") as caught:
        compiled(main)
    assert "elements a column each" in str(caught.value)


@pytest.mark.parametrize(("dtype", "K"), [("float16", 80), ("float16", 64), ("float8_e4m3", 32)])
def test_shared_tile_to_tensor_memory(dtype: str, K: int) -> None:
    """A copy of 128 rows takes no registers: tcgen05.cp, 32 bytes of each row at a time."""

    @T.prim_func
    def main(A: T.Tensor((2, 128, K), dtype), B: T.Tensor((64, K), dtype), C: T.Tensor((2, 128, 64), "float32")):
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((128, K), dtype), T.alloc_shared((64, K), dtype)
            A_tmem, C_tmem = T.alloc_tmem((128, K), dtype), T.alloc_tmem((128, 64), "float32")
            T.copy(B, B_shared)
            for i in range(2):
                T.copy(A[i, 0, 0], A_shared)
                T.copy(A_shared, A_tmem)
                T.gemm(A_tmem, B_shared, C_tmem, transpose_B=True, clear_accum=True)
                T.copy(C_tmem, C[i, 0, 0])

    kernel = compiled(main)
    a, b, c = random((2, 128, K), dtype), random((64, K), dtype, 1), poisoned((2, 128, 64), "float32")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b).T, "float32")
    assert "shape_128x256b" in kernel.ir("lowered") and "tcgen05.st" not in kernel.ir("lowered")
    assert instructions(main)["UTCCP"] == K * (1 if dtype == "float8_e4m3" else 2) // 32


def test_float32_stays_on_mma() -> None:
    """tcgen05 cuts float32 to tf32; mma.sync is given rounded values."""
    a, b, c = random((64, 64), "float32"), random((64, 64), "float32", 1), poisoned((64, 64), "float32")
    kernel = compiled(Gemm((64, 64, 64), (64, 64, 32), dtype="float32").program())
    kernel(a, b, c)
    check(c, f64(a) @ f64(b), "float32", 2e-3)
    assert form(kernel) & {"tcgen05", "mma"} == {"mma"}


def test_tf32_into_tensor_memory() -> None:
    kernel = compiled(TensorGemm((128, 64, 64), (128, 64, 32), dtype="float32", transpose_B=True).program())
    a, b, c = random((128, 64), "float32"), random((64, 64), "float32", 1), poisoned((128, 64), "float32")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b).T, "float32", 2e-3)


@pytest.mark.parametrize("N", [64, 128])
def test_first_operand_in_tensor_memory(N: int) -> None:
    """A chain: P = A B in float16 goes back to tensor memory and is the next product's first operand."""
    M, K = 128, 64

    @T.prim_func
    def main(
        A: T.Tensor((M, K), "float16"), B: T.Tensor((N, K), "float16"), V: T.Tensor((N, 64), "float16"),
        R: T.Tensor((M, 64), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((M, K), "float16"), T.alloc_shared((N, K), "float16")
            V_shared = T.alloc_shared((N, 64), "float16")
            S_tmem, P_tmem = T.alloc_tmem((M, N), "float32"), T.alloc_tmem((M, N), "float16")
            O_tmem, S = T.alloc_tmem((M, 64), "float32"), T.alloc_fragment((M, N), "float32")
            T.copy(A, A_shared)
            T.copy(B, B_shared)
            T.copy(V, V_shared)
            T.gemm(A_shared, B_shared, S_tmem, transpose_B=True, clear_accum=True)
            T.copy(S_tmem, S)
            for i, j in T.Parallel(M, N):
                S[i, j] = T.max(S[i, j], 0.0)
            T.copy(S, P_tmem)
            T.gemm(P_tmem, V_shared, O_tmem, clear_accum=True)
            T.copy(O_tmem, R)

    a, b, v, o = random((M, K)), random((N, K), seed=1), random((N, 64), seed=2), poisoned((M, 64), "float32")
    compiled(main)(a, b, v, o)
    p = np.maximum(f64(a) @ f64(b).T, 0).astype(np.float16)
    check(o, f64(p) @ f64(v), "float16")


def test_versions_of_an_accumulator() -> None:
    """Leading dimensions are versions: two sums under way at once."""

    @T.prim_func
    def main(
        A: T.Tensor((128, 64), "float16"), B: T.Tensor((2, 64, 64), "float16"), C: T.Tensor((2, 128, 64), "float32")
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((128, 64), "float16"), T.alloc_shared((2, 64, 64), "float16")
            C_tmem, mbar = T.alloc_tmem((2, 128, 64), "float32"), T.alloc_barrier([1, 1])
            T.copy(A, A_shared)
            T.copy(B, B_shared)
            for s in T.serial(2):
                T.tcgen05_gemm(A_shared, B_shared[s, :, :], C_tmem[s, :, :], mbar=mbar[s], clear_accum=True)
            for s in T.serial(2):
                T.mbarrier_wait_parity(mbar[s], 0)
                T.copy(C_tmem[s, :, :], C[s, :, :])

    a, b, c = random((128, 64)), random((2, 64, 64), seed=1), poisoned((2, 128, 64), "float32")
    compiled(main)(a, b, c)
    check(c, f64(a)[None] @ f64(b), "float32")


def test_fill_and_copies() -> None:
    @T.prim_func
    def main(A: T.Tensor((128, 96), "float32"), C: T.Tensor((128, 96), "float32"), D: T.Tensor((128, 96), "float16")):
        with T.Kernel(1, threads=128):
            X, Y = T.alloc_tmem((128, 96), "float32"), T.alloc_tmem((128, 96), "float32")
            S = T.alloc_shared((128, 96), "float32")
            F = T.alloc_fragment((128, 96), "float32")
            T.copy(A, S)
            T.copy(S, X)
            T.fill(Y, 2.5)
            T.copy(Y, F)
            for i, j in T.Parallel(128, 96):
                F[i, j] += A[i, j]
            T.copy(F, Y)
            T.copy(Y, C)
            T.copy(X, D)

    a, c, d = random((128, 96), "float32"), poisoned((128, 96), "float32"), poisoned((128, 96), "float16")
    compiled(main)(a, c, d)
    check(c, f64(a) + 2.5, "float32")
    check(d, f64(a), "float16")


@pytest.mark.parametrize(("N", "K", "granularity"), [(128, 128, 32), (64, 256, 32), (128, 256, 64)])
def test_block_scales(N: int, K: int, granularity: int) -> None:
    """mxfp8: factors of two for blocks along K, through shared memory and tcgen05.cp."""
    M, words = 128, K // granularity // 4

    @T.prim_func
    def main(
        A: T.Tensor((M, K), "float8_e4m3"), B: T.Tensor((N, K), "float8_e4m3"),
        SFA: T.Tensor((words, M), "uint32"), SFB: T.Tensor((words, 128), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((M, K), "float8_e4m3"), T.alloc_shared((N, K), "float8_e4m3")
            SA_shared, SB_shared = T.alloc_shared((words, M), "uint32"), T.alloc_shared((words, 128), "uint32")
            SA, SB = T.alloc_tmem((128, words * 4), "uint32"), T.alloc_tmem((128, words * 4), "uint32")
            C_tmem, mbar = T.alloc_tmem((M, N), "float32"), T.alloc_barrier(1)
            T.copy(A, A_shared)
            T.copy(B, B_shared)
            T.copy(SFA, SA_shared)
            T.copy(SFB, SB_shared)
            if T.get_thread_binding() < 32:
                for w in T.unroll(words):
                    T.tcgen05_sf_warp_transpose(SA_shared[w, 0:128])
                    T.tcgen05_sf_warp_transpose(SB_shared[w, 0:128])
            for w in T.unroll(words):
                T.tcgen05_cp_warpx4(SA_shared[w, 0:128], SA, w * 4)
                T.tcgen05_cp_warpx4(SB_shared[w, 0:128], SB, w * 4)
            T.tcgen05_gemm_blockscaled(
                A_shared, B_shared, C_tmem, SA, SB, transpose_B=True, mbar=mbar, clear_accum=True,
                sf_a_granularity_k=granularity, sf_b_granularity_k=granularity,
            )  # fmt: skip
            T.mbarrier_wait_parity(mbar, 0)
            T.copy(C_tmem, C)

    rng = np.random.default_rng(0)
    exponents = [rng.integers(120, 134, (rows, K // granularity)).astype(np.uint8) for rows in (M, 128)]
    a, b = random((M, K), "float8_e4m3"), random((N, K), "float8_e4m3", 1)
    factors = [np.ascontiguousarray(e).view(np.uint32).T.copy() for e in exponents]
    c = poisoned((M, N), "float32")
    compiled(main)(a, b, *factors, c)
    scale = [np.repeat(np.exp2(e.astype(np.float64) - 127), granularity, axis=1) for e in exponents]
    check(c, (f64(a) * scale[0]) @ (f64(b) * scale[1][:N]).T, "float32")
