"""Gradients of attention on targets with warpgroup products: roles and barriers by hand.

The mathematics and the names are those of `attention_backward`. A CTA owns 128 keys of one head; two warpgroups compute
64 of them each, a third one loads. Shared memory is what such a kernel runs out of first: products of 64 rows read both
operands from there, and everything else that passes through it takes its time from them. Therefore

* dQ goes from registers to device memory, by additions of four floats at a time. Its sums lie in the order of the
  registers, so that a warp adds 512 neighbouring bytes: a first kernel makes zeros of that form, a last one makes rows;
* dQ is computed transposed, dQ^T = K^T dS^T: its block is then as wide as the block of queries, 64 or 80;
* L and sum(dO O) of a block are packed into one run of bytes by the first kernel, and loaded with dO;
* dS has two versions, so that the warpgroups meet once per block of queries: when dS is complete.

With 80 queries registers are short: dS takes the weights from the operand's dtype, dK takes dS from shared memory.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.layout import make_swizzled_layout
from tilelang_mlir.ops.online_softmax import LOG2_E

KEYS, DIM = 128, 128  # of a block; the features of a head
GROUP, THREADS = 128, 384
VERSIONS = 2  # of the tiles in shared memory that change from block to block
ROWS = 16  # queries of a block of the first kernel


def queries_of_a_block(causal: bool) -> int:
    """Larger blocks of queries read less of shared memory; on the diagonal they waste more."""
    return 64 if causal else 80


def parts_of_sums(queries: int) -> tuple[int, int, int, int]:
    """The sums of a block of queries in the order of the registers: warpgroups, runs, threads, registers of a run.

    A warpgroup has 64 features; registers r of thread t in run n are query 8 n + 2 (t % 4) + r % 2 and feature
    16 (t / 32) + t % 32 / 4 + 8 (r / 2), as the accumulator of a product lies.
    """
    return 2, queries // 8, GROUP, 4


@jit(out_idx=[-2, -1])
def row_facts(batch: int, S: int, heads: int, dtype: str = "float16", queries: int = 64) -> Any:
    """L and sum(dO O), [batch, heads, blocks, 2, queries] float32, and zeros for the sums of dQ."""
    blocks, share, words = -(-S // queries), queries // ROWS, ROWS * DIM

    @T.prim_func
    def attention_row_facts(
        O: T.Tensor((batch, S, heads, DIM), dtype),  # noqa: E741
        dO: T.Tensor((batch, S, heads, DIM), dtype),
        L: T.Tensor((batch, heads, S), "float32"),
        Facts: T.Tensor((batch, heads, blocks, 2, queries), "float32"),
        Sums: T.Tensor((batch, heads, blocks, *parts_of_sums(queries)), "float32"),
    ):
        with T.Kernel(blocks * share, heads, batch, threads=GROUP) as (bx, head, b):
            out, grad = T.alloc_fragment((ROWS, DIM), dtype), T.alloc_fragment((ROWS, DIM), dtype)
            product = T.alloc_fragment((ROWS, DIM), "float32")
            delta = T.alloc_fragment((ROWS,), "float32")
            zeros = T.alloc_fragment((words,), "float32")
            T.copy(O[b, bx * ROWS : (bx + 1) * ROWS, head, :], out)
            T.copy(dO[b, bx * ROWS : (bx + 1) * ROWS, head, :], grad)
            for i, j in T.Parallel(ROWS, DIM):
                product[i, j] = T.cast(out[i, j], "float32") * T.cast(grad[i, j], "float32")
            T.reduce_sum(product, delta, dim=1)
            block, first = bx // share, bx % share * ROWS
            for i in T.Parallel(ROWS):
                Facts[b, head, block, 0, first + i] = L[b, head, bx * ROWS + i]
                Facts[b, head, block, 1, first + i] = delta[i]
            flat = T.reshape(Sums, (batch, heads, blocks * share, words))
            T.clear(zeros)
            T.copy(zeros, flat[b, head, bx, :])

    return attention_row_facts


@T.macro
def weigh(
    scores: Any, weights: Any, facts: Any, slot: Any, factor: float, causal: bool, key: Any, query: Any
) -> None:
    """Turn scores [keys, queries] into weights, in both buffers; `key` and `query` are the first ones of the block."""
    keys, queries = scores.shape
    for i, j in T.Parallel(keys, queries):
        scores[i, j] = T.exp2(scores[i, j] * factor - facts[slot, 0, j])
    if causal:
        for i, j in T.Parallel(keys, queries):
            scores[i, j] = T.if_then_else(key + i <= query + j, scores[i, j], 0)
    T.copy(scores, weights)


@T.macro
def slope(weights: Any, slopes: Any, facts: Any, slot: Any, dS: Any, dS_shared: Any) -> None:
    """dS = P (dP - sum(dO O)), in the operand's dtype, also where both warpgroups find it."""
    keys, queries = slopes.shape
    for i, j in T.Parallel(keys, queries):
        slopes[i, j] = T.cast(weights[i, j], "float32") * (slopes[i, j] - facts[slot, 1, j])
    T.copy(slopes, dS)
    T.copy(dS, dS_shared[slot, :, :])


