"""Gradients of attention on targets with warpgroup products, heads of 64 to 256 features.

The mathematics, the names and the order of the products are those of `attention_backward`. Shared memory is what such a
kernel runs out of first: products of 64 rows read both operands from there, and everything else that passes through it
takes its time from them. Therefore

* dQ goes from registers to device memory, by additions of four floats at a time. Its sums lie in the order of the
  registers, so that a warp adds 512 neighbouring bytes: a first kernel makes zeros of that form, a last one makes rows;
* L and sum(dO O) of a block are packed into one run of bytes by the first kernel, and loaded with dO.

Two warpgroups own 64 keys each, with their rows of dK and dV: weights feed the next product from registers. With
more than 256 features of dK and dV together no room is left for weights beside their slopes; up to 320 it is enough to
keep the weights as the operand they become, and to start the slopes then (`GradientTiling.late`). Beyond, the two
share 64 keys: each has half of the queries of the scores and half of the features of every sum, and weights go through
shared memory.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.layout import make_half_bank_swizzled_layout, make_swizzled_layout
from tilelang_mlir.ops.online_softmax import LOG2_E

GROUP, THREADS, STAGES = 128, 256, 2
ROWS = 16  # queries of a block of the first kernel
_SPAN = 64  # features in a swizzle span: what a warpgroup takes of a tile in the order of its rows


@dataclass(frozen=True)
class GradientTiling:
    """Queries and keys of a block, and how the two warpgroups share the products.

    `shared`: both work on the same keys, and weights go through shared memory. `turned`: dQ is summed as
    [features, queries]. `late`: slopes are computed when the weights have become an operand, and take their place.
    """

    queries: int
    keys: int
    shared: bool = False
    turned: bool = False
    late: bool = False


def gradient_tiling(D: int, D_v: int) -> GradientTiling | None:
    """The tiling for heads of D features and values of D_v; None where the sums of none fit the registers."""
    if D == D_v == 64:
        return GradientTiling(128, 128)
    if D == D_v == 128:
        return GradientTiling(64, 128, turned=True)
    if D % 64 or D_v % 64 or max(D, D_v) > 256:
        return None
    late = D <= 192 and D + D_v <= 320
    return GradientTiling(64, 128, late=True) if late else GradientTiling(64, 64, shared=True)


def sum_shape(tiling: GradientTiling, D: int) -> tuple[int, int, int, int]:
    """The sums of dQ of a block in the order of the registers: blocks of 64 rows, runs, threads, registers of a run.

    Register r of thread t in run n of an accumulator is column 8 n + 2 (t % 4) + r % 2 and row 16 (t / 32) +
    t % 32 / 4 + 8 (r / 2). Rows are queries, or features where it is turned.
    """
    rows, columns = (D, tiling.queries) if tiling.turned else (tiling.queries, D)
    return rows // 64, columns // 8, GROUP, 4


@jit(out_idx=[-2, -1])
def row_facts(batch: int, S: int, heads: int, D: int, D_v: int, dtype: str, tiling: GradientTiling) -> Any:
    """L and sum(dO O), [batch, heads, blocks, 2, queries] float32, and zeros for the sums of dQ."""
    queries = tiling.queries
    blocks, share, words = -(-S // queries), queries // ROWS, ROWS * D

    @T.prim_func
    def attention_row_facts(
        O: T.Tensor((batch, S, heads, D_v), dtype),
        dO: T.Tensor((batch, S, heads, D_v), dtype),
        L: T.Tensor((batch, heads, S), "float32"),
        Facts: T.Tensor((batch, heads, blocks, 2, queries), "float32"),
        Sums: T.Tensor((batch, heads, blocks, *sum_shape(tiling, D)), "float32"),
    ):
        with T.Kernel(blocks * share, heads, batch, threads=GROUP) as (bx, head, b):
            out, grad = T.alloc_fragment((ROWS, D_v), dtype), T.alloc_fragment((ROWS, D_v), dtype)
            product = T.alloc_fragment((ROWS, D_v), "float32")
            delta = T.alloc_fragment((ROWS,), "float32")
            zeros = T.alloc_fragment((words,), "float32")
            T.copy(O[b, bx * ROWS : (bx + 1) * ROWS, head, :], out)
            T.copy(dO[b, bx * ROWS : (bx + 1) * ROWS, head, :], grad)
            for i, j in T.Parallel(ROWS, D_v):
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
    keys, queries = scores.shape
    for i, j in T.Parallel(keys, queries):
        scores[i, j] = T.exp2(scores[i, j] * factor - facts[0, j])
    if causal:
        for i, j in T.Parallel(keys, queries):
            scores[i, j] = T.if_then_else(key + i <= query + j, scores[i, j], 0)
    T.copy(scores, weights)


@T.macro
def weigh_slopes(weights: Any, slopes: Any, facts: Any, dS: Any) -> None:
    """Turn slopes by the weights [keys, queries] into those by the scores, also in the operand's dtype."""
    keys, queries = weights.shape
    for i, j in T.Parallel(keys, queries):
        slopes[i, j] = T.cast(weights[i, j], "float32") * (slopes[i, j] - facts[1, j])
    T.copy(slopes, dS)


