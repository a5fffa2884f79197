"""AMD targets: every example compiles to a code object without spills, and what is lowered computes the right thing.

The simulator's waves have 64 lanes on gfx90a to gfx950 and 32 on gfx1100 and gfx1201, in checked mode.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir.language as T
from tests.util import target_matrix
from tests.util.amd_encoding import decode
from tilelang_mlir import knobs
from tilelang_mlir.compiler.toolchain.code_object import metadata
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.jit.compile import compile_prim_func

TARGETS = target_matrix.AMD
SCRATCH = re.compile(r"^\s+(scratch_(load|store)|buffer_(load|store)_\w+ v\S+, off, )", re.MULTILINE)
WAVE = {"gfx90a": 64, "gfx942": 64, "gfx950": 64, "gfx1100": 32, "gfx1201": 32}
NUMPY: dict[str, Any] = {
    "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64,
    "int8": np.int8, "float8_e4m3fn": ml_dtypes.float8_e4m3fn, "float8_e5m2": ml_dtypes.float8_e5m2,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
}  # fmt: skip


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


# -- code objects ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kernel", [k for k in target_matrix.PROGRAMS if {*TARGETS} & {*target_matrix.targets_of(k)}])
def test_code_objects(kernel: str) -> None:
    page = target_matrix.PAGE.read_text()
    for arch in sorted({*TARGETS} & {*target_matrix.targets_of(kernel)}):
        built = target_matrix.build(kernel, arch)
        used, note = built.resources, metadata(built.code)
        assert built.code[:4] == b"\x7fELF" and built.code[8] == 3  # ABI version 5
        assert note["amdhsa.target"] == f"amdgcn-amd-amdhsa--{arch}"
        assert (used.spills, used.stack, used.wave) == (0, 0, WAVE[arch]), f"{kernel} for {arch}: {used}"
        assert not SCRATCH.search(built.assembly)
        wanted = "v_mfma" if WAVE[arch] == 64 else "v_wmma"
        assert all(name.startswith(wanted) for name in built.products), built.products
        assert bool(built.products) == (kernel not in target_matrix.PLAIN)
        decoded = decode(built.code, arch)
        assert (decoded.products, decoded.scratch) == (built.products.total(), 0), f"{kernel} for {arch}: {decoded}"
        assert target_matrix.row(kernel, arch) in page, "run python -m tests.util.target_matrix"


def test_decoding_tells_scratch_and_products_by_their_encodings() -> None:
    """A kernel that spills has scratch accesses, and what is decoded is as long as the listing (of CDNA targets, where
    both come out of LLVM in one order)."""
    spilled = target_matrix.build("quickstart", "gfx1201")
    found = decode(spilled.code, "gfx1201")
    assert found.scratch >= 2 and found.products == spilled.products.total() > 0
    for arch in ("gfx90a", "gfx942", "gfx950"):
        built = target_matrix.build("gemm_int4", arch)
        listed = re.findall(r"^\t(?:s|v|ds|global|buffer)_\w+", built.assembly, re.MULTILINE)
        assert decode(built.code, arch).instructions == len(listed) > 500
    with pytest.raises(ValueError, match="begins no instruction that is known"):
        decode(spilled.code, "gfx942")


def test_metadata_and_kernel_arguments() -> None:
    built = target_matrix.build("gemm_dynamic_m", "gfx942")
    (kernel,) = metadata(built.code)["amdhsa.kernels"]
    arguments = [(a[".offset"], a[".size"], a[".value_kind"]) for a in kernel[".args"]]
    pointers = [(8 * i, 8, "global_buffer") for i in range(3)]
    assert arguments[:4] == [*pointers, (24, 4, "by_value")]
    assert kernel[".reqd_workgroup_size"] == [128, 1, 1] and kernel[".max_flat_workgroup_size"] == 128
    assert kernel[".group_segment_fixed_size"] == built.resources.shared == 2 * 128 * 64 * 2


def test_the_next_tiles_are_under_way_while_the_current_ones_are_multiplied() -> None:
    """Loads of the loop are waited for one iteration later, and no barrier waits for them."""
    text = target_matrix.build("gemm_bias_relu", "gfx942").assembly
    blocks = [part.splitlines() for part in re.split(r"^\.LBB\d+_\d+:", text, flags=re.MULTILINE)]
    names = [[line.split()[0] for line in block if line.startswith("\t")] for block in blocks]
    products = next(i for i, block in enumerate(names) if any(name.startswith("v_mfma") for name in block))
    stores = next(i for i, block in enumerate(names) if any(name.startswith("ds_write") for name in block))
    last = max(i for i, name in enumerate(names[stores]) if name.startswith("ds_write"))
    assert stores != products and "global_load_dwordx4" in names[stores][last:]
    assert not any("vmcnt" in line for line in blocks[products]), "products wait for the next tiles"
    waits = [line.strip() for line in blocks[stores] if "s_waitcnt" in line and "vmcnt" in line]
    assert any("vmcnt(7)" in wait or "vmcnt(11)" in wait or "vmcnt(15)" in wait for wait in waits), waits


def test_operands_are_read_a_step_ahead_of_their_products() -> None:
    """Behind the reads of a step there are products of the step before, before the first wait for all of them."""
    text = target_matrix.build("gemm_bias_relu", "gfx942").assembly
    blocks = re.split(r"^\.LBB\d+_\d+:", text, flags=re.MULTILINE)
    (body,) = (block for block in blocks if "v_mfma" in block and "s_cbranch" in block.rpartition("v_mfma")[2][:400])
    reads = re.split(r"(?:^\tds_read.*\n)+", body, flags=re.MULTILINE)[2:]  # nothing is under way at the first ones
    before = [part.partition("lgkmcnt(0)")[0].count("v_mfma") for part in reads]
    assert len(before) > 4 and min(before) >= 1 and sum(before) >= 2 * len(before), before


# -- products ----------------------------------------------------------------------------------------------------------
def product(M: int, N: int, K: int, dtype: str, sums: str, transposed: tuple[bool, bool], block_K: int = 32) -> Any:
    ta, tb = transposed
    shape_a, shape_b = (K, M) if ta else (M, K), (N, K) if tb else (K, N)
    tile_a, tile_b = (block_K, 64) if ta else (64, block_K), (64, block_K) if tb else (block_K, 64)

    @T.prim_func
    def multiply(A: T.Tensor(shape_a, dtype), B: T.Tensor(shape_b, dtype), C: T.Tensor((M, N), sums)):
        with T.Kernel(T.ceildiv(N, 64), T.ceildiv(M, 64), threads=128) as (bx, by):
            a, b = T.alloc_shared(tile_a, dtype), T.alloc_shared(tile_b, dtype)
            c = T.alloc_fragment((64, 64), sums)
            T.clear(c)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=2):
                if ta:
                    T.copy(A[k * block_K, by * 64], a)
                else:
                    T.copy(A[by * 64, k * block_K], a)
                if tb:
                    T.copy(B[bx * 64, k * block_K], b)
                else:
                    T.copy(B[k * block_K, bx * 64], b)
                T.gemm(a, b, c, transpose_A=ta, transpose_B=tb)
            T.copy(c, C[by * 64, bx * 64])

    return multiply


def check(arch: str, dtype: str, sums: str, transposed: tuple[bool, bool], limit: float, block_K: int = 32) -> None:
    M, N, K = 65, 83, 97
    rng = np.random.default_rng(0)
    scale = 8 if dtype == "int8" else 1
    a, b = ((rng.standard_normal((rows, K)) * scale).astype(NUMPY[dtype]) for rows in (M, N))
    out = np.full((M, N), -1, np.dtype(sums))
    kernel = compile_prim_func(product(M, N, K, dtype, sums, transposed, block_K), target=f"sim:{arch}")
    left, right = np.ascontiguousarray(a.T if transposed[0] else a), np.ascontiguousarray(b if transposed[1] else b.T)
    kernel(left, right, out)
    want = a.astype(np.float64) @ b.astype(np.float64).T
    error = np.linalg.norm(out - want) / np.linalg.norm(want)
    assert error < limit, f"{dtype} on {arch}: {error:.2e}"


@pytest.mark.parametrize("transposed", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("arch", TARGETS)
def test_orders_of_the_operands(arch: str, transposed: tuple[bool, bool]) -> None:
    check(arch, "float16", "float32", transposed, 1e-5)


@pytest.mark.parametrize(("arch", "dtype", "sums", "limit"), [
    ("gfx90a", "int8", "int32", 1e-12), ("gfx942", "int8", "int32", 1e-12), ("gfx950", "int8", "int32", 1e-12),
    ("gfx1100", "int8", "int32", 1e-12), ("gfx942", "float32", "float32", 1e-5),
    ("gfx942", "float64", "float64", 1e-12),
    ("gfx942", "bfloat16", "float32", 1e-5), ("gfx950", "bfloat16", "float32", 1e-5),
    ("gfx1100", "bfloat16", "float32", 1e-5), ("gfx1201", "bfloat16", "float32", 1e-5),
    ("gfx942", "float8_e4m3fnuz", "float32", 1e-5), ("gfx950", "float8_e4m3fn", "float32", 1e-5),
    ("gfx1201", "float8_e5m2", "float32", 1e-5), ("gfx942", "float16", "float16", 2e-3),
])  # fmt: skip
def test_element_types(arch: str, dtype: str, sums: str, limit: float) -> None:
    check(arch, dtype, sums, (False, True), limit, block_K=64)


@pytest.mark.parametrize(("arch", "K", "instruction", "bits"), [
    ("gfx942", 40, "v_mfma_f32_32x32x4_xf32", 10), ("gfx942", 36, "v_mfma_f32_32x32x2_f32", 23),
    ("gfx950", 40, "v_mfma_f32_32x32x2_f32", 23), ("gfx90a", 40, "v_mfma_f32_32x32x2f32", 23),
])  # fmt: skip
def test_operands_of_ten_bits(arch: str, K: int, instruction: str, bits: int) -> None:
    """tfloat32 asks for the instruction that reads ten bits of the fraction, where there is one for the sizes."""

    @T.prim_func
    def main(A: T.Tensor((64, K), "float32"), B: T.Tensor((K, 64), "float32"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((64, K), "tfloat32"), T.alloc_shared((K, 64), "tfloat32")
            c = T.alloc_fragment((64, 64), "float32")
            T.copy(A, a)
            T.copy(B, b)
            T.gemm(a, b, c, clear_accum=True)
            T.copy(c, C)

    rng = np.random.default_rng(K)
    a, b = rng.standard_normal((64, K)).astype(np.float32), rng.standard_normal((K, 64)).astype(np.float32)
    out = np.full((64, 64), np.nan, np.float32)
    compile_prim_func(main, target=f"sim:{arch}")(a, b, out)
    want = a.astype(np.float64) @ b.astype(np.float64)
    error = np.linalg.norm(out - want) / np.linalg.norm(want)
    assert (2.0**-13 < error < 2.0**-9) if bits == 10 else error < 1e-6
    assert instruction in compile_prim_func(main, target=f"hip:{arch}").ir("amdgcn")


def test_neighbouring_products_with_other_signs() -> None:
    """The same instruction with other modifiers: the simulator runs independent ones together, but not these."""

    @T.prim_func
    def main(A: T.Tensor((16, 16), "int8"), B: T.Tensor((16, 16), "int8"), U: T.Tensor((16, 16), "uint8"),
             C: T.Tensor((16, 16), "int32"), D: T.Tensor((16, 16), "int32")):  # fmt: skip
        with T.Kernel(1, threads=32):
            a = T.alloc_fragment((16, 16), "int8")
            b, u = T.alloc_shared((16, 16), "int8"), T.alloc_shared((16, 16), "uint8")
            c, d = T.alloc_fragment((16, 16), "int32"), T.alloc_fragment((16, 16), "int32")
            T.copy(A, a)
            T.copy(B, b)
            T.copy(U, u)
            T.gemm(a, b, c, transpose_B=True, clear_accum=True)
            T.gemm(a, u, d, transpose_B=True, clear_accum=True)
            T.copy(c, C)
            T.copy(d, D)

    rng = np.random.default_rng(3)
    a, b = (rng.integers(-128, 128, (16, 16)).astype(np.int8) for _ in range(2))
    u = rng.integers(0, 256, (16, 16)).astype(np.uint8)
    c, d = (np.full((16, 16), -1, np.int32) for _ in range(2))
    compile_prim_func(main, target="sim:gfx1100")(a, b, u, c, d)
    np.testing.assert_array_equal(c, a.astype(int) @ b.astype(int).T)
    np.testing.assert_array_equal(d, a.astype(int) @ u.astype(int).T)


@pytest.mark.parametrize(("arch", "dtype", "message", "hint"), [
    ("gfx1100", "float32", "f32 needs mfma, which hip:gfx1100 lacks", "gfx90a, gfx942, gfx950"),
    ("gfx90a", "float8_e4m3fnuz", "no matrix product of f8E4M3FNUZ on hip:gfx90a", "targets that have it: gfx942"),
    ("gfx950", "float8_e4m3fnuz", "no matrix product of f8E4M3FNUZ on hip:gfx950", "targets that have it: gfx942"),
    ("gfx942", "float8_e4m3fn", "no matrix product of f8E4M3FN on hip:gfx942", "gfx1201, gfx950, sm_100a"),
    ("gfx1100", "float8_e4m3fn", "f8E4M3FN needs mfma fp8, or wmma fp8", "gfx1201, gfx950, sm_100a"),
])  # fmt: skip
def test_what_a_target_lacks(arch: str, dtype: str, message: str, hint: str) -> None:
    with pytest.raises(UnsupportedError, match=message) as caught:
        compile_prim_func(product(64, 64, 64, dtype, "float32", (False, True)), target=f"hip:{arch}")
    assert hint in caught.value.hint and caught.value.location is not None


# -- examples in the simulator -----------------------------------------------------------------------------------------
@T.macro
def _barrier(a: Any, b: Any, c: Any) -> None:
    T.mbarrier_arrive(T.alloc_barrier(64))


@T.macro
def _warpgroups(a: Any, b: Any, c: Any) -> None:
    T.wgmma_gemm(a, b, c, transpose_B=True)


@T.macro
def _some(a: Any, b: Any, c: Any) -> None:
    T.sync_threads(1, 64)


@pytest.mark.parametrize(("body", "message", "hint"), [
    (_barrier, "an mbarrier needs mbarrier, which hip:gfx942 lacks", "sm_90, sm_90a"),
    (_warpgroups, "T.wgmma_gemm cannot run on warpgroup products here: hip:gfx942 has no wgmma", "T.gemm takes every"),
    (_some, "a barrier of some of the threads, which hip:gfx942 lacks", "T.sync_threads()"),
], ids=["mbarrier", "wgmma", "named barrier"])  # fmt: skip
def test_instructions_of_others(body: Any, message: str, hint: str) -> None:
    @T.prim_func
    def main(C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            c = T.alloc_fragment((64, 64), "float32")
            T.clear(a)
            T.clear(b)
            T.clear(c)
            body(a, b, c)
            T.copy(c, C)

    with pytest.raises(UnsupportedError, match=message) as caught:
        compile_prim_func(main, target="hip:gfx942")
    assert hint in caught.value.hint and caught.value.location is not None


@pytest.mark.parametrize(("name", "arch"), [("04_softmax", "gfx942"), ("13_gemm_int4", "gfx1201")])
def test_examples(name: str, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As users run them; `test_target_matrix` has every kernel on every target."""
    examples = importlib.import_module("tests.numerics.test_examples")
    monkeypatch.syspath_prepend(str(examples.FOLDER))
    run = examples.load(name).main(["--target", f"sim:{arch}", "--size", "small"])
    assert run.errors and max(run.errors) < 2e-3
    assert all(report.instructions for kernel in run.kernels for report in kernel.adapter.reports)


