"""Branches on the thread inside of branches: warps of a role work beside what all of its threads do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, compiled, f64, poisoned, random

import tilelang_mlir.language as T
from tilelang_mlir import knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def test_a_warp_of_a_role_produces_and_all_of_the_role_give_up_registers() -> None:
    """Four roles; the last one's warps load a tile each beside a `setmaxnreg` of the whole warpgroup."""

    @T.macro
    def consume(a: Any, b: Any, full: Any, free: Any, C: Any, role: int) -> None:
        acc = T.alloc_fragment((64, 32), "float32")
        T.clear(acc)
        for i in T.serial(2):
            T.mbarrier_wait_parity(full[i], 0)
            T.wgmma_gemm(a[i, :, :], b[i, :, :], acc, transpose_B=True)
            T.wait_wgmma(0)
        T.mbarrier_arrive(free)
        for r, k in T.Parallel(64, 32):
            acc[r, k] *= role + 1
        T.copy(acc, C[role, :, :])

    @T.prim_func
    def main(A: T.Tensor((128, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((3, 64, 32), "float32")):
        with T.Kernel(1, threads=512) as _:
            a, b = T.alloc_shared((2, 64, 64), "float16"), T.alloc_shared((2, 32, 64), "float16")
            full, free = T.alloc_barrier([64, 64]), T.alloc_barrier([384])
            tx = T.get_thread_binding()
            if tx < 128:
                T.set_max_nreg(160, 1)
                consume(a, b, full, free, C, 0)
            elif tx < 256:
                T.set_max_nreg(160, 1)
                consume(a, b, full, free, C, 1)
            elif tx < 384:
                T.set_max_nreg(160, 1)
                consume(a, b, full, free, C, 2)
            else:
                T.set_max_nreg(24, 0)
                if tx < 384 + 32:
                    for i in T.serial(2):
                        T.tma_copy(A[i * 64, 0], a[i, :, :], barrier=full[i])
                        T.mbarrier_arrive(full[i])
                elif T.get_thread_binding() < 384 + 64:
                    for i in T.serial(2):
                        for r, k in T.Parallel(32, 64):
                            b[i, r, k] = B[i * 32 + r, k] * 2
                        T.fence_proxy_async()
                        T.mbarrier_arrive(full[i])
                T.mbarrier_wait_parity(free, 0)

    kernel = compiled(main)
    a, b, c = random((128, 64)), random((64, 64)), poisoned((3, 64, 32), "float32")
    kernel(a, b, c)
    product = sum(f64(a)[i * 64 : i * 64 + 64] @ (2 * f64(b)[i * 32 : i * 32 + 32].T) for i in (0, 1))
    check(c, np.arange(1, 4)[:, None, None] * product, "float32")


def test_what_warps_of_a_branch_wrote_is_ordered_and_fenced_for_all_threads() -> None:
    """A warp in an arm writes tiles that all threads then read, and that products read behind their backs."""

    @T.prim_func
    def main(A: T.Tensor((128, 64), "float16"), B: T.Tensor((128, 128), "float32"), S: T.Tensor((64,), "float16")):
        with T.Kernel(1, threads=256) as _:
            a, s = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64,), "float16")
            acc = T.alloc_fragment((128, 128), "float32")
            tx = T.get_thread_binding()
            if tx >= 128:
                if tx < 128 + 32:
                    for k in T.Parallel(64):
                        s[k] = A[0, k]
                else:
                    for r, k in T.Parallel(128, 64):
                        a[r, k] = A[r, k] * 2
            for k in T.Parallel(64):
                S[63 - k] = s[k]
            T.gemm(a, a, acc, transpose_B=True, clear_accum=True)
            T.copy(acc, B)

    a, b, s = random((128, 64)), poisoned((128, 128), "float32"), poisoned((64,), "float16")
    compiled(main)(a, b, s)
    check(b, 4 * f64(a) @ f64(a).T, "float32")
    assert np.array_equal(s, a[0, ::-1])
