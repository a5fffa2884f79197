"""Attention, forward, through tensor memory: two tiles of queries take turns.

A block owns two tiles of 128 queries. The scores of both are products into tensor memory; while the threads turn the
scores of one tile into weights, the products of the other run. Weights go back to tensor memory and are the first
operand of the second product. A thread has a whole row of scores (the layout of `.32x32b` loads), so maxima and sums
need no exchange between threads.
"""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T

LOG2_E = 1.4426950408889634


@T.macro
def soften(S_tmem: Any, P_tmem: Any, scores: Any, largest: Any, shrink: Any, total: Any, scale: Any, seen: Any) -> None:
    """Weights of one tile of scores; `seen` keys of it exist. Updates the running maximum and sum."""
    rows, keys = scores.shape
    previous, part = T.alloc_fragment((rows,), "float32"), T.alloc_fragment((rows,), "float32")
    T.copy(S_tmem, scores)
    for i, j in T.Parallel(rows, keys):
        scores[i, j] = T.if_then_else(j < seen, scores[i, j], -T.infinity("float32"))
    T.copy(largest, previous)
    T.reduce_max(scores, largest, dim=1, clear=False)
    for i in T.Parallel(rows):
        shrink[i] = T.exp2((previous[i] - largest[i]) * scale)
    for i, j in T.Parallel(rows, keys):
        scores[i, j] = T.exp2(scores[i, j] * scale - largest[i] * scale)
    T.reduce_sum(scores, part, dim=1)
    for i in T.Parallel(rows):
        total[i] = total[i] * shrink[i] + part[i]
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
