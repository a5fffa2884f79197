"""Matrix product whose blocks take over the tiles of blocks that have not started (cluster launch control).

The grid has a block per output tile. A block that runs asks for the next one while it works on its own: the hardware
cancels a block that has not started and says which, in an answer that all warps read before the next request. So tiles
are handed out as multiprocessors become free, where a persistent grid hands them out in advance. Warps have roles: one
loads, one issues products, one asks, four store.
"""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T


def gemm_launch_control(
    M: int, N: int, K: int, block_M: int = 128, block_N: int = 128, block_K: int = 64, num_stages: int = 4,
    dtype: str = "float16",
) -> Any:  # fmt: skip
    """C [M, N] = A [M, K] @ B [N, K] transposed."""
    steps = -(-K // block_K)

    @T.prim_func
    def gemm(A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=256) as (first_x, first_y):
            A_shared = T.alloc_shared((num_stages, block_M, block_K), dtype)
            B_shared = T.alloc_shared((num_stages, block_N, block_K), dtype)
            answer = T.alloc_shared((4,), "uint32")
            C_tmem = T.alloc_tmem((block_M, block_N), "float32")
            C_local = T.alloc_fragment((block_M, block_N), "float32")
            loaded, consumed = T.alloc_barrier([32] * num_stages), T.alloc_barrier([1] * num_stages)
            finished, stored = T.alloc_barrier(1), T.alloc_barrier(128)
            told, read = T.alloc_barrier(1), T.alloc_barrier(32 + 32 + 32 + 128)
            thread = T.get_thread_binding()
            bx, by = T.alloc_var("int32", init=first_x), T.alloc_var("int32", init=first_y)
            going, turn = T.alloc_var("int32", init=1), T.alloc_var("int32", init=0)
            step = T.alloc_var("int32", init=0)
            with T.ws(0):
                if thread < 32:
                    while going != 0:
                        for k in T.serial(steps):
                            stage, parity = step % num_stages, step // num_stages % 2
                            T.mbarrier_wait_parity(consumed[stage], parity ^ 1)
                            T.tma_copy(A[by * block_M, k * block_K], A_shared[stage, :, :], barrier=loaded[stage])
                            T.tma_copy(B[bx * block_N, k * block_K], B_shared[stage, :, :], barrier=loaded[stage])
                            T.mbarrier_arrive(loaded[stage])
                            step = step + 1
                        T.mbarrier_wait_parity(told, turn % 2)
                        going = T.clc_is_canceled(answer)
                        bx = T.clc_get_first_ctaid_x(answer)
                        by = T.clc_get_first_ctaid_y(answer)
                        T.fence_proxy_async()
                        T.mbarrier_arrive(read)
                        turn = turn + 1
                elif thread < 64:
                    while going != 0:
                        T.mbarrier_wait_parity(stored, (turn % 2) ^ 1)
                        for k in T.serial(steps):
                            stage, parity = step % num_stages, step // num_stages % 2
                            T.mbarrier_wait_parity(loaded[stage], parity)
                            T.tcgen05_gemm(
                                A_shared[stage, :, :], B_shared[stage, :, :], C_tmem, transpose_B=True,
                                mbar=consumed[stage], clear_accum=k == 0,
                            )  # fmt: skip
                            step = step + 1
                        T.tcgen05_mma_arrive(finished)
                        T.mbarrier_wait_parity(told, turn % 2)
                        going = T.clc_is_canceled(answer)
                        T.fence_proxy_async()
                        T.mbarrier_arrive(read)
                        turn = turn + 1
                elif thread < 96:
                    while going != 0:
                        T.mbarrier_wait_parity(read, (turn % 2) ^ 1)
                        if thread == 64:
                            T.mbarrier_arrive_expect_tx(told, 16)
                            T.clc_try_cancel(answer, told)
                        T.mbarrier_wait_parity(told, turn % 2)
                        going = T.clc_is_canceled(answer)
                        T.fence_proxy_async()
                        T.mbarrier_arrive(read)
                        turn = turn + 1
            with T.ws(1):
                while going != 0:
                    T.mbarrier_wait_parity(finished, turn % 2)
                    T.copy(C_tmem, C_local)
                    T.mbarrier_arrive(stored)
                    T.copy(C_local, C[by * block_M, bx * block_N])
                    T.mbarrier_wait_parity(told, turn % 2)
                    going = T.clc_is_canceled(answer)
                    bx = T.clc_get_first_ctaid_x(answer)
                    by = T.clc_get_first_ctaid_y(answer)
                    T.fence_proxy_async()
                    T.mbarrier_arrive(read)
                    turn = turn + 1

    return gemm
