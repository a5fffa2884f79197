"""Tiles that the program's own copies fill share memory with what is stored behind the products that read them."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import pytest
from hopper_programs import check, f64, poisoned, random
from tensor_programs import compiled

import tilelang_mlir.language as T
from tilelang_mlir.errors import ResourceError


def program(*, waits: bool, blocks: int = 2) -> Any:
    M, N, K, deep, stages = 128 * blocks, 256, 320, 64, 4

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((N, K), "float16"), C: T.Tensor((M, N), "float16")):
        with T.Kernel(blocks, threads=128) as b:
            a = T.alloc_shared((stages, 128, deep), "float16")
            w = T.alloc_shared((stages, N, deep), "float16")
            out = T.alloc_shared((128, N), "float16")
            sums, c = T.alloc_tmem((128, N), "float32"), T.alloc_fragment((128, N), "float32")
            loaded, free, full = T.alloc_barrier([32] * stages), T.alloc_barrier([1] * stages), T.alloc_barrier(1)
            t = T.get_thread_binding()
            if t < 32:
                for k in T.serial(K // deep):
                    T.mbarrier_wait_parity(free[k % stages], (k // stages + 1) % 2)
                    T.tma_copy(A[b * 128, k * deep], a[k % stages, :, :], barrier=loaded[k % stages])
                    T.tma_copy(B[0, k * deep], w[k % stages, :, :], barrier=loaded[k % stages])
                    T.mbarrier_arrive(loaded[k % stages])
            elif t < 64:
                for k in T.serial(K // deep):
                    T.mbarrier_wait_parity(loaded[k % stages], k // stages % 2)
                    T.tcgen05_gemm(a[k % stages, :, :], w[k % stages, :, :], sums, transpose_B=True,
                                   mbar=free[k % stages], clear_accum=k == 0)  # fmt: skip
                T.tcgen05_mma_arrive(full)
                if not waits:
                    T.mbarrier_wait_parity(full, 0)
            if waits:
                T.mbarrier_wait_parity(full, 0)
            else:
                T.sync_threads()
            T.copy(sums, c)
            T.copy(c, out)
            T.copy(out, C[b * 128, 0])

    return main


def test_results_are_staged_where_operands_were() -> None:
    kernel = compiled(program(waits=True))
    a, b, c = random((256, 320)), random((256, 320), seed=1), poisoned((256, 256), "float16")
    kernel(a, b, c)
    check(c, f64(a) @ f64(b).T, "float16")


def test_without_a_wait_of_all_threads_nothing_is_known() -> None:
    with pytest.raises(ResourceError, match="the kernel needs .* bytes of shared memory"):
        compiled(program(waits=False))
