"""Gradients of attention: those of queries, keys and values from that of the output.

The forward kernel keeps per query the logarithm L of its sum of exponentials, so that weights P = exp2(S - L) are
computed again instead of stored. A CTA owns `block_N` keys of one head and walks over the queries:

    dV += P^T dO;  dP = dO V^T;  dS = P (dP - sum(dO O));  dK += dS^T Q;  dQ += dS K

Scores are computed transposed (keys by queries), so that P^T and dS^T feed the next products from registers; dQ is
summed in device memory by atomic additions, since every block of keys contributes. Targets with warpgroup products have
a kernel of their own for heads of 64 to 256 features: `attention_gradients`.
Source: Dao, "FlashAttention-2", 2023, algorithm 2.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import functools
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.attention import heads_together
from tilelang_mlir.ops.attention_gradients import (
    ROWS,
    gradient_tiling,
    gradients_by_registers,
    row_facts,
    rows_of_sums,
    store_gradients,
)
from tilelang_mlir.ops.online_softmax import LOG2_E
from tilelang_mlir.ops.operands import HALF, has_dtype, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.target import Feature, Target


@jit(out_idx=[-2, -1])
def row_products(
    batch: int, S: int, heads: int, D: int, dtype: str = "float16", block: int = 16, D_v: int | None = None
) -> Any:  # fmt: skip
    """sum(dO O) of every row, [batch, heads, S] float32, and zeros for the sums of dQ."""
    width = D if D_v is None else D_v

    @T.prim_func
    def attention_row_products(
        O: T.Tensor((batch, S, heads, width), dtype),
        dO: T.Tensor((batch, S, heads, width), dtype),
        Delta: T.Tensor((batch, heads, S), "float32"),
        Sums: T.Tensor((batch, S, heads, D), "float32"),
    ):
        with T.Kernel(T.ceildiv(S, block), heads, batch, threads=128) as (bx, head, b):
            out, grad = T.alloc_fragment((block, width), dtype), T.alloc_fragment((block, width), dtype)
            product = T.alloc_fragment((block, width), "float32")
            zeros = T.alloc_fragment((block, D), "float32")
            delta = T.alloc_fragment((block,), "float32")
            T.copy(O[b, bx * block : (bx + 1) * block, head, :], out)
            T.copy(dO[b, bx * block : (bx + 1) * block, head, :], grad)
            for i, j in T.Parallel(block, width):
                product[i, j] = T.cast(out[i, j], "float32") * T.cast(grad[i, j], "float32")
            T.reduce_sum(product, delta, dim=1)
            T.copy(delta, Delta[b, head, bx * block : (bx + 1) * block])
            T.clear(zeros)
            T.copy(zeros, Sums[b, bx * block : (bx + 1) * block, head, :])

    return attention_row_products


@T.macro
def weigh_again(scores: Any, weights: Any, logarithms: Any, factor: float, causal: bool, key: Any, query: Any) -> None:
    """Turn scores [keys, queries] into weights, in both buffers; `key` and `query` are the first ones of the block."""
    keys, queries = scores.shape
    for i, j in T.Parallel(keys, queries):
        scores[i, j] = T.exp2(scores[i, j] * factor - logarithms[j])
    if causal:
        for i, j in T.Parallel(keys, queries):
            scores[i, j] = T.if_then_else(key + i <= query + j, scores[i, j], 0)
    T.copy(scores, weights)


@T.macro
def weigh_slopes(scores: Any, slopes: Any, deltas: Any, dS: Any) -> None:
    """Turn slopes by the weights [keys, queries] into those by the scores, also in the operand's dtype."""
    keys, queries = scores.shape
    for i, j in T.Parallel(keys, queries):
        slopes[i, j] = scores[i, j] * (slopes[i, j] - deltas[j])
    T.copy(slopes, dS)


