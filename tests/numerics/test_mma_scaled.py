"""Block-scaled products of warps: mxfp8, mxfp4 and nvfp4 on mma.sync."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fp4_values import factors, halves, sixes
from hopper_programs import check, f64, poisoned, random
from tensor_programs import compiled

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileError, TileTypeError, TileValueError, UnsupportedError

FP8, FP4, TARGET = "float8_e4m3", "float4_e2m1fn", "sim:sm_120a"


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def product(
    M: int, N: int, K: int, dtype: str, block: int, bk: int = 0, threads: int = 128, stages: int = 1, columns: int = 48,
    across: bool = False, b_dtype: str = "",
) -> Any:  # fmt: skip
    bm, bn, words = 64, columns, (bk or K) // block // 4
    bk, b_dtype = bk or K, b_dtype or dtype
    shape, tile = ((K, N), (bk, bn)) if across else ((N, K), (bn, bk))

    @T.prim_func
    def main(
        A: T.Tensor((M, K), dtype), B: T.Tensor(shape, b_dtype), SFA: T.Tensor((M, K // block // 4), "uint32"),
        SFB: T.Tensor((N, K // block // 4), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(M, bm), T.ceildiv(N, bn), threads=threads) as (by, bx):
            a, b = T.alloc_shared((bm, bk), dtype), T.alloc_shared(tile, b_dtype)
            sa, sb = T.alloc_shared((bm, words), "uint32"), T.alloc_shared((bn, words), "uint32")
            c = T.alloc_fragment((bm, bn), "float32")
            T.clear(c)
            for k in T.Pipelined(K // bk, num_stages=stages):
                T.copy(A[by * bm, k * bk], a)
                if across:
                    T.copy(B[k * bk, bx * bn], b)
                else:
                    T.copy(B[bx * bn, k * bk], b)
                T.copy(SFA[by * bm, k * words], sa)
                T.copy(SFB[bx * bn, k * words], sb)
                T.mma_gemm_blockscaled(
                    a, b, c, sa, sb, transpose_B=not across, sf_a_granularity_k=block, sf_b_granularity_k=block
                )
            T.copy(c, C[by * bm, bx * bn])

    return main


AMD = "sim:gfx950"


@pytest.mark.parametrize(
    ("size", "block", "options", "target"),
    [
        ((100, 70, 256), 32, {"bk": 128, "stages": 2}, TARGET),
        ((64, 48, 128), 16, {}, TARGET),
        ((70, 48, 128), 16, {"bk": 64, "threads": 64}, TARGET),
        ((100, 70, 256), 32, {"bk": 128, "stages": 2, "threads": 256}, AMD),
        ((64, 64, 128), 32, {"threads": 64, "columns": 64}, AMD),
    ],
    ids=["mxfp4, two stages", "nvfp4", "nvfp4, two warps", "mxfp4, MFMA", "mxfp4, MFMA of 32 x 32"],
)
def test_4_bits(size: tuple[int, int, int], block: int, options: dict[str, int], target: str) -> None:
    M, N, K = size
    (a, left), (b, right) = halves((M, K)), halves((N, K), 1)
    (sa, scale_a), (sb, scale_b) = (factors(rows, K // block, block, seed) for seed, rows in ((2, M), (3, N)))
    c = poisoned((M, N), "float32")
    compiled(product(M, N, K, FP4, block, **options), target)(a, b, sa.T.copy(), sb.T.copy(), c)
    check(c, (left * scale_a) @ (right * scale_b).T, "float32")


@pytest.mark.parametrize(
    ("block", "options", "target"),
    [
        (32, {}, TARGET), (64, {}, TARGET), (32, {}, AMD), (64, {}, AMD), (32, {"columns": 64}, AMD),
        (64, {"columns": 64, "bk": 256}, AMD), (32, {"columns": 64, "across": True}, AMD),
    ],
)  # fmt: skip
def test_8_bits(block: int, options: dict[str, int], target: str) -> None:
    M, N, K = 100, 70, 256
    a, b, c = random((M, K), FP8), random((N, K), FP8, 1), poisoned((M, N), "float32")
    (sa, scale_a), (sb, scale_b) = (factors(rows, K // block, block, seed) for seed, rows in ((2, M), (3, N)))
    given = b.T.copy() if "across" in options else b
    compiled(product(M, N, K, FP8, block, **options), target)(a, given, sa.T.copy(), sb.T.copy(), c)
    check(c, (f64(a) * scale_a) @ (f64(b) * scale_b).T, "float32")


@pytest.mark.parametrize(
    ("dtypes", "block", "options", "target"),
    [
        ((FP8, FP4), 32, {"bk": 128, "stages": 2, "threads": 256}, AMD),
        ((FP8, FP4), 64, {"columns": 64, "threads": 64}, AMD), ((FP4, "float8_e5m2"), 32, {"columns": 64}, AMD),
        ((FP8, FP4), 32, {"bk": 128, "stages": 2}, TARGET), ((FP4, "float8_e5m2"), 64, {"columns": 64}, TARGET),
    ],
)  # fmt: skip
def test_one_operand_of_4_bits(dtypes: tuple[str, str], block: int, options: dict[str, int], target: str) -> None:
    M, N, K = 100, 70, 256
    (a, left), (b, right) = (_operand((rows, K), kind, rows) for rows, kind in zip((M, N), dtypes, strict=True))
    (sa, scale_a), (sb, scale_b) = (factors(rows, K // block, block, seed) for seed, rows in ((2, M), (3, N)))
    c = poisoned((M, N), "float32")
    program = product(M, N, K, dtypes[0], block, b_dtype=dtypes[1], **options)
    compiled(program, target)(a, b, sa.T.copy(), sb.T.copy(), c)
    check(c, (left * scale_a) @ (right * scale_b).T, "float32")


@pytest.mark.parametrize(
    ("dtype", "block", "text"),
    [
        (FP8, 32, "m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e4m3.f32.ue8m0"),
        (FP4, 32, "m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0"),
        (FP4, 16, "m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::4X.f32.e2m1.e2m1.f32.ue4m3"),
        (f"{FP8} {FP4}", 32, "m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e2m1.f32.ue8m0"),
    ],
)
def test_machine_code(dtype: str, block: int, text: str) -> None:
    first, *others = dtype.split()
    program = product(256, 96, 256, first, block, bk=128, stages=2, b_dtype="".join(others))
    kernel = compiled(program, "cuda:sm_120a")
    assert f"mma.sync.aligned.{text}" in kernel.get_kernel_source()
    assert kernel.artifact.binary[:4] == b"\x7fELF" and kernel.n_spills == 0


def portable(N: int, K: int, dtype: str, block: int, bk: int, used: bool, M: Any = 130) -> Any:
    """C is used between the products with `used`: it then stays in registers. `dtype` may be two, of A and of B."""
    bm, words = 128, bk // block // 4
    dtype, b_dtype = dtype.split()[0], dtype.split()[-1]

    @T.prim_func
    def main(
        A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), b_dtype), SFA: T.Tensor((M, K // block // 4), "uint32"),
        SFB: T.Tensor((N, K // block // 4), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(M, bm), threads=128) as by:
            a, b = T.alloc_shared((bm, bk), dtype), T.alloc_shared((N, bk), b_dtype)
            sa, sb = T.alloc_shared((bm, words), "uint32"), T.alloc_shared((N, words), "uint32")
            c = T.alloc_fragment((bm, N), "float32")
            T.clear(c)
            for k in T.Pipelined(K // bk, num_stages=2):
                T.copy(A[by * bm, k * bk], a)
                T.copy(B[0, k * bk], b)
                T.copy(SFA[by * bm, k * words], sa)
                T.copy(SFB[0, k * words], sb)
                T.gemm_blockscaled(
                    a, b, c, sa, sb, transpose_B=True, sf_a_granularity_k=block, sf_b_granularity_k=block
                )
                if used:
                    for i, j in T.Parallel(bm, N):
                        c[i, j] = c[i, j] * 0.5
            T.copy(c, C[by * bm, 0])

    return main


@pytest.mark.parametrize(
    ("N", "dtype", "block", "used", "target"),
    [
        (48, FP8, 32, False, "sm_100a"), (160, FP4, 16, False, "sm_100a"), (48, FP4, 32, True, "sm_100a"),
        (48, FP8, 32, True, "sm_120a"), (64, FP8, 32, True, "gfx950"), (48, f"{FP8} {FP4}", 32, False, "sm_100a"),
        (64, f"{FP4} float8_e5m2", 32, True, "sm_100a"),
    ],
)  # fmt: skip
def test_on_every_target(N: int, dtype: str, block: int, used: bool, target: str) -> None:
    M, K, bk = 130, 256, 128
    kinds = dtype.split()[0], dtype.split()[-1]
    (a, left), (b, right) = (_operand((rows, K), kind, rows) for rows, kind in zip((M, N), kinds, strict=True))
    (sa, scale_a), (sb, scale_b) = (factors(rows, K // block, block, seed) for seed, rows in ((2, M), (3, N)))
    c = poisoned((M, N), "float32")
    compiled(portable(N, K, dtype, block, bk, used), f"sim:{target}")(a, b, sa.T.copy(), sb.T.copy(), c)
    left, right = left * scale_a, right * scale_b
    parts = [left[:, k : k + bk] @ right[:, k : k + bk].T for k in range(0, K, bk)]
    check(c, parts[0] / 4 + parts[1] / 2 if used else parts[0] + parts[1], "float32")


@pytest.mark.parametrize(("N", "dtype", "block", "seed"), [(48, FP8, 32, 0), (160, FP4, 16, 1), (160, FP8, 64, 2)])
def test_roles_around_tensor_memory(N: int, dtype: str, block: int, seed: int) -> None:
    """A warp copies factors, into fewer stages than there are steps; rows that fill up 128 are zero. One of the three
    has a size of run time."""
    M, K, bk = 130, 1024, 256
    (a, left), (b, right) = (_operand((rows, K), dtype, rows) for rows in (M, N))
    (sa, scale_a), (sb, scale_b) = (factors(rows, K // block, block, seed) for seed, rows in ((2, M), (3, N)))
    c = poisoned((M, N), "float32")
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        rows = T.dynamic("M") if seed == 1 else M
        kernel = compiled(portable(N, K, dtype, block, bk, False, rows), "sim:sm_100a")
        kernel(a, b, sa.T.copy(), sb.T.copy(), c)
    assert "tl.tensor_roles" in kernel.ir("scheduled")
    check(c, (left * scale_a) @ (right * scale_b).T, "float32")


E2M3 = "float6_e2m3fn"


@pytest.mark.parametrize(("left", "right", "known"), [(FP8, FP4, True), (FP4, E2M3, False)])
def test_roles_load_tiles_with_gaps(left: str, right: str, known: bool) -> None:
    """Bulk copies spread elements of 4 and 6 bits; the depth of one product is a number of run time."""
    M, N, K, bk = 130, 48, 384, 128
    (a, x), (b, y) = (_operand((rows, K), kind, rows) for rows, kind in ((M, left), (N, right)))
    (sa, scale_a), (sb, scale_b) = (factors(rows, K // 32, 32, seed) for seed, rows in ((2, M), (3, N)))
    c = poisoned((M, N), "float32")
    depth, words = (K, K // bk) if known else (T.dynamic("K"), T.dynamic("W"))

    @T.prim_func
    def main(
        A: T.Tensor((M, depth), left), B: T.Tensor((N, depth), right), SFA: T.Tensor((M, words), "uint32"),
        SFB: T.Tensor((N, words), "uint32"), C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        T.assume(depth % 128 == 0)
        with T.Kernel(T.ceildiv(M, 128), threads=128) as by:
            at, bt = T.alloc_shared((128, bk), left), T.alloc_shared((N, bk), right)
            sat, sbt = T.alloc_shared((128, 1), "uint32"), T.alloc_shared((N, 1), "uint32")
            total = T.alloc_fragment((128, N), "float32")
            T.clear(total)
            for k in T.Pipelined(T.ceildiv(depth, bk), num_stages=2):
                T.copy(A[by * 128, k * bk], at)
                T.copy(B[0, k * bk], bt)
                T.copy(SFA[by * 128, k], sat)
                T.copy(SFB[0, k], sbt)
                T.gemm_blockscaled(at, bt, total, sat, sbt, transpose_B=True)
            T.copy(total, C[by * 128, 0])

    kernel = compiled(main, "sim:sm_100a")
    kernel(a, b, sa.T.copy(), sb.T.copy(), c)
    assert kernel.ir("scheduled").count("gaps = ") == sum(kind != FP8 for kind in (left, right))
    check(c, (x * scale_a) @ (y * scale_b).T, "float32")


def _operand(shape: tuple[int, int], dtype: str, seed: int) -> tuple[Any, Any]:
    if dtype == FP4:
        return halves(shape, seed)
    if dtype == E2M3:
        return sixes(shape, "float6_e2m3fn", seed)
    value = random(shape, dtype, seed)
    return value, f64(value)


@pytest.mark.parametrize("arch", ["sm_100a", "sm_103a"])
def test_tensor_memory_machine_code(arch: str) -> None:
    """An operand of 4 bits beside one of 8 gets the code 5 in the instruction descriptor, B's from bit 10 on."""
    kernel = compiled(portable(128, 512, f"{FP8} {FP4}", 32, 128, False), f"cuda:{arch}")
    source = kernel.get_kernel_source()
    words = [int(word) for word in re.findall(r"mov\.b32\s+%r\d+, (-?\d+);", source)]
    assert any(word & 0x1FFF == 5 << 10 for word in words if word >> 27 & 3 == 1), words  # of 128 rows
    assert source.count("tcgen05.mma.cta_group::1.kind::mxf8f6f4.block_scale") == 4
    assert kernel.artifact.binary[:4] == b"\x7fELF" and kernel.n_spills == 0


