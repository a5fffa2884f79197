"""Matrix product by pairs of blocks: two neighbouring multiprocessors compute one tile of 2 block_M rows together.

Each block loads its own rows of A and half of the columns of B, so B is read once for both, and needs half the shared
memory for it. The first block of a pair waits for the loads of both and issues the products; both are told when a
stage is free and when the sums are finished, and store their own rows. Warps have roles: one loads, one issues
products, four store.
"""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T


def gemm_pairs(
    M: int, N: int, K: int, block_M: int = 128, block_N: int = 256, block_K: int = 64, num_stages: int = 4,
    dtype: str = "float16",
) -> Any:  # fmt: skip
    """C [M, N] = A [M, K] @ B [N, K] transposed; M is a multiple of 2 block_M."""
    steps, half = -(-K // block_K), block_N // 2

    @T.prim_func
    def gemm(A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((M, N), dtype)):
        with T.ClusterKernel(M // block_M, T.ceildiv(N, block_N), threads=256, cluster_dims=2) as (by, bx):
            A_shared = T.alloc_shared((num_stages, block_M, block_K), dtype)
            B_shared = T.alloc_shared((num_stages, half, block_K), dtype)
            C_tmem = T.alloc_tmem((block_M, block_N), "float32")
            C_local = T.alloc_fragment((block_M, block_N), "float32")
            loaded = T.alloc_cluster_barrier([32 * 2] * num_stages)
            consumed = T.alloc_cluster_barrier([1] * num_stages)
            finished = T.alloc_cluster_barrier(1)
            thread, rank = T.get_thread_binding(), T.block_rank_in_cluster()
            with T.ws(0):
                if thread < 32:
                    for k in T.serial(steps):
                        stage, parity = k % num_stages, k // num_stages % 2
                        T.mbarrier_wait_parity(consumed[stage], parity ^ 1)
                        T.tma_copy(A[by * block_M, k * block_K], A_shared[stage, :, :], barrier=loaded[stage])
                        column = bx * block_N + rank * half
                        T.tma_copy(B[column, k * block_K], B_shared[stage, :, :], barrier=loaded[stage])
                        T.mbarrier_arrive(loaded[stage], 0)
                elif thread < 64:
                    if rank == 0:
                        for k in T.serial(steps):
                            stage, parity = k % num_stages, k // num_stages % 2
                            T.mbarrier_wait_parity(loaded[stage], parity)
                            T.tcgen05_gemm(
                                A_shared[stage, :, :], B_shared[stage, :, :], C_tmem, transpose_B=True,
                                mbar=consumed[stage], clear_accum=k == 0, use_2cta=True,
                            )  # fmt: skip
                        T.tcgen05_mma_arrive(finished, arrive_2cta=True)
            with T.ws(1):
                T.mbarrier_wait_parity(finished, 0)
                T.copy(C_tmem, C_local)
                T.copy(C_local, C[by * block_M, bx * block_N])

    return gemm
