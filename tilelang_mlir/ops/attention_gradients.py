"""Gradients of attention on targets with warpgroup products: roles, barriers and order of products by hand.

The mathematics and the names are those of `attention_backward`. A CTA owns 128 keys of one head, two warpgroups compute
64 of them each, a third one loads. What decides the speed is that the tensor cores never wait for the threads: the
loop is rotated, so that each step of the threads has products to hide behind.

    S, dP of the first queries; P; start dV += P^T dO; wait dP
    loop: dS to shared memory; meet; start dQ = dS K, S of the next queries and dK += dS^T Q;
          wait dQ, add it to device memory (under S and dK); start dP of the next queries;
          wait S; P (under dK and dP); start dV; wait dP
    dS of the last queries; dQ and dK

No wait counts products of an earlier iteration: ptxas would serialise all of them. dK takes dS from shared memory,
which frees the registers that S of the next queries needs. dS has two versions, so that it needs one meeting only.

dQ is summed in the order of the registers: every warpgroup adds 16 KiB in one piece. A first kernel makes zeros of that
form and packs L and sum(dO O) of 64 queries into one run of bytes; a last one brings the sums into rows.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.layout import make_swizzled_layout
from tilelang_mlir.ops.online_softmax import LOG2_E

QUERIES, KEYS, DIM = 64, 128, 128  # of a block; the features of a head
GROUP, THREADS = 128, 384
Q_VERSIONS, DO_VERSIONS, DS_VERSIONS = 3, 2, 2
# The sums of a block of queries, as the two warpgroups hold them: 8 runs of 4 registers per thread, 64 features each.
PARTS = (2, 8, GROUP, 4)
BYTES = 4 * 8 * GROUP * 4  # that one warpgroup adds
ROWS = 16  # queries of a block of the first kernel


@jit(out_idx=[-2, -1])
def row_facts(batch: int, S: int, heads: int, dtype: str = "float16") -> Any:
    """L and sum(dO O) by blocks of queries, [batch, heads, blocks, 2, 64] float32, and zeros for the sums of dQ."""
    blocks, share = -(-S // QUERIES), QUERIES // ROWS
    words = 2 * 8 * GROUP * 4 // share

    @T.prim_func
    def attention_row_facts(
        O: T.Tensor((batch, S, heads, DIM), dtype),  # noqa: E741
        dO: T.Tensor((batch, S, heads, DIM), dtype),
        L: T.Tensor((batch, heads, S), "float32"),
        Facts: T.Tensor((batch, heads, blocks, 2, QUERIES), "float32"),
        Sums: T.Tensor((batch, heads, blocks, *PARTS), "float32"),
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
def slope(scores: Any, slopes: Any, facts: Any, slot: Any, dS: Any, dS_shared: Any, version: Any) -> None:
    """dS = P (dP - sum(dO O)), where both warpgroups find it; what was added from the staging buffer has left it."""
    keys, queries = slopes.shape
    for i, j in T.Parallel(keys, queries):
        slopes[i, j] = scores[i, j] * (slopes[i, j] - facts[slot, 1, j])
    T.copy(slopes, dS)
    T.copy(dS, dS_shared[version, :, :])
    if T.get_thread_binding() % GROUP == 0:
        T.tma_store_wait(0)


@T.macro
def add(dq: Any, stage: Any, sums: Any, b: Any, head: Any, block: Any) -> None:
    """Add dQ [queries, features] to the sums of a block: runs of four registers side by side."""
    queries, features = dq.shape
    for i, j in T.Parallel(queries, features):
        thread = i // 16 * 32 + i % 8 * 4 + j % 8 // 2
        stage[j // 64, j % 64 // 8, thread, i // 8 % 2 * 2 + j % 2] = dq[i, j]
    group = T.get_thread_binding() // GROUP
    if T.get_thread_binding() % GROUP == 0:
        target = T.access_ptr(sums[b, head, block, group, 0, 0, 0], "w")
        T.tma_store(target, T.access_ptr(stage[group, 0, 0, 0], "r"), BYTES, reduce="add")
        T.tma_store_arrive()


@jit(out_idx=[-2, -1])
def gradients_by_roles(batch: int, S: int, heads: int, causal: bool, scale: float, dtype: str = "float16") -> Any:
    """dK and dV; adds to the sums of dQ, which are without the scale of the scores."""
    factor, rows = scale * LOG2_E, T.GemmWarpPolicy.FullRow
    blocks, steps = -(-S // KEYS), -(-S // QUERIES)

    @T.prim_func
    def attention_backward(
        Q: T.Tensor((batch, S, heads, DIM), dtype),
        K: T.Tensor((batch, S, heads, DIM), dtype),
        V: T.Tensor((batch, S, heads, DIM), dtype),
        dO: T.Tensor((batch, S, heads, DIM), dtype),
        Facts: T.Tensor((batch, heads, steps, 2, QUERIES), "float32"),
        Sums: T.Tensor((batch, heads, steps, *PARTS), "float32"),
        dK: T.Tensor((batch, S, heads, DIM), dtype),
        dV: T.Tensor((batch, S, heads, DIM), dtype),
    ):
        with T.Kernel(blocks, heads, batch, threads=THREADS) as (bx, head, b):
            K_shared, V_shared = T.alloc_shared((KEYS, DIM), dtype), T.alloc_shared((KEYS, DIM), dtype)
            Q_shared = T.alloc_shared((Q_VERSIONS, QUERIES, DIM), dtype)
            dO_shared = T.alloc_shared((DO_VERSIONS, QUERIES, DIM), dtype)
            facts = T.alloc_shared((DO_VERSIONS, 2, QUERIES), "float32")
            dS_shared = T.alloc_shared((DS_VERSIONS, KEYS, QUERIES), dtype)
            stage = T.alloc_shared(PARTS, "float32")
            k_full, v_full = T.alloc_barrier(1), T.alloc_barrier(1)
            q_full, q_empty = T.alloc_barrier([1] * Q_VERSIONS), T.alloc_barrier([8] * Q_VERSIONS)
            o_full, o_empty = T.alloc_barrier([1] * DO_VERSIONS), T.alloc_barrier([8] * DO_VERSIONS)
            first = bx * KEYS // QUERIES if causal else 0
            with T.ws(2):
                T.dec_max_nreg(24)
                T.tma_copy(K[b, bx * KEYS : (bx + 1) * KEYS, head, :], K_shared, barrier=k_full)
                for t in T.serial(steps - first):
                    q, o, query = t % Q_VERSIONS, t % DO_VERSIONS, (first + t) * QUERIES
                    T.barrier_wait(q_empty[q], (t // Q_VERSIONS + 1) % 2)
                    T.tma_copy(Q[b, query : query + QUERIES, head, :], Q_shared[q, :, :], barrier=q_full[q])
                    if t == 0:
                        T.tma_copy(V[b, bx * KEYS : (bx + 1) * KEYS, head, :], V_shared, barrier=v_full)
                    T.barrier_wait(o_empty[o], (t // DO_VERSIONS + 1) % 2)
                    if T.get_thread_binding() % GROUP == 0:
                        T.mbarrier_expect_tx(o_full[o], 8 * QUERIES)
                        source = T.access_ptr(Facts[b, head, first + t, 0, 0], "r")
                        T.tma_load(T.access_ptr(facts[o, 0, 0], "w"), source, o_full[o], 8 * QUERIES)
                    T.tma_copy(dO[b, query : query + QUERIES, head, :], dO_shared[o, :, :], barrier=o_full[o])
            with T.ws(0, 1):
                T.inc_max_nreg(240)
                scores = T.alloc_fragment((KEYS, QUERIES), "float32")
                slopes = T.alloc_fragment((KEYS, QUERIES), "float32")
                weights = T.alloc_fragment((KEYS, QUERIES), dtype)
                dS = T.alloc_fragment((KEYS, QUERIES), dtype)
                dk, dv = T.alloc_fragment((KEYS, DIM), "float32"), T.alloc_fragment((KEYS, DIM), "float32")
                dq = T.alloc_fragment((QUERIES, DIM), "float32")
                T.clear(dk)
                T.barrier_wait(k_full, 0)
                T.barrier_wait(q_full[0], 0)
                T.wgmma_gemm(K_shared, Q_shared[0, :, :], scores, transpose_B=True, policy=rows, clear_accum=True)
                T.barrier_wait(v_full, 0)
                T.barrier_wait(o_full[0], 0)
                T.wgmma_gemm(V_shared, dO_shared[0, :, :], slopes, transpose_B=True, policy=rows, clear_accum=True)
                T.wait_wgmma(1, scores)
                weigh(scores, weights, facts, 0, factor, causal, bx * KEYS, first * QUERIES)
                T.wgmma_gemm(weights, dO_shared[0, :, :], dv, policy=rows, clear_accum=True)
                T.wait_wgmma(1, slopes)
                for t in T.serial(steps - first - 1):
                    q, o, version = t % Q_VERSIONS, t % DO_VERSIONS, t % DS_VERSIONS
                    following, other = (t + 1) % Q_VERSIONS, (t + 1) % DO_VERSIONS
                    slope(scores, slopes, facts, o, dS, dS_shared, version)
                    if T.get_thread_binding() % 32 == 0 and t > 0:
                        T.barrier_arrive(q_empty[(t + Q_VERSIONS - 1) % Q_VERSIONS])
                    T.wgmma_gemm(dS_shared[version, :, :], K_shared, dq, transpose_A=True, clear_accum=True)
                    T.wait_wgmma(1, dv)
                    T.barrier_wait(q_full[following], (t + 1) // Q_VERSIONS % 2)
                    T.wgmma_gemm(
                        K_shared, Q_shared[following, :, :], scores, transpose_B=True, policy=rows, clear_accum=True
                    )
                    T.wgmma_gemm(dS_shared[version, :, :], Q_shared[q, :, :], dk, policy=rows)
                    T.wait_wgmma(2, dq)
                    add(dq, stage, Sums, b, head, first + t)
                    if T.get_thread_binding() % 32 == 0:
                        T.barrier_arrive(o_empty[o])
                    T.barrier_wait(o_full[other], (t + 1) // DO_VERSIONS % 2)
                    T.wgmma_gemm(
                        V_shared, dO_shared[other, :, :], slopes, transpose_B=True, policy=rows, clear_accum=True
                    )
                    T.wait_wgmma(2, scores)
                    weigh(scores, weights, facts, other, factor, causal, bx * KEYS, (first + t + 1) * QUERIES)
                    T.wgmma_gemm(weights, dO_shared[other, :, :], dv, policy=rows)
                    T.wait_wgmma(1, slopes)
                last = steps - first - 1
                slope(scores, slopes, facts, last % DO_VERSIONS, dS, dS_shared, last % DS_VERSIONS)
                T.wgmma_gemm(dS_shared[last % DS_VERSIONS, :, :], K_shared, dq, transpose_A=True, clear_accum=True)
                T.wgmma_gemm(dS_shared[last % DS_VERSIONS, :, :], Q_shared[last % Q_VERSIONS, :, :], dk, policy=rows)
                T.wait_wgmma(1, dq)
                add(dq, stage, Sums, b, head, steps - 1)
                T.wait_wgmma(0, dk, dv)
                for i, j in T.Parallel(KEYS, DIM):
                    dk[i, j] *= scale
                T.tma_store_wait(0)
                T.copy(dk, K_shared)
                T.tma_copy(K_shared, dK[b, bx * KEYS : (bx + 1) * KEYS, head, :])
                T.copy(dv, V_shared)
                T.tma_copy(V_shared, dV[b, bx * KEYS : (bx + 1) * KEYS, head, :])
                T.tma_store_wait(0)

    return attention_backward


@jit(out_idx=[-1])
def rows_of_sums(batch: int, S: int, heads: int, scale: float, dtype: str = "float16") -> Any:
    """The sums of dQ as rows, with the scale of the scores, in the type of the gradients."""
    blocks = -(-S // QUERIES)

    @T.prim_func
    def attention_rows_of_sums(
        Sums: T.Tensor((batch, heads, blocks, *PARTS), "float32"), dQ: T.Tensor((batch, S, heads, DIM), dtype)
    ):
        with T.Kernel(blocks, heads, batch, threads=GROUP) as (bx, head, b):
            rows = T.alloc_shared((QUERIES, DIM), dtype)
            T.annotate_layout({rows: make_swizzled_layout(rows)})
            for side, run, thread, r in T.Parallel(*PARTS):
                row = thread // 32 * 16 + thread % 32 // 4 + r // 2 * 8
                value = Sums[b, head, bx, side, run, thread, r] * scale
                rows[row, side * 64 + run * 8 + thread % 4 * 2 + r % 2] = T.cast(value, dtype)
            T.copy(rows, dQ[b, bx * QUERIES : (bx + 1) * QUERIES, head, :])

    return attention_rows_of_sums
