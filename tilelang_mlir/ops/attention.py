"""Attention, forward, in one kernel: grouped query heads, causal masks, values of another width, logarithms of sums.

The program is that of examples/11_flash_attention.py, which explains it.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.online_softmax import LOG2_E, divide_rows, logarithms, softmax_step, start_rows
from tilelang_mlir.ops.operands import HALF, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.target import Feature, Target

_THREE_WARPGROUPS = 0.9  # the time of a row in blocks of 192 queries, of that in blocks of 128


@dataclass(frozen=True)
class AttentionTiling:
    """Queries and keys of a block, versions of a block of keys, threads, and the order of the blocks.

    `group` heads are next to each other in the launch, so that long causal rows of all of them start first; `paired`
    gives every CTA a long and a short row of blocks, and with that as much to do as any other: CTAs walk over pairs.
    """

    block_M: int
    block_N: int
    stages: int
    threads: int
    group: int = 1
    paired: bool = False


def heads_together(heads: int) -> int:
    """How many heads start in turns, so that the long causal blocks of all of them start before the short ones."""
    return max(g for g in (1, 2, 4, 8, 16) if heads % g == 0)


def tiles_of_warps(D: int, machine: Target) -> tuple[int, int, int, int]:
    """Queries and keys of a block, versions of a block of keys, and threads, where warps have products of their own."""
    if D <= 128:
        return 64, 64, 2, 128
    # Where threads hold operands twice, two warps share the columns of a row's sums.
    return (32, 64, 2, 128) if machine.supports(Feature.WMMA_REPEATED) else (64, 32, 2, 128)


@functools.cache
def attention_tiling(S: int, heads: int, D: int, causal: bool, target: str | Target = "auto") -> AttentionTiling:
    """Tiles for `heads` heads of width D (the larger of keys and values) over S queries, by the room of registers."""
    machine = resolve_target(target)
    if machine.supports(Feature.TCGEN05) and S > 64:  # whole tiles of tensor memory; two blocks up to D = 128
        return AttentionTiling(128, 64, 2, 256)
    if not machine.supports(Feature.WGMMA):
        return AttentionTiling(*tiles_of_warps(D, machine))
    group = heads_together(heads) if causal else 1
    if S <= 64:
        return AttentionTiling(64, 64, 2, 128)
    if D > 192:
        return AttentionTiling(128, 64, 2, 256, group)
    if causal and S <= 2048:
        return AttentionTiling(128, 128, 2, 256, min(group, 4), paired=True)
    if D > 64 and not causal and -(-S // 192) * 192 * _THREE_WARPGROUPS > -(-S // 128) * 128:
        return AttentionTiling(128, 128, 2, 256)
    return AttentionTiling(192, 128 if D <= 64 else 80, 2, 384, group)


@jit(out_idx=[-2, -1])
def attention_forward(
    batch: int, S: int, S_kv: int, heads: int, heads_kv: int, D: int, D_v: int, causal: bool, scale: float, dtype: str,
    tiling: AttentionTiling,
) -> Any:  # fmt: skip
    """O [batch, S, heads, D_v] and L [batch, heads, S]; causal masks are aligned at the last query and key."""
    block_M, block_N, group = tiling.block_M, tiling.block_N, tiling.group
    blocks = -(-S // block_M)
    columns = -(-blocks // 2) if tiling.paired else blocks
    factor = scale * LOG2_E
    masked = causal or S_kv % block_N != 0
    behind = S_kv - S  # keys before the first query

    @T.prim_func
    def attention(
        Q: T.Tensor((batch, S, heads, D), dtype),
        K: T.Tensor((batch, S_kv, heads_kv, D), dtype),
        V: T.Tensor((batch, S_kv, heads_kv, D_v), dtype),
        O: T.Tensor((batch, S, heads, D_v), dtype),
        L: T.Tensor((batch, heads, S), "float32"),
    ):
        with T.Kernel(columns * group, heads // group, batch, threads=tiling.threads) as (x, y, b):
            Q_shared = T.alloc_shared((block_M, D), dtype)
            K_shared = T.alloc_shared((block_N, D), dtype)
            V_shared = T.alloc_shared((block_N, D_v), dtype)
            scores = T.alloc_fragment((block_M, block_N), "float32")
            weights = T.alloc_fragment((block_M, block_N), dtype)
            out = T.alloc_fragment((block_M, D_v), "float32")
            largest = T.alloc_fragment((block_M,), "float32")
            total = T.alloc_fragment((block_M,), "float32")
            head = y * group + x % group
            head_kv = head // (heads // heads_kv)
            for turn in T.serial(2 if tiling.paired else 1):
                long = T.if_then_else(turn == 0, x // group, blocks - 1 - x // group)
                bx = blocks - 1 - long if causal else long
                T.copy(Q[b, bx * block_M : (bx + 1) * block_M, head, :], Q_shared)
                start_rows(out, largest, total)
                last = T.min(S_kv, (bx + 1) * block_M + behind) if causal else S_kv
                for k in T.Pipelined(T.ceildiv(last, block_N), num_stages=tiling.stages):
                    T.copy(K[b, k * block_N : (k + 1) * block_N, head_kv, :], K_shared)
                    if masked:
                        for i, j in T.Parallel(block_M, block_N):
                            key = k * block_N + j
                            seen = key <= bx * block_M + i + behind if causal else key < S_kv
                            scores[i, j] = T.if_then_else(seen, 0, -T.infinity("float32"))
                    else:
                        T.clear(scores)
                    T.gemm(Q_shared, K_shared, scores, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                    softmax_step(scores, weights, out, largest, total, factor)
                    T.copy(V[b, k * block_N : (k + 1) * block_N, head_kv, :], V_shared)
                    T.gemm(weights, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
                divide_rows(out, total)
                logarithms(largest, total, factor)
                T.copy(out, O[b, bx * block_M : (bx + 1) * block_M, head, :])
                T.copy(largest, L[b, head, bx * block_M : (bx + 1) * block_M])

    return attention


def attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    causal: bool = False,
    scale: float | None = None,
    return_logarithms: bool = False,
    target: str | Target = "auto",
) -> Any:
    """softmax(q k^T * scale) v for every head, as a new tensor.

    Args:
        q: (batch, S, heads, D), k: (batch, S_kv, heads_kv, D), v: (batch, S_kv, heads_kv, D_v), contiguous, all
            float16 or all bfloat16. `heads` is a multiple of `heads_kv`; neighbouring query heads share a key head.
        causal: query i sees keys up to i + S_kv - S.
        scale: of the scores; D ** -0.5 when left out.
        return_logarithms: also return the logarithm, base 2, of each query's sum of exp(score), (batch, heads, S)
            float32, which `attention_backward` needs.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree, or a causal mask over fewer keys than queries.

    Source: Dao et al., "FlashAttention", 2022.
    """
    dtype = one_dtype("attention", {"q": q, "k": k, "v": v}, HALF)
    batch, S, heads, D = has_rank("q", q, "(batch, S, heads, D)")
    _, S_kv, heads_kv, D_v = has_rank("v", v, "(batch, S_kv, heads_kv, D_v)")
    has_shape("k", k, (batch, S_kv, heads_kv, D), "(batch, S_kv, heads_kv, D)")
    has_shape("v", v, (batch, S_kv, heads_kv, D_v), "(batch, S_kv, heads_kv, D_v)")
    if heads % heads_kv:
        raise TileValueError(f"{heads} query heads cannot share {heads_kv} key heads evenly")
    if causal and S_kv < S:
        raise TileValueError(f"a causal mask over {S} queries and {S_kv} keys leaves queries without a key")
    tiling = attention_tiling(S, heads, max(D, D_v), causal, target)
    factor = D**-0.5 if scale is None else float(scale)
    shape = batch, S, S_kv, heads, heads_kv, D, D_v
    out, sums = ready(attention_forward, target, *shape, causal, factor, dtype, tiling)(q, k, v)
    return (out, sums) if return_logarithms else out
