"""Small names of the language, each by its values: bits, clusters, rounding, one sparse instruction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.reference import evaluate
from tilelang_mlir.utils.sparse import compress


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


FFS, FNS = getattr(T, "__ffs"), getattr(T, "__fns")


def nth_set(mask: int, base: int, offset: int) -> int:
    """The definition of fns, bit by bit."""
    if offset == 0:
        return base if mask >> base & 1 else 0xFFFFFFFF
    step, left = (1, offset) if offset > 0 else (-1, -offset)
    while 0 <= base < 32:
        left -= mask >> base & 1
        if left == 0:
            return base
        base += step
    return 0xFFFFFFFF


def test_bits() -> None:
    @T.prim_func
    def main(A: T.Tensor((64,), "int32"), L: T.Tensor((64,), "int64"), B: T.Tensor((2, 64), "int32"),
             C: T.Tensor((64,), "uint32")):  # fmt: skip
        with T.Kernel(1, threads=64) as _:
            tx = T.get_thread_binding()
            B[0, tx] = FFS(A[tx])
            B[1, tx] = FFS(L[tx])
            C[tx] = FNS(A[tx], tx % 8, tx // 8 - 3)

    rng = np.random.default_rng(1)
    a = rng.integers(-(2**31), 2**31, 64).astype(np.int32)
    a[:2], long = (0, -(2**31)), rng.integers(-(2**63), 2**63 - 1, 64) << rng.integers(0, 60, 64)
    b, c = np.full((2, 64), -9, np.int32), np.zeros(64, np.uint32)
    tilelang.compile(main, target="sim:sm_80")(a, long, b, c)
    for row, values in zip(b, (a, long), strict=True):
        assert row.tolist() == [(int(v) & -int(v)).bit_length() for v in values]
    assert c.tolist() == [nth_set(int(v) & 0xFFFFFFFF, i % 8, i // 8 - 3) for i, v in enumerate(a)]
    assert "fns.b32" in tilelang.compile(main, target="sm_80").get_kernel_source()
    with pytest.raises(TileTypeError, match="T.__ffs needs an integer of 32 or 64 bits"):

        @T.prim_func
        def wrong(A: T.Tensor((64,), "float32")):
            with T.Kernel(1, threads=32) as _:
                A[0] = FFS(A[1])


def test_the_upper_half_of_unsigned_words_is_negative() -> None:
    """Sign extension by shifts, and division and remainder after a conversion from uint32."""

    @T.prim_func
    def main(A: T.Tensor((8,), "uint32"), B: T.Tensor((5, 8), "int32")):
        with T.Kernel(1, threads=8) as _:
            tx = T.get_thread_binding()
            word, low = T.cast(A[tx], "int32"), T.cast(A[tx] & T.uint32(15), "int32")
            B[0, tx] = word >> 4
            B[1, tx] = (low << 28) >> 28
            B[2, tx] = (low << (28 + tx // 8)) >> 28
            B[3, tx] = word // 16
            B[4, tx] = word % 7

    a = np.array([0, 7, 8, 15, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 12], np.uint32)
    b = np.full((5, 8), -9, np.int32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    word, low = a.view(np.int32), (a & 15).astype(np.int32)
    nibble = np.where(low > 7, low - 16, low)
    assert np.array_equal(b, [word >> 4, nibble, nibble, word // 16, word % 7])


def test_scales_of_blocks() -> None:
    """Every e8m0 number as float32, and numbers around powers of two and both ends of the range back, rounded up."""

    @T.prim_func
    def main(S: T.Tensor((256,), "float8_e8m0fnu"), F: T.Tensor((256,), "float32"),
             X: T.Tensor((256,), "float32"), E: T.Tensor((256,), "float8_e8m0fnu")):  # fmt: skip
        with T.Kernel(1, threads=32) as _:
            for i in T.Parallel(256):
                F[i] = S[i]
                E[i] = X[i]

    ml_dtypes = pytest.importorskip("ml_dtypes")
    s = np.arange(256).astype(np.uint8).view(ml_dtypes.float8_e8m0fnu)
    x = np.ldexp(np.float32([1, 1.25, -1.5])[np.arange(256) % 3], np.arange(-135, 121)).astype(np.float32)
    x[:6] = 0, np.inf, -np.inf, np.nan, 1.1754944e-38, 5.877472e-39
    for run in (tilelang.compile(main, target="sim:sm_90a"), lambda *t: evaluate(main.module, "main", t)):
        f, e = np.zeros(256, np.float32), np.zeros(256, np.uint8).view(ml_dtypes.float8_e8m0fnu)
        run(s, f, x, e)
        assert np.array_equal(f[:255], np.ldexp(1.0, np.arange(-127, 128)).astype(np.float32)) and np.isnan(f[255])
        got = e.view(np.uint8).tolist()
        assert got[:6] == [0, 254, 254, 255, 1, 0]
        for number, code in zip(x[6:].astype(np.float64), got[6:], strict=True):
            want = 2.0 ** (code - 127)
            assert abs(number) <= want and (code == 0 or want / 2 < abs(number)), (number, code)


def test_functions_of_the_math_library_by_name() -> None:
    @T.prim_func
    def main(A: T.Tensor((8,), "float32"), B: T.Tensor((4, 8), "float32")):
        with T.Kernel(1, threads=8) as _:
            s = T.alloc_shared((8,), "int32")
            tx = T.get_thread_binding()
            B[0, tx] = T.call_extern("float32", "exp2f", A[tx])
            B[1, tx] = T.call_extern("float32", "fmaxf", A[tx], T.float32(0.5))
            B[2, tx] = T.call_extern("float32", "__expf", A[tx])
            if tx == 3:
                T.call_extern("void", "__nanosleep", 100)
            s[tx] = T.call_extern("int32", "__popc", tx)
            T.call_extern("handle", "__syncthreads")
            B[3, tx] = T.call_extern("float32", "fabsf", -A[tx]) + s[7 - tx]

    a, b = np.linspace(0.1, 2, 8).astype(np.float32), np.full((4, 8), np.nan, np.float32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    assert tilelang.compile(main, target="cuda:sm_80").get_kernel_source().count("nanosleep.u32") == 1
    wide = a.astype(np.float64)
    bits = np.array([(7 - i).bit_count() for i in range(8)])
    want = np.stack([2**wide, np.maximum(wide, 0.5), np.exp(wide), wide + bits])
    assert np.linalg.norm(b - want) / np.linalg.norm(want) < 1e-5


def test_clusters() -> None:
    @T.prim_func
    def main(A: T.Tensor((6, 5), "int32")):
        with T.ClusterKernel(6, cluster_dims=2, threads=32) as bx:
            if T.get_thread_binding() == 0:
                A[bx, 0] = T.get_cluster_id(0)
                A[bx, 1] = T.get_cluster_extent()
                A[bx, 2] = T.get_cluster_size()
                A[bx, 3] = T.get_cluster_dims()[0]
                A[bx, 4] = T.block_rank_in_cluster()

    expected = np.array([[i // 2, 3, 2, 2, i % 2] for i in range(6)])
    for run in (tilelang.compile(main, target="sim:sm_90a"), lambda *t: evaluate(main.module, "main", t)):
        out = np.full((6, 5), -1, np.int32)
        run(out)
        assert (out == expected).all()
    with pytest.raises(TileValueError, match="T.get_cluster_id: dimension 1 of a grid of 1"):

        @T.prim_func
        def wrong(A: T.Tensor((6, 5), "int32")):
            with T.ClusterKernel(6, cluster_dims=2, threads=32) as bx:
                A[bx, 0] = T.get_cluster_id(1)


def test_variables_start_at_zero_and_constants_may_be_infinite() -> None:
    @T.prim_func
    def main(A: T.Tensor((3, 5), "float8_e5m2"), N: T.Tensor((5,), "int32"), F: T.Tensor((5,), "bool")):
        with T.Kernel(1, threads=32) as _:
            for i in T.serial(5):
                total, met = T.alloc_var("int32"), T.alloc_var("bool")
                for j in T.serial(i):
                    total += j
                    met = True
                N[i], F[i] = total, met
            T.fill(A[0:1, :], T.infinity("float8_e5m2"))
            T.fill(A[1:2, :], -T.infinity("float8_e5m2"))
            for i in T.Parallel(5):
                A[2, i] = T.cast(T.float32(1e9), "float8_e5m2")

    ml_dtypes = pytest.importorskip("ml_dtypes")
    a, n, f = np.zeros((3, 5), ml_dtypes.float8_e5m2), np.full(5, -9, np.int32), np.ones(5, np.bool_)
    tilelang.compile(main, target="sim:sm_90a")(a, n, f)
    assert n.tolist() == [0, 0, 1, 3, 6] and f.tolist() == [False] + [True] * 4
    assert (a.astype(np.float64) == np.array([[np.inf], [-np.inf], [57344.0]])).all()


def test_fused_and_not_fused() -> None:
    @T.prim_func
    def main(A: T.Tensor((3, 32), "float32"), B: T.Tensor((2, 32), "float32")):
        with T.Kernel(1, threads=32) as _:
            tx = T.get_thread_binding()
            B[0, tx] = T.fma(A[0, tx], A[1, tx], A[2, tx])
            B[1, tx] = T.fmul(A[0, tx], A[1, tx]) + A[2, tx]

    a = np.random.default_rng(2).standard_normal((3, 32)).astype(np.float32)
    a[2] = -a[0] * a[1]  # what is left of a fused sum is the rounding of the product
    b = np.full((2, 32), np.nan, np.float32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    exact = a[0].astype(np.float64) * a[1].astype(np.float64) + a[2].astype(np.float64)
    assert (b[0] == exact.astype(np.float32)).all() and not b[1].any() and b[0].any()


@pytest.mark.parametrize(("dtype", "kind", "shape", "selector"), [("float16", "fp16", "m16n8k32", 0),
                                                                  ("float16", "fp16", "m16n8k32", 1),
                                                                  ("int8", "int8", "m16n8k64", 0)])
def test_one_sparse_instruction(dtype: str, kind: str, shape: str, selector: int) -> None:
    """The simulator and the reference evaluator, which expands A group by group."""
    depth, sums, total = int(shape.split("k")[1]), *(("int32", "int32") if dtype == "int8" else ("fp32", "float32"))
    per = depth // 2

    @T.prim_func
    def main(A: T.Tensor((16, per), dtype), E: T.Tensor((16, depth // 32), "int32"), B: T.Tensor((8, depth), dtype),
             C: T.Tensor((16, 8), total)):  # fmt: skip
        with T.Kernel(1, threads=32) as _:
            tx = T.get_thread_binding()
            a = T.alloc_local((per // 2,), dtype)
            b = T.alloc_local((depth // 4,), dtype)
            c = T.alloc_local((4,), total)
            e = T.alloc_local((1,), "int32")
            pack = T.alloc_var("int32", init=0)
            count = 32 // (8 if dtype == "int8" else 16)
            for i in T.serial(per // 2):
                word = i // count
                a[i] = A[tx // 4 + 8 * (word % 2), tx % 4 * count + i % count + 4 * count * (word // 2)]
            for i in T.serial(depth // 4):
                b[i] = B[tx // 4, tx % 4 * count + i % count + 4 * count * (i // count)]
            if dtype == "int8":
                e[0] = E[tx // 4 + 8 * (tx % 2), tx % 4 // 2]
            else:
                pack = E[tx // 4, 0] >> (16 * (tx % 2)) & 0xFFFF
                e[0] = pack | (E[tx // 4 + 8, 0] >> (16 * (tx % 2)) << 16)
            T.clear(c)
            form = (shape, "row", "col", kind, kind, sums)
            T.ptx_mma_sp(total, *form, a.data, 0, b.data, 0, c.data, 0, e.data, 0, selector, False)
            for i in T.serial(4):
                C[tx // 4 + 8 * (i // 2), tx % 4 * 2 + i % 2] = c[i]

    rng = np.random.default_rng(7)
    scale = 20 if dtype == "int8" else 1
    keep = np.argsort(rng.random((16, depth // 4, 4)), -1) < 2
    dense: Any = (scale * rng.standard_normal((16, depth)) * keep.reshape(16, depth)).astype(dtype)
    b = (scale * rng.standard_normal((8, depth))).astype(dtype)
    kept, meta = compress(dense, meta_dtype="int32")
    expected = dense.astype(np.float64) @ b.astype(np.float64).T
    for run in (tilelang.compile(main, target="sim:sm_80"), lambda *t: evaluate(main.module, "main", t)):
        c = np.zeros((16, 8), total)
        run(kept, meta, b, c)
        assert np.linalg.norm(c - expected) <= 1e-6 * np.linalg.norm(expected)
    with pytest.raises(TileValueError, match="T.ptx_mma_sp: selector int 3, expected 0 or 1"):

        @T.prim_func
        def wrong(A: T.Tensor((16,), dtype)):
            with T.Kernel(1, threads=32) as _:
                x = T.alloc_local((64,), dtype)
                T.ptx_mma_sp(total, shape, "row", "col", kind, kind, sums, x, 0, x, 0, x, 0, x, 0, 3, False)


def test_functions_of_cuda_by_name() -> None:
    """Those that CUDA C++ has of itself need no source: each is a function of the language."""

    @T.prim_func
    def main(A: T.Tensor((32,), "float32"), H: T.Tensor((32,), "float16"), M: T.Tensor((32,), "uint32"),
             C: T.Tensor((2, 32), "int32")):  # fmt: skip
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            H[tx] = T.call_extern("float16", "__float2half_rz", A[tx])
            M[tx] = T.call_extern("uint32", "__match_any_sync", 0xFFFFFFFF, T.cast(A[tx], "int32"))
            other = T.call_extern("float32", "__shfl_xor_sync", -1, A[tx], 1)
            C[0, tx] = T.call_extern("int32", "__float2int_rd", other)
            C[1, tx] = T.call_extern("int32", "__float_as_int", T.call_extern("float32", "__fadd_ru", A[tx], 1e-9))

    a = np.random.default_rng(2).normal(0, 3, 32).astype(np.float32)
    h, m, i = np.zeros(32, np.float16), np.zeros(32, np.uint32), np.zeros((2, 32), np.int32)
    tilelang.compile(main, target="sim:sm_90a")(a, h, m, i)
    near, whole = a.astype(np.float16), a.astype(np.int32)
    away = np.abs(near.astype(np.float32)) > np.abs(a)
    assert np.array_equal(h, np.where(away, np.nextafter(near, np.float16(0)), near))
    assert m.tolist() == [sum(1 << lane for lane in range(32) if whole[lane] == value) for value in whole]
    assert np.array_equal(i[0], np.floor(a[np.arange(32) ^ 1]))
    assert np.array_equal(i[1].view(np.float32), np.nextafter(a, np.float32(np.inf)))


def test_views_of_tensors_with_sizes_at_launch() -> None:
    n, m = T.dynamic("n"), T.dynamic("m")

    @T.prim_func
    def main(A: T.Tensor((n, m, 3), "float32"), B: T.Tensor((n, m, 3), "float32")):
        with T.Kernel(T.ceildiv(n * m * 3, 64), threads=64) as bx:
            flat, rows = T.reshape(A, (n * m * 3,)), T.reshape(B, (m, n, 3))
            i = bx * 64 + T.get_thread_binding()
            if i < n * m * 3:
                rows[i // 3 // n, i // 3 % n, i % 3] = flat[i] + 1

    a = np.arange(5 * 7 * 3, dtype=np.float32).reshape(5, 7, 3)
    b, again = np.full_like(a, -1), np.full_like(a, -1)
    tilelang.compile(main, target="sim:sm_90a")(a, b)
    evaluate(main.module, "main", (a, again, 5, 7))
    assert np.array_equal(b, a + 1) and np.array_equal(again, a + 1)


def test_loops_that_threads_run_differently_often() -> None:
    """Neither such a loop nor a branch on what it counted holds a barrier."""

    @T.prim_func
    def main(A: T.Tensor((100,), "int32"), B: T.Tensor((8,), "int32"), C: T.Tensor((32,), "int32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            counts, places = T.alloc_shared((8,), "int32"), T.alloc_shared((32,), "int32")
            smaller = T.alloc_var("int32", init=0)
            T.clear(counts)
            for i in T.serial(tx, 100, 32):
                T.atomic_add(counts[A[i]], 1)
            for i in T.serial(tx, 8, 32):
                B[i] = counts[i]
            for other in range(32):
                if A[other] < A[tx] or (A[other] == A[tx] and other < tx):
                    smaller += 1
            if smaller < 20:
                places[smaller] = tx
            T.sync_warp()
            if tx < 20:
                C[tx] = places[tx]

    a = np.random.default_rng(3).integers(0, 8, 100).astype(np.int32)
    b, c = np.full(8, -1, np.int32), np.full(32, -1, np.int32)
    tilelang.compile(main, target="sim:sm_80")(a, b, c)
    assert np.array_equal(b, np.bincount(a, minlength=8))
    assert np.array_equal(c[:20], np.argsort(a[:32], kind="stable")[:20]) and (c[20:] == -1).all()


def test_narrow_integers_are_promoted_where_they_are_cast() -> None:
    """As in C: a cast to a wider dtype sees what arithmetic of 8 and 16 bits carries past them; a store does not.
    So do comparisons, quotients, shifts to the right and choices."""

    @T.prim_func
    def main(A: T.Tensor((32,), "uint16"), B: T.Tensor((32,), "int8"), C: T.Tensor((3, 32), "uint32"),
             D: T.Tensor((32,), "uint16"), E: T.Tensor((6, 32), "int32")):  # fmt: skip
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            E[0, tx] = T.if_then_else(A[tx] - 5000 < 0, 1, 0)
            E[1, tx] = (B[tx] << 4) >> 4
            E[2, tx] = (B[tx] + 100) // 2
            E[3, tx] = T.max(A[tx] - 40000, 0)
            E[4, tx] = T.if_then_else(tx > 3, B[tx] * 3, 0)
            E[5, tx] = (B[tx] + B[tx]) % 7
            C[0, tx] = T.cast(A[tx] << 12 | A[tx], "uint32")
            C[1, tx] = T.cast(T.cast(B[tx] * B[tx] + B[tx], "int32") + 1000, "uint32")
            C[2, tx] = T.cast(A[tx] >> 3, "uint32")
            D[tx] = A[tx] << 12

    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 2**16, 32).astype(np.uint16), rng.integers(-128, 128, 32).astype(np.int8)
    c, d, e = np.zeros((3, 32), np.uint32), np.zeros(32, np.uint16), np.zeros((6, 32), np.int32)
    tilelang.compile(main, target="sim:sm_90a")(a, b, c, d, e)
    x, y = a.astype(np.int32), b.astype(np.int32)
    assert np.array_equal(e[:3], [x < 5000, y, (y + 100) // 2])
    assert np.array_equal(e[3:], [np.maximum(x - 40000, 0), np.where(np.arange(32) > 3, y * 3, 0), 2 * y % 7])
    wide, square = a.astype(np.uint32), b.astype(np.int32) ** 2 + b
    assert np.array_equal(c, [wide << 12 | wide, (square + 1000).astype(np.uint32), wide >> 3])
    assert np.array_equal(d, (wide << 12).astype(np.uint16))


def test_lanes_that_do_not_load_give_no_address() -> None:
    """An array of the thread, indexed at run time within a branch: only the threads there need a place in it."""

    @T.prim_func
    def main(A: T.Tensor((32,), "int32"), B: T.Tensor((32,), "int32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            mine, found = T.alloc_local((6,), "int32"), T.alloc_var("int32", init=-1)
            for i in T.unroll(6):
                mine[i] = A[i] * 2
            if tx < 6:
                found = mine[5 - tx]
            B[tx] = found

    a, b = np.arange(32, dtype=np.int32), np.zeros(32, np.int32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    assert b.tolist() == [10, 8, 6, 4, 2, 0] + [-1] * 26


def test_constants_of_narrow_floats() -> None:
    """One constant in the branches of two loops; and the codes of all values, bit by bit as the formats define them."""
    from tilelang_mlir.isa.numeric import fp8_to_float
    from tilelang_mlir.passes.lowering.narrow_codes import narrow_code

    @T.prim_func
    def main(A: T.Tensor((40,), "float8_e4m3fn"), B: T.Tensor((2, 64), "float8_e4m3fn")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(64):
                B[0, i] = T.if_then_else(i < 40, A[i], T.cast(-1.75, "float8_e4m3fn"))
            for i in T.Parallel(64):
                B[1, i] = T.if_then_else(i < 30, A[i], T.cast(-1.75, "float8_e4m3fn"))

    a, b = np.arange(40, dtype=np.uint8), np.zeros((2, 64), np.uint8)
    codes = pytest.importorskip("ml_dtypes").float8_e4m3fn
    tilelang.compile(main, target="sim:sm_90a")(a.view(codes), b.view(codes))
    assert b.tolist() == [[*a, *[0xBE] * 24], [*a[:30], *[0xBE] * 34]]
    for name, kind in (("f8E4M3FN", "e4m3"), ("f8E5M2", "e5m2")):
        assert all(narrow_code(name, float(v)) == code for code, v in enumerate(fp8_to_float(kind)) if np.isfinite(v))
    assert narrow_code("f8E8M0FNU", 0.25) == 125 and narrow_code("f8E8M0FNU", 0.3) is None
    assert [narrow_code("f4E2M1FN", v) for v in (0.5, 1.5, 6, -4)] == [1, 3, 7, 14]


def test_a_float_literal_widens_narrow_floats() -> None:
    """Exponentials past the range of float16, and sums that float16 would round, of operands of 16 bits; and what
    becomes of the tests for infinity and no number on a GPU."""

    @T.prim_func
    def main(H: T.Tensor((32,), "float16"), B: T.Tensor((32,), "bfloat16"), C: T.Tensor((3, 32), "float32"),
             D: T.Tensor((32,), "float16")):  # fmt: skip
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            C[0, tx] = T.exp2(H[tx] * 1.5)
            C[1, tx] = T.max(B[tx] + 1.0, 0.25)
            C[2, tx] = T.if_then_else(T.isinf(H[tx]), 1.0, T.if_then_else(T.isnan(B[tx]), 2.0, 3.0))
            D[tx] = H[tx] * 2.0

    ml_dtypes = pytest.importorskip("ml_dtypes")
    h = np.linspace(-3, 30, 32).astype(np.float16)
    h[0], b = -np.inf, np.linspace(-1, 0.01, 32).astype(ml_dtypes.bfloat16)
    b[1] = np.nan
    c, d = np.zeros((3, 32), np.float32), np.zeros(32, np.float16)
    tilelang.compile(main, target="sim:sm_90a")(h, b, c, d)
    wide = b.astype(np.float32) + np.float32(1)
    np.testing.assert_allclose(c[0], np.exp2(h.astype(np.float64) * 1.5), rtol=1e-5)
    assert np.array_equal(c[1], np.fmax(wide, 0.25)) and np.array_equal(d, h * np.float16(2))
    assert c[2].tolist() == [1.0, 2.0, *[3.0] * 30]
    assert ".entry" in tilelang.lower(main, target="cuda:sm_90a").kernel_source


def test_shuffles_and_votes_among_the_lanes_of_a_mask() -> None:
    """Two parts of a warp exchange by themselves; masks are numbers, and values of the program."""

    @T.prim_func
    def main(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32"), V: T.Tensor((3, 64), "uint32")):
        with T.Kernel(1, threads=64):
            t, lane = T.get_thread_binding(), T.get_lane_idx()
            v = T.alloc_var("float32")
            v = A[t]
            if lane < 16:
                v = v + T.shfl_xor(v, 8, mask=0xFFFF)
                v = v + T.shfl_xor(v, offset=4, mask=0xFFFF)
            else:
                v = v + T.shfl_sync(mask=0xFFFF0000, value=v, srcLane=20)
            B[t] = v
            half = T.if_then_else(lane < 16, T.uint32(0xFFFF), T.uint32(0xFFFF0000))
            V[0, t] = T.cast(T.ballot_sync(A[t] > 0, half), "uint32")
            V[1, t] = T.cast(T.all_sync(A[t] > -1, half), "uint32")
            V[2, t] = T.cast(T.any_sync(A[t] > 1.5, half), "uint32")

    a = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    b, v = np.full(64, np.nan, np.float32), np.full((3, 64), 77, np.uint32)
    kernel = tilelang.compile(main, target="sim:sm_80")
    kernel(a, b, v)
    assert "shfl.sync.bfly.b32" in kernel.ir("ptx") and "vote.sync.ballot" in kernel.ir("ptx")
    parts = a.reshape(2, 2, 16)
    low = parts[:, 0] + parts[:, 0][:, np.arange(16) ^ 8]
    low += low[:, np.arange(16) ^ 4]
    assert np.array_equal(b.reshape(2, 2, 16)[:, 0], low)
    assert np.array_equal(b.reshape(2, 2, 16)[:, 1], parts[:, 1] + parts[:, 1, 4:5])
    for warp in range(2):
        for half in range(2):
            x = parts[warp, half]
            ballot = sum(1 << lane + 16 * half for lane in range(16) if x[lane] > 0)
            got = v.reshape(3, 2, 2, 16)[:, warp, half]
            assert (got == np.array([[ballot], [(x > -1).all()], [(x > 1.5).any()]])).all()
    again = np.full_like(v, 77)
    evaluate(main.module, "main", [a, np.full_like(b, np.nan), again])
    assert np.array_equal(again, v)
    with pytest.raises(UnsupportedError, match="a vote of the lanes of a mask on sim:gfx942"):
        tilelang.compile(main, target="sim:gfx942")


def test_copies_by_hand_in_loops_that_are_no_whole_number_of_vectors() -> None:
    """640 places on 128 threads: iterations past the end copy nothing over what lies behind; rows by their offset."""

    @T.prim_func
    def main(A: T.Tensor((2, 1152), "float16"), B: T.Tensor((1, 1280), "float16"), C: T.Tensor((64,), "float16")):
        with T.Kernel(1, threads=128):
            tile, behind = T.alloc_shared((1, 1280), "float16"), T.alloc_shared((64,), "float16")
            T.fill(behind, 3)
            for i, j in T.Parallel(1, 640):
                T.ptx_cp_async(
                    T.tvm_access_ptr(T.type_annotation("float16"), tile.data, i * 1280 + j * 2, 2, 2),
                    T.tvm_access_ptr(T.type_annotation("float16"), A.data, (i + 1) * 1152 + j * 2, 2, 1),
                    2,
                    predicate=j * 2 + 2 <= 1152,
                )
            T.ptx_commit_group()
            T.ptx_wait_group(0)
            T.sync_threads()
            T.copy(tile, B)
            T.copy(behind, C)

    a = np.random.default_rng(0).standard_normal((2, 1152)).astype(np.float16)
    b, c = np.full((1, 1280), np.nan, np.float16), np.zeros(64, np.float16)
    tilelang.compile(main, target="sim:sm_90a")(a, b, c)
    assert np.array_equal(b[0, :1152], a[1]) and not b[0, 1152:].any() and (c == 3).all()
