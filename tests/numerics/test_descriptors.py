"""Tensor maps and matrix descriptors that a program makes itself, and bulk copies through them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hopper_programs import poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.layout import make_full_bank_swizzled_layout


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def boxes(swizzle: int, rows: int = 100) -> Any:
    """B = 2 A through boxes of 64 rows of 128 bytes, of which the last ones are cut off."""

    @T.prim_func
    def main(A: T.Tensor((rows, 64), "float16"), B: T.Tensor((rows, 64), "float16")):
        with T.Kernel(T.ceildiv(rows, 64), threads=128) as bx:
            s = T.alloc_shared((64, 64), "float16")
            r = T.alloc_shared((64, 64), "float16")
            bar = T.alloc_barrier(1)
            tx = T.get_thread_binding()
            if swizzle:
                T.annotate_layout({s: make_full_bank_swizzled_layout(s), r: make_full_bank_swizzled_layout(r)})
            a = T.create_tma_descriptor(6, 2, A.data, 64, rows, 2, 128, 64, 64, 1, 1, 0, swizzle, 2, 0)
            b = T.create_tma_descriptor(6, 2, B, 64, rows, 2, 128, 64, 64, 1, 1, 0, swizzle, 2, 0)
            if tx == 0:
                T.mbarrier_arrive_expect_tx(bar, 64 * 64 * 2)
                T.tma_load(a, bar, T.access_ptr(s, "w"), 0, bx * 64, "evict_first")
            T.mbarrier_wait_parity(bar, 0)
            for i, j in T.Parallel(64, 64):
                r[i, j] = s[i, j] * 2
            T.fence_proxy_async()
            T.sync_threads()
            if tx == 0:
                T.tma_store(b, T.access_ptr(r, "r"), 0, bx * 64)
                T.tma_store_arrive()
                T.tma_store_wait(0)

    return main


@pytest.mark.parametrize("swizzle", [0, 3])
def test_boxes(swizzle: int) -> None:
    program = boxes(swizzle)
    a, b = random((100, 64), "float16"), poisoned((100, 64), "float16")
    tilelang.compile(program, target="sim:sm_90a")(a, b)
    assert (b == a * 2).all()
    ptx = tilelang.compile(program, target="sm_90a").get_kernel_source()
    assert ptx.count("cp.async.bulk.tensor.2d.shared::cta.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint") == 1
    assert ptx.count("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group") == 1


def test_runs_of_bytes() -> None:
    """Copied, and added to what every block adds to."""

    @T.prim_func
    def main(
        A: T.Tensor((4, 256), "float32"), B: T.Tensor((4, 256), "float32"), Sums: T.Tensor((64,), "float32")
    ):
        with T.Kernel(4, threads=32) as bx:
            s = T.alloc_shared((256,), "float32")
            bar = T.alloc_barrier(1)
            if T.shuffle_elect(32):
                T.mbarrier_arrive_expect_tx(bar, 1024)
                T.tma_load(T.access_ptr(s, "w"), T.access_ptr(A[bx, 0], "r"), bar, 1024)
            T.mbarrier_wait_parity(bar, 0)
            if T.shuffle_elect(32):
                T.tma_store(B[bx, 64], T.access_ptr(s[64], "r"), 512)
                T.tma_store(Sums[16], T.access_ptr(s[4], "r"), 128, reduce="add")
                T.tma_store_arrive()
                T.tma_store_wait(0)

    a, b = random((4, 256), "float32"), np.zeros((4, 256), np.float32)
    sums = random((64,), "float32")
    expected = sums.astype(np.float64)
    expected[16:48] += a[:, 4:36].astype(np.float64).sum(axis=0)
    tilelang.compile(main, target="sim:sm_90a")(a, b, sums)
    assert np.linalg.norm(sums - expected) < 1e-6 * np.linalg.norm(expected)
    assert (b[:, 64:192] == a[:, 64:192]).all() and not b[:, :64].any() and not b[:, 192:].any()
    with pytest.raises(UnsupportedError, match="an mbarrier needs mbarrier, which sim:sm_80 lacks"):
        tilelang.compile(main, target="sim:sm_80")


RUN_REDUCTIONS = [
    *(("add", d) for d in ("float16", "bfloat16", "float32", "float64", "int32", "uint32", "int64", "uint64")),
    *((k, d) for k in ("min", "max") for d in ("float16", "bfloat16", "int32", "uint32", "int64", "uint64")),
    *((k, d) for k in ("and", "or", "xor") for d in ("int32", "uint64")),
    *(("inc", "uint32"), ("dec", "uint32")),
]  # fmt: skip


def _combined(kind: str, old: Any, new: Any) -> Any:
    """One element with another, as PTX ISA 8.7, section 9.7.13.12 (atom), says."""
    if kind == "inc":
        return 0 if old >= new else old + 1
    if kind == "dec":
        return new if old == 0 or old > new else old - 1
    return {"add": lambda: old + new, "min": lambda: min(old, new), "max": lambda: max(old, new),
            "and": lambda: old & new, "or": lambda: old | new, "xor": lambda: old ^ new}[kind]()  # fmt: skip


@pytest.mark.parametrize(("kind", "dtype"), RUN_REDUCTIONS)
def test_reductions_of_runs(kind: str, dtype: str) -> None:
    """Small whole numbers: sums are exact in every dtype."""

    @T.prim_func
    def main(X: T.Tensor((32,), dtype), Y: T.Tensor((32,), dtype)):
        with T.Kernel(1, threads=32):
            s = T.alloc_shared((32,), dtype)
            T.copy(X, s)
            T.fence_proxy_async()
            T.sync_threads()
            if T.shuffle_elect(32):
                T.tma_store(Y[8], T.access_ptr(s, "r"), 16 * X.dtype.bits // 8, reduce=kind)
                T.tma_store_arrive()
                T.tma_store_wait(0)

    signed = not dtype.startswith("u")
    rng = np.random.default_rng(1)
    x, y = (rng.integers(-9 if signed else 0, 9, 32).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
            for _ in range(2))  # fmt: skip
    expected = [float(v) if "float" in dtype else int(v) for v in y]
    for i in range(16):
        new = float(x[i]) if "float" in dtype else int(x[i])
        expected[8 + i] = _combined(kind, expected[8 + i], new)
    tilelang.compile(main, target="sim:sm_90a")(x, y)
    assert [float(v) if "float" in dtype else int(v) for v in y] == expected


def test_matrix_descriptors() -> None:
    """Fields by the ISA's tables; offsets change the lower word only, also where it wraps."""

    @T.prim_func
    def main(D: T.Tensor((5,), "uint64")):
        with T.Kernel(1, threads=32) as _:
            s = T.alloc_shared((64, 64), "float16")
            T.clear(s)
            d = T.alloc_wgmma_desc()
            t = T.alloc_tcgen05_smem_desc()
            T.initialize_wgmma_descriptor(d, T.access_ptr(s[8, 0], "r"), 1, 2, 64)
            D[0] = d[0]
            T.increase_descriptor_offset(d, 32)
            D[1] = d[0]
            T.initialize_tcgen05_descriptor(t[0], T.access_ptr(s, "r"), 1, 64, 3, True, 2)
            D[2] = t[0]
            T.initialize_wgmma_descriptor(d, T.access_ptr(s[0, 0], "r"), 1, 2, 64)
            D[4] = d[0]
            d[0] = T.uint64(0x1FFFFFFFF)
            T.increase_descriptor_offset(d, 16)
            D[3] = d[0]

    out = np.zeros(5, np.uint64)
    tilelang.compile(main, target="sim:sm_90a")(out)
    first = int(out[0])
    assert first - int(out[4]) == 8 * 64 * 2 >> 4 and first >> 16 == 2 | 64 << 16 | 1 << 46
    assert int(out[1]) == first + 2
    assert int(out[2]) - (int(out[4]) & 0x3FFF) == 1 << 16 | 64 << 32 | 1 << 46 | 3 << 49 | 1 << 52 | 2 << 61
    assert int(out[3]) == 0x100000000


