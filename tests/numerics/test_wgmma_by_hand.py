"""Single products of a warpgroup on descriptors and registers that the program makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.layout import make_full_bank_swizzled_layout


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def program(registers: bool, n: int, dtype: str = "float16") -> Any:
    """C = A0 B0 + A1 B1 - A2 B2 over three steps of 16 along K; with A in registers the first step only."""
    shape, name = f"m64n{n}k16", {"float16": "fp16", "bfloat16": "bf16"}[dtype]
    kinds = (name, name, "fp32")

    @T.prim_func
    def main(A: T.Tensor((64, 64), dtype), B: T.Tensor((n, 64), dtype), C: T.Tensor((64, n), "float32")):
        with T.Kernel(1, threads=128) as _:
            a = T.alloc_shared((64, 64), dtype)
            b = T.alloc_shared((n, 64), dtype)
            T.annotate_layout({a: make_full_bank_swizzled_layout(a), b: make_full_bank_swizzled_layout(b)})
            c = T.alloc_local((n // 2,), "float32")
            own = T.alloc_local((8,), dtype)
            da = T.alloc_wgmma_desc()
            db = T.alloc_wgmma_desc()
            tx = T.get_thread_binding()
            T.copy(A, a)
            T.copy(B, b)
            T.initialize_wgmma_descriptor(da, T.access_ptr(a, "r"), 1, 1, 64)
            T.initialize_wgmma_descriptor(db, T.access_ptr(b, "r"), 1, 1, 64)
            T.fence_proxy_async()
            T.sync_threads()
            if registers:
                T.ptx_ldmatrix(False, 4, a[tx // 32 * 16 + tx % 16, tx % 32 // 16 * 8], own[0])
                T.warpgroup_arrive()
                T.ptx_wgmma_rs("float32", shape, True, *kinds, own.data, 0, db.data, 0, c.data, 0, 0)
            else:
                T.warpgroup_arrive()
                T.ptx_wgmma_ss("float32", shape, True, True, *kinds, da, 0, db, 0, c, 0, 0)
                T.ptx_wgmma_ss("float32", shape, True, True, *kinds, da, 2, db, 2, c, 0, 1, 1, 1)
                T.ptx_wgmma_ss("float32", shape, True, True, *kinds, da, 4, db, 4, c, 0, 1, 0, 1)
            T.warpgroup_commit_batch()
            T.warpgroup_wait(0)
            for i in T.unroll(n // 2):
                C[tx // 32 * 16 + tx % 32 // 4 + i // 2 % 2 * 8, i // 4 * 8 + tx % 4 * 2 + i % 2] = c[i]

    return main


@pytest.mark.parametrize(("registers", "n", "dtype"), [(False, 64, "float16"), (False, 24, "bfloat16"),
                                                       (True, 64, "float16")])
def test_products(registers: bool, n: int, dtype: str) -> None:
    main = program(registers, n, dtype)
    a, b, c = random((64, 64), dtype), random((n, 64), dtype), poisoned((64, n), "float32")
    tilelang.compile(main, target="sim:sm_90a")(a, b, c)
    steps = [f64(a)[:, k : k + 16] @ f64(b)[:, k : k + 16].T for k in (0, 16, 32)]
    expected = steps[0] if registers else steps[0] + steps[1] - steps[2]
    assert np.linalg.norm(f64(c) - expected) <= 1e-6 * np.linalg.norm(expected)


def test_becomes_ptx() -> None:
    ptx = tilelang.compile(program(False, 64), target="sm_90a").get_kernel_source()
    assert ptx.count("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16") == 3 and ".local" not in ptx
    assert ptx.count("wgmma.fence.sync.aligned") == 1 and ptx.count("wgmma.wait_group.sync.aligned 0") == 1
    with pytest.raises(UnsupportedError, match="needs tensor memory accelerator, which sim:sm_80 lacks"):
        tilelang.compile(by_block(), target="sim:sm_80")


def by_block(inside: str = "") -> Any:
    """A product whose wait is in the same block, or one level further out."""

    @T.prim_func
    def main(A: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=128) as _:
            a = T.alloc_shared((64, 64), "float16")
            T.clear(a)
            c = T.alloc_local((32,), "float32")
            d = T.alloc_wgmma_desc()
            T.initialize_wgmma_descriptor(d, T.access_ptr(a, "r"), 0, 1, 64)
            T.clear(c)
            if inside:
                for _ in T.serial(2):
                    T.ptx_wgmma_ss("float32", "m64n64k16", True, True, "fp16", "fp16", "fp32", d, 0, d, 0, c, 0, 1)
            else:
                T.ptx_wgmma_ss("float32", "m64n64k16", True, True, "fp16", "fp16", "fp32", d, 0, d, 0, c, 0, 1)
            T.warpgroup_commit_batch()
            T.warpgroup_wait(0)
            A[0] = c[0]

    return main


def test_the_wait_is_in_the_block_of_the_product() -> None:
    with pytest.raises(UnsupportedError, match="end in a wait for all of them, in the same block"):
        tilelang.compile(by_block("a loop"), target="sim:sm_90a")


WRONG: list[tuple[tuple[str, str, str, str], str, type[Exception], str]] = [
    (("m64n64k32", "fp16", "fp16", "fp32"), "ddc", TileValueError, "'m64n64k32'"),
    (("m64n60k16", "fp16", "fp16", "fp32"), "ddc", TileValueError, "'m64n60k16'"),
    (("m64n64k16", "fp16", "int8", "fp32"), "ddc", TileValueError, "no product of"),
    (("m64n64k16", "fp16", "fp16", "fp16"), "ddc", TileValueError, "summed in fp32"),
    (("m64n64k16", "fp16", "fp16", "fp32"), "cdc", TileTypeError, "needs descriptors"),
    (("m64n64k16", "fp16", "fp16", "fp32"), "ddd", TileTypeError, "of float32, got"),
]


@pytest.mark.parametrize(("form", "operands", "kind", "message"), WRONG)
def test_wrong_use(form: tuple[str, str, str, str], operands: str, kind: type[Exception], message: str) -> None:
    def body(**arrays: Any) -> None:
        a, b, c = (arrays[name] for name in operands)
        T.ptx_wgmma_ss("float32", form[0], True, True, *form[1:], a, 0, b, 0, c, 0, 1)

    with pytest.raises(kind, match=message):

        @T.prim_func
        def main(A: T.Tensor((64,), "float32")):
            with T.Kernel(1, threads=128) as _:
                body(d=T.alloc_wgmma_desc(), c=T.alloc_local((32,), "float32"))