@T.macro
def store_gradients(dk: Any, dv: Any, dK: Any, dV: Any, b: Any, block: Any, head: Any, scale: float) -> None:
    """Store dK, with the scale of the scores, and dV of a block of keys."""
    keys, D = dk.shape
    for i, j in T.Parallel(keys, D):
        dk[i, j] *= scale
    T.copy(dk, dK[b, block * keys : (block + 1) * keys, head, :])
    T.copy(dv, dV[b, block * keys : (block + 1) * keys, head, :])


@T.macro
def add(dq: Any, sums: Any, b: Any, head: Any, block: Any) -> None:
    """Add dQ to the sums of a block."""
    rows, columns = dq.shape
    for i, j in T.Parallel(rows, columns):
        thread, register = i % 64 // 16 * 32 + i % 8 * 4 + j % 8 // 2, i // 8 % 2 * 2 + j % 2
        T.atomic_add(sums[b, head, block, i // 64, j // 8, thread, register], dq[i, j])


def _layouts(tiling: GradientTiling, keys: Any, others: tuple[Any, ...]) -> dict[Any, Any]:
    """Layouts in spans of 64 bytes where a warpgroup takes half the features of a tile, and no whole spans of 128."""
    halved = (() if tiling.turned else (keys,)) + (others if tiling.shared else ())
    return {tile: make_half_bank_swizzled_layout(tile) for tile in halved if tile.shape[1] // 2 % _SPAN}


@jit(out_idx=[-2, -1])
def gradients_by_registers(
    batch: int, S: int, heads: int, heads_kv: int, D: int, D_v: int, causal: bool, scale: float, dtype: str,
    tiling: GradientTiling, together: int = 1,
) -> Any:  # fmt: skip
    """dK and dV; adds to the sums of dQ, which are without the scale of the scores. `together`: heads of keys whose
    blocks start in turns, so that long causal columns of all of them start first."""
    group = heads // heads_kv  # of query heads that share a key head: a CTA walks over the queries of all of them
    factor, keys, queries, shared = scale * LOG2_E, tiling.keys, tiling.queries, tiling.shared
    blocks, steps, block = -(-S // keys), -(-S // queries), (keys, queries)
    in_registers = not (shared or causal or tiling.late)  # the slopes that dK is summed from

    @T.prim_func
    def attention_backward(
        Q: T.Tensor((batch, S, heads, D), dtype),
        K: T.Tensor((batch, S, heads_kv, D), dtype), V: T.Tensor((batch, S, heads_kv, D_v), dtype),
        dO: T.Tensor((batch, S, heads, D_v), dtype),
        Facts: T.Tensor((batch, heads, steps, 2, queries), "float32"),
        Sums: T.Tensor((batch, heads, steps, *sum_shape(tiling, D)), "float32"),
        dK: T.Tensor((batch, S, heads_kv, D), dtype), dV: T.Tensor((batch, S, heads_kv, D_v), dtype),
    ):  # fmt: skip
        with T.Kernel(blocks * together, heads_kv // together, batch, threads=THREADS) as (x, y, b):
            bx, head_kv = x // together, y * together + x % together
            K_shared, V_shared = T.alloc_shared((keys, D), dtype), T.alloc_shared((keys, D_v), dtype)
            Q_shared, dO_shared = T.alloc_shared((queries, D), dtype), T.alloc_shared((queries, D_v), dtype)
            facts, dS_shared = T.alloc_shared((2, queries), "float32"), T.alloc_shared(block, dtype)
            P_shared = T.alloc_shared(block, dtype)
            T.annotate_layout(_layouts(tiling, K_shared, (Q_shared, dO_shared)))
            scores, slopes = T.alloc_fragment(block, "float32"), T.alloc_fragment(block, "float32")
            weights, dS = T.alloc_fragment(block, dtype), T.alloc_fragment(block, dtype)
            dk, dv = T.alloc_fragment((keys, D), "float32"), T.alloc_fragment((keys, D_v), "float32")
            dq = T.alloc_fragment((D, queries) if tiling.turned else (queries, D), "float32")
            T.copy(K[b, bx * keys : (bx + 1) * keys, head_kv, :], K_shared)
            T.copy(V[b, bx * keys : (bx + 1) * keys, head_kv, :], V_shared)
            T.clear(dk)
            T.clear(dv)
            start = bx * keys // queries if causal else 0
            for member in T.serial(group):
                head = head_kv * group + member
                for k in T.Pipelined(start, steps, num_stages=STAGES):
                    T.copy(Q[b, k * queries : (k + 1) * queries, head, :], Q_shared)
                    T.gemm(K_shared, Q_shared, scores, transpose_B=True, clear_accum=True)
                    T.copy(dO[b, k * queries : (k + 1) * queries, head, :], dO_shared)
                    T.copy(Facts[b, head, k, :, :], facts)
                    if not tiling.late:
                        T.gemm(V_shared, dO_shared, slopes, transpose_B=True, clear_accum=True)
                    weigh(scores, weights, facts, factor, causal, bx * keys, k * queries)
                    if shared:
                        T.copy(weights, P_shared)
                    T.gemm(P_shared if shared else weights, dO_shared, dv)
                    if tiling.late:
                        T.gemm(V_shared, dO_shared, slopes, transpose_B=True, clear_accum=True)
                    weigh_slopes(weights if tiling.late else scores, slopes, facts, dS)
                    T.copy(dS, dS_shared)
                    left, right = (K_shared, dS_shared) if tiling.turned else (dS_shared, K_shared)
                    T.gemm(left, right, dq, transpose_A=True, clear_accum=True)
                    T.gemm(dS if in_registers else dS_shared, Q_shared, dk)  # runs while dq is added
                    add(dq, Sums, b, head, k)
            store_gradients(dk, dv, dK, dV, b, bx, head_kv, scale)

    return attention_backward


@jit(out_idx=[-1])
def rows_of_sums(batch: int, S: int, heads: int, D: int, scale: float, dtype: str, tiling: GradientTiling) -> Any:
    """The sums of dQ as rows, with the scale of the scores, in the type of the gradients."""
    queries = tiling.queries
    blocks = -(-S // queries)

    @T.prim_func
    def attention_rows_of_sums(
        Sums: T.Tensor((batch, heads, blocks, *sum_shape(tiling, D)), "float32"),
        dQ: T.Tensor((batch, S, heads, D), dtype),
    ):
        with T.Kernel(blocks, heads, batch, threads=GROUP) as (bx, head, b):
            rows = T.alloc_shared((queries, D), dtype)
            T.annotate_layout({rows: make_swizzled_layout(rows)})
            for side, run, thread, r in T.Parallel(*sum_shape(tiling, D)):
                i = thread // 32 * 16 + thread % 32 // 4 + r // 2 * 8 + side * 64
                j = run * 8 + thread % 4 * 2 + r % 2
                value = Sums[b, head, bx, side, run, thread, r] * scale
                if tiling.turned:
                    rows[j, i] = T.cast(value, dtype)
                else:
                    rows[i, j] = T.cast(value, dtype)
            T.copy(rows, dQ[b, bx * queries : (bx + 1) * queries, head, :])

    return attention_rows_of_sums