D = "T.create_tma_descriptor(6, 2, A, 64, 128, 2, 128, 64, 8, "
WRONG: list[tuple[str, type[Exception], str]] = [
    ("T.create_tma_descriptor(6, 2, A)", TileValueError, r"takes 7 \+ 4 \* rank arguments, got 3"),
    ("T.create_tma_descriptor(7, 2, A, 64, 128, 2, 128, 64, 8, 1, 1, 0, 0, 2, 0)", TileTypeError,
     "int 7 is not float16"),
    ("T.create_tma_descriptor(6, 2, A, 128, 64, 2, 128, 64, 8, 1, 1, 0, 0, 2, 0)", TileValueError, "is not that of A"),
    ("T.create_tma_descriptor(6, 2, A, 64, 128, 2, 64, 64, 8, 1, 1, 0, 0, 2, 0)", TileValueError, "are not those of A"),
    ("T.create_tma_descriptor(6, 2, A, 64, 128, 2, 128, 4, 8, 1, 1, 0, 0, 2, 0)", TileValueError, "rows of 8 bytes"),
    (D + "2, 1, 0, 0, 2, 0)", UnsupportedError, "strides in the box"),
    (D + "1, 1, 1, 0, 2, 0)", UnsupportedError, "interleave 1"),
    ("T.create_tma_descriptor(6, 2, s, 64, 128, 2, 128, 64, 8, 1, 1, 0, 0, 2, 0)", TileTypeError, "a tensor of rank 2"),
    ("T.tma_load(d, bar, s, 0)", TileValueError, "needs 2 coordinates, got 1"),
    ("T.tma_load(d, bar, A, 0, 0)", TileTypeError, "the address is in global memory, expected shared memory"),
    ("T.tma_load(d, 0, s, 0, 0)", TileTypeError, "needs a barrier made by T.alloc_barrier"),
    ("T.tma_load(d, bar, s, 0, 0, 'evict_never')", TileValueError, "eviction policy 'evict_never'"),
    ("T.tma_load(s, A, bar, 24)", TileValueError, "a multiple of 16 bytes, got 24"),
    ("T.tma_load(0)", TileTypeError, "takes a descriptor, or"),
    ("T.tma_store(A, s)", TileTypeError, "takes a descriptor, or"),
    ("T.tma_store(A, s, 64, reduce='mul')", TileValueError, "reduces by one of add, min, max, inc, dec, and, or, xor"),
    ("T.tma_store(A, s, 64, reduce='xor')", TileTypeError, r"\(reduce='xor'\) of float16 to float16"),
    ("T.tma_store(d, s, 0, 0, reduce='add')", TileTypeError, "combines a run of bytes, got a descriptor"),
    ("T.wait_wgmma(0, s)", TileTypeError, "waits for sums in fragments, got <shared buffer"),
    ("T.alloc_descriptor('mma')", TileValueError, "kind 'mma', expected"),
    ("T.initialize_wgmma_descriptor(s, s)", TileTypeError, "needs a descriptor, got <shared buffer"),
    ("T.initialize_wgmma_descriptor(w, A)", TileTypeError, "the address is in global memory"),
    ("T.initialize_wgmma_descriptor(w, s, 4)", TileValueError, "layout_type_ is 4, expected 0 to 3"),
    ("T.initialize_tcgen05_descriptor(w, s, 1, 64, 8)", TileValueError, "base_offset is 8, expected 0 to 7"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "message"), WRONG)
def test_wrong_use(line: str, kind: type[Exception], message: str) -> None:
    def body(A: Any, tile: Any, bar: Any) -> None:
        d = T.create_tma_descriptor(6, 2, A, 64, 128, 2, 128, 64, 8, 1, 1, 0, 0, 2, 0)
        eval(line, {"T": T, "A": A, "s": tile, "bar": bar, "d": d, "w": T.alloc_wgmma_desc()})

    with pytest.raises(kind, match=message):

        @T.prim_func
        def main(A: T.Tensor((128, 64), "float16")):
            with T.Kernel(1, threads=32) as _:
                tile = T.alloc_shared((8, 64), "float16")
                bar = T.alloc_barrier(1)
                body(A, tile, bar)