# -- exchange ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("arch", ["gfx942", "gfx950", "gfx1100"])
def test_shuffles_and_ballots(arch: str) -> None:
    wave = WAVE[arch]

    @T.prim_func
    def exchange(A: T.Tensor((128,), "int32"), B: T.Tensor((6, 128), "int32"), V: T.Tensor((128,), "uint64")):
        with T.Kernel(1, threads=128):
            t = T.get_thread_binding(0)
            value = T.alloc_var("int32")
            value = A[t]
            B[0, t] = T.shfl_xor(value, 4, width=wave)
            B[1, t] = T.shfl_xor(value, 16, width=wave)
            B[2, t] = T.shfl_xor(value, wave // 2, width=wave)
            B[3, t] = T.shfl_down(value, 3, width=wave)
            B[4, t] = T.shfl_sync(value, 7, width=wave)
            B[5, t] = T.warp_reduce_sum(value)
            V[t] = T.ballot(value > 50)

    a = np.random.default_rng(0).integers(0, 100, 128).astype(np.int32)
    b, votes = np.full((6, 128), -1, np.int32), np.zeros(128, np.uint64)
    compile_prim_func(exchange, target=f"sim:{arch}")(a, b, votes)
    thread = np.arange(128)
    first, lane = thread // wave * wave, thread % wave
    want = [a[first + (lane ^ d)] for d in (4, 16, wave // 2)]
    want += [a[np.where(lane + 3 < wave, thread + 3, thread)], a[first + 7], a.reshape(-1, wave).sum(1).repeat(wave)]
    np.testing.assert_array_equal(b, np.stack(want))
    masks = [sum(int(x > 50) << i for i, x in enumerate(row)) for row in a.reshape(-1, wave)]
    assert votes.tolist() == [masks[t // wave] for t in range(128)]


@pytest.mark.parametrize(("arch", "threads"), [("gfx90a", 192), ("gfx942", 100), ("gfx1100", 96), ("gfx1201", 1)])
def test_votes_and_matches(arch: str, threads: int) -> None:
    """Also of waves that are not full: lanes that do not exist have no vote."""
    wave = WAVE[arch]

    @T.prim_func
    def vote(A: T.Tensor((threads,), "int32"), H: T.Tensor((threads,), "int16"), L: T.Tensor((threads,), "int64"),
             V: T.Tensor((10, threads), "uint64")):  # fmt: skip
        with T.Kernel(1, threads=threads):
            t = T.get_thread_binding(0)
            V[0, t] = T.match_any_sync(A[t], dtype="uint64")
            V[1, t] = T.match_any_sync(H[t], dtype="uint64")
            V[2, t] = T.match_any_sync(L[t], dtype="uint64")
            V[3, t] = T.match_all_sync(A[t] // 1000, dtype="uint64")
            V[4, t] = T.match_all_sync(L[t], dtype="uint64")
            V[5, t] = T.any_sync(A[t] == -2) * 2 + T.all_sync(A[t] < 2000)
            V[6, t] = T.activemask()
            V[7, t] = T.syncthreads_count(A[t] > 0)
            V[8, t] = T.syncthreads_and(A[t] != 7) * 2 + T.syncthreads_and(A[t] != 0)
            V[9, t] = T.syncthreads_or(A[t] == 7) * 2 + T.syncthreads_or(A[t] == 0)

    rng = np.random.default_rng(threads)
    a = rng.choice([-2, -1, 0, 1, 1 << 30], threads).astype(np.int32)
    a[: wave // 2], a[-1] = np.abs(a[: wave // 2]) % 1000, 0
    h = rng.choice([5, -5, 300], threads).astype(np.int16)
    many = rng.choice([1, 1 + (1 << 32), 1 << 63], threads).astype(np.uint64).view(np.int64)
    many[wave:] = many[-1]
    got = np.zeros((10, threads), np.uint64)
    compile_prim_func(vote, target=f"sim:{arch}")(a, h, many, got)
    waves = [slice(s, s + wave) for s in range(0, threads, wave)]
    mask = lambda bits: sum(int(b) << i for i, b in enumerate(bits))
    full = lambda x: mask([True] * len(x))
    equal = [[mask(x[w] == v) for w in waves for v in x[w]] for x in (a, h, many)]
    all_equal = [[full(x[w]) * bool((x[w] == x[w][0]).all()) for w in waves for _ in x[w]] for x in (a // 1000, many)]
    anyone = [2 * bool((a[w] == -2).any()) + bool((a[w] < 2000).all()) for w in waves for _ in a[w]]
    want = [*equal, *all_equal, anyone, [full(a[w]) for w in waves for _ in a[w]], [int((a > 0).sum())] * threads,
            [2] * threads, [1] * threads]  # fmt: skip
    assert got.tolist() == want


def test_a_mask_of_64_lanes_is_not_cut_off() -> None:
    @T.prim_func
    def match(A: T.Tensor((64,), "int32"), V: T.Tensor((64,), "uint32")):
        with T.Kernel(1, threads=64):
            t = T.get_thread_binding(0)
            V[t] = T.match_any_sync(A[t])

    with pytest.raises(UnsupportedError, match="64 lanes of a wave on hip:gfx942 has more bits") as caught:
        compile_prim_func(match, target="hip:gfx942")
    assert 'dtype="uint64"' in caught.value.hint and caught.value.location is not None


@pytest.mark.parametrize("arch", ["gfx942", "gfx1100", "gfx1201"])
def test_products_into_one_accumulator(arch: str) -> None:
    """Operands along and across K, of memory and of registers, one of which is only as deep as small instructions."""

    @T.prim_func
    def main(
        A: T.Tensor((64, 16), "float16"), B: T.Tensor((64, 16), "float16"), C: T.Tensor((64, 32), "float16"),
        D: T.Tensor((32, 64), "float16"), E: T.Tensor((32, 64), "float16"), O: T.Tensor((64, 64), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((64, 16), "float16"), T.alloc_shared((64, 16), "float16")
            d, e = T.alloc_shared((32, 64), "float16"), T.alloc_shared((32, 64), "float16")
            c, acc = T.alloc_fragment((64, 32), "float16"), T.alloc_fragment((64, 64), "float32")
            T.copy(A, a)
            T.copy(B, b)
            T.copy(C, c)
            T.copy(D, d)
            T.copy(E, e)
            T.gemm(a, b, acc, transpose_B=True, clear_accum=True)
            T.gemm(c, d, acc)
            T.gemm(e, d, acc, transpose_A=True)
            T.copy(acc, O)

    rng = np.random.default_rng(0)
    shapes = (64, 16), (64, 16), (64, 32), (32, 64), (32, 64)
    a, b, c, d, e = (rng.standard_normal(shape).astype(np.float16) for shape in shapes)
    out = np.full((64, 64), np.nan, np.float32)
    compile_prim_func(main, target=f"sim:{arch}")(a, b, c, d, e, out)
    wide = [x.astype(np.float64) for x in (a, b, c, d, e)]
    want = wide[0] @ wide[1].T + wide[2] @ wide[3] + wide[4].T @ wide[3]
    assert np.linalg.norm(out - want) < 1e-5 * np.linalg.norm(want)


@pytest.mark.parametrize("threads", [32, 64])
@pytest.mark.parametrize("arch", TARGETS)
def test_constants_move_between_lanes(arch: str, threads: int) -> None:
    """What all lanes know when the program is compiled, in blocks of less than a wave, too."""

    @T.prim_func
    def total(B: T.Tensor((2,), "float32")):
        with T.Kernel(1, threads=threads):
            values, sums = T.alloc_fragment((threads,), "float32"), T.alloc_fragment((1,), "float32")
            T.fill(values, -0.75)
            T.reduce_abssum(values, sums, dim=0)
            B[0] = sums[0]
            T.reduce_min(values, sums, dim=0)
            B[1] = sums[0]

    out = np.zeros(2, np.float32)
    compile_prim_func(total, target=f"sim:{arch}")(out)
    assert out.tolist() == [0.75 * threads, -0.75]


def test_shuffles_reach_no_further_than_a_wave() -> None:
    @T.prim_func
    def exchange(A: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=64):
            t = T.get_thread_binding(0)
            A[t] = T.shfl_xor(A[t], 32, 64)

    with pytest.raises(UnsupportedError, match="a shuffle of 64 lanes: a warp of hip:gfx1201 has 32") as caught:
        compile_prim_func(exchange, target="hip:gfx1201")
    assert caught.value.hint.endswith("gfx90a, gfx942, gfx950") and caught.value.location is not None


# -- atomics -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arch", "instruction"), [("gfx90a", "global_atomic_smax"), ("gfx1100", "global_atomic_max_i32")]
)
def test_extremes_of_integers_are_no_loops(arch: str, instruction: str) -> None:
    @T.prim_func
    def largest(A: T.Tensor((300,), "int32"), B: T.Tensor((7,), "int32")):
        with T.Kernel(1, threads=128):
            for i in T.Parallel(300):
                T.atomic_max(B[i % 7], A[i])

    assembly = compile_prim_func(largest, target=f"hip:{arch}").ir("amdgcn")
    assert instruction in assembly and "cmpswap" not in assembly
    a = np.random.default_rng(1).integers(-500, 500, 300).astype(np.int32)
    out = np.full(7, -1000, np.int32)
    compile_prim_func(largest, target=f"sim:{arch}")(a, out)
    assert out.tolist() == [a[i::7].max() for i in range(7)]


@pytest.mark.parametrize(("dtype", "arch", "instruction"), [
    ("float16", "gfx90a", "global_atomic_pk_add_f16"), ("float16", "gfx1201", "global_atomic_pk_add_f16"),
    ("bfloat16", "gfx942", "global_atomic_pk_add_bf16"), ("float32", "gfx1100", "global_atomic_add_f32"),
])  # fmt: skip
def test_atomic_additions_are_no_loops(dtype: str, arch: str, instruction: str) -> None:
    @T.prim_func
    def gather(A: T.Tensor((64, 64), dtype), B: T.Tensor((64, 64), dtype)):
        with T.Kernel(4, threads=128):
            tile = T.alloc_shared((64, 64), dtype)
            T.copy(A, tile)
            for i, j in T.Parallel(64, 64):
                T.atomic_add(B[i, j], tile[i, j])

    a = np.random.default_rng(0).integers(-4, 5, (64, 64)).astype(NUMPY[dtype])
    b = np.zeros((64, 64), NUMPY[dtype])
    compile_prim_func(gather, target=f"sim:{arch}")(a, b)
    np.testing.assert_array_equal(b.astype(np.float64), 4 * a.astype(np.float64))
    assembly = compile_prim_func(gather, target=f"hip:{arch}").ir("amdgcn")
    assert instruction in assembly and "cmpswap" not in assembly


@pytest.mark.parametrize(("dtype", "target", "instruction"), [
    ("float16", "hip:gfx90a", "global_atomic_pk_add_f16"), ("bfloat16", "hip:gfx1201", "global_atomic_pk_add_bf16"),
    ("float16", "cuda:sm_80", "red.global.add.noftz.f16x2"), ("bfloat16", "cuda:sm_90a", "red.global.add.noftz.bf16x2"),
])  # fmt: skip
def test_additions_of_pairs(dtype: str, target: str, instruction: str) -> None:
    """`T.atomic_addx2` and `addx4` of registers and of memory are one instruction for two elements."""

    @T.prim_func
    def main(A: T.Tensor((32, 64), dtype), B: T.Tensor((32, 64), dtype), C: T.Tensor((31, 64), dtype)):
        with T.Kernel(2, threads=64):
            tile = T.alloc_fragment((32, 64), dtype)
            T.copy(A, tile)
            for i, j in T.Parallel(32, 32):
                T.atomic_addx2(B[i, j * 2], tile[i, j * 2])
            for i, j in T.Parallel(32, 16):
                T.atomic_addx4(C[i, j * 4], A[i, j * 4])

    a = np.random.default_rng(0).integers(-4, 5, (32, 64)).astype(NUMPY[dtype])
    b, c = np.zeros((32, 64), NUMPY[dtype]), np.zeros((31, 64), NUMPY[dtype])
    compile_prim_func(main, target=target.replace("cuda", "sim").replace("hip", "sim"))(a, b, c)
    np.testing.assert_array_equal(b.astype(np.float64), 2 * a.astype(np.float64))
    np.testing.assert_array_equal(c.astype(np.float64), 2 * a[:31].astype(np.float64))
    assembly = compile_prim_func(main, target=target).ir("amdgcn" if "hip" in target else "ptx")
    found = set(re.findall(r"global_atomic_\w+|(?:red|atom)\.global\S+", assembly))
    assert found == {instruction}