@jit(out_idx=[-2, -1])
def gradients(
    batch: int, S: int, heads: int, D: int, causal: bool, scale: float, dtype: str = "float16", block_M: int = 64,
    block_N: int = 128, stages: int = 2, threads: int = 256, D_v: int | None = None,
    heads_kv: int | None = None,
) -> Any:  # fmt: skip
    """dK and dV; adds to dQ, which is float32, zero before and without the scale of the scores."""
    factor, rows = scale * LOG2_E, T.GemmWarpPolicy.FullRow
    blocks, block = -(-S // block_N), (block_N, block_M)
    width, kv = D if D_v is None else D_v, heads if heads_kv is None else heads_kv
    group = heads // kv  # of query heads that share a key head

    @T.prim_func
    def attention_backward(
        Q: T.Tensor((batch, S, heads, D), dtype),
        K: T.Tensor((batch, S, kv, D), dtype),
        V: T.Tensor((batch, S, kv, width), dtype),
        dO: T.Tensor((batch, S, heads, width), dtype),
        L: T.Tensor((batch, heads, S), "float32"),
        Delta: T.Tensor((batch, heads, S), "float32"),
        dQ: T.Tensor((batch, S, heads, D), "float32"),
        dK: T.Tensor((batch, S, kv, D), dtype),
        dV: T.Tensor((batch, S, kv, width), dtype),
    ):
        with T.Kernel(blocks, kv, batch, threads=threads) as (bx, head_kv, b):
            K_shared, V_shared = T.alloc_shared((block_N, D), dtype), T.alloc_shared((block_N, width), dtype)
            Q_shared, dO_shared = T.alloc_shared((block_M, D), dtype), T.alloc_shared((block_M, width), dtype)
            L_shared, Delta_shared = T.alloc_shared((block_M,), "float32"), T.alloc_shared((block_M,), "float32")
            scores, slopes = T.alloc_fragment(block, "float32"), T.alloc_fragment(block, "float32")
            weights, dS = T.alloc_fragment(block, dtype), T.alloc_fragment(block, dtype)
            dS_shared = T.alloc_shared(block, dtype)
            dk, dv = T.alloc_fragment((block_N, D), "float32"), T.alloc_fragment((block_N, width), "float32")
            dq = T.alloc_fragment((block_M, D), "float32")
            T.copy(K[b, bx * block_N : (bx + 1) * block_N, head_kv, :], K_shared)
            T.copy(V[b, bx * block_N : (bx + 1) * block_N, head_kv, :], V_shared)
            T.clear(dk)
            T.clear(dv)
            start = bx * block_N // block_M if causal else 0
            count = -(-S // block_M) - start
            bounds = (start, -(-S // block_M)) if group == 1 else (0, group * count)
            for step in T.Pipelined(*bounds, num_stages=stages):
                head = head_kv * group + step // count if group > 1 else head_kv
                k = start + step % count if group > 1 else step
                T.copy(Q[b, k * block_M : (k + 1) * block_M, head, :], Q_shared)
                T.copy(L[b, head, k * block_M : (k + 1) * block_M], L_shared)
                T.gemm(K_shared, Q_shared, scores, transpose_B=True, policy=rows, clear_accum=True)
                T.copy(dO[b, k * block_M : (k + 1) * block_M, head, :], dO_shared)
                T.copy(Delta[b, head, k * block_M : (k + 1) * block_M], Delta_shared)
                T.gemm(V_shared, dO_shared, slopes, transpose_B=True, policy=rows, clear_accum=True)
                weigh_again(scores, weights, L_shared, factor, causal, bx * block_N, k * block_M)
                T.gemm(weights, dO_shared, dv, policy=rows)
                weigh_slopes(scores, slopes, Delta_shared, dS)
                T.copy(dS, dS_shared)
                T.clear(dq)
                T.gemm(dS_shared, K_shared, dq, transpose_A=True)
                T.gemm(dS, Q_shared, dk, policy=rows)  # runs while dq is added
                for i, j in T.Parallel(block_M, D):
                    T.atomic_add(dQ[b, k * block_M + i, head, j], dq[i, j])
            store_gradients(dk, dv, dK, dV, b, bx, head_kv, scale)

    return attention_backward


@jit(out_idx=[-1])
def scaled(batch: int, S: int, heads: int, D: int, scale: float, dtype: str = "float16", block: int = 64) -> Any:
    """The sums of dQ with the scale of the scores, in the type of the gradients."""

    @T.prim_func
    def attention_scale_dq(Sums: T.Tensor((batch, S, heads, D), "float32"), dQ: T.Tensor((batch, S, heads, D), dtype)):
        with T.Kernel(T.ceildiv(S, block), heads, batch, threads=128) as (bx, head, b):
            sums = T.alloc_fragment((block, D), "float32")
            T.copy(Sums[b, bx * block : (bx + 1) * block, head, :], sums)
            for i, j in T.Parallel(block, D):
                sums[i, j] *= scale
            T.copy(sums, dQ[b, bx * block : (bx + 1) * block, head, :])

    return attention_scale_dq


def attention_backward(
    q: Any,
    k: Any,
    v: Any,
    out: Any,
    logarithms: Any,
    grad: Any,
    *,
    causal: bool = False,
    scale: float | None = None,
    target: str | Target = "auto",
) -> tuple[Any, Any, Any]:
    """The gradients of q, k and v from `grad`, that of the output of `attention`.

    Args:
        q: (batch, S, heads, D), k: (batch, S, heads_kv, D), v: (batch, S, heads_kv, D_v), out, grad: (batch, S, heads,
            D_v), contiguous, all float16 or all bfloat16; as many keys as queries. `heads` is a multiple of `heads_kv`.
        logarithms: (batch, heads, S) float32, of `attention(..., return_logarithms=True)`.
        causal, scale: as for `attention`.
        target: as for `tilelang.compile`.

    Returns:
        dq, dk, dv, in the dtype of q. Sums of dq are added atomically: their order, and so their last bits, vary.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree.
    """
    tensors = {"q": q, "k": k, "v": v, "out": out, "grad": grad}
    dtype = one_dtype("gradient of attention", tensors, HALF)
    has_dtype("logarithms", logarithms, "float32")
    batch, S, heads, D = has_rank("q", q, "(batch, S, heads, D)")
    _, _, heads_kv, D_v = has_rank("v", v, "(batch, S, heads_kv, D_v)")
    if heads % heads_kv:
        raise TileValueError(f"{heads} query heads cannot share {heads_kv} key heads evenly")
    has_shape("k", k, (batch, S, heads_kv, D), "(batch, S, heads_kv, D)")
    has_shape("v", v, (batch, S, heads_kv, D_v), "(batch, S, heads_kv, D_v)")
    for name in ("out", "grad"):
        has_shape(name, tensors[name], (batch, S, heads, D_v), "(batch, S, heads, D_v)")
    has_shape("logarithms", logarithms, (batch, heads, S), "(batch, heads, S)")
    factor = D**-0.5 if scale is None else float(scale)
    sizes = batch, S, heads, D
    tiling = gradient_tiling(D, D_v) if resolve_target(target).supports(Feature.WGMMA) else None
    if tiling is not None:
        facts, sums = ready(row_facts, target, *sizes, D_v, dtype, tiling)(out, grad, logarithms)
        together = heads_together(heads_kv) if causal else 1
        shape = batch, S, heads, heads_kv, D, D_v, causal
        main = ready(gradients_by_registers, target, *shape, factor, dtype, tiling, together)
        dk, dv = main(q, k, v, grad, facts, sums)
        return ready(rows_of_sums, target, *sizes, factor, dtype, tiling)(sums), dk, dv
    deltas, sums = ready(row_products, target, *sizes, dtype, ROWS, D_v)(out, grad)
    tiles = gradient_tiles(max(D, D_v), target)
    main = ready(gradients, target, *sizes, causal, factor, dtype, *tiles, D_v, heads_kv)
    dk, dv = main(q, k, v, grad, logarithms, deltas, sums)
    return ready(scaled, target, *sizes, factor, dtype)(sums), dk, dv


@functools.cache
def gradient_tiles(D: int, target: str | Target = "auto") -> tuple[int, int, int, int]:
    """Queries and keys of a block, versions of a block of queries, and threads."""
    machine = resolve_target(target)
    if machine.supports(Feature.WGMMA) and D <= 128:
        return 64, 128, 2, 256
    if D > 128:  # warps for 64 rows of sums, or four waves for 32; as many keys and queries as shared memory holds
        sizes = ((32, 32), (16, 32)) if machine.supports(Feature.MFMA) else ((32, 64), (32, 32), (16, 32))
        fitting = (size for size in sizes if _tile_bytes(D, *size) <= machine.max_shared_bytes)
        return (*next(fitting, sizes[-1]), 1, 256)
    if machine.supports(Feature.WMMA):  # eight waves: fewer would hold more sums and operands than there are registers
        return 32, 64, 1, 256
    return (64, 64, 2, 128) if D <= 64 else (32, 64, 1, 128)


def _tile_bytes(D: int, queries: int, keys: int) -> int:
    """Shared memory of a block of `gradients`: Q, dO, K and V, the slopes, two numbers per query."""
    return 4 * D * (queries + keys) + 2 * queries * keys + 8 * queries