@T.macro
def add(dq: Any, sums: Any, b: Any, head: Any, block: Any) -> None:
    """Add dQ [features, queries] to the sums of a block."""
    features, queries = dq.shape
    for i, j in T.Parallel(features, queries):
        thread, register = i % 64 // 16 * 32 + i % 8 * 4 + j % 8 // 2, i // 8 % 2 * 2 + j % 2
        T.atomic_add(sums[b, head, block, i // 64, j // 8, thread, register], dq[i, j])


@jit(out_idx=[-2, -1])
def gradients_by_roles(
    batch: int, S: int, heads: int, causal: bool, scale: float, dtype: str = "float16", queries: int = 64
) -> Any:
    """dK and dV; adds to the sums of dQ, which are without the scale of the scores."""
    factor, rows, tight = scale * LOG2_E, T.GemmWarpPolicy.FullRow, queries > 64
    blocks, steps = -(-S // KEYS), -(-S // queries)

    @T.prim_func
    def attention_backward(
        Q: T.Tensor((batch, S, heads, DIM), dtype),
        K: T.Tensor((batch, S, heads, DIM), dtype),
        V: T.Tensor((batch, S, heads, DIM), dtype),
        dO: T.Tensor((batch, S, heads, DIM), dtype),
        Facts: T.Tensor((batch, heads, steps, 2, queries), "float32"),
        Sums: T.Tensor((batch, heads, steps, *parts_of_sums(queries)), "float32"),
        dK: T.Tensor((batch, S, heads, DIM), dtype),
        dV: T.Tensor((batch, S, heads, DIM), dtype),
    ):
        with T.Kernel(blocks, heads, batch, threads=THREADS) as (bx, head, b):
            K_shared, V_shared = T.alloc_shared((KEYS, DIM), dtype), T.alloc_shared((KEYS, DIM), dtype)
            Q_shared = T.alloc_shared((VERSIONS, queries, DIM), dtype)
            dO_shared = T.alloc_shared((VERSIONS, queries, DIM), dtype)
            facts = T.alloc_shared((VERSIONS, 2, queries), "float32")
            dS_shared = T.alloc_shared((VERSIONS, KEYS, queries), dtype)
            k_full, v_full = T.alloc_barrier(1), T.alloc_barrier(1)
            q_full, q_empty = T.alloc_barrier([1] * VERSIONS), T.alloc_barrier([8] * VERSIONS)
            o_full, o_empty = T.alloc_barrier([1] * VERSIONS), T.alloc_barrier([8] * VERSIONS)
            first = bx * KEYS // queries if causal else 0
            with T.ws(2):
                T.dec_max_nreg(24)
                T.tma_copy(K[b, bx * KEYS : (bx + 1) * KEYS, head, :], K_shared, barrier=k_full)
                for t in T.serial(steps - first):
                    slot, turn, query = t % VERSIONS, t // VERSIONS, (first + t) * queries
                    T.barrier_wait(q_empty[slot], (turn + 1) % 2)
                    T.tma_copy(Q[b, query : query + queries, head, :], Q_shared[slot, :, :], barrier=q_full[slot])
                    if t == 0:
                        T.tma_copy(V[b, bx * KEYS : (bx + 1) * KEYS, head, :], V_shared, barrier=v_full)
                    T.barrier_wait(o_empty[slot], (turn + 1) % 2)
                    if T.get_thread_binding() % GROUP == 0:
                        T.mbarrier_expect_tx(o_full[slot], 8 * queries)
                        source = T.access_ptr(Facts[b, head, first + t, 0, 0], "r")
                        T.tma_load(T.access_ptr(facts[slot, 0, 0], "w"), source, o_full[slot], 8 * queries)
                    T.tma_copy(dO[b, query : query + queries, head, :], dO_shared[slot, :, :], barrier=o_full[slot])
            with T.ws(0, 1):
                T.inc_max_nreg(240)
                scores = T.alloc_fragment((KEYS, queries), "float32")
                slopes = T.alloc_fragment((KEYS, queries), "float32")
                weights = T.alloc_fragment((KEYS, queries), dtype)
                dS = T.alloc_fragment((KEYS, queries), dtype)
                dk, dv = T.alloc_fragment((KEYS, DIM), "float32"), T.alloc_fragment((KEYS, DIM), "float32")
                dq = T.alloc_fragment((DIM, queries), "float32")
                T.clear(dk)
                T.clear(dv)
                T.barrier_wait(k_full, 0)
                T.barrier_wait(v_full, 0)
                for t in T.serial(steps - first):
                    slot, parity = t % VERSIONS, t // VERSIONS % 2
                    q, grad, slope_tile = Q_shared[slot, :, :], dO_shared[slot, :, :], dS_shared[slot, :, :]
                    T.barrier_wait(q_full[slot], parity)
                    T.wgmma_gemm(K_shared, q, scores, transpose_B=True, policy=rows, clear_accum=True)
                    T.barrier_wait(o_full[slot], parity)
                    T.wgmma_gemm(V_shared, grad, slopes, transpose_B=True, policy=rows, clear_accum=True)
                    T.wait_wgmma(1, scores)
                    weigh(scores, weights, facts, slot, factor, causal, bx * KEYS, (first + t) * queries)
                    T.wgmma_gemm(weights, grad, dv, policy=rows)
                    T.wait_wgmma(1, slopes)
                    slope(weights if tight else scores, slopes, facts, slot, dS, dS_shared)
                    T.wgmma_gemm(K_shared, slope_tile, dq, transpose_A=True, policy=rows, clear_accum=True)
                    T.wgmma_gemm(slope_tile if tight else dS, q, dk, policy=rows)
                    T.wait_wgmma(1, dq)
                    if T.get_thread_binding() % 32 == 0:
                        T.barrier_arrive(o_empty[slot])
                    add(dq, Sums, b, head, first + t)
                    T.wait_wgmma(0, dk)
                    if T.get_thread_binding() % 32 == 0:
                        T.barrier_arrive(q_empty[slot])
                T.wait_wgmma(0, dk, dv)
                for i, j in T.Parallel(KEYS, DIM):
                    dk[i, j] *= scale
                T.copy(dk, K_shared)
                T.tma_copy(K_shared, dK[b, bx * KEYS : (bx + 1) * KEYS, head, :])
                T.copy(dv, V_shared)
                T.tma_copy(V_shared, dV[b, bx * KEYS : (bx + 1) * KEYS, head, :])
                T.tma_store_wait(0)

    return attention_backward


@jit(out_idx=[-1])
def rows_of_sums(
    batch: int, S: int, heads: int, scale: float, dtype: str = "float16", queries: int = 64
) -> Any:  # fmt: skip
    """The sums of dQ as rows, with the scale of the scores, in the type of the gradients."""
    blocks, parts = -(-S // queries), parts_of_sums(queries)

    @T.prim_func
    def attention_rows_of_sums(
        Sums: T.Tensor((batch, heads, blocks, *parts), "float32"), dQ: T.Tensor((batch, S, heads, DIM), dtype)
    ):
        with T.Kernel(blocks, heads, batch, threads=GROUP) as (bx, head, b):
            rows = T.alloc_shared((queries, DIM), dtype)
            T.annotate_layout({rows: make_swizzled_layout(rows)})
            for side, run, thread, r in T.Parallel(*parts):
                feature = side * 64 + thread // 32 * 16 + thread % 32 // 4 + r // 2 * 8
                value = Sums[b, head, bx, side, run, thread, r] * scale
                rows[run * 8 + thread % 4 * 2 + r % 2, feature] = T.cast(value, dtype)
            T.copy(rows, dQ[b, bx * queries : (bx + 1) * queries, head, :])

    return attention_rows_of_sums