@pytest.mark.parametrize(
    ("dtype", "other", "selector"), [(FP8, FP8, ""), (FP4, FP4, "cbsz:4 blgp:4"), (FP8, FP4, "cbsz:4")]
)
def test_code_objects(dtype: str, other: str, selector: str) -> None:
    program = product(256, 128, 512, dtype, 32, bk=256, stages=2, columns=64, b_dtype=other)
    kernel = compiled(program, "hip:gfx950")
    lines = [line for line in kernel.ir("amdgcn").splitlines() if "v_mfma" in line]
    assert lines and all("v_mfma_scale_f32_32x32x64_f8f6f4" in line and selector in line for line in lines)
    assert any("op_sel_hi:[1,1,0]" in line for line in lines)  # bytes 2 and 3 of the scales: the second step of a word
    (used,) = kernel.resources.values()
    assert used.spills == 0 and used.stack == 0


@pytest.mark.parametrize(
    ("dtype", "block", "target", "kind", "text"),
    [
        (FP8, 32, "sim:sm_90a", UnsupportedError, "a block-scaled product needs mma.sync .* which sim:sm_90a lacks"),
        (FP8, 32, "sim:gfx942", UnsupportedError, "mfma f8f6f4 with scales or tcgen05 .* which sim:gfx942 lacks"),
        (FP4, 16, AMD, UnsupportedError, "factors of 16 elements of type float8_e4m3, which sim:gfx950 lacks"),
        (FP8, 16, TARGET, TileValueError, "a factor covers a multiple of 32 elements"),
        (FP4, 64, TARGET, UnsupportedError, "4-bit operands with factors of 64 and 64 elements"),
        ("float16", 32, TARGET, TileTypeError, "a block-scaled product of float16"),
        (f"{FP8} {FP4}", 16, AMD, TileValueError, "a factor covers a multiple of 32 elements"),
    ],
    ids=["target", "target of AMD", "nvfp4 of AMD", "granularity", "factors", "dtype", "nvfp4 of one"],
)
def test_wrong_use(dtype: str, block: int, target: str, kind: type[TileError], text: str) -> None:
    first, *others = dtype.split()
    with pytest.raises(kind, match=text):
        tilelang.compile(product(64, 48, 256, first, block, b_dtype="".join(others)), target=target)


def test_what_lacks_it_is_told_who_has_it() -> None:
    for other in (FP8, FP4):
        with pytest.raises(UnsupportedError, match="no block-scaled product with an accumulator of 64 rows"):
            tilelang.compile(product(64, 48, 256, FP8, 32, b_dtype=other), target="sim:sm_100a")
    with pytest.raises(UnsupportedError) as caught:
        tilelang.compile(portable(48, 256, FP8, 32, 128, False), target="hip:gfx1201")
    assert caught.value.hint == "targets that have one: gfx950, sm_100a, sm_103a, sm_120a"
    assert caught.value.location is not None
