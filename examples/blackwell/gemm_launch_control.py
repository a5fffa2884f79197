"""Matrix product whose blocks take over the tiles of blocks that have not started (cluster launch control).

The grid has a block per output tile. A block that runs asks for the next one while it works on its own: the hardware
cancels a block that has not started and says which, in an answer that all warps read before the next request. So tiles
are handed out as multiprocessors become free, where a persistent grid hands them out in advance. Warps have roles: one
loads, one issues products, one asks, four store.
"""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T


@T.macro
def load(A: Any, B: Any, A_tile: Any, B_tile: Any, row: Any, column: Any, k: Any, loaded: Any, consumed: Any,
         parity: Any) -> None:  # fmt: skip
    """Load one step of a tile when its stage has been multiplied."""
    T.mbarrier_wait_parity(consumed, parity ^ 1)
    T.tma_copy(A[row, k], A_tile, barrier=loaded)
    T.tma_copy(B[column, k], B_tile, barrier=loaded)
    T.mbarrier_arrive(loaded)


@T.macro
def ask(answer: Any, told: Any, read: Any, turn: Any, leader: Any) -> None:
    """Ask for the next tile when all warps have read the last answer."""
    T.mbarrier_wait_parity(read, (turn % 2) ^ 1)
    if leader:
        T.mbarrier_arrive_expect_tx(told, 16)
        T.clc_try_cancel(answer, told)


@T.macro
def hear(answer: Any, told: Any, read: Any, turn: Any) -> Any:
    """Read the next answer: whether there is another tile, and which."""
    T.mbarrier_wait_parity(told, turn % 2)
    going = T.clc_is_canceled(answer)
    x, y = T.clc_get_first_ctaid_x(answer), T.clc_get_first_ctaid_y(answer)
    T.mbarrier_arrive(read)
    return going, x, y


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
                            load(A, B, A_shared[stage, :, :], B_shared[stage, :, :], by * block_M, bx * block_N,
                                 k * block_K, loaded[stage], consumed[stage], parity)  # fmt: skip
                            step = step + 1
                        going, bx, by = hear(answer, told, read, turn)
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
                        going, bx, by = hear(answer, told, read, turn)
                        turn = turn + 1
                elif thread < 96:
                    while going != 0:
                        ask(answer, told, read, turn, thread == 64)
                        going, bx, by = hear(answer, told, read, turn)
                        turn = turn + 1
            with T.ws(1):
                while going != 0:
                    T.mbarrier_wait_parity(finished, turn % 2)
                    T.copy(C_tmem, C_local)
                    T.mbarrier_arrive(stored)
                    T.copy(C_local, C[by * block_M, bx * block_N])
                    going, bx, by = hear(answer, told, read, turn)
                    turn = turn + 1

    return gemm
