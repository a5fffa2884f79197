"""Attention, forward, through tensor memory: two tiles of queries take turns.

A block owns two tiles of 128 queries. The scores of both are products into tensor memory; while the threads turn the
scores of one tile into weights, the products of the other run. Weights go back to tensor memory and are the first
operand of the second product. A thread has a whole row of scores (the layout of `.32x32b` loads), so maxima and sums
need no exchange between threads.
"""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.ops.online_softmax import LOG2_E, softmax_weights


@T.macro
def soften(S_tmem: Any, P_tmem: Any, scores: Any, largest: Any, shrink: Any, total: Any, scale: Any, seen: Any) -> None:
    """Weights of one tile of scores; `seen` keys of it exist. Updates the running maximum and sum."""
    rows, keys = scores.shape
    T.copy(S_tmem, scores)
    for i, j in T.Parallel(rows, keys):
        scores[i, j] = T.if_then_else(j < seen, scores[i, j], -T.infinity("float32"))
    softmax_weights(scores, largest, shrink, total, scale)
    T.copy(scores, P_tmem)


@T.macro
def add(O_tmem: Any, part: Any, out: Any, shrink: Any) -> None:
    """out = out * shrink + what the product left in tensor memory, some columns at a time to save registers."""
    rows, columns = part.shape
    for piece in T.unroll(out.shape[1] // columns):
        T.copy(O_tmem[:, piece * columns : (piece + 1) * columns], part)
        for i, j in T.Parallel(rows, columns):
            out[i, piece * columns + j] = out[i, piece * columns + j] * shrink[i] + part[i, j]


def attention(S: int, heads: int, D: int = 64, block_N: int = 32, num_stages: int = 2, dtype: str = "float16") -> Any:
    """softmax(Q K^T / sqrt(D)) V over [heads, S, D] tensors."""
    rows, scale = 128, D**-0.5 * LOG2_E

    @T.prim_func
    def attention_forward(
        Q: T.Tensor((heads, S, D), dtype), K: T.Tensor((heads, S, D), dtype), V: T.Tensor((heads, S, D), dtype),
        R: T.Tensor((heads, S, D), dtype),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(S, 2 * rows), heads, threads=128) as (bx, head):
            Q0, Q1 = T.alloc_shared((rows, D), dtype), T.alloc_shared((rows, D), dtype)
            K_shared, V_shared = T.alloc_shared((block_N, D), dtype), T.alloc_shared((block_N, D), dtype)
            S0, S1 = T.alloc_tmem((rows, block_N), "float32"), T.alloc_tmem((rows, block_N), "float32")
            P0, P1 = T.alloc_tmem((rows, block_N), dtype), T.alloc_tmem((rows, block_N), dtype)
            O0, O1 = T.alloc_tmem((rows, D), "float32"), T.alloc_tmem((rows, D), "float32")
            scored, weighed = T.alloc_barrier([1, 1]), T.alloc_barrier([1, 1])
            scores, part = T.alloc_fragment((rows, block_N), "float32"), T.alloc_fragment((rows, 16), "float32")
            out0, out1 = T.alloc_fragment((rows, D), "float32"), T.alloc_fragment((rows, D), "float32")
            largest0, largest1 = T.alloc_fragment((rows,), "float32"), T.alloc_fragment((rows,), "float32")
            shrink0, shrink1 = T.alloc_fragment((rows,), "float32"), T.alloc_fragment((rows,), "float32")
            total0, total1 = T.alloc_fragment((rows,), "float32"), T.alloc_fragment((rows,), "float32")
            T.copy(Q[head, bx * 2 * rows : bx * 2 * rows + rows, :], Q0)
            T.copy(Q[head, bx * 2 * rows + rows : bx * 2 * rows + 2 * rows, :], Q1)
            T.clear(out0)
            T.clear(out1)
            T.clear(total0)
            T.clear(total1)
            T.fill(largest0, -T.infinity("float32"))
            T.fill(largest1, -T.infinity("float32"))
            for k in T.Pipelined(T.ceildiv(S, block_N), num_stages=num_stages):
                T.copy(K[head, k * block_N : (k + 1) * block_N, :], K_shared)
                T.copy(V[head, k * block_N : (k + 1) * block_N, :], V_shared)
                T.tcgen05_gemm(Q0, K_shared, S0, transpose_B=True, mbar=scored[0], clear_accum=True)
                T.tcgen05_gemm(Q1, K_shared, S1, transpose_B=True, mbar=scored[1], clear_accum=True)
                T.mbarrier_wait_parity(scored[0], k % 2)
                soften(S0, P0, scores, largest0, shrink0, total0, scale, S - k * block_N)
                T.tcgen05_gemm(P0, V_shared, O0, mbar=weighed[0], clear_accum=True)
                T.mbarrier_wait_parity(scored[1], k % 2)
                soften(S1, P1, scores, largest1, shrink1, total1, scale, S - k * block_N)
                T.tcgen05_gemm(P1, V_shared, O1, mbar=weighed[1], clear_accum=True)
                T.mbarrier_wait_parity(weighed[0], k % 2)
                add(O0, part, out0, shrink0)
                T.mbarrier_wait_parity(weighed[1], k % 2)
                add(O1, part, out1, shrink1)
            for i, j in T.Parallel(rows, D):
                out0[i, j] /= total0[i]
                out1[i, j] /= total1[i]
            T.copy(out0, R[head, bx * 2 * rows : bx * 2 * rows + rows, :])
            T.copy(out1, R[head, bx * 2 * rows + rows : bx * 2 * rows + 2 * rows, :])

    return attention_forward


@T.macro
def weigh(
    S_tmem: Any, P_tmem: Any, O_tmem: Any, R: Any, head: Any, first: Any, sizes: Any, scored: Any, ready: Any,
    weighed: Any, dtype: Any,
) -> None:  # fmt: skip
    """What a warpgroup does for its tile of queries: weights from scores, and the sum of what they weigh."""
    S, D, block_N = sizes
    rows, scale = 128, D**-0.5 * LOG2_E
    scores, part = T.alloc_fragment((rows, block_N), "float32"), T.alloc_fragment((rows, 16), "float32")
    out, result = T.alloc_fragment((rows, D), "float32"), T.alloc_fragment((rows, D), dtype)
    largest, shrink = T.alloc_fragment((rows,), "float32"), T.alloc_fragment((rows,), "float32")
    total = T.alloc_fragment((rows,), "float32")
    T.clear(out)
    T.clear(total)
    T.fill(largest, -T.infinity("float32"))
    for k in T.serial(T.ceildiv(S, block_N)):
        T.mbarrier_wait_parity(scored, k % 2)
        soften(S_tmem, P_tmem, scores, largest, shrink, total, scale, S - k * block_N)
        T.mbarrier_arrive(ready)
        T.mbarrier_wait_parity(weighed, k % 2)
        add(O_tmem, part, out, shrink)
    for i, j in T.Parallel(rows, D):
        result[i, j] = out[i, j] / total[i]
    T.copy(result, R[head, first : first + rows, :])


@T.macro
def load(
    Q: Any, K: Any, V: Any, queries: Any, ring: Any, head: Any, first: Any, steps: int, q_loaded: Any, loaded: Any,
    free: Any,
) -> None:  # fmt: skip
    """What the loading warp does: both tiles of queries, then tiles of keys and values into a ring of stages."""
    (Q0, Q1), (K_shared, V_shared), (k_loaded, v_loaded), (k_free, v_free) = queries, ring, loaded, free
    num_stages, block_N, _ = K_shared.shape
    rows = Q0.shape[0]
    T.tma_copy(Q[head, first : first + rows, :], Q0, barrier=q_loaded)
    T.tma_copy(Q[head, first + rows : first + 2 * rows, :], Q1, barrier=q_loaded)
    T.mbarrier_arrive(q_loaded)
    for k in T.serial(steps):
        stage, parity, at = k % num_stages, k // num_stages % 2, k * block_N
        T.mbarrier_wait_parity(k_free[stage], parity ^ 1)
        T.tma_copy(K[head, at : at + block_N, :], K_shared[stage, :, :], barrier=k_loaded[stage])
        T.mbarrier_arrive(k_loaded[stage])
        T.mbarrier_wait_parity(v_free[stage], parity ^ 1)
        T.tma_copy(V[head, at : at + block_N, :], V_shared[stage, :, :], barrier=v_loaded[stage])
        T.mbarrier_arrive(v_loaded[stage])


@T.macro
def multiply(
    products: Any, ring: Any, steps: int, loaded: Any, free: Any, scored: Any, ready: Any, weighed: Any
) -> None:
    """What the warp of products does: scores of the next tile of keys while the weights of this one are made."""
    (Q0, Q1), (S0, S1), (P0, P1), (O0, O1) = products
    (K_shared, V_shared), (k_loaded, v_loaded), (k_free, v_free) = ring, loaded, free
    num_stages = K_shared.shape[0]
    T.mbarrier_wait_parity(k_loaded[0], 0)
    T.tcgen05_gemm(Q0, K_shared[0, :, :], S0, transpose_B=True, mbar=scored[0], clear_accum=True)
    T.tcgen05_gemm(Q1, K_shared[0, :, :], S1, transpose_B=True, mbar=scored[1], clear_accum=True)
    if num_stages < steps:  # an arrival that nobody waits for may come after the block has ended
        T.tcgen05_mma_arrive(k_free[0])
    for k in T.serial(steps):
        stage, parity = k % num_stages, k // num_stages % 2
        following, later = (k + 1) % num_stages, (k + 1) // num_stages % 2
        T.mbarrier_wait_parity(v_loaded[stage], parity)
        T.mbarrier_wait_parity(ready[0], k % 2)
        T.tcgen05_gemm(P0, V_shared[stage, :, :], O0, mbar=weighed[0], clear_accum=True)
        if k + 1 < steps:
            next_keys = K_shared[following, :, :]
            T.mbarrier_wait_parity(k_loaded[following], later)
            T.tcgen05_gemm(Q0, next_keys, S0, transpose_B=True, mbar=scored[0], clear_accum=True)
        T.mbarrier_wait_parity(ready[1], k % 2)
        T.tcgen05_gemm(P1, V_shared[stage, :, :], O1, mbar=weighed[1], clear_accum=True)
        if k + num_stages < steps:
            T.tcgen05_mma_arrive(v_free[stage])
        if k + 1 < steps:
            keys = K_shared[following, :, :]
            T.tcgen05_gemm(Q1, keys, S1, transpose_B=True, mbar=scored[1], clear_accum=True)
            if k + 1 + num_stages < steps:
                T.tcgen05_mma_arrive(k_free[following])


def attention_roles(
    S: int, heads: int, D: int = 64, block_N: int = 64, num_stages: int = 2, dtype: str = "float16"
) -> Any:
    """The same with roles: a warp loads, a warp issues products, and each tile of queries has a warpgroup of its own.

    The scores of the next tile of keys are computed while a warpgroup works on those of this one: the products of one
    tile of queries fill the time that the other one takes for its weights.
    """
    rows, steps, sizes = 128, -(-S // block_N), (S, D, block_N)
    tiles = (num_stages, block_N, D)

    @T.prim_func
    def attention_by_roles(
        Q: T.Tensor((heads, S, D), dtype), K: T.Tensor((heads, S, D), dtype), V: T.Tensor((heads, S, D), dtype),
        R: T.Tensor((heads, S, D), dtype),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(S, 2 * rows), heads, threads=384) as (bx, head):
            Q0, Q1 = T.alloc_shared((rows, D), dtype), T.alloc_shared((rows, D), dtype)
            K_shared, V_shared = T.alloc_shared(tiles, dtype), T.alloc_shared(tiles, dtype)
            S0, S1 = T.alloc_tmem((rows, block_N), "float32"), T.alloc_tmem((rows, block_N), "float32")
            P0, P1 = T.alloc_tmem((rows, block_N), dtype), T.alloc_tmem((rows, block_N), dtype)
            O0, O1 = T.alloc_tmem((rows, D), "float32"), T.alloc_tmem((rows, D), "float32")
            q_loaded = T.alloc_barrier(32)
            k_loaded, v_loaded = T.alloc_barrier([32] * num_stages), T.alloc_barrier([32] * num_stages)
            k_free, v_free = T.alloc_barrier([1] * num_stages), T.alloc_barrier([1] * num_stages)
            loaded, free = (k_loaded, v_loaded), (k_free, v_free)
            scored, ready, weighed = T.alloc_barrier([1, 1]), T.alloc_barrier([128, 128]), T.alloc_barrier([1, 1])
            first, thread = bx * 2 * rows, T.get_thread_binding()
            with T.ws(0):
                T.inc_max_nreg(232)
                weigh(S0, P0, O0, R, head, first, sizes, scored[0], ready[0], weighed[0], dtype)
            with T.ws(1):
                T.inc_max_nreg(232)
                weigh(S1, P1, O1, R, head, first + rows, sizes, scored[1], ready[1], weighed[1], dtype)
            with T.ws(2):
                T.dec_max_nreg(24)
                if thread < 288:
                    load(Q, K, V, (Q0, Q1), (K_shared, V_shared), head, first, steps, q_loaded, loaded, free)
                elif thread < 320:
                    T.mbarrier_wait_parity(q_loaded, 0)
                    products = (Q0, Q1), (S0, S1), (P0, P1), (O0, O1)
                    multiply(products, (K_shared, V_shared), steps, loaded, free, scored, ready, weighed)

    return attention_by_roles
