"""Gradients of attention on targets with warpgroup products, heads of 128 features.

The mathematics, the names and the order of the products are those of `attention_backward`. Shared memory is what such a
kernel runs out of first: products of 64 rows read both operands from there, and everything else that passes through it
takes its time from them. Therefore

* dQ goes from registers to device memory, by additions of four floats at a time. Its sums lie in the order of the
  registers, so that a warp adds 512 neighbouring bytes: a first kernel makes zeros of that form, a last one makes rows;
* L and sum(dO O) of a block are packed into one run of bytes by the first kernel, and loaded with dO.
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
GROUP, THREADS, STAGES = 128, 256, 2
ROWS = 16  # queries of a block of the first kernel
# The sums of a block of queries in the order of the registers: warpgroups, runs, threads, registers of a run.
# A warpgroup has 64 features; register r of thread t in run n is query 8 n + 2 (t % 4) + r % 2 and feature
# 16 (t / 32) + t % 32 / 4 + 8 (r / 2), as the accumulator of a product lies.
PARTS = (2, QUERIES // 8, GROUP, 4)


@jit(out_idx=[-2, -1])
def row_facts(batch: int, S: int, heads: int, dtype: str = "float16") -> Any:
    """L and sum(dO O), [batch, heads, blocks, 2, 64] float32, and zeros for the sums of dQ."""
    blocks, share, words = -(-S // QUERIES), QUERIES // ROWS, ROWS * DIM

    @T.prim_func
    def attention_row_facts(
        O: T.Tensor((batch, S, heads, DIM), dtype),
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
def weigh(scores: Any, weights: Any, facts: Any, factor: float, causal: bool, key: Any, query: Any) -> None:
    """Turn scores [keys, queries] into weights, in both buffers; `key` and `query` are the first ones of the block."""
    for i, j in T.Parallel(KEYS, QUERIES):
        scores[i, j] = T.exp2(scores[i, j] * factor - facts[0, j])
    if causal:
        for i, j in T.Parallel(KEYS, QUERIES):
            scores[i, j] = T.if_then_else(key + i <= query + j, scores[i, j], 0)
    T.copy(scores, weights)


@jit(out_idx=[-2, -1])
def gradients_by_registers(
    batch: int, S: int, heads: int, causal: bool, scale: float, dtype: str = "float16"
) -> Any:  # fmt: skip
    """dK and dV; adds to the sums of dQ, which are without the scale of the scores."""
    factor, rows = scale * LOG2_E, T.GemmWarpPolicy.FullRow
    blocks, steps, block = -(-S // KEYS), -(-S // QUERIES), (KEYS, QUERIES)

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
            Q_shared, dO_shared = T.alloc_shared((QUERIES, DIM), dtype), T.alloc_shared((QUERIES, DIM), dtype)
            facts, dS_shared = T.alloc_shared((2, QUERIES), "float32"), T.alloc_shared(block, dtype)
            scores, slopes = T.alloc_fragment(block, "float32"), T.alloc_fragment(block, "float32")
            weights, dS = T.alloc_fragment(block, dtype), T.alloc_fragment(block, dtype)
            dk, dv = T.alloc_fragment((KEYS, DIM), "float32"), T.alloc_fragment((KEYS, DIM), "float32")
            dq = T.alloc_fragment((DIM, QUERIES), "float32")  # transposed: dQ^T = K^T dS^T
            T.copy(K[b, bx * KEYS : (bx + 1) * KEYS, head, :], K_shared)
            T.copy(V[b, bx * KEYS : (bx + 1) * KEYS, head, :], V_shared)
            T.clear(dk)
            T.clear(dv)
            for k in T.Pipelined(bx * KEYS // QUERIES if causal else 0, steps, num_stages=STAGES):
                T.copy(Q[b, k * QUERIES : (k + 1) * QUERIES, head, :], Q_shared)
                T.gemm(K_shared, Q_shared, scores, transpose_B=True, policy=rows, clear_accum=True)
                T.copy(dO[b, k * QUERIES : (k + 1) * QUERIES, head, :], dO_shared)
                T.copy(Facts[b, head, k, :, :], facts)
                T.gemm(V_shared, dO_shared, slopes, transpose_B=True, policy=rows, clear_accum=True)
                weigh(scores, weights, facts, factor, causal, bx * KEYS, k * QUERIES)
                T.gemm(weights, dO_shared, dv, policy=rows)
                for i, j in T.Parallel(KEYS, QUERIES):
                    slopes[i, j] = scores[i, j] * (slopes[i, j] - facts[1, j])
                T.copy(slopes, dS)
                T.copy(dS, dS_shared)
                T.gemm(K_shared, dS_shared, dq, transpose_A=True, policy=rows, clear_accum=True)
                T.gemm(dS_shared if causal else dS, Q_shared, dk, policy=rows)  # runs while dq is added
                add(dq, Sums, b, head, k)
            for i, j in T.Parallel(KEYS, DIM):
                dk[i, j] *= scale
            T.copy(dk, dK[b, bx * KEYS : (bx + 1) * KEYS, head, :])
            T.copy(dv, dV[b, bx * KEYS : (bx + 1) * KEYS, head, :])

    return attention_backward


@T.macro
def add(dq: Any, sums: Any, b: Any, head: Any, block: Any) -> None:
    """Add dQ [features, queries] to the sums of a block."""
    for i, j in T.Parallel(DIM, QUERIES):
        thread, register = i % 64 // 16 * 32 + i % 8 * 4 + j % 8 // 2, i // 8 % 2 * 2 + j % 2
        T.atomic_add(sums[b, head, block, i // 64, j // 8, thread, register], dq[i, j])


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
                feature = side * 64 + thread // 32 * 16 + thread % 32 // 4 + r // 2 * 8
                value = Sums[b, head, bx, side, run, thread, r] * scale
                rows[run * 8 + thread % 4 * 2 + r % 2, feature] = T.cast(value, dtype)
            T.copy(rows, dQ[b, bx * QUERIES : (bx + 1) * QUERIES, head, :])

    return attention_rows_of_sums
